"""Refusals of the system that are nobody's fault and pass: no space, no descriptors, no memory."""

import errno

SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def is_shortage(error: BaseException) -> bool:
    """Return whether *error* will not come again once the machine has what it lacks now."""
    return isinstance(error, OSError) and error.errno in SHORTAGES
