"""One try by one agent: the order it gets, what it says meanwhile, how it ends. All of it serialisable."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core.events import Json, TaskUid
from orchestrator.core.notes import NoteGiven
from orchestrator.core.question import Question
from orchestrator.core.work import Base
from orchestrator.core.worker_tool import ToolAccess


class FailureKind(StrEnum):
    """Why an attempt was no success. A closed list; each has its retry policy and hint in core/retry.py."""

    TRANSIENT = "transient"  # provider overloaded, 5xx, network, cut stream
    RATE_LIMITED = "rate_limited"  # a throttle: too many requests, not an exhausted account
    USAGE_LIMIT = "usage_limit"  # the account's allowance is used up until a known time
    AUTH = "auth"  # not logged in, wrong key, account blocked
    BILLING = "billing"  # no credit
    BUDGET = "budget"  # the task's own budget is used up
    DAY_BUDGET = "day_budget"  # its share of what may be spent on one day is used up
    TREE_BUDGET = "tree_budget"  # its share of what its whole lineage may cost is used up
    MAX_TURNS = "max_turns"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    CRASH = "crash"  # ended by a signal or a bug of its own
    KILLED = "killed"  # for lack of memory: by its own limit, or by a SIGKILL that we did not send
    TOO_MANY_PROCESSES = "too_many_processes"  # more at once than one attempt may have
    NO_RESULT = "no_result"  # ended without its final message
    BAD_OUTPUT = "bad_output"  # the final message does not satisfy its schema
    BAD_REQUEST = "bad_request"  # refused by the provider: retrying cannot help
    PROMPT_TOO_LONG = "prompt_too_long"
    MODEL_NOT_FOUND = "model_not_found"
    START_REFUSED = "start_refused"  # the agent refused to start: flags, sandbox, root
    AGENT_MISSING = "agent_missing"
    AGENT_OUTDATED = "agent_outdated"
    AGENT_UNTRUSTED = "agent_untrusted"  # the settings that hold it had no effect when they were tried
    SHORTAGE = "shortage"  # the machine lacks space, descriptors or memory: no fault of the task
    PREPARE_FAILED = "prepare_failed"  # the work area could not be made ready
    AGENT_ERROR = "agent_error"  # the agent reports an error of no better known kind
    EMPTY_ANSWER = "empty_answer"
    ASKED_A_QUESTION = "asked_a_question"
    UNANSWERED = "unanswered"  # it asked a question, and nobody answered in time
    GAVE_UP = "gave_up"  # "I could not", "I was unable to"
    PERMISSION_DENIED = "permission_denied"  # tools it needed were denied and nothing came of it
    NOT_DELIVERED = "not_delivered"  # the result could not be brought into the repository
    NO_CHANGES = "no_changes"  # said done, but no file was changed
    CHECK_FAILED = "check_failed"  # a check that the daemon ran on the result fails
    UNPROVEN = "unproven"  # no check fails, but what was seen proves nothing until a person accepts it
    DEADLINE = "deadline"  # it had not ended by the time that its task names
    PLAN_FAILED = "plan_failed"  # what it wanted to split into could not be stored
    CHILDREN_FAILED = "children_failed"  # some of its sub-tasks are no success
    MERGE_CONFLICT = "merge_conflict"  # results that it builds on contradict each other
    INTERRUPTED_TOO_OFTEN = "interrupted_too_often"


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used. None means unknown, never 0. *cost_usd* is this attempt's own share."""

    turns: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cost_usd: float | None = None
    session_cost_usd: float | None = None  # cumulative over the session, to subtract the next time


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What an ended agent process said and did, as far as it is known.

    *answer* is its final text. *exit_code* is as wait(2) tells: negative for a signal. *files_changed* are the
    paths its own write tools reported; *denials* the tools it was denied, *denied_for* what for and why, in a few words
    each. *tool_calls* counts by tool name. *question* is what it asked by a tool or in its structured result, and then
    did nothing more. *structured* is that result as JSON, where the order has a schema; "" when it gave none.
    *no_agent*: none was needed, and the daemon itself put the answer together.
    """

    answer: str = ""
    exit_code: int | None = None
    usage: Usage = field(default_factory=Usage)
    session_id: str = ""
    model: str = ""
    agent_version: str = ""
    duration_s: float | None = None
    files_changed: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()
    tool_calls: Mapping[str, int] = field(default_factory=dict)
    survivors_killed: int = 0
    container: str = ""  # how the process tree was held together, for the result
    confinement: str = ""  # what the agent could reach, for the result
    notes: tuple[NoteGiven, ...] = ()  # of the project, that stood in its prompt
    denied_for: tuple[str, ...] = ()
    question: Question | None = None
    structured: str = ""
    no_agent: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """Exit code 0, a final result message, and that message says no error. Not yet believed: see validation."""

    report: AgentReport


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt is no success. *resets_at* is seconds since the epoch for a limit with a known end, else 0."""

    kind: FailureKind
    detail: str
    report: AgentReport = field(default_factory=AgentReport)
    resets_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Interrupted:
    """We ended it: shutdown, cancel, or a crash of ours. Costs the task no try."""

    reason: str
    report: AgentReport = field(default_factory=AgentReport)


Outcome = Finished | Failed | Interrupted


class MessageKind(StrEnum):
    """What an agent can say while it runs."""

    SESSION = "session"  # it is up: session id, model, version
    TEXT = "text"  # a piece of its answer
    TOOL = "tool"  # it uses a tool
    TOOL_FAILED = "tool_failed"
    DENIED = "denied"  # a permission was denied
    WAITING = "waiting"  # it waits for its provider and tries again by itself
    LIMIT = "limit"  # a structured word on the account's allowance
    NOTE = "note"  # anything else worth a line


@dataclass(frozen=True, slots=True)
class AgentMessage:
    """One milestone. *text* is short and for people; *data* for programs."""

    kind: MessageKind
    text: str
    data: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """Everything an agent needs for one attempt; the seam where another dispatcher could take over.

    Limits: *timeout_s* seconds of running time, *max_turns* 0 for the agent's own default, *budget_usd* 0 for
    none. *session_cost_usd* is what the session had cost before, None when that is unknown. *resume* asks to
    continue *session_id* where that is possible. *name* is the task's, unique in its root. *work_root* is all that may
    be written, *cwd* a part of it; "": *cwd* itself. *read* may be read beside that. *targets* are the target files as
    the task has them. *schema* is the JSON schema of the structured result that is asked for, "": none.
    """

    uid: TaskUid
    attempt: int
    epoch: int
    task_id: str
    agent: str
    prompt: str
    cwd: str
    session_id: str
    attempt_dir: str
    tools: tuple[str, ...]
    model: str = ""
    timeout_s: int = 300
    max_turns: int = 0
    budget_usd: float = 0.0
    resume: bool = False
    notes: tuple[NoteGiven, ...] = ()  # of the project, that stand in *prompt*
    continue_prompt: str = ""  # said instead of *prompt* where the session really is resumed; without the notes
    session_cost_usd: float | None = 0.0
    root_tag: str = ""  # of a root that is a copy: its original has tasks of the same uids
    name: str = ""
    work_root: str = ""
    read: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    schema: str = ""
    bases: tuple[Base, ...] = ()  # results of other tasks that this one begins from
    merges: tuple[Base, ...] = ()  # results of its sub-tasks, to be merged onto its own work
    tool: ToolAccess | None = None  # by which it may split its own task
    told: str = ""  # what its agent is told of these tasks
    branch: str = ""  # the name that its file wants for the branch of its result; "": as configured

    @property
    def mark(self) -> str:
        """The value of ORCHESTRATOR_ATTEMPT in every process of this attempt."""
        return attempt_mark(f"{self.uid}.{self.attempt}", self.root_tag)


def attempt_mark(name: str, root_tag: str) -> str:
    """Return the mark of the attempt *name* (uid and number) in a root of this tag."""
    return f"{name}.{root_tag}" if root_tag else name


def not_begun(order: WorkOrder) -> AgentReport:
    """Return the report of an attempt that ended before its program was started: it has cost nothing."""
    return AgentReport(session_id=order.session_id, usage=Usage(cost_usd=0.0, session_cost_usd=order.session_cost_usd))


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """What the store remembers of one attempt. *verdict* is the data of its `validated` event, whole, or
    of `task_accepted`; {} before.

    *cap_usd* is what it was allowed to cost; 0: no limit of ours.
    """

    uid: TaskUid
    number: int
    epoch: int
    agent: str
    session_id: str
    started_ts: float
    ended_ts: float = 0.0
    outcome: Mapping[str, Json] = field(default_factory=dict)
    verdict: Mapping[str, Json] = field(default_factory=dict)
    cap_usd: float = 0.0
