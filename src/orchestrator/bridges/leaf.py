"""The control groups of one attempt: made before it starts, with its limits, and removed when nothing of it is left.

A group of version 2 ends all its processes by one write, forks in flight included. Of version 1 there may be one for
each controller; their processes are ended one by one until none is left.
"""

# ruff: noqa: PTH102, PTH106, PTH110, PTH112 - the supervisor pays for every import at each start

import os

from orchestrator.bridges import proctable

THREADS = 4  # the kernel counts threads; a process may have some. Processes themselves are counted by gauge.py


class Leaf:
    """The groups there are. *controllers* are the limits that the kernel itself keeps."""

    def __init__(self, folders: list[str]) -> None:
        self.folders = folders
        self.controllers: set[str] = set()

    @staticmethod
    def of(folders: list[str]) -> "Leaf":
        """Return what is left of the groups that an attempt had."""
        return Leaf([folder for folder in folders if os.path.exists(f"{folder}/cgroup.procs")])

    def limit(self, *, max_processes: int, memory_bytes: int) -> None:
        """Have the kernel keep what it can keep. 0 is no limit."""
        for folder in self.folders:
            if max_processes and _write(f"{folder}/pids.max", b"%d" % (THREADS * max_processes)):
                self.controllers.add("pids")
            if memory_bytes and self._limit_memory(folder, b"%d" % memory_bytes):
                self.controllers.add("memory")

    def _limit_memory(self, folder: str, limit: bytes) -> bool:
        if _write(f"{folder}/memory.max", limit):
            _write(f"{folder}/memory.swap.max", b"0")  # else a full swap comes first, and takes the machine along
            return True
        if _write(f"{folder}/memory.limit_in_bytes", limit):
            _write(f"{folder}/memory.memsw.limit_in_bytes", limit)
            return True
        return False

    @property
    def joins(self) -> list[str]:
        """Return the files whose writer becomes a member."""
        return [f"{folder}/cgroup.procs" for folder in self.folders]

    @property
    def words(self) -> str:
        """Return what is in force, for the exit record; "" for nothing."""
        held = ",".join(sorted(self.controllers))
        return "" if not self.folders else f"cgroup[{held}]" if held else "cgroup"

    def refused(self) -> bool:
        """Return whether the kernel had to refuse a process."""
        return "pids" in self.controllers and any(_counter(f"{folder}/pids.events", b"max") for folder in self.folders)

    def out_of_memory(self) -> bool:
        """Return whether the kernel had to kill a process for lack of memory."""
        places = [(folder, name) for folder in self.folders for name in ("memory.events", "memory.oom_control")]
        return "memory" in self.controllers and any(_counter(f"{f}/{name}", b"oom_kill") for f, name in places)

    def members(self) -> set[int]:
        """Return the pids of all members, as they are seen from here."""
        return {int(pid) for path in self.joins for pid in proctable.read_proc(path).split() if pid != b"0"}

    def kill(self) -> None:
        """End every member, those that are just being born too, where the kernel has a switch for it."""
        for folder in self.folders:
            _write(f"{folder}/cgroup.kill", b"1")

    def remove(self) -> None:
        """Remove the groups; one whose last process is only just ending stays for the next start of a daemon."""
        for folder in self.folders:
            for _ in range(20):
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    break
                except OSError:
                    proctable.wait_ends(set())
                else:
                    break


def make(folders: list[bytes]) -> Leaf:
    """Make the groups, as far as the kernel lets us."""
    return Leaf([folder for folder in map(os.fsdecode, folders) if _make(folder)])


def _make(folder: str) -> bool:
    try:
        os.mkdir(folder)
    except FileExistsError:
        return os.path.isdir(folder)
    except OSError:
        return False
    return os.path.exists(f"{folder}/cgroup.procs")


def _write(path: str, content: bytes) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.write(fd, content) > 0
    except OSError:
        return False
    finally:
        os.close(fd)


def _counter(path: str, name: bytes) -> int:
    for line in proctable.read_proc(path).splitlines():
        if line.startswith(name + b" "):
            return int(line.split()[1])
    return 0
