"""A process that accepts and starts tasks without end and prints what is acknowledged, until it is killed."""

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.ports.sample_tasks import event, new  # noqa: E402

from orchestrator.bridges.sqlite import open_store  # noqa: E402 - after the path is set
from orchestrator.core.events import EventKind  # noqa: E402


async def write(path: Path, n: int) -> None:
    async with open_store(path, idle_s=0.002) as store:
        print("up", flush=True)
        while True:
            first, second = await store.accept([new(n), new(n + 1)])
            print(first.uid, "queued", await store.last_seq(), flush=True)
            await store.commit([event(EventKind.STARTED, first), event(EventKind.CANCELLED, second)])
            print(first.uid, "running", await store.last_seq(), flush=True)
            n += 2


asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
