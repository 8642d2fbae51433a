"""Real attempts for the tests of processes: folders, marks, scripts."""

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.bridges.process import Launch, marked_pids
from orchestrator.kit import scripted_program

PROGRAM = (sys.executable, "-I", "-S", scripted_program.__file__)
PATH = {"PATH": "/usr/bin:/bin"}
_numbers = itertools.count(1)


def launch(
    folder: Path,
    *steps: Mapping[str, object],
    argv: tuple[str, ...] = PROGRAM,
    cwd: str = "",
    timeout_s: float = 30.0,
    grace_s: float = 0.2,
    max_output_bytes: int = 1 << 30,
) -> Launch:
    """Return an attempt that nobody else has: of the scripted program, or of *argv* with the steps as its input."""
    number = next(_numbers)
    return Launch(
        argv=argv,
        cwd=cwd or str(folder),
        env=PATH,
        stdin=f"<<<SCRIPT {json.dumps({'steps': steps})} SCRIPT>>>".encode() if steps else b"",
        attempt_dir=folder / f"attempt{number}",
        mark=f"test{os.getpid()}x{number}x{time.time_ns()}.1",
        timeout_s=timeout_s,
        grace_s=grace_s,
        max_output_bytes=max_output_bytes,
    )


async def becomes(fact: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Wait until *fact* holds. Return whether it did in time."""
    deadline = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    """Return whether *pid* runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def nothing_of(order: Launch) -> bool:
    """Return whether no process carries the mark and none of the pids the script noted is alive."""
    noted = [int(path.read_text()) for path in order.attempt_dir.parent.glob("*.pid") if path.read_text()]
    return not marked_pids(order.mark) and not any(map(alive, noted))


def supervisor_pid(order: Launch) -> int:
    return int(json.loads((order.attempt_dir / "manifest.json").read_text())["pid"])


def agent_pid(order: Launch) -> int:
    return int(json.loads((order.attempt_dir / "manifest.json").read_text())["agent_pid"])
