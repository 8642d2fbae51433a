"""The reference for throughput: asyncio that starts the program so often, so many at once, and keeps nothing.

`python -m benchmarks.spawn_loop SLOTS COUNT PROGRAM [ARGUMENT ...]` prints the seconds it took.
"""

import asyncio
import sys
import time


async def run(slots: int, count: int, program: list[str]) -> float:
    """Return the seconds that *count* runs of *program* take, *slots* of them at once."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            child = await asyncio.create_subprocess_exec(  # noqa: TID251 - the reference starts its programs itself
                *program, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
            )
            if await child.wait():
                raise SystemExit("the program failed")

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(slots):
            group.create_task(work())
    return time.monotonic() - began


if __name__ == "__main__":
    print(asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])))
