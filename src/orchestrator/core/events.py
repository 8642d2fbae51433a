"""Events: the only way anything changes, and the log that everything else is read from.

The wire names (`task_received` … `retry`) are a contract: users and scripts grep for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NewType, TypeAlias

TaskUid = NewType("TaskUid", str)
NOBODY = TaskUid("")
CLOCK_SET_BACK_S = 60.0
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class EventKind(StrEnum):
    """What happened. The comment says who commits it."""

    RECEIVED = "task_received"  # intake or another door: the exact bytes are stored
    PARSED = "parsed"  # intake: a TaskSpec was read from them; names what was inferred
    BLOCKED = "task_blocked"  # intake or service: waits for the tasks that its depends_on names
    UNBLOCKED = "task_unblocked"  # unblocking: what it waited for is there, or is passed over by its policy
    SCHEDULED = "task_scheduled"  # intake: a template that makes a run at each of its times
    FIRED = "schedule_fired"  # scheduling: a run was made, or why none was; waits for its next time
    UPDATED = "task_updated"  # intake: the queued file was edited; a new revision replaces the old
    REJECTED = "task_rejected"  # intake: never to be run; names file, line, field and what to do
    DUPLICATE_ID = "duplicate_id"  # intake: waits behind a task with the same id
    EDITED_AFTER_CLAIM = "edited_after_claim"  # intake: the file changed too late to matter for this run
    STARTED = "claude_started"  # pool: written before the process is started
    PROGRESS = "progress"  # executor: a milestone the agent reported
    FINISHED = "claude_finished"  # executor: the process has ended, its outcome is known
    SPLIT_REQUESTED = "split_requested"  # the worker, by its tool: the sub-tasks that it wants
    SPLIT = "task_split"  # executor: its sub-tasks are stored, and it waits for them
    JOINED = "children_joined"  # unblocking: its sub-tasks have ended; it goes on with their results
    VALIDATED = "validated"  # executor: the verdict and every criterion
    SUCCEEDED = "task_succeeded"  # executor, last
    FAILED = "task_failed"  # executor, last: no further try
    RETRY = "retry"  # executor: will be tried again at not_before
    QUESTION_ASKED = "question_asked"  # executor: it ended with a question; waits for an answer, costs no try
    ANSWERED = "question_answered"  # a person by any door, or the default when its time is over
    LIMITED = "agent_limited"  # executor: account or login problem, costs no try
    INTERRUPTED = "interrupted"  # pool or recovery: we ended it, costs no try
    CANCEL_REQUESTED = "cancel_requested"  # a person, while it runs
    HELD = "task_held"  # a person: not to be started until released
    RELEASED = "task_released"  # a person: waits for nothing but a slot any more
    RESCHEDULED = "task_rescheduled"  # clock watch: the clock was set, and its wait is moved along
    CANCELLED = "task_cancelled"  # a person, or the file was removed while queued
    SUMMARIZED = "summarized"  # projector: summary written
    ARTIFACTS_WRITTEN = "artifacts_written"  # projector: result written
    ARCHIVED = "task_archived"  # projector: the task file lies where it stays
    ACCEPTED = "task_accepted"  # a person, by `accept`: takes a result that is not proven as it is
    TAKEN = "result_taken"  # a person, or the daemon as configured: merged, pushed or discarded; or why not
    ARTIFACTS_CLEANED = "artifacts_cleaned"  # a person, by `clean artifacts`: do not write them again
    # Events of the daemon itself: no task
    DAEMON_STARTED = "daemon_started"
    DAEMON_STOPPED = "daemon_stopped"
    CONFIG_RELOADED = "config_reloaded"
    CONFIG_INVALID = "config_invalid"
    INTAKE_PAUSED = "intake_paused"
    INTAKE_RESUMED = "intake_resumed"
    AGENT_HELD = "agent_held"  # executor or a person; `agent` is "*" for the whole queue
    AGENT_RELEASED = "agent_released"  # executor or a person
    FILE_IGNORED = "file_ignored"  # something in tasks/ that can never be a task file
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Event:
    """One appended fact.

    *seq* orders all events of a root, grows by exactly one, and is 0 until the store has assigned it.
    *ts* is seconds since the epoch, UTC; along seq it falls only where the system's clock was set back.
    *uid* is "" for events of the daemon itself.
    *attempt* and *epoch* say on behalf of which attempt the event speaks; 0 where it speaks for none.
    """

    kind: EventKind
    ts: float
    uid: TaskUid = TaskUid("")
    attempt: int = 0
    epoch: int = 0
    data: Mapping[str, Json] = field(default_factory=dict)
    seq: int = 0


def end_told_by(event: Event) -> float:
    """Return when the attempt that *event* closes had ended: its `ended_ts` where the end was found only later."""
    told = event.data.get("ended_ts")
    found = isinstance(told, (int, float)) and not isinstance(told, bool) and 0 < told < event.ts
    return float(told) if found and isinstance(told, (int, float)) else event.ts


def in_turn(event: Event, last_ts: float) -> Event:
    """Return *event* as it is appended behind one of *last_ts*: it happened no earlier, it only waited to be stored.

    A step back of CLOCK_SET_BACK_S or more is a clock that was set back, and is kept: what really happened must not
    carry the time of a mistake until the mistake is overtaken.
    """
    waited_s = last_ts - event.ts
    return replace(event, ts=last_ts) if 0 < waited_s < CLOCK_SET_BACK_S else event
