"""The laws of the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import ACTIVE, NEXT, PENDING, TERMINAL, WAITING, State, next_state


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_row(state: State) -> None:
    assert state in NEXT


@pytest.mark.parametrize("state", State)
def test_every_state_is_pending_active_or_terminal_and_only_one_of_them(state: State) -> None:
    assert sum(state in group for group in (PENDING, ACTIVE, TERMINAL)) == 1
    assert WAITING < PENDING


@pytest.mark.parametrize("state", sorted(State))
def test_every_state_can_be_reached(state: State) -> None:
    reached = {State.QUEUED}
    for _ in State:
        reached |= {after for each in reached for after in NEXT[each].values()}
    assert state in reached


@pytest.mark.parametrize("state", sorted(set(State) - TERMINAL))
def test_every_living_state_can_come_to_an_end(state: State) -> None:
    reached = {state}
    for _ in State:
        reached |= {after for each in reached for after in NEXT[each].values()}
    assert reached & TERMINAL


@pytest.mark.parametrize("state", sorted(TERMINAL))
@given(kinds=st.lists(st.sampled_from(EventKind)))
def test_no_order_of_events_leaves_a_terminal_state_but_that_a_failure_is_accepted(
    state: State, kinds: list[EventKind]
) -> None:
    accepted = state is State.FAILED and EventKind.ACCEPTED in kinds
    now = state
    for kind in kinds:
        try:
            now = next_state(now, kind)
        except IllegalEventError:
            continue
    assert now is (State.SUCCEEDED if accepted else state)


@given(state=st.sampled_from(State), kind=st.sampled_from(EventKind))
def test_an_illegal_event_is_refused_with_what_was_legal(state: State, kind: EventKind) -> None:
    if kind in NEXT[state]:
        assert next_state(state, kind) is NEXT[state][kind]
    else:
        with pytest.raises(IllegalEventError, match=sorted(NEXT[state])[0]) as caught:
            next_state(state, kind)
        assert (caught.value.state, caught.value.kind) == (state, kind)


@pytest.mark.parametrize("state", sorted(set(State) - WAITING))
def test_only_a_waiting_task_can_be_started(state: State) -> None:
    assert EventKind.STARTED not in NEXT[state]
