"""What happens is told once to each place that wants to hear of it, whatever the place and the daemon go through."""

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
from orchestrator.core.events import Event, Json
from orchestrator.core.notice import Delivery, NoticeKind, NotSent
from orchestrator.core.notice_flow import AGE_S, BURST, WINDOW_S
from orchestrator.core.notice_ports import Sink
from orchestrator.core.redact import Redactor
from orchestrator.core.task import Task
from orchestrator.engine.bell import Bell
from orchestrator.engine.noticing import LAG, Noticing
from orchestrator.engine.telling import KEPT_S, Telling

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
            send_s=send_s,
            last_s=last_s,
        )
        teller = Teller(store, clock, bell, sinks, noticing, telling)
        await noticing.catch_up()
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


async def test_a_failed_task_is_told_with_its_summary_and_what_to_type(teller: Teller, far: FakeNotifier) -> None:
    task = await teller.failed(1)
    await teller.titles(far, 1)
    (told,) = far.taken
    assert told.notice.title == "task_1: FAILED - timeout"
    assert "Why: it ran for 300 s" in told.notice.text
    assert f"python main.py retry {task.uid[-8:]}" in told.notice.commands
    assert (told.notice.kind, told.notice.uid, told.tries, told.again) == (NoticeKind.FAILED, task.uid, 1, False)


async def test_only_what_a_place_wants_to_hear_is_told_to_it(teller: Teller, far: FakeNotifier) -> None:
    all_of_it = teller.add_sink("all", FakeNotifier(), frozenset(NoticeKind))
    (task,) = await teller.store.accept([new(7)])
    await go(teller.store, task, K.STARTED, K.FINISHED, K.VALIDATED, K.SUCCEEDED, ts=teller.clock.now())
    assert await teller.titles(all_of_it, 1) == ["task_7: SUCCEEDED"]
    await teller.failed(1)
    assert await teller.titles(far, 1) == ["task_1: FAILED - timeout"]


async def test_what_happened_before_anybody_was_to_be_told_is_not_told(tmp_path: Path, far: FakeNotifier) -> None:
    sinks: dict[str, Sink] = {}
    async with opened_teller(tmp_path / "store.db", FakeClock(), sinks) as teller:
        await teller.failed(1)
        await teller.settled()
        teller.add_sink("web", far)
        await teller.settled()
        await teller.failed(2)
        assert await teller.titles(far, 1) == ["task_2: FAILED - timeout"]
        sinks.clear()
        await teller.settled()
        await teller.failed(3)
        await teller.settled()
        teller.add_sink("web", far)
        await teller.settled()
        await teller.failed(4)
        assert await teller.titles(far, 2) == ["task_2: FAILED - timeout", "task_4: FAILED - timeout"]


async def test_no_secret_reaches_a_place(teller: Teller, far: FakeNotifier) -> None:
    await teller.failed(1, detail=f"the token {SECRET} was refused")
    await teller.titles(far, 1)
    assert SECRET not in repr(far.taken)
    assert "[redacted]" in repr(far.taken)


async def test_five_hundred_tasks_that_fail_at_once_are_five_messages(teller: Teller, far: FakeNotifier) -> None:
    tasks = await teller.store.accept([new(n) for n in range(500)])
    events = [event(K.STARTED, task) for task in tasks]
    running = await teller.store.commit(events)
    running = await teller.store.commit([event(K.FINISHED, task) for task in running])
    now = teller.clock.now()
    await teller.store.commit([event(K.FAILED, task, ts=now, reason="auth", detail="no") for task in running])
    await teller.titles(far, BURST)
    await teller.settled()
    assert len(far.taken) == BURST
    last = far.taken[-1].notice
    assert last.title == f"{500 - BURST + 1} notices: {500 - BURST + 1} failed"
    assert last.document is not None
    alone = {one.notice.name for one in far.taken[:-1]}
    together = {f"task_{n}" for n in range(500) if f"task_{n}: FAILED" in last.document.text}
    assert alone | together == {f"task_{n}" for n in range(500)}
    assert not alone & together


async def test_what_comes_after_a_burst_waits_for_the_window_and_then_goes(teller: Teller, far: FakeNotifier) -> None:
    for n in range(BURST):
        await teller.failed(n)
        await teller.titles(far, n + 1)
    await teller.failed(90)
    await teller.settled()
    assert len(far.taken) == BURST
    teller.clock.advance(WINDOW_S + 1)
    teller.bell.ring()
    assert (await teller.titles(far, BURST + 1))[-1] == "task_90: FAILED - timeout"


async def test_a_dead_network_is_tried_again_and_what_has_gathered_is_told_once(
    teller: Teller, far: FakeNotifier
) -> None:
    far.always = NotSent("connection refused")
    for n in range(20):
        await teller.failed(n)
        await teller.settled()
    assert len(far.tried) == 1, "who failed is left alone for a while, also with what is new"
    teller.clock.advance(6)
    teller.bell.ring()
    await until(lambda: len(far.tried) == 2, what="another try")
    assert not far.tried[1].again, "it surely did not arrive"
    far.always = None
    await teller.settled()
    teller.clock.advance(12)
    teller.bell.ring()
    await teller.titles(far, BURST)
    told = [one.notice.document.text if one.notice.document else one.notice.title for one in far.taken]
    for n in range(20):
        assert sum(text.count(f"task_{n}: FAILED") for text in told) == 1


async def test_a_wait_that_was_asked_for_is_kept(teller: Teller, far: FakeNotifier) -> None:
    far.answers = [NotSent("429", retry_after_s=120.0)]
    await teller.failed(1)
    await until(lambda: len(far.tried) == 1, what="the first try")
    await teller.settled()
    teller.clock.advance(119)
    await teller.settled()
    assert len(far.tried) == 1
    teller.clock.advance(1.5)
    teller.bell.ring()
    await teller.titles(far, 1)
    assert far.taken[0].tries == 2


async def test_what_may_have_arrived_is_sent_again_as_the_same_message(teller: Teller, far: FakeNotifier) -> None:
    far.answers = [NotSent("the answer was lost", unsure=True)]
    await teller.failed(1)
    await until(lambda: len(far.tried) == 1, what="the first try")
    await teller.failed(2)
    await teller.settled()
    teller.clock.advance(6)
    teller.bell.ring()
    await teller.titles(far, 2)
    first, again, other = far.tried
    assert (again.id, again.again, again.notice) == (first.id, True, first.notice)
    assert (other.id != first.id, other.again) == (True, False)


async def test_what_will_never_be_taken_is_given_up_and_said_and_the_next_goes_on(
    teller: Teller, far: FakeNotifier
) -> None:
    far.answers = [NotSent("400: too long", final=True)]
    await teller.failed(1)
    await until(lambda: len(far.tried) == 1, what="the first try")
    await teller.failed(2)
    assert await teller.titles(far, 1) == ["task_2: FAILED - timeout"]
    warnings = [one for one in await teller.store.events_after(0, limit=99) if one.kind is K.WARNING]
    assert [one.data["reason"] for one in warnings] == ["notice_not_sent"]
    assert "task_1: FAILED" in str(warnings[0].data["detail"])


async def test_what_cannot_be_sent_for_a_day_is_given_up_and_said(teller: Teller, far: FakeNotifier) -> None:
    far.always = NotSent("connection refused")
    await teller.failed(1)
    await until(lambda: len(far.tried) == 1, what="the first try")
    await teller.settled()
    teller.clock.advance(AGE_S + 1)
    await teller.settled()
    assert len(far.tried) == 1
    assert await teller.store.outbox.owed("web", limit=9) == []
    (facts,) = await teller.store.outbox.sinks()
    assert facts.dropped == 1


async def test_a_place_that_hangs_delays_nobody_else_and_is_given_up_for_the_moment(
    tmp_path: Path, far: FakeNotifier
) -> None:
    slow = SlowNotifier()
    sinks = {"slow": Sink("slow", USUAL, slow), "web": Sink("web", USUAL, far)}
    async with opened_teller(tmp_path / "store.db", FakeClock(), sinks, send_s=0.2) as teller:
        await teller.failed(1)
        await teller.failed(2)
        await teller.titles(far, 2)
        await until(lambda: teller.telling._under_way == {}, what="the end of the try")
        (one, *_) = await teller.store.outbox.owed("slow", limit=9)
        assert one.trouble == "no answer within 0.2 s"
        assert one.message, "it may have arrived"
        slow.go.set()
        teller.clock.advance(6)
        teller.bell.ring()
        await teller.titles(slow, 2)
        assert [told.again for told in slow.taken] == [True, False]


async def test_a_sink_with_a_bug_stops_nothing(teller: Teller, far: FakeNotifier) -> None:
    far.answers = [ZeroDivisionError("bug")]
    await teller.failed(1)
    await until(lambda: len(far.tried) == 1, what="the first try")
    await teller.settled()
    teller.clock.advance(6)
    teller.bell.ring()
    await teller.titles(far, 1)


async def test_what_is_owed_when_the_daemon_ends_is_told_by_the_next(tmp_path: Path, far: FakeNotifier) -> None:
    clock, path = FakeClock(), tmp_path / "store.db"
    away = FakeNotifier()
    away.always = NotSent("connection refused")
    async with opened_teller(path, clock, {"web": Sink("web", USUAL, away)}) as teller:
        await teller.failed(1)
        await until(lambda: away.tried, what="a try")
    async with open_store(path) as store:  # and what nobody had looked at
        (task,) = await store.accept([new(2)])
        running = await go(store, task, K.STARTED, K.FINISHED, ts=clock.now())
        await store.commit([event(K.FAILED, running, ts=clock.now(), reason="timeout")])
    clock.advance(10)
    async with opened_teller(path, clock, {"web": Sink("web", USUAL, far)}) as teller:
        assert sorted(await teller.titles(far, 2)) == ["task_1: FAILED - timeout", "task_2: FAILED - timeout"]
        await teller.settled()
        assert len(far.taken) == 2


async def test_a_message_that_is_cut_off_by_the_end_of_the_daemon_comes_again_and_says_so(
    tmp_path: Path, far: FakeNotifier
) -> None:
    clock, path, slow = FakeClock(), tmp_path / "store.db", SlowNotifier()
    async with opened_teller(path, clock, {"web": Sink("web", USUAL, slow)}) as teller:
        await teller.failed(1)
        await until(lambda: slow.asked, what="a try")
    async with opened_teller(path, clock, {"web": Sink("web", USUAL, far)}) as teller:
        await teller.titles(far, 1)
        assert (far.taken[0].id, far.taken[0].again, far.taken[0].tries) == (slow.asked[0].id, True, 2)


async def test_the_end_of_the_daemon_waits_for_a_message_that_is_due(tmp_path: Path) -> None:
    slow = SlowNotifier()
    async with opened_teller(
        tmp_path / "store.db", FakeClock(), {"web": Sink("web", USUAL, slow)}, last_s=9.0
    ) as teller:
        await teller.failed(1)
        asyncio.get_running_loop().call_later(0.1, slow.go.set)
    assert len(slow.taken) == 1


async def test_a_hold_without_an_end_needs_a_person_and_one_with_an_end_does_not(
    teller: Teller, far: FakeNotifier
) -> None:
    limited = teller.add_sink("limits", FakeNotifier(), frozenset({NoticeKind.LIMITED}))
    now = teller.clock.now()

    def held(**data: Json) -> Event:
        return Event(K.AGENT_HELD, now, data={"agent": "claude", "detail": "why", **data})

    await teller.store.commit(
        [
            held(until=0, reason="paused"),
            held(until=now + 99, reason="usage_limit"),
            held(until=now + 99, reason="auth", hint="Log in."),
            held(until=0, reason="crash_loop", agent="*"),
        ]
    )
    assert await teller.titles(far, 2) == ["claude is held: auth", "The whole queue is held: crash_loop"]
    assert await teller.titles(limited, 1) == ["claude is held: usage_limit"]
    await teller.settled()
    assert (len(far.taken), len(limited.taken)) == (2, 1)
    assert far.taken[0].notice.commands == ("python main.py status", "python main.py resume claude")
    assert far.taken[1].notice.commands[1] == "python main.py resume"


async def test_a_refused_file_is_told_with_the_line_and_what_to_do(teller: Teller, far: FakeNotifier) -> None:
    error: Json = {"file": "bad.task.md", "line": 4, "hint": "Write high, medium or low."}
    item = new(1, rejected=True)
    refused = Event(
        K.REJECTED,
        teller.clock.now(),
        item.task.uid,
        data={"reason": "priority_invalid", "detail": "its priority", "error": error},
    )
    await teller.store.accept([type(item)(item.task, item.body, [item.events[0], refused])])
    assert await teller.titles(far, 1) == ["bad.task.md: REFUSED - priority_invalid"]
    assert "its priority (line 4)" in far.taken[0].notice.text
    assert "Write high, medium or low." in far.taken[0].notice.text


async def test_a_batch_is_told_once_however_often_it_is_announced(teller: Teller, far: FakeNotifier) -> None:
    report: dict[str, Json] = {
        "period": {"until": "now"},
        "counts": {"ended": 2, "proven": 1, "failed": 1},
        "failed": [{"name": "lint", "reason": "timeout"}],
        "next": ["show lint"],
    }
    for _ in range(3):
        await teller.noticing.batch_ended(report, 12)
    assert await teller.titles(far, 1) == ["Batch finished: 2 tasks ended: 1 proven, 1 failed."]
    await teller.settled()
    (told,) = far.taken
    assert told.notice.text == "failed - lint: timeout"
    assert told.notice.commands == ("python main.py show lint",)
    assert told.notice.document is not None
    assert told.notice.document.name == "report.md"


async def test_the_place_in_the_log_is_stored_now_and_then_although_nothing_is_told(teller: Teller) -> None:
    before = await teller.store.outbox.told_through()
    await teller.store.commit([Event(K.WARNING, 1.0) for _ in range(LAG + 10)])
    teller.bell.ring()
    await teller.settled()
    await until(lambda: teller.noticing._stored > before, what="a later place")
    assert await teller.store.outbox.told_through() > before


async def test_what_was_sent_is_remembered_for_a_while_and_then_forgotten(teller: Teller, far: FakeNotifier) -> None:
    await teller.failed(1)
    await teller.titles(far, 1)
    await teller.settled()
    told = await teller.store.outbox.told_as("web", "m1")
    assert told is not None
    assert told.name == "task_1"
    teller.clock.advance(KEPT_S + 1)
    await teller.settled()
    assert await teller.store.outbox.told_as("web", "m1") is None
