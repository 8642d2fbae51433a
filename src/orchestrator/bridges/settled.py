"""Reading a file that nobody is writing.

On local Linux file systems the kernel answers the question: a read lease is refused while anybody has the file
open for writing, and while we hold it a new writer has to wait the moment our reading takes. Elsewhere the file
has to look the same for a while. Either way the bytes are compared with the facts before and after.
"""

import enum
import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable

from orchestrator.bridges.files import opened, read_all
from orchestrator.core.errors import TaskFileError
from orchestrator.core.ports import FileBytes, InboxEntry, NotReady
from orchestrator.core.task import FileStamp

WRITER_RETRY_S = 0.1
RECENT_NS = 20_000_000  # time stamps move in ticks of up to 10 ms

_SET_LEASE: int | None = getattr(fcntl, "F_SETLEASE", None)
_SET_SIGNAL: int = getattr(fcntl, "F_SETSIG", 10)
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


class Lease(enum.Enum):
    """What the kernel answered."""

    HELD = "held"
    REFUSED = "refused"  # somebody has the file open for writing
    UNKNOWN = "unknown"  # no leases here: other system, other owner, network or FUSE file system


def take_lease(fd: int) -> Lease:
    """Ask for a read lease on *fd*; it ends with the descriptor.

    A writer that comes meanwhile makes the kernel signal us. The default signal, SIGIO, would end the process; so
    SIGURG is asked for, whose default is to be ignored, and which nothing here uses.
    """
    if _SET_LEASE is None:
        return Lease.UNKNOWN
    try:
        fcntl.fcntl(fd, _SET_SIGNAL, signal.SIGURG)
        fcntl.fcntl(fd, _SET_LEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Lease.REFUSED if error.errno == errno.EAGAIN else Lease.UNKNOWN
    return Lease.HELD


def stamp_of(facts: os.stat_result) -> FileStamp:
    """Return the stamp by which a change is noticed."""
    return FileStamp(inode=facts.st_ino, mtime_ns=facts.st_mtime_ns, size=facts.st_size)


def read_settled(
    folder_fd: int,
    name: str,
    *,
    limit: int,
    settled: Callable[[FileStamp], bool],
    lease: Callable[[int], Lease] = take_lease,
) -> FileBytes | NotReady:
    """Read *name* at one instant, without following a link and without ever blocking.

    *settled* decides, where there are no leases, whether the file has looked like this for long enough.
    Raises TaskFileError: not_regular, unreadable, file_too_large (*limit* in bytes; not a byte is read then).
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except OSError as error:
        return _not_opened(name, error)
    with opened(fd):
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise _not_regular(name)
        answer = lease(fd)
        if answer is Lease.REFUSED:
            return NotReady("open_writer", WRITER_RETRY_S)
        if answer is Lease.UNKNOWN and not settled(stamp_of(before)):
            return NotReady("settling", WRITER_RETRY_S)
        try:
            return _read(fd, name, os.fstat(fd), limit=limit)
        except OSError as error:
            return _refused(name, error)


def _read(fd: int, name: str, before: os.stat_result, *, limit: int) -> FileBytes | NotReady:
    if before.st_size > limit:
        raise TaskFileError(
            "file_too_large",
            f"the file has {before.st_size} bytes",
            file=name,
            expected=f"at most {limit} bytes",
            hint="Put large material into a file of its own and name that under Target Files.",
        )
    body = read_all(fd, limit=before.st_size)
    after = os.fstat(fd)
    if len(body) != after.st_size or stamp_of(after) != stamp_of(before):
        return NotReady("changing", WRITER_RETRY_S)
    entry = InboxEntry(file_name=name, stamp=stamp_of(after), changed_ns=after.st_ctime_ns)
    recent = abs(time.time_ns() - after.st_ctime_ns) < RECENT_NS  # nobody can set that one
    return FileBytes(body=body, entry=entry, links=after.st_nlink, mode=stat.S_IMODE(after.st_mode), recent=recent)


def _not_opened(name: str, error: OSError) -> NotReady:
    if error.errno == errno.ENOENT:
        return NotReady("gone", 0.0)
    if error.errno == errno.EAGAIN:  # somebody else's lease stands in the way
        return NotReady("open_writer", WRITER_RETRY_S)
    if error.errno in (errno.ELOOP, errno.ENXIO):
        raise _not_regular(name) from None
    return _refused(name, error)


def _refused(name: str, error: OSError) -> NotReady:
    if error.errno in _EXHAUSTED:
        return NotReady("no_descriptors", 1.0)
    if error.errno in _FORBIDDEN:
        raise _unreadable(name, error) from None
    return NotReady("disk_error", 5.0)  # a network or disk that may come back: no fault of the file


def _not_regular(name: str) -> TaskFileError:
    return TaskFileError(
        "not_regular",
        "this is a link or a device, and only a regular file is read",
        file=name,
        expected="a regular file",
        hint="Copy the task file itself into tasks/.",
    )


def _unreadable(name: str, error: OSError) -> TaskFileError:
    return TaskFileError(
        "unreadable",
        f"the file cannot be read: {error.strerror} ({errno.errorcode.get(error.errno or 0, '?')})",
        file=name,
        hint="Give the daemon's user the right to read it; it is looked at again when its permissions change.",
    )
