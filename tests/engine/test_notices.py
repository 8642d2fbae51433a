"""What happens is told once to each place that wants to hear of it, in words that help."""

from pathlib import Path

from tests.engine.notices_rig import SECRET, USUAL, Teller, far, opened_teller, teller
from tests.fakes import FakeClock
from tests.fakes_of_notices import FakeNotifier
from tests.harness import until
from tests.ports.sample_tasks import K, event, go, new

from orchestrator.core.events import Event, Json
from orchestrator.core.notice import TEXT_CHARS, Act, NoticeKind
from orchestrator.core.notice_ports import Sink
from orchestrator.core.task import Task
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


async def asked(teller: Teller, n: int, **data: Json) -> Task:
    """A task that waits for an answer."""
    (task,) = await teller.store.accept([new(n)])
    running = await go(teller.store, task, K.STARTED, K.FINISHED, ts=teller.clock.now())
    (waits,) = await teller.store.commit([event(K.QUESTION_ASKED, running, ts=teller.clock.now(), **data)])
    return waits


async def test_a_question_needs_a_person_and_brings_its_answers(teller: Teller, far: FakeNotifier) -> None:
    task = await asked(
        teller, 1, question="Which one?\nThe old\x1b[31m or the new?", options=["the old", "it's new"], deadline=0.0
    )
    assert await teller.titles(far, 1) == ["task_1: asks - Which one?"]
    told = far.taken[0].notice
    assert (told.kind, told.uid, told.name) == (NoticeKind.NEEDS_YOU, task.uid, "task_1")
    assert told.text == "Which one?\nThe old\\x1b[31m or the new?\n- the old\n- it's new"
    assert told.commands == ("python main.py answer task_1 'the old'", "python main.py cancel task_1")
    assert [(one.act, one.text) for one in told.buttons] == [
        (Act.ANSWER, "the old"),
        (Act.ANSWER, "it's new"),
        (Act.CANCEL, ""),
    ]


async def test_a_question_says_what_follows_without_an_answer(teller: Teller, far: FakeNotifier) -> None:
    await asked(teller, 1, question="Go on?", deadline=1_700_003_600.0, if_unanswered="skip")
    await asked(teller, 2, question="Go on?", deadline=1_700_003_600.0, if_unanswered="default: yes, do")
    await teller.titles(far, 2)
    one, two = (told.notice.text.splitlines()[-1] for told in far.taken)
    assert one == "Without an answer until 2023-11-14 23:13 UTC it fails"
    assert two == "Without an answer until 2023-11-14 23:13 UTC it goes on with: yes, do"


async def test_a_question_that_was_answered_meanwhile_needs_nobody(tmp_path: Path, far: FakeNotifier) -> None:
    clock = FakeClock()
    async with opened_teller(tmp_path / "store.db", clock, {"web": Sink("web", USUAL, far)}) as teller:
        (task,) = await teller.store.accept([new(1)])
        running = await go(teller.store, task, K.STARTED, K.FINISHED, ts=clock.now())
        question, answer = event(K.QUESTION_ASKED, running, question="Go on?"), event(K.ANSWERED, running, answer="yes")
        await teller.store.commit([question, answer])
        await teller.failed(2)
        assert await teller.titles(far, 1) == ["task_2: FAILED - timeout"]


async def test_a_long_question_goes_as_a_document(teller: Teller, far: FakeNotifier) -> None:
    await asked(teller, 1, question="Which?\n" + "x" * 10_000)
    await teller.titles(far, 1)
    told = far.taken[0].notice
    assert len(told.text) <= TEXT_CHARS
    assert told.document is not None
    assert told.document.name == "task_1.question.txt"
    assert told.document.text.endswith("x" * 10_000)


async def test_a_result_that_may_be_merged_brings_the_buttons_for_it(teller: Teller) -> None:
    done = teller.add_sink("done", FakeNotifier(), frozenset({NoticeKind.SUCCEEDED}))
    (task,) = await teller.store.accept([new(1)])
    running = await go(teller.store, task, K.STARTED, K.FINISHED)
    work: Json = {"head": "c0ffee", "branch": "orchestrator/task_1", "delivered": True}
    proven: Json = [{"text": "it adds", "verdict": "proven", "mandatory": True}]
    judged = event(K.VALIDATED, running, passed=True, work=work, criteria=proven)
    await teller.store.commit([judged, event(K.SUCCEEDED, running, ts=teller.clock.now())])
    await teller.titles(done, 1)
    told = done.taken[0].notice
    assert [one.act for one in told.buttons] == [Act.MERGE, Act.DISCARD]
    assert "python main.py merge task_1" in told.commands


async def test_a_result_that_is_not_proven_may_be_accepted(teller: Teller, far: FakeNotifier) -> None:
    await teller.failed(1, reason="unproven")
    await teller.titles(far, 1)
    assert [one.act for one in far.taken[0].notice.buttons] == [Act.ACCEPT, Act.RETRY]
    assert "python main.py accept task_1" in far.taken[0].notice.commands


async def test_a_long_summary_goes_as_a_document(teller: Teller, far: FakeNotifier) -> None:
    await teller.failed(1, detail="so many words " * 400)
    await teller.titles(far, 1)
    told = far.taken[0].notice
    assert len(told.text) <= TEXT_CHARS
    assert told.document is not None
    assert told.document.name == "task_1_summary.txt"
    assert told.document.text.startswith("task_1: FAILED - timeout\n====")
