"""Ending what an attempt left alive when its supervisor can do it no more."""

import asyncio
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestrator.bridges import proctable
from orchestrator.bridges.leaf import Leaf

STDOUT, STDERR = "stdout.ndjson", "stderr.log"


async def lock_is_free(path: Path, patience_s: float) -> None:
    """Wait until nobody holds the lock at *path*, at most *patience_s* seconds."""
    deadline = time.monotonic() + patience_s
    while path.exists():
        with path.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                return
        if time.monotonic() >= deadline:
            return
        await asyncio.sleep(0.02)


async def end_strays(attempt_dir: Path, mark: str, patience_s: float) -> int:
    """Kill every process of the attempt until none is left. Return how many there were.

    They carry its mark, write to its output, or are in its control groups, which are removed. The first process of
    a PID namespace carries the mark: all others in there end with it.
    """
    deadline = time.monotonic() + patience_s
    killed: set[int] = set()
    leaf = Leaf.of(_groups(attempt_dir, mark))

    def is_ours(pid: int) -> bool:
        return proctable.has_mark(pid, mark) or _writes_to(pid, attempt_dir) or pid in leaf.members()

    while victims := _strays(attempt_dir, mark, leaf):
        leaf.kill()
        for pid in victims:
            _kill(pid, is_ours)
        killed.update(victims)
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(0.01)
    leaf.remove()
    return len(killed)


def began_since_boot(attempt_dir: Path) -> float:
    """Return when the attempt began, in seconds since the epoch; 0.0 if it never did, or before the machine started."""
    path = attempt_dir / "manifest.json"
    try:
        boot = json.loads(path.read_bytes())["boot_id"]
        return path.stat().st_mtime if boot and boot == proctable.boot_id() else 0.0
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def last_output(attempt_dir: Path) -> float:
    """Return when the attempt last wrote anything, in seconds since the epoch; 0.0 if it never did."""
    found = [0.0]
    for name in (STDOUT, STDERR):
        with suppress(OSError):
            told = (attempt_dir / name).stat()
            found += [told.st_mtime] if told.st_size else []
    return max(found)


def _groups(attempt_dir: Path, mark: str) -> list[str]:
    """Return the control groups that the attempt's manifest names, those that bear its mark."""
    try:
        named = json.loads((attempt_dir / "manifest.json").read_bytes())["cgroups"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [folder for folder in named if isinstance(folder, str) and Path(folder).name == mark]


def _strays(attempt_dir: Path, mark: str, leaf: Leaf) -> set[int]:
    marked = {pid for pid in proctable.all_pids() if proctable.has_mark(pid, mark) or _writes_to(pid, attempt_dir)}
    return {pid for pid in marked | leaf.members() if not proctable.is_zombie(pid)} - {os.getpid()}


def _writes_to(pid: int, attempt_dir: Path) -> bool:
    """Return whether *pid* can write to the output: so is found what detached itself and cleared its environment."""
    outputs = {str(attempt_dir.absolute() / STDOUT), str(attempt_dir.absolute() / STDERR)}
    fds = Path(f"/proc/{pid}/fd")
    with suppress(OSError):
        for fd in fds.iterdir():
            with suppress(OSError):
                if str(fd.readlink()) in outputs and _is_writable(pid, fd.name):
                    return True
    return False


def _is_writable(pid: int, fd: str) -> bool:
    """A person who only looks on, with `tail -f`, is not of the attempt."""
    for line in Path(f"/proc/{pid}/fdinfo/{fd}").read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def _kill(pid: int, is_ours: Callable[[int], bool]) -> None:
    """Send SIGKILL to *pid*, if it still is the process that was meant: a number may have passed to another."""
    with suppress(ProcessLookupError, PermissionError):
        held = os.pidfd_open(pid)
        try:
            if is_ours(pid):
                signal.pidfd_send_signal(held, signal.SIGKILL)
        finally:
            os.close(held)
