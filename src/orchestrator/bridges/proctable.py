"""Processes as the kernel tells of them: whose they are, whether they live. Of the standard library only.

The supervisor imports this module and nothing else of the package: what is imported here is paid for by every attempt.
"""

# ruff: noqa: PTH110, PTH208 - importing pathlib takes 6 ms, at every start of an agent

import os
import select

MARK_NAME = "ORCHESTRATOR_ATTEMPT"


def has_proc() -> bool:
    return os.path.exists("/proc/self/environ")


def send(pid: int, number: int) -> None:
    """Send a signal; a negative *pid* is a process group. What has ended, or is not ours to end, is left alone."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def read_proc(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as stream:
            return stream.readall()
    except OSError:
        return b""


def boot_id() -> str:
    """Return what names this run of the machine, "" where nothing does."""
    return read_proc("/proc/sys/kernel/random/boot_id").decode("ascii", "replace").strip()


def stat_fields(pid: int) -> list[bytes]:
    """Return /proc/<pid>/stat from its third field (the state) on, empty if there is no such process."""
    return read_proc(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def is_zombie(pid: int) -> bool:
    return stat_fields(pid)[:1] in ([b"Z"], [b"X"], [])


def all_pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def children() -> list[int]:
    me = os.getpid()
    path = f"/proc/self/task/{me}/children"
    if os.path.exists(path):
        return [int(pid) for pid in read_proc(path).split()]
    return [pid for pid in all_pids() if stat_fields(pid)[1:2] == [b"%d" % me]]


def marked_pids(mark: str) -> list[int]:
    """Return the living processes whose environment, as they were started, carries *mark*. Empty without /proc."""
    return [pid for pid in all_pids() if has_mark(pid, mark)]


def has_mark(pid: int, mark: str) -> bool:
    return f"\0{MARK_NAME}={mark}\0".encode() in b"\0" + read_proc(f"/proc/{pid}/environ") + b"\0"


def watch_end(pid: int) -> int:
    """Return a descriptor that becomes readable when *pid* ends, -1 where the system has no such thing."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return -1


def wait_ends(pids: set[int]) -> None:
    """Wait until one of *pids* has ended, at most some milliseconds."""
    ends = [fd for pid in list(pids)[:64] if (fd := watch_end(pid)) >= 0]
    select.select(ends, [], [], 0.005)
    for fd in ends:
        os.close(fd)
