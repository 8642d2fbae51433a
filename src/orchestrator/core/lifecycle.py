"""The life of a task, as one table.

Nothing else in the program says what may follow what: the store, the event log, every front door and
the diagram in docs/lifecycle.md read NEXT.
"""

from collections.abc import Mapping
from enum import StrEnum

from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import EventKind as E


class State(StrEnum):
    """Where a task stands. The comment says who moves it on, and what a crash leaves."""

    QUEUED = "queued"  # the pool moves it on, when a slot is free; a crash leaves it queued
    RUNNING = "running"  # the agent does, by ending; a crash makes recovery collect it or queue it again
    CHECKING = "checking"  # validation does; a crash makes recovery validate again, never run again
    RETRY_WAIT = "retry_wait"  # the pool does, when its time has come
    NEEDS_INPUT = "needs_input"  # a person does, by answering; or its deadline; a crash leaves it waiting
    BLOCKED = "blocked"  # unblocking does, when the tasks it depends on have ended; a crash leaves it blocked
    SPLIT = "split"  # unblocking does, when its sub-tasks have ended; a crash leaves it waiting for them
    SCHEDULED = "scheduled"  # nobody does: scheduling makes runs of it until a person removes it
    HELD = "held"  # a person does, by releasing or cancelling it; a crash leaves it held
    CANCELLING = "cancelling"  # the pool does, when every process of the attempt is gone
    SUCCEEDED = "succeeded"  # nobody does
    FAILED = "failed"  # a person may, by accepting what is not proven; a retry is a new run with a uid of its own
    CANCELLED = "cancelled"  # nobody does
    REJECTED = "rejected"  # nobody does: the corrected file is a new task


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.REJECTED})
ACTIVE = frozenset({State.RUNNING, State.CHECKING, State.CANCELLING})
WAITING = frozenset({State.QUEUED, State.RETRY_WAIT})  # may be started
AHEAD = WAITING | {State.HELD, State.NEEDS_INPUT, State.SPLIT}  # keeps its place before later tasks of its id
PENDING = AHEAD | {State.BLOCKED, State.SCHEDULED}  # not at work and not ended
EDITABLE = frozenset({State.QUEUED, State.HELD, State.BLOCKED, State.SCHEDULED})  # its file in tasks/ counts, if unused

_BOOKKEEPING = (E.SUMMARIZED, E.ARTIFACTS_WRITTEN, E.ARCHIVED, E.ARTIFACTS_CLEANED, E.EDITED_AFTER_CLAIM, E.TAKEN)


def _stays(state: State) -> dict[E, State]:
    return dict.fromkeys(_BOOKKEEPING, state)


NEXT: Mapping[State, Mapping[E, State]] = {
    State.QUEUED: {
        E.RECEIVED: State.QUEUED,
        E.PARSED: State.QUEUED,
        E.DUPLICATE_ID: State.QUEUED,
        E.UPDATED: State.QUEUED,
        E.REJECTED: State.REJECTED,
        E.BLOCKED: State.BLOCKED,
        E.SCHEDULED: State.SCHEDULED,
        E.STARTED: State.RUNNING,
        E.HELD: State.HELD,
        E.RESCHEDULED: State.QUEUED,
        E.FAILED: State.FAILED,
        E.CANCELLED: State.CANCELLED,
    },
    State.BLOCKED: {
        E.UPDATED: State.BLOCKED,
        E.REJECTED: State.REJECTED,
        E.UNBLOCKED: State.QUEUED,
        E.JOINED: State.QUEUED,
        E.HELD: State.HELD,
        E.RESCHEDULED: State.BLOCKED,
        E.FAILED: State.FAILED,
        E.CANCELLED: State.CANCELLED,
    },
    State.SCHEDULED: {
        E.UPDATED: State.SCHEDULED,
        E.REJECTED: State.REJECTED,
        E.FIRED: State.SCHEDULED,
        E.RESCHEDULED: State.SCHEDULED,
        E.RELEASED: State.QUEUED,
        E.HELD: State.HELD,
        E.CANCELLED: State.CANCELLED,
    },
    State.RUNNING: {
        E.PROGRESS: State.RUNNING,
        E.SPLIT_REQUESTED: State.RUNNING,
        E.EDITED_AFTER_CLAIM: State.RUNNING,
        E.FINISHED: State.CHECKING,
        E.LIMITED: State.RETRY_WAIT,
        E.INTERRUPTED: State.QUEUED,
        E.CANCEL_REQUESTED: State.CANCELLING,
    },
    State.CHECKING: {
        E.EDITED_AFTER_CLAIM: State.CHECKING,
        E.VALIDATED: State.CHECKING,
        E.SPLIT: State.SPLIT,
        E.SUCCEEDED: State.SUCCEEDED,
        E.FAILED: State.FAILED,
        E.RETRY: State.RETRY_WAIT,
        E.LIMITED: State.RETRY_WAIT,
        E.QUESTION_ASKED: State.NEEDS_INPUT,
        E.CANCEL_REQUESTED: State.CANCELLING,
    },
    State.SPLIT: {
        E.EDITED_AFTER_CLAIM: State.SPLIT,
        E.JOINED: State.QUEUED,
        E.FAILED: State.FAILED,
        E.CANCELLED: State.CANCELLED,
    },
    State.NEEDS_INPUT: {
        E.EDITED_AFTER_CLAIM: State.NEEDS_INPUT,
        E.RESCHEDULED: State.NEEDS_INPUT,
        E.ANSWERED: State.QUEUED,
        E.FAILED: State.FAILED,
        E.CANCELLED: State.CANCELLED,
    },
    State.RETRY_WAIT: {
        E.EDITED_AFTER_CLAIM: State.RETRY_WAIT,
        E.STARTED: State.RUNNING,
        E.HELD: State.HELD,
        E.RESCHEDULED: State.RETRY_WAIT,
        E.RELEASED: State.QUEUED,
        E.FAILED: State.FAILED,
        E.CANCELLED: State.CANCELLED,
    },
    State.HELD: {
        E.UPDATED: State.HELD,
        E.REJECTED: State.REJECTED,
        E.RELEASED: State.QUEUED,
        E.FAILED: State.FAILED,
        E.CANCELLED: State.CANCELLED,
    },
    State.CANCELLING: {
        E.PROGRESS: State.CANCELLING,
        E.EDITED_AFTER_CLAIM: State.CANCELLING,
        E.FINISHED: State.CANCELLING,
        E.CANCEL_REQUESTED: State.CANCELLING,
        E.CANCELLED: State.CANCELLED,
    },
    State.SUCCEEDED: _stays(State.SUCCEEDED),
    State.FAILED: {E.ACCEPTED: State.SUCCEEDED, **_stays(State.FAILED)},
    State.CANCELLED: _stays(State.CANCELLED),
    State.REJECTED: {E.PARSED: State.REJECTED, E.REJECTED: State.REJECTED, **_stays(State.REJECTED)},
}


def next_state(state: State, kind: E) -> State:
    """Return the state that *kind* leads to. Raises IllegalEventError, naming what was legal."""
    if (after := NEXT[state].get(kind)) is None:
        raise IllegalEventError(state, kind, legal=sorted(NEXT[state]))
    return after
