"""Whatever a place and the daemon go through, everything is told, and nothing twice."""

import asyncio
from pathlib import Path

from tests.engine.notices_rig import SECRET, USUAL, SlowNotifier, Teller, far, opened_teller, teller
from tests.fakes import FakeClock
from tests.fakes_of_notices import FakeNotifier
from tests.harness import until
from tests.ports.sample_tasks import K, event, go, new

from orchestrator.bridges.sqlite import open_store
from orchestrator.core.notice import NotSent
from orchestrator.core.notice_flow import AGE_S, BURST, WINDOW_S
from orchestrator.core.notice_ports import Sink
from orchestrator.engine.telling import KEPT_S

__all__ = ["far", "teller"]


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
    far.answers = [NotSent(f"400: what is {SECRET}?", final=True)]
    await teller.failed(1)
    await until(lambda: len(far.tried) == 1, what="the first try")
    await teller.failed(2)
    assert await teller.titles(far, 1) == ["task_2: FAILED - timeout"]
    assert SECRET not in repr(await teller.store.events_after(0, limit=99))
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


async def test_what_may_have_arrived_says_so_also_after_a_try_that_surely_did_not(
    teller: Teller, far: FakeNotifier
) -> None:
    far.answers = [NotSent("the answer was lost", unsure=True), NotSent("there is no connection")]
    await teller.failed(1)
    await until(lambda: len(far.tried) == 1, what="a try")
    for n in (2, 3):
        await teller.settled()
        teller.clock.advance(30)
        teller.bell.ring()
        await until(lambda n=n: len(far.tried) == n, what="another try")  # type: ignore[misc]
    assert [one.again for one in far.tried] == [False, True, True]
    assert len({one.id for one in far.tried}) == 1


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


async def test_a_root_that_was_put_back_from_a_backup_tells_another_thing_as_another_message(
    tmp_path: Path, far: FakeNotifier
) -> None:
    clock, path, sinks = FakeClock(), tmp_path / "store.db", {"web": Sink("web", USUAL, far)}
    async with opened_teller(path, clock, sinks):
        pass
    backup = path.read_bytes()
    async with opened_teller(path, clock, sinks) as teller:
        await teller.failed(1)
        await teller.titles(far, 1)
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    path.write_bytes(backup)
    clock.advance(100)
    async with opened_teller(path, clock, sinks) as teller:
        await teller.failed(2)
        await teller.titles(far, 2)
    one, other = far.taken
    assert one.notice.key == other.notice.key
    assert one.id != other.id
