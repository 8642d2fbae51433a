"""A process that starts every task it can get, and prints the uid of each it got. Run by test_store.py."""

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from orchestrator.bridges.sqlite import open_store  # noqa: E402 - after the path is set
from orchestrator.core.errors import IllegalEventError  # noqa: E402
from orchestrator.core.events import Event, EventKind  # noqa: E402


async def race(path: Path) -> None:
    async with open_store(path, checkpoint=False) as store:
        while ready := await store.ready(5.0, limit=10):
            for task in ready:
                try:
                    await store.commit([Event(EventKind.STARTED, 2.0, task.uid, task.attempt + 1)])
                except IllegalEventError:
                    continue
                print(task.uid, flush=True)


asyncio.run(race(Path(sys.argv[1])))
