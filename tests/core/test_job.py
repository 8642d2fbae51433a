"""What a job is, as a fold over the states of its tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.job import ENDED_JOB, JobState, job_state
from orchestrator.core.lifecycle import ACTIVE, TERMINAL, WAITING, State

COUNTS = st.dictionaries(st.sampled_from(list(State)), st.integers(0, 3))


@pytest.mark.parametrize(
    ("states", "job"),
    [
        ([State.QUEUED, State.BLOCKED], JobState.QUEUED),
        ([State.QUEUED, State.SUCCEEDED], JobState.RUNNING),
        ([State.RUNNING, State.FAILED], JobState.RUNNING),
        ([State.BLOCKED, State.FAILED], JobState.WAITING),
        ([State.NEEDS_INPUT, State.SUCCEEDED], JobState.WAITING),
        ([State.SUCCEEDED], JobState.SUCCEEDED),
        ([State.SUCCEEDED, State.FAILED], JobState.PARTIAL),
        ([State.SUCCEEDED, State.CANCELLED], JobState.PARTIAL),
        ([State.FAILED, State.CANCELLED], JobState.FAILED),
        ([State.CANCELLED], JobState.CANCELLED),
        ([], JobState.SUCCEEDED),
    ],
)
def test_where_a_job_stands(states: list[State], job: JobState) -> None:
    assert job_state(dict.fromkeys(states, 1)) is job


@given(COUNTS)
def test_a_job_has_ended_exactly_when_all_its_tasks_have(counts: dict[State, int]) -> None:
    there = {state for state, number in counts.items() if number}
    assert (job_state(counts) in ENDED_JOB) == (not there - TERMINAL)


@given(COUNTS)
def test_nothing_is_called_waiting_for_a_person_that_goes_on_by_itself(counts: dict[State, int]) -> None:
    there = {state for state, number in counts.items() if number}
    if job_state(counts) is JobState.WAITING:
        assert not there & (ACTIVE | WAITING)
