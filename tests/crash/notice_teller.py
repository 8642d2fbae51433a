"""A process that tells a webhook what a store owes it, and dies where it is told to. Prints `told` when all is."""

import asyncio
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from orchestrator.bridges.clock import SystemClock  # noqa: E402 - after the path is set
from orchestrator.bridges.sqlite import open_store  # noqa: E402
from orchestrator.bridges.webhook import Webhook  # noqa: E402
from orchestrator.core.notice import NoticeKind  # noqa: E402
from orchestrator.core.notice_ports import Sink  # noqa: E402
from orchestrator.engine.bell import Bell  # noqa: E402
from orchestrator.engine.noticing import Noticing  # noqa: E402
from orchestrator.engine.telling import Telling  # noqa: E402
from orchestrator.kit import failpoints  # noqa: E402

SECRET = "a secret of some length"
NAME = "web"


async def tell(path: Path, url: str, expected: int) -> None:
    clock, bell = SystemClock(), Bell()
    async with open_store(path, committed=bell.ring) as store:
        sinks = {NAME: Sink(NAME, frozenset({NoticeKind.FAILED}), Webhook(url, SECRET, clock.now))}
        outbox = store.outbox
        noticing = Noticing(store=store, outbox=outbox, clock=clock, sinks=lambda: sinks, redact=lambda value: value)
        telling = Telling(
            store=store,
            outbox=outbox,
            clock=clock,
            bell=bell,
            sinks=lambda: sinks,
            noticing=noticing,
            root=store.root_uuid,
            redact=lambda value: value,
        )
        failpoints.install(os.environ)
        stopped = asyncio.Event()
        running = asyncio.create_task(telling.run(stopped))
        while sum(facts.sent for facts in await outbox.sinks()) < expected:
            await asyncio.sleep(0.02)
        stopped.set()
        bell.ring()
        await running
        print("told", flush=True)


asyncio.run(tell(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
