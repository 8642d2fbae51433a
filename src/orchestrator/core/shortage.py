"""Refusals of the system that are nobody's fault and pass: no space, no descriptors, no memory, a failing disk."""

import errno

SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class UnsyncedError(OSError):
    """The disk did not keep what was written. The daemon stops over it; what met it is no fault of a task."""


def is_shortage(error: BaseException) -> bool:
    """Return whether *error* will not come again once the machine has what it lacks now."""
    return isinstance(error, UnsyncedError) or (isinstance(error, OSError) and error.errno in SHORTAGES)
