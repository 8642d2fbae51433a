"""The laws of `advance`."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import NEXT, TERMINAL, State
from orchestrator.core.task import ATTEMPT_BOUND, Priority, Task, TaskSpec, advance, id_key

SPEC = TaskSpec("fix_db", "fix", Priority.HIGH, "Fix it", "Fix the timeout")
TASK = Task(TaskUid("0" * 32), "fix_db", SPEC, "", 1.0)

data: st.SearchStrategy[dict[str, Json]] = st.fixed_dictionaries(
    {},
    optional={
        "reason": st.sampled_from(["", "timeout"]),
        "detail": st.sampled_from(["", "it hung", None]),
        "not_before": st.sampled_from([0.0, 5.0, 1e9, "soon", True]),
        "session_id": st.sampled_from(["", "s1", "s2"]),
        "session_cost_usd": st.floats(0, 10) | st.none(),
    },
)
kinds = st.sampled_from(EventKind)
small = st.integers(0, 4)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """A task as some history of events leaves it."""
    task = TASK
    for kind, told in draw(st.lists(st.tuples(kinds, data), max_size=25)):
        if kind in NEXT[task.state]:
            task = advance(task, _fitting(task, kind, told))
    return task


def _fitting(task: Task, kind: EventKind, told: dict[str, Json] | None = None) -> Event:
    attempt = task.attempt + 1 if kind is EventKind.STARTED else task.attempt
    return Event(kind, 2.0, task.uid, attempt, task.epoch, told or {})


@given(task=tasks(), state=st.sampled_from(sorted(TERMINAL)), events=st.lists(st.tuples(kinds, small, small, data)))
def test_no_order_of_events_moves_a_terminal_task_unless_it_is_accepted(
    task: Task, state: State, events: list[tuple[EventKind, int, int, dict[str, Json]]]
) -> None:
    events = [event for event in events if event[0] is not EventKind.ACCEPTED]
    now = task = replace(task, state=state)
    for kind, attempt, epoch, told in events:
        try:
            now = advance(now, Event(kind, 9.0, task.uid, attempt, epoch, told))
        except IllegalEventError:
            continue
    assert (now.state, now.attempt, now.tries, now.epoch) == (task.state, task.attempt, task.tries, task.epoch)


@given(task=tasks(), kind=st.sampled_from(sorted(ATTEMPT_BOUND)), attempt=small, epoch=small, told=data)
def test_an_event_of_another_attempt_is_refused(
    task: Task, kind: EventKind, attempt: int, epoch: int, told: dict[str, Json]
) -> None:
    assume((attempt, epoch) != (task.attempt, task.epoch))
    before = replace(task)
    with pytest.raises(IllegalEventError, match="is not the current"):
        advance(task, Event(kind, 3.0, task.uid, attempt, epoch, told))
    assert task == before


@given(task=tasks(), told=data)
def test_an_accepted_task_has_succeeded_and_its_files_are_due_again(task: Task, told: dict[str, Json]) -> None:
    failed = replace(task, state=State.FAILED, reason="unproven", artifacts=True, archived=True)
    after = advance(failed, _fitting(failed, EventKind.ACCEPTED, told))
    assert (after.state, after.reason, after.artifacts, after.archived) == (State.SUCCEEDED, "", False, False)
    assert (after.ended_ts, after.attempt, after.epoch) == (task.ended_ts, task.attempt, task.epoch)
    with pytest.raises(IllegalEventError):
        advance(after, _fitting(after, EventKind.ACCEPTED, told))


@given(task=tasks(), attempt=small, epoch=small)
def test_a_start_must_be_the_next_attempt(task: Task, attempt: int, epoch: int) -> None:
    assume(EventKind.STARTED in NEXT[task.state])
    event = Event(EventKind.STARTED, 3.0, task.uid, attempt, epoch)
    if attempt == task.attempt + 1:
        assert advance(task, event).attempt == attempt
    else:
        with pytest.raises(IllegalEventError, match="does not follow"):
            advance(task, event)


@given(task=tasks())
def test_tries_are_never_negative_and_never_more_than_attempts(task: Task) -> None:
    assert 0 <= task.tries <= task.attempt


@given(task=tasks(), kind=kinds, told=data)
def test_counters_only_grow(task: Task, kind: EventKind, told: dict[str, Json]) -> None:
    assume(kind in NEXT[task.state])
    after = advance(task, _fitting(task, kind, told))
    assert after.attempt >= task.attempt
    assert after.epoch >= task.epoch
    assert after.revision >= task.revision


@given(task=tasks(), kind=kinds, told=data)
def test_no_event_changes_what_a_task_is(task: Task, kind: EventKind, told: dict[str, Json]) -> None:
    assume(kind in NEXT[task.state])
    after = advance(task, _fitting(task, kind, told))
    assert (after.uid, after.name, after.spec, after.order) == (task.uid, task.name, task.spec, task.order)


@pytest.mark.parametrize("kind", [EventKind.LIMITED, EventKind.INTERRUPTED])
def test_an_attempt_that_is_not_charged_costs_no_try(kind: EventKind) -> None:
    running = advance(TASK, _fitting(TASK, EventKind.STARTED))
    assert (running.tries, advance(running, _fitting(running, kind)).tries) == (1, 0)


@given(task=tasks(), told=data)
def test_a_task_that_was_held_and_released_is_queued_and_has_lost_nothing(task: Task, told: dict[str, Json]) -> None:
    assume(EventKind.HELD in NEXT[task.state])
    held = advance(task, _fitting(task, EventKind.HELD, told))
    assert held == replace(task, state=State.HELD)
    assert EventKind.STARTED not in NEXT[held.state]
    released = advance(held, _fitting(held, EventKind.RELEASED, told))
    assert released == replace(task, state=State.QUEUED, not_before=0.0)


def test_the_writer_of_an_ended_attempt_is_fenced_off() -> None:
    running = advance(TASK, _fitting(TASK, EventKind.STARTED))
    late = _fitting(running, EventKind.FINISHED)
    with pytest.raises(IllegalEventError):
        advance(advance(running, _fitting(running, EventKind.INTERRUPTED)), late)


@pytest.mark.parametrize("state", sorted(TERMINAL - {State.REJECTED}))
def test_a_task_that_ended_says_when(state: State) -> None:
    path = {
        State.SUCCEEDED: [EventKind.STARTED, EventKind.FINISHED, EventKind.SUCCEEDED],
        State.FAILED: [EventKind.STARTED, EventKind.FINISHED, EventKind.FAILED],
        State.CANCELLED: [EventKind.CANCELLED],
    }[state]
    task = TASK
    for kind in path:
        task = advance(task, _fitting(task, kind))
    assert (task.state, task.ended_ts) == (state, 2.0)


def test_two_ids_that_differ_in_case_only_are_the_same_id() -> None:
    assert id_key("Straße_1") == id_key("STRASSE_1")
