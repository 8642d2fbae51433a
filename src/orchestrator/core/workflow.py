"""The life of a task in the words of a workflow: a view over our own table, with its history and progress.

Nothing is stored for it. Each state rests in one word; each event may pass through further words on its way there, as
several steps of a workflow are one transaction here. docs/workflow.md shows the tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.events import Event, Json
from orchestrator.core.events import EventKind as E
from orchestrator.core.lifecycle import NEXT, TERMINAL, State


class Workflow(StrEnum):
    """The words. The comment says what one means here."""

    PENDING = "pending"  # waits: for a slot, for its time, for an agent that is held, or for a person
    PROCESSING = "processing"  # an agent works on it, or what it started is being ended
    NLP_PARSING = "nlp_parsing"  # what was asked is read; over in the moment it is accepted
    TASK_DECOMPOSITION = "task_decomposition"  # it is being split into sub-tasks; over in the moment they are stored
    DEPENDENCY_RESOLUTION = "dependency_resolution"  # waits for other tasks: those it depends on, or its sub-tasks
    AGENT_ASSIGNMENT = "agent_assignment"  # an agent and a slot are given to it; over when that is stored
    PR_CREATED = "pr_created"  # it has succeeded, and a pull request is open for its result
    VALIDATION_RUNNING = "validation_running"  # the daemon looks at the result and runs the checks
    VALIDATION_FAILED = "validation_failed"  # what was looked at does not hold; it goes on to a retry or to its end
    VALIDATION_PASSED = "validation_passed"  # it has succeeded; nothing was merged yet
    MERGED = "merged"  # it has succeeded, and its result is in the person's branch
    FAILED = "failed"  # it has ended without success; refused task files too
    CANCELLED = "cancelled"  # it was cancelled, or went with its predecessor


RESTING: Mapping[State, Workflow] = {
    State.QUEUED: Workflow.PENDING,
    State.RUNNING: Workflow.PROCESSING,
    State.CHECKING: Workflow.VALIDATION_RUNNING,
    State.RETRY_WAIT: Workflow.PENDING,
    State.NEEDS_INPUT: Workflow.PENDING,
    State.BLOCKED: Workflow.DEPENDENCY_RESOLUTION,
    State.SPLIT: Workflow.DEPENDENCY_RESOLUTION,
    State.SCHEDULED: Workflow.PENDING,
    State.HELD: Workflow.PENDING,
    State.CANCELLING: Workflow.PROCESSING,
    State.SUCCEEDED: Workflow.VALIDATION_PASSED,  # or what was done with the result since: see `word_of`
    State.FAILED: Workflow.FAILED,
    State.CANCELLED: Workflow.CANCELLED,
    State.REJECTED: Workflow.FAILED,
}
"""The word in which a task rests in each state. Total: a test counts."""

PASSES: Mapping[E, Workflow] = {
    E.RECEIVED: Workflow.PENDING,
    E.PARSED: Workflow.NLP_PARSING,
    E.UPDATED: Workflow.NLP_PARSING,
    E.STARTED: Workflow.AGENT_ASSIGNMENT,
    E.SPLIT: Workflow.TASK_DECOMPOSITION,
    E.SUCCEEDED: Workflow.VALIDATION_PASSED,
    E.ACCEPTED: Workflow.VALIDATION_PASSED,
    E.FAILED: Workflow.VALIDATION_FAILED,  # both only where the result was looked at: see JUDGED
    E.RETRY: Workflow.VALIDATION_FAILED,
}
"""The word that an event passes through before the task rests again."""

STRAIGHT = frozenset(
    {
        E.BLOCKED,
        E.UNBLOCKED,
        E.SCHEDULED,
        E.FIRED,
        E.SPLIT_REQUESTED,
        E.JOINED,
        E.REJECTED,
        E.DUPLICATE_ID,
        E.EDITED_AFTER_CLAIM,
        E.PROGRESS,
        E.FINISHED,
        E.VALIDATED,
        E.QUESTION_ASKED,
        E.ANSWERED,
        E.LIMITED,
        E.INTERRUPTED,
        E.CANCEL_REQUESTED,
        E.HELD,
        E.RELEASED,
        E.RESCHEDULED,
        E.CANCELLED,
        E.SUMMARIZED,
        E.ARTIFACTS_WRITTEN,
        E.ARCHIVED,
        E.TAKEN,
        E.ARTIFACTS_CLEANED,
    }
)
"""The events that lead straight to the word of the state behind them."""

JUDGED = frozenset(
    {"check_failed", "unproven", "no_changes", "empty_answer", "gave_up", "permission_denied", "not_delivered"}
)
"""The reasons by which a result was looked at and does not hold. Every other failure came before there was one."""

_TAKEN: Mapping[str, Workflow] = {"pr": Workflow.PR_CREATED, "merge": Workflow.MERGED}
_FURTHEST = (Workflow.PR_CREATED, Workflow.MERGED)

PERCENT: Mapping[Workflow, int] = {
    Workflow.PENDING: 0,
    Workflow.NLP_PARSING: 5,
    Workflow.TASK_DECOMPOSITION: 10,
    Workflow.DEPENDENCY_RESOLUTION: 15,
    Workflow.AGENT_ASSIGNMENT: 20,
    Workflow.PROCESSING: 30,
    Workflow.VALIDATION_FAILED: 60,
    Workflow.VALIDATION_RUNNING: 80,
    Workflow.VALIDATION_PASSED: 100,
    Workflow.PR_CREATED: 100,
    Workflow.MERGED: 100,
    Workflow.FAILED: 100,
    Workflow.CANCELLED: 100,
}
"""How far along the way each word lies, in percent: milestones, no forecast. It falls when a task goes back."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the history. *from_state* is None for the first. *timestamp* is seconds since the epoch.

    *metadata* tells the event behind it: its name and seq, and of its data what says why.
    """

    from_state: Workflow | None
    to_state: Workflow
    timestamp: float
    metadata: Mapping[str, Json]


def word_of(state: State, events: Sequence[Event] = ()) -> Workflow:
    """Return the word of a task in *state*; of one that has succeeded its *events* tell whether more was done."""
    done = [word for word in _FURTHEST if word in map(_taken, events)]
    return done[-1] if state is State.SUCCEEDED and done else RESTING[state]


def progress_percent(word: Workflow) -> int:
    """Return how far a task is whose word this is, from 0 to 100."""
    return PERCENT[word]


def history(events: Sequence[Event]) -> tuple[Transition, ...]:
    """Return each change of word that the *events* of one task tell, oldest first: as they were committed, from its
    birth. An event that was not legal there (a log that begins later) changes nothing."""
    rows: list[Transition] = []
    state, word = _born(events), None
    done: list[Event] = []
    for event in events:
        before, state = state, NEXT[state].get(event.kind, state)
        done += [event] if event.kind is E.TAKEN else []
        for step in (*_passes(before, event), word_of(state, done)):
            if step is not word:
                rows.append(Transition(word, step, event.ts, _metadata(event)))
                word = step
    return tuple(rows)


def workflow_facts(uid: str, task_id: str, state: State, events: Sequence[Event]) -> dict[str, Json]:
    """Return the view of one task as JSON but for its times, which are seconds since the epoch."""
    word = word_of(state, events)
    rows: list[Json] = [
        {
            "id": number,
            "workflow_id": uid,
            "from_state": row.from_state.value if row.from_state else None,
            "to_state": row.to_state.value,
            "timestamp": row.timestamp,
            "metadata": dict(row.metadata),
        }
        for number, row in enumerate(history(events), start=1)
    ]
    return {
        "workflow_id": uid,
        "task_id": task_id,
        "status": word.value,
        "progress": progress_percent(word),
        "state": state.value,
        "history": rows,
    }


def _born(events: Sequence[Event]) -> State:
    """Return the state a task is born in: a refused file and one of an id that is taken begin elsewhere."""
    return State.REJECTED if any(event.kind is E.REJECTED for event in events[:2]) else State.QUEUED


def _passes(before: State, event: Event) -> Iterator[Workflow]:
    word = PASSES.get(event.kind)
    if word is None or (event.kind is not E.RECEIVED and event.kind not in NEXT[before]):
        return
    if before in TERMINAL and event.kind not in (E.RECEIVED, E.ACCEPTED):
        return
    if word is Workflow.VALIDATION_FAILED and not (before is State.CHECKING and event.data.get("reason") in JUDGED):
        return
    yield word


def _taken(event: Event) -> Workflow | None:
    is_done = event.kind is E.TAKEN and event.data.get("ok") is not False
    return _TAKEN.get(str(event.data.get("how"))) if is_done else None


_TOLD = ("reason", "detail", "agent", "session_id", "not_before", "strategy", "door", "by", "how", "type", "priority")
_DETAIL_CHARS = 300


def _metadata(event: Event) -> dict[str, Json]:
    told: dict[str, Json] = {"event": event.kind.value, "seq": event.seq}
    told |= {"attempt": event.attempt} if event.attempt else {}
    for key in _TOLD:
        value = event.data.get(key)
        if isinstance(value, (str, int, float)) and value not in ("", 0):
            told[key] = value[:_DETAIL_CHARS] if isinstance(value, str) else value
    return told
