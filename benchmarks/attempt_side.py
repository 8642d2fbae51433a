"""One attempt after the other in each of the ways there are, for the benchmark of their price.

`python -m benchmarks.attempt_side FOLDER COUNT PROGRAM [ARGUMENT ...]` prints, as JSON, `container` (what holds an
attempt together here), `why_not` ("" or why there is no container), and `ms`: the samples by way.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from orchestrator.bridges.container import Container, choose
from orchestrator.bridges.process import Launch, supervise

WARM_UP = 3
BARE, UNSYNCED, SUPERVISED, CONTAINED = "bare", "unsynced", "supervised", "contained"


async def run(folder: Path, count: int, program: list[str]) -> dict[str, object]:
    """Return what is printed; the ways take turns."""
    env = {"PATH": "/usr/bin:/bin"}
    held = await choose(env=env, which=shutil.which, settle=False, now=time.time())
    nothing = Container()
    ways: dict[str, Callable[[Path], Awaitable[None]]] = {
        BARE: lambda _: _bare(program),
        UNSYNCED: lambda place: _attempt(place, program, nothing, durable=False),
        SUPERVISED: lambda place: _attempt(place, program, nothing, durable=True),
    }
    if held.words or held.cgroups:
        ways[CONTAINED] = lambda place: _attempt(place, program, held, durable=True)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(WARM_UP + count):
        for way, act in ways.items():
            began = time.monotonic()
            await act(folder / f"{way}_{turn}")
            if turn >= WARM_UP:
                taken[way].append((time.monotonic() - began) * 1000)
    return {"container": held.in_force, "why_not": "" if CONTAINED in ways else held.without or "none", "ms": taken}


async def _bare(program: list[str]) -> None:
    child = await asyncio.create_subprocess_exec(  # noqa: TID251 - the reference starts its programs itself
        *program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    if await child.wait():
        raise SystemExit("the program failed")


async def _attempt(folder: Path, program: list[str], held: Container, *, durable: bool) -> None:
    launch = Launch(
        argv=tuple(program),
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        stdin=b"Say hello.",
        attempt_dir=folder,
        mark=folder.name.replace("_", "."),
        timeout_s=60.0,
        durable=durable,
        container=held.words,
        cgroups=held.cgroups,
    )
    async with supervise(launch) as running:
        record = await running.wait()
    if (record.reason, record.exit_code) != ("exited", 0):
        raise SystemExit(f"the attempt failed: {record.reason} {record.detail}")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))))
