"""What was asked (`TaskSpec`), that with an identity and a state (`Task`), and the only change of state (`advance`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import NOBODY, Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import NEXT, State, next_state
from orchestrator.core.proof import CheckKind, CheckSpec
from orchestrator.core.question import ANSWERED
from orchestrator.core.task_rules import FileLimits as FileLimits
from orchestrator.core.task_rules import TaskRules as TaskRules
from orchestrator.core.task_rules import TaskType as TaskType

SPLIT, JOINED = "split", "joined"  # the reasons of a task that waits for its sub-tasks, and goes on after them


class Priority(StrEnum):
    """The three words a task file may use."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for high, 1 for medium, 2 for low: smaller runs first."""
        return ("high", "medium", "low").index(self.value)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line under Success Criteria. *ticked* is what the author wrote in the box, never evidence.

    *text* is the whole of it as written, *check* what it names to be run or looked at, None for words only.
    """

    text: str
    ticked: bool = False
    line: int = 0
    check: CheckSpec | None = None
    mandatory: bool = True

    @property
    def runs(self) -> bool:
        """Whether the daemon has something to run or to look at for it."""
        return self.check is not None and self.check.kind is not CheckKind.HUMAN


@dataclass(frozen=True, slots=True)
class Inference:
    """A value the author did not write and the deterministic reader chose, with the reason for the choice."""

    field: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning that travels with the task into event and result. *line* and *column* are 0 where they say nothing."""

    code: str
    message: str
    line: int = 0
    column: int = 0
    field: str = ""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a task file asks for.

    None in an optional limit means "as configured". *cwd* "" means the configured base folder, *agent* and
    *model* "" the configured ones. *created* is data for people; nothing is scheduled by it.
    *timeout_s* in seconds, *budget_usd* in US dollars. *if_unanswered* is `wait`, `skip` or `default: TEXT`, "" as
    configured; *answer_within_s* in seconds.

    *depends_on* are ids; *on_dependency* is one of DependencyPolicy, "" as configured; *job* names the job it belongs
    to. *after*, *schedule*, *deadline* and *timezone* are kept as written (core/schedule.py). *branch* is the name of
    its result's branch, "" as configured. *max_depth*, *max_children* and *tree_budget_usd* bound what may come of it
    by splitting; *approve* is `plan` where a person is to approve how.
    """

    id: str
    type: str
    priority: Priority
    title: str
    prompt: str
    created: datetime | None = None
    target_files: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    context: str = ""
    agent: str = ""
    model: str = ""
    cwd: str = ""
    timeout_s: int | None = None
    max_turns: int | None = None
    budget_usd: float | None = None
    retries: int | None = None
    tags: tuple[str, ...] = ()
    rerun: bool = False
    if_unanswered: str = ""
    answer_within_s: float | None = None
    depends_on: tuple[str, ...] = ()
    on_dependency: str = ""
    job: str = ""
    after: str = ""
    schedule: str = ""
    timezone: str = ""
    deadline: str = ""
    branch: str = ""
    max_depth: int | None = None
    max_children: int | None = None
    tree_budget_usd: float | None = None
    approve: str = ""
    inferred: tuple[Inference, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What a directory entry looked like when its bytes were read; all 0 for a task that came by another door."""

    inode: int = 0
    mtime_ns: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """A task with its identity and state.

    *name* is the stem of its result files, unique for ever in one root. *file_name* is the name in `tasks/`
    (undecodable bytes as surrogates), "" when it came by another door. *attempt* counts every start, *tries*
    only those that are charged; *epoch* grows with every change of owner and fences off stale writers.
    *not_before* is seconds since the epoch; of a task that waits for an answer its deadline. *reason* is one of
    FailureKind, a file reason, `answered` or "".
    *session_cost_usd* is the last cumulative cost the agent's session reported; None where it is unknown.

    *on_agent* is the agent that has taken it over from the one it was for, "" where none has.

    *job* is the uid of its job, "" when it has none. *parent* is the task that split into it, *root* where that began
    ("": itself), *depth* how many splits lie between. *path* is what hangs on it within its job, the longest chain in
    seconds. *deadline_ts* (seconds since the epoch; 0: none) is when it must have ended.
    """

    uid: TaskUid
    name: str
    spec: TaskSpec
    sha256: str
    created_ts: float
    file_name: str = ""
    stamp: FileStamp = field(default_factory=FileStamp)
    state: State = State.QUEUED
    reason: str = ""
    detail: str = ""
    revision: int = 1
    attempt: int = 0
    tries: int = 0
    epoch: int = 0
    not_before: float = 0.0
    session_id: str = ""
    session_cost_usd: float | None = 0.0
    on_agent: str = ""
    rerun_of: str = ""
    ended_ts: float = 0.0
    artifacts: bool = False
    archived: bool = False
    cleaned: bool = False
    job: str = ""
    parent: TaskUid = NOBODY
    root: TaskUid = NOBODY
    depth: int = 0
    path: float = 0.0
    deadline_ts: float = 0.0
    order: int = 0  # the order of acceptance, given by the store

    @property
    def id_key(self) -> str:
        """Two tasks whose keys are equal never run at once."""
        return id_key(self.spec.id)

    @property
    def agent(self) -> str:
        """The name of the agent it is for now; "" for the configured one."""
        return self.on_agent or self.spec.agent

    @property
    def lineage(self) -> TaskUid:
        """The uid of the root of the tree that this task belongs to; its own where nobody split into it."""
        return self.root or self.uid


@dataclass(frozen=True, slots=True)
class Label:
    """How a task is called in the event log."""

    task_id: str
    name: str


def id_key(task_id: str) -> str:
    """Return the form of an id under which `Task_1` and `task_1` are the same."""
    return task_id.casefold()


ATTEMPT_BOUND = frozenset(
    {
        EventKind.PROGRESS,
        EventKind.SPLIT_REQUESTED,
        EventKind.SPLIT,
        EventKind.FINISHED,
        EventKind.VALIDATED,
        EventKind.SUCCEEDED,
        EventKind.RETRY,
        EventKind.QUESTION_ASKED,
        EventKind.LIMITED,
        EventKind.INTERRUPTED,
        EventKind.ACCEPTED,
    }
)


IN_VERDICT: Mapping[EventKind, str] = {EventKind.QUESTION_ASKED: "question", EventKind.ANSWERED: "answered"}
"""Events whose data are kept in the verdict on the attempt, under this key."""
ACCEPTABLE = frozenset({"unproven", "check_failed", "children_failed"})  # failures that a person may overrule


def advance(task: Task, event: Event) -> Task:
    """Return *task* as it is after *event*. The only place where a task changes.

    Raises IllegalEventError, and changes nothing, when the event may not follow in this state or speaks for
    an attempt that is no longer the current one.
    """
    if event.kind in ATTEMPT_BOUND and (event.attempt, event.epoch) != (task.attempt, task.epoch):
        why = f"attempt {event.attempt}.{event.epoch} is not the current {task.attempt}.{task.epoch}"
        raise IllegalEventError(task.state, event.kind, legal=sorted(NEXT[task.state]), why=why)
    state = next_state(task.state, event.kind)
    after = task if state is task.state else replace(task, state=state)
    change = _CHANGES.get(event.kind)
    return change(after, event) if change else after


def _started(task: Task, event: Event) -> Task:
    if event.attempt != task.attempt + 1:
        why = f"attempt {event.attempt} does not follow {task.attempt}"
        raise IllegalEventError(task.state, event.kind, why=why)
    session = _text(event, "session_id") or task.session_id
    return replace(
        task,
        attempt=event.attempt,
        tries=task.tries + 1,
        epoch=task.epoch + 1,
        not_before=0.0,
        session_id=session,
        reason="",
        detail="",
        session_cost_usd=task.session_cost_usd if session == task.session_id else 0.0,
    )


def _finished(task: Task, event: Event) -> Task:
    return replace(task, session_cost_usd=_number(event, "session_cost_usd"))


def _uncharged(task: Task, event: Event) -> Task:
    waiting = _waits(task, event)
    return replace(waiting, tries=max(0, task.tries - 1), epoch=task.epoch + 1)


def _waits(task: Task, event: Event) -> Task:
    after = replace(
        task,
        not_before=_number(event, "not_before") or 0.0,
        reason=_text(event, "reason"),
        detail=_text(event, "detail"),
    )
    if agent := _text(event, "to_agent"):
        after = replace(after, on_agent=agent)
    begins_anew = agent or event.data.get("new_session") is True
    return replace(after, session_id="", session_cost_usd=0.0) if begins_anew else after


def _asked(task: Task, event: Event) -> Task:
    """It costs no try; *not_before* is its deadline."""
    deadline = _number(event, "deadline") or 0.0
    return replace(_uncharged(task, event), not_before=deadline)


def _held(task: Task, event: Event) -> Task:
    """Why a hook has held it is told with the task. Its reason stays, as it decides whether its session is resumed."""
    return replace(task, detail=_text(event, "detail")) if event.data.get("hook") else task


def _split(task: Task, event: Event) -> Task:
    """It costs no try: what it was started for goes on in its sub-tasks."""
    return replace(_uncharged(task, event), not_before=0.0, reason=SPLIT, detail=_text(event, "detail"))


def _joined(task: Task, _: Event) -> Task:
    return replace(task, not_before=0.0, reason=JOINED, detail="")


def _answered(task: Task, _: Event) -> Task:
    return replace(task, not_before=0.0, reason=ANSWERED, detail="")


def _at_once(task: Task, _: Event) -> Task:
    """What the task waited for is over; its reason stays, as it decides whether its session is resumed."""
    return replace(task, not_before=0.0)


def _rescheduled(task: Task, event: Event) -> Task:
    return replace(task, not_before=_number(event, "not_before") or 0.0)


def _ended(task: Task, event: Event) -> Task:
    return replace(task, ended_ts=event.ts, reason=_text(event, "reason"), detail=_text(event, "detail"))


def _accepted(task: Task, event: Event) -> Task:
    """Its files are to be written again: the verdicts stay, the task counts as a success."""
    return replace(task, reason="", detail=_text(event, "detail"), artifacts=False, archived=False)


def _updated(task: Task, _: Event) -> Task:
    return replace(task, revision=task.revision + 1)


_CHANGES: Mapping[EventKind, Callable[[Task, Event], Task]] = {
    EventKind.STARTED: _started,
    EventKind.FINISHED: _finished,
    EventKind.LIMITED: _uncharged,
    EventKind.INTERRUPTED: _uncharged,
    EventKind.RETRY: _waits,
    EventKind.QUESTION_ASKED: _asked,
    EventKind.ANSWERED: _answered,
    EventKind.HELD: _held,
    EventKind.SPLIT: _split,
    EventKind.JOINED: _joined,
    EventKind.SCHEDULED: _rescheduled,
    EventKind.FIRED: _rescheduled,
    EventKind.RELEASED: _at_once,
    EventKind.RESCHEDULED: _rescheduled,
    EventKind.SUCCEEDED: _ended,
    EventKind.FAILED: _ended,
    EventKind.CANCELLED: _ended,
    EventKind.REJECTED: _ended,
    EventKind.UPDATED: _updated,
    EventKind.ACCEPTED: _accepted,
    EventKind.ARTIFACTS_WRITTEN: lambda task, _: replace(task, artifacts=True),
    EventKind.ARCHIVED: lambda task, _: replace(task, archived=True),
    EventKind.ARTIFACTS_CLEANED: lambda task, _: replace(task, cleaned=True),
}


def _text(event: Event, key: str) -> str:
    value = event.data.get(key, "")
    return value if isinstance(value, str) else ""


def _number(event: Event, key: str) -> float | None:
    value: Json = event.data.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
