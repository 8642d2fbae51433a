"""What happens is told once to each place that wants to hear of it, in words that help."""

from pathlib import Path

from tests.engine.notices_rig import SECRET, Teller, far, opened_teller, teller
from tests.fakes import FakeClock
from tests.fakes_of_notices import FakeNotifier
from tests.harness import until
from tests.ports.sample_tasks import K, go, new

from orchestrator.core.events import Event, Json
from orchestrator.core.notice import NoticeKind
from orchestrator.core.notice_ports import Sink
from orchestrator.engine.noticing import LAG

__all__ = ["far", "teller"]


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
