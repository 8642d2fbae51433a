"""A job: tasks that were submitted together, and what became of all of them as one fold."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.lifecycle import ACTIVE, TERMINAL, WAITING, State


@dataclass(frozen=True, slots=True)
class Job:
    """*uid* is its identity, of which people see the last 8 digits; *name* what it is called. *door* is how it came.

    *request* is what was asked for in words, "" where tasks were given. *on_dependency* is the policy of its tasks
    that have none of their own, "" as configured. *max_workers* of its tasks run at once; 0: as many as there are
    slots. *root* is the uid of the task that was split into all others, "" where there is none.
    """

    uid: str
    name: str
    created_ts: float
    door: str
    request: str = ""
    on_dependency: str = ""
    max_workers: int = 0
    root: str = ""
    source: str = ""

    @property
    def short(self) -> str:
        """What people type."""
        return self.uid[-8:]


class JobState(StrEnum):
    """Where a job stands, as a whole."""

    QUEUED = "queued"  # nothing has begun
    RUNNING = "running"  # something runs, or can start by itself
    WAITING = "waiting"  # nothing runs, and nothing goes on without a person
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"  # some tasks succeeded, others did not
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED_JOB = frozenset({JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED})
_FOR_A_PERSON = frozenset({State.HELD, State.NEEDS_INPUT, State.BLOCKED, State.SPLIT, State.SCHEDULED})


def job_state(counts: Mapping[State, int]) -> JobState:
    """Return where a job stands with so many tasks in each state; of a job without tasks: succeeded.

    A task that was run again counts once, by its last run: the caller leaves the earlier ones out.
    """
    there = {state for state, number in counts.items() if number}
    if there & ACTIVE:
        return JobState.RUNNING
    if there & WAITING:
        return JobState.RUNNING if there - WAITING - {State.BLOCKED} else JobState.QUEUED
    if there & _FOR_A_PERSON:
        return JobState.WAITING
    return _ended(there & TERMINAL)


def _ended(there: Collection[State]) -> JobState:
    if not set(there) - {State.SUCCEEDED}:
        return JobState.SUCCEEDED
    if State.SUCCEEDED in there:
        return JobState.PARTIAL
    return JobState.CANCELLED if set(there) == {State.CANCELLED} else JobState.FAILED
