"""What is kept of how an attempt ended."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeGuard, TypeVar

from orchestrator.core.attempt import (
    AgentReport,
    AttemptRecord,
    Failed,
    FailureKind,
    Finished,
    Interrupted,
    Outcome,
    WorkOrder,
    not_begun,
)
from orchestrator.core.codec import to_json
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.hours import QUITTING
from orchestrator.core.lifecycle import State
from orchestrator.core.shortage import is_shortage
from orchestrator.core.task import Task
from orchestrator.core.zones import shown

MAX_ANSWER_CHARS = 200_000
LOOKED_BACK = 50  # events of a task, for the last one by its agent
_SIGNS = frozenset({EventKind.STARTED, EventKind.PROGRESS})
Ended = TypeVar("Ended", bound=Outcome)


def bounded(outcome: Ended) -> Ended:
    """Keep a runaway answer out of the journal; the whole of it stays in the attempt's own output."""
    report: AgentReport = outcome.report
    if len(report.answer) <= MAX_ANSWER_CHARS:
        return outcome
    cut = f"\n[cut here: {len(report.answer) - MAX_ANSWER_CHARS} characters more in the attempt's stdout.ndjson]"
    return replace(outcome, report=replace(report, answer=report.answer[:MAX_ANSWER_CHARS] + cut))


def in_time(outcome: Finished | Failed, task: Task, now: float) -> Finished | Failed:
    """Return *outcome*, told as a missed deadline where it was that which cut the time of the attempt short."""
    cut = isinstance(outcome, Failed) and outcome.kind is FailureKind.TIMEOUT and 0 < task.deadline_ts <= now + 1
    if not cut or not isinstance(outcome, Failed):
        return outcome
    detail = f"its deadline, {shown(task.deadline_ts)}, came while it ran"
    return replace(outcome, kind=FailureKind.DEADLINE, detail=detail)


def ended_by_us(found: Outcome | None, rest: str) -> Outcome:
    """Return how an attempt ended that we have ended: *found* is what it left. *rest*: why nothing may run now, ""
    where that is not why."""
    if isinstance(found, (Finished, Failed)):
        return found
    report = found.report if found else AgentReport()
    stopped = found.reason if found else "stopped with the daemon"
    return Interrupted(f"{QUITTING}: {rest}" if rest else stopped, report)


def interruptions(before: Sequence[AttemptRecord]) -> int:
    """Return how often a task was interrupted; a hold is none, nor is quitting time, which comes every day."""
    ends = [record.outcome for record in before if record.outcome.get("kind") == "interrupted"]
    return sum(not str(end.get("reason", "")).startswith(f"{QUITTING}:") for end in ends)


def last_sign(
    task: Task, attempts: Sequence[AttemptRecord], events: Sequence[Event], report: AgentReport | None
) -> float:
    """Return when the current attempt of *task*, which nobody watched to its end, had ended: as its supervisor says,
    else when it was last heard of. 0.0 without an attempt."""
    current = [record for record in attempts if record.number == task.attempt]
    if not current or current[-1].ended_ts:
        return 0.0
    began_ts = current[-1].started_ts
    heard = [event.ts for event in events if event.attempt == task.attempt and event.kind in _SIGNS]
    told = report.duration_s if report is not None else None
    return max([began_ts + (told or 0.0), *heard])


def ended_then(ended_ts: float) -> Mapping[str, Json]:
    """Return what an event says of an attempt that had ended before it."""
    return {"ended_ts": ended_ts} if ended_ts else {}


def with_work(outcome: Outcome, work: Mapping[str, Json]) -> Json:
    """Return *outcome* for the store, with what is known of its work: of a cancelled attempt there is no verdict."""
    told = to_json(outcome)
    return {**told, "work": work} if isinstance(told, Mapping) and work else told


def not_prepared(order: WorkOrder, error: OSError, what: str) -> Failed:
    """Return the end of an attempt that could not begin: *what* is the place or the act that *error* is about."""
    kind = FailureKind.SHORTAGE if is_shortage(error) else FailureKind.PREPARE_FAILED
    return Failed(kind, f"{what}: {error.strerror or error}", not_begun(order))


def is_cancelled(current: Task | None, order: WorkOrder) -> TypeGuard[Task]:
    """Return whether this very attempt is to be cancelled: of a later one the end of this says nothing."""
    return current is not None and current.state is State.CANCELLING and current.attempt == order.attempt
