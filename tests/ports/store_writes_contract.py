"""What every Store promises to who writes. A subclass gives the fixture `store`, an empty and open one."""

from dataclasses import replace

import pytest
from tests.ports.sample_tasks import DONE, K, event, go, new, uids

from orchestrator.core.codec import EVENT_DATA_BYTES
from orchestrator.core.errors import ConflictError, IllegalEventError, NotFoundError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Store
from orchestrator.core.task import FileStamp, Priority


class StoreWritesContract:
    """Run over every implementation by test_store.py."""

    # time

    async def test_an_event_that_waited_to_be_stored_is_no_earlier_than_the_one_before_it(self, store: Store) -> None:
        await store.commit([Event(EventKind.WARNING, 50.0), Event(EventKind.WARNING, 40.0)])
        (task,) = await store.accept([new(1)])
        await store.commit([event(K.CANCELLED, task, ts=45.0)])
        assert [e.ts for e in await store.events_after(0, limit=9)] == [50.0] * 5
        assert (await store.tasks([State.CANCELLED], limit=1))[0].ended_ts == 50.0

    async def test_a_clock_that_was_set_back_is_believed(self, store: Store) -> None:
        await store.commit([Event(EventKind.WARNING, 5000.0), Event(EventKind.WARNING, 4000.0)])
        assert [e.ts for e in await store.events_after(0, limit=9)] == [5000.0, 4000.0]

    # accept

    async def test_an_accepted_task_can_be_read_as_it_was_returned(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        assert await store.task(task.uid) == task
        assert task == replace(new(1).task, order=task.order)

    async def test_the_body_is_kept_to_the_byte(self, store: Store) -> None:
        body = bytes(range(256)) + b"\r\n\xff\x00"
        (task,) = await store.accept([replace(new(1), body=body)])
        assert await store.body(task.uid) == body

    async def test_orders_follow_the_order_of_acceptance(self, store: Store) -> None:
        first = await store.accept([new(3), new(1)])
        second = await store.accept([new(2)])
        assert [task.order for task in (*first, *second)] == sorted({task.order for task in (*first, *second)})

    async def test_accepting_writes_the_first_events(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        assert [(e.kind, e.uid) for e in await store.events_after(0, limit=9)] == [
            (K.RECEIVED, task.uid),
            (K.PARSED, task.uid),
        ]

    async def test_a_task_whose_first_events_reject_it_is_rejected(self, store: Store) -> None:
        (task,) = await store.accept([new(1, rejected=True)])
        assert (task.state, task.ended_ts) == (State.REJECTED, 1.0)

    async def test_a_task_may_come_as_rejected_already(self, store: Store) -> None:
        given = new(1, rejected=True)
        (task,) = await store.accept([replace(given, task=replace(given.task, state=State.REJECTED))])
        assert (task.state, task.ended_ts) == (State.REJECTED, 1.0)

    async def test_a_uid_is_accepted_once_and_the_whole_batch_with_it(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        with pytest.raises(ConflictError):
            await store.accept([new(2), replace(new(1), body=b"other")])
        assert await store.body(task.uid) == b"body 1"
        assert await store.task(new(2).task.uid) is None
        assert await store.last_seq() == 2

    async def test_a_file_name_that_is_not_unicode_comes_back_as_it_was(self, store: Store) -> None:
        name = b"caf\xe9.task.md".decode("utf-8", "surrogateescape")
        (task,) = await store.accept([new(1, file_name=name, name="caf\udce9")])
        assert await store.task(task.uid) == task
        assert (task.file_name, task.name) == (name, "caf\udce9")
        assert [found[0] for found in await store.waiting_files()] == [name]
        assert await store.find(name) == [task]

    async def test_a_stamp_of_any_size_comes_back_as_it_was(self, store: Store) -> None:
        stamp = FileStamp(2**64 - 1, 2**65, 2**40)
        given = new(1)
        (task,) = await store.accept([replace(given, task=replace(given.task, stamp=stamp))])
        assert await store.waiting_files() == [(task.file_name, stamp, task.uid, task.order)]

    # names

    async def test_a_name_that_is_taken_gets_the_end_of_the_uid(self, store: Store) -> None:
        first, second = await store.accept([new(1, name="fix"), new(2, name="fix")])
        assert (first.name, second.name) == ("fix", f"fix.{second.uid[-8:]}")

    async def test_names_that_differ_in_case_only_are_the_same(self, store: Store) -> None:
        await store.accept([new(1, name="Straße")])
        (second,) = await store.accept([new(2, name="STRASSE")])
        assert second.name == f"STRASSE.{second.uid[-8:]}"

    async def test_a_name_is_unique_even_when_the_longer_one_is_taken(self, store: Store) -> None:
        tasks = await store.accept([new(1, name="fix"), new(2, name="fix.00000003"), new(3, name="fix")])
        assert len({task.name.casefold() for task in tasks}) == 3

    async def test_a_name_is_never_given_again(self, store: Store) -> None:
        (first,) = await store.accept([new(1, name="fix")])
        await go(store, first, *DONE, K.ARTIFACTS_WRITTEN, K.ARCHIVED, K.ARTIFACTS_CLEANED)
        (second,) = await store.accept([new(2, name="fix")])
        assert second.name != "fix"

    async def test_a_rejected_task_takes_no_name(self, store: Store) -> None:
        rejected = await store.accept([new(1, name="fix", rejected=True), new(2, name="fix", rejected=True)])
        (task,) = await store.accept([new(3, name="fix")])
        assert ([each.name for each in rejected], task.name) == (["", ""], "fix")

    # revise

    async def test_a_revision_replaces_what_was_asked(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        asked = replace(task, spec=new(7, priority=Priority.HIGH).task.spec, sha256="f" * 64, stamp=FileStamp(9, 9, 9))
        after = await store.revise(asked, b"new", event(K.UPDATED, task))
        assert after == replace(asked, revision=2)
        assert await store.task(task.uid) == after
        assert await store.body(task.uid) == b"new"
        assert [e.kind for e in await store.events_of(task.uid, limit=1)] == [K.UPDATED]
        renamed, former = await store.namesakes([("ID_7", ""), ("id_1", "")])
        assert (uids(renamed), former) == ([1], [])

    async def test_a_held_task_is_revised_and_stays_held(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        held = await go(store, task, K.HELD)
        after = await store.revise(replace(held, sha256="f" * 64), b"new", event(K.UPDATED, held))
        assert (after.state, after.revision, await store.body(task.uid)) == (State.HELD, 2, b"new")

    async def test_a_task_that_is_queued_no_more_is_not_revised(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        await go(store, task, K.STARTED)
        with pytest.raises(IllegalEventError):
            await store.revise(replace(task, sha256="f" * 64), b"new", event(K.UPDATED, task))
        assert await store.body(task.uid) == b"body 1"
        assert await store.last_seq() == 3

    async def test_a_task_that_is_not_there_is_not_found(self, store: Store) -> None:
        ghost = new(1).task
        with pytest.raises(NotFoundError):
            await store.body(ghost.uid)
        with pytest.raises(NotFoundError):
            await store.commit([event(K.STARTED, ghost)])
        with pytest.raises(NotFoundError):
            await store.revise(ghost, b"", event(K.UPDATED, ghost))
        assert await store.task(ghost.uid) is None

    # commit

    async def test_a_commit_returns_each_task_as_it_is_afterwards(self, store: Store) -> None:
        one, two = await store.accept([new(1), new(2)])
        after = await store.commit([event(K.STARTED, one), event(K.STARTED, two), event(K.CANCEL_REQUESTED, one)])
        assert [(task.uid, task.state) for task in after] == [(one.uid, State.CANCELLING), (two.uid, State.RUNNING)]
        assert [await store.task(task.uid) for task in after] == after

    async def test_a_commit_is_all_or_nothing(self, store: Store) -> None:
        one, two = await store.accept([new(1), new(2)])
        with pytest.raises(IllegalEventError):
            await store.commit([event(K.STARTED, one, agent="claude"), event(K.FINISHED, two)])
        assert await store.task(one.uid) == one
        assert await store.attempts(one.uid) == []
        assert await store.last_seq() == 4

    async def test_seq_grows_by_exactly_one_also_after_a_refusal(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        with pytest.raises(IllegalEventError):
            await store.commit([event(K.STARTED, task), event(K.STARTED, task)])
        await store.commit([event(K.STARTED, task), Event(K.WARNING, 3.0)])
        assert [e.seq for e in await store.events_after(0, limit=99)] == [1, 2, 3, 4]
        assert await store.last_seq() == 4

    async def test_who_comes_second_is_refused(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        await store.commit([event(K.STARTED, task)])
        with pytest.raises(IllegalEventError):
            await store.commit([event(K.STARTED, task)])

    async def test_the_writer_of_an_earlier_attempt_is_fenced_off(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        running = await go(store, task, K.STARTED)
        again = await go(store, running, K.INTERRUPTED, K.STARTED)
        for stale in (running, replace(running, epoch=again.epoch), replace(again, epoch=running.epoch)):
            with pytest.raises(IllegalEventError):
                await store.commit([event(K.FINISHED, stale)])
        assert await store.task(task.uid) == again

    async def test_an_event_of_the_daemon_is_just_appended(self, store: Store) -> None:
        assert await store.commit([Event(K.DAEMON_STARTED, 5.0, data={"pid": 7})]) == []
        assert await store.events_after(0, limit=9) == [Event(K.DAEMON_STARTED, 5.0, data={"pid": 7}, seq=1)]

    async def test_a_commit_of_nothing_changes_nothing(self, store: Store) -> None:
        assert await store.commit([]) == []
        assert await store.last_seq() == 0

    async def test_two_tasks_of_one_id_are_never_active_together(self, store: Store) -> None:
        one, two = await store.accept([new(1, task_id="Same"), new(2, task_id="same")])
        running = await go(store, one, K.STARTED)
        with pytest.raises(IllegalEventError, match="same id"):
            await go(store, two, K.STARTED)
        await go(store, running, K.FINISHED, K.SUCCEEDED)
        assert (await go(store, two, K.STARTED)).state is State.RUNNING

    async def test_one_commit_cannot_start_two_tasks_of_one_id(self, store: Store) -> None:
        one, two = await store.accept([new(1, task_id="same"), new(2, task_id="same")])
        with pytest.raises(IllegalEventError, match="same id"):
            await store.commit([event(K.STARTED, one), event(K.STARTED, two)])
        assert await store.counts() == {**dict.fromkeys(State, 0), State.QUEUED: 2}

    # attempts

    async def test_a_start_opens_an_attempt(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        await store.commit([event(K.STARTED, task, ts=4.0, agent="claude", session_id="s1")])
        (record,) = await store.attempts(task.uid)
        assert (record.uid, record.number, record.epoch) == (task.uid, 1, 1)
        assert (record.agent, record.session_id) == ("claude", "s1")
        assert (record.started_ts, record.ended_ts, record.outcome) == (4.0, 0.0, {})

    @pytest.mark.parametrize("kind", [K.FINISHED, K.LIMITED, K.INTERRUPTED])
    async def test_an_end_closes_the_attempt_with_its_outcome(self, store: Store, kind: EventKind) -> None:
        (task,) = await store.accept([new(1)])
        running = await go(store, task, K.STARTED)
        await store.commit([event(kind, running, ts=9.0, outcome={"kind": "finished", "list": [1]}, session_id="s2")])
        (record,) = await store.attempts(task.uid)
        assert (record.ended_ts, record.session_id) == (9.0, "s2")
        assert record.outcome == {"kind": "finished", "list": [1]}

    @pytest.mark.parametrize(("told", "ended"), [(7.0, 7.0), (99.0, 9.0), (0, 9.0), ("7", 9.0), (True, 9.0)])
    async def test_an_attempt_ended_when_the_event_says_it_had(self, store: Store, told: Json, ended: float) -> None:
        (task,) = await store.accept([new(1)])
        running = await go(store, task, K.STARTED)
        await store.commit([event(K.INTERRUPTED, running, ts=9.0, ended_ts=told)])
        (record,) = await store.attempts(task.uid)
        assert record.ended_ts == ended

    async def test_the_first_end_of_an_attempt_counts(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        running = await go(store, task, K.STARTED)
        (checked,) = await store.commit([event(K.FINISHED, running, ts=9.0, outcome={"kind": "failed"})])
        await store.commit([event(K.LIMITED, checked, ts=10.0)])
        (record,) = await store.attempts(task.uid)
        assert (record.ended_ts, record.outcome) == (9.0, {"kind": "failed"})

    async def test_an_outcome_is_kept_whole_where_the_event_is_cut(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        running = await go(store, task, K.STARTED)
        answer = "ä" * (2 * EVENT_DATA_BYTES)
        await store.commit([event(K.FINISHED, running, outcome={"kind": "finished", "answer": answer})])
        (record,) = await store.attempts(task.uid)
        (logged,) = await store.events_of(task.uid, limit=1)
        assert record.outcome["answer"] == answer
        assert logged.data["truncated"] is True

    async def test_every_attempt_is_remembered_in_order(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        await go(store, task, K.STARTED, K.INTERRUPTED, K.STARTED, K.LIMITED, K.STARTED)
        assert [record.number for record in await store.attempts(task.uid)] == [1, 2, 3]

    async def test_a_cancelled_attempt_is_closed(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        await go(store, task, K.STARTED, K.CANCEL_REQUESTED, K.CANCELLED, ts=6.0)
        assert [record.ended_ts for record in await store.attempts(task.uid)] == [6.0]

    async def test_a_question_and_its_answer_stay_with_the_attempt_that_asked(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        checked = await go(store, task, K.STARTED, K.FINISHED)
        words = "ä" * EVENT_DATA_BYTES
        await store.commit([event(K.VALIDATED, checked, ts=5.0, passed=False)])
        (asks,) = await store.commit([event(K.QUESTION_ASKED, checked, ts=6.0, question=words, deadline=9.0)])
        assert (asks.state, asks.not_before, asks.tries) == (State.NEEDS_INPUT, 9.0, 0)
        (again,) = await store.commit([event(K.ANSWERED, asks, ts=7.0, answer="yes")])
        assert (again.state, again.not_before, again.reason) == (State.QUEUED, 0.0, "answered")
        await go(store, again, K.STARTED)
        first, second = await store.attempts(task.uid)
        asked = {"question": words, "deadline": 9.0, "ts": 6.0}
        assert first.verdict == {"passed": False, "question": asked, "answered": {"answer": "yes", "ts": 7.0}}
        assert second.verdict == {}

    async def test_a_task_that_asks_keeps_its_place_among_those_of_its_id(self, store: Store) -> None:
        first, second = await store.accept([new(1, task_id="same"), new(2, task_id="same")])
        await go(store, first, K.STARTED, K.FINISHED, K.QUESTION_ASKED)
        assert await store.ready(1e12, limit=9) == []
        (found,) = await store.namesakes([("same", "0" * 64)])
        assert [task.uid for task in found] == [second.uid, first.uid]
