"""A store with the parts that make and send notices, a clock that the test moves, and a far side that does as told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes import FakeClock
from tests.fakes_of_notices import FakeNotifier
from tests.harness import until
from tests.ports.sample_tasks import K, event, go, new

from orchestrator.bridges.sqlite import SqliteStore, open_store
from orchestrator.core.events import Json
from orchestrator.core.notice import Delivery, NoticeKind
from orchestrator.core.notice_ports import Sink
from orchestrator.core.redact import Redactor
from orchestrator.core.task import Task
from orchestrator.engine.bell import Bell
from orchestrator.engine.noticing import Noticing
from orchestrator.engine.telling import Telling

USUAL = frozenset({NoticeKind.NEEDS_YOU, NoticeKind.FAILED, NoticeKind.BATCH_FINISHED})
SECRET = "hunter2-hunter2"


class SlowNotifier(FakeNotifier):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.asked: list[Delivery] = []

    async def send(self, delivery: Delivery) -> str:
        self.asked.append(delivery)
        await self.go.wait()
        return await super().send(delivery)


@dataclass
class Teller:
    """A root with a place that is told, and time that the test moves."""

    store: SqliteStore
    clock: FakeClock
    bell: Bell
    sinks: dict[str, Sink]
    noticing: Noticing
    telling: Telling
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def add_sink(self, name: str, far: FakeNotifier, kinds: frozenset[NoticeKind] = USUAL) -> FakeNotifier:
        self.sinks[name] = Sink(name, kinds, far)
        return far

    async def failed(self, n: int, **data: Json) -> Task:
        (task,) = await self.store.accept([new(n)])
        running = await go(self.store, task, K.STARTED, K.FINISHED, ts=self.clock.now())
        said: dict[str, Json] = {"reason": "timeout", "detail": "it ran for 300 s", **data}
        (ended,) = await self.store.commit([event(K.FAILED, running, ts=self.clock.now(), **said)])
        return ended

    async def titles(self, far: FakeNotifier, count: int) -> Sequence[str]:
        await until(lambda: len(far.taken) >= count, what=f"{count} messages")
        return [one.notice.title for one in far.taken]

    async def settled(self) -> None:
        """Return when nothing is owed that could be sent now."""
        for _ in range(3):
            self.bell.ring()
            await asyncio.sleep(0.02)


@asynccontextmanager
async def opened_teller(
    path: Path, clock: FakeClock, sinks: dict[str, Sink], *, send_s: float = 5.0, last_s: float = 0.2
) -> AsyncIterator[Teller]:
    """A store with the parts that tell, which run until the block ends."""
    bell = Bell()
    async with open_store(path, committed=bell.ring) as store:
        redactor = Redactor([SECRET])
        noticing = Noticing(store=store, outbox=store.outbox, clock=clock, sinks=lambda: sinks, redact=redactor.json)
        telling = Telling(
            store=store,
            outbox=store.outbox,
            clock=clock,
            bell=bell,
            sinks=lambda: sinks,
            noticing=noticing,
            root=store.root_uuid,
            redact=redactor.json,
            send_s=send_s,
            last_s=last_s,
        )
        teller = Teller(store, clock, bell, sinks, noticing, telling)
        await telling.begin()
        running = asyncio.create_task(telling.run(teller.stopped))
        try:
            yield teller
        finally:
            teller.stopped.set()
            bell.ring()
            await asyncio.wait([running])
            running.result()


@pytest.fixture
def far() -> FakeNotifier:
    return FakeNotifier()


@pytest.fixture
async def teller(tmp_path: Path, far: FakeNotifier) -> AsyncIterator[Teller]:
    async with opened_teller(tmp_path / "store.db", FakeClock(), {"web": Sink("web", USUAL, far)}) as opened:
        yield opened
