"""What was measured of a task: its attempts as bare figures, small enough that those of 10,000 tasks fit in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import cost_of
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.lifecycle import TERMINAL, State
from orchestrator.core.proof import CheckKind, Proof
from orchestrator.core.task import Task

NOT_BELIEVED = "not_believed"  # the agent ended well, and what it left was not taken for a success
ASKED = "asked_a_question"


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt. Times in seconds since the epoch; *end_ts* 0.0: it runs. None is unknown, never 0.

    *outcome* is finished, failed, interrupted or "" (not told); *failure* why it was no success, "" where it was one
    or nobody knows.
    """

    number: int
    agent: str
    model: str
    start_ts: float
    end_ts: float
    outcome: str = ""
    failure: str = ""
    turns: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None

    def seconds(self, until: float) -> float:
        """Return how long it has worked, at *until* the latest."""
        return max(0.0, (self.end_ts or until) - self.start_ts)


@dataclass(frozen=True, slots=True)
class Measured:
    """A task. *runnable* counts its criteria that name a check, *proven*, *held* and *broken* those of them that are
    proven, that held before and after, that fail. *believed*: it succeeded and every mandatory criterion is proven or
    holds, one at least proven. *needs* are the tasks it waited for, *parent* the one that split into it, "" for none.
    """

    uid: TaskUid
    id: str
    name: str
    title: str
    type: str
    model: str
    state: State
    reason: str
    created_ts: float
    ended_ts: float
    runs: tuple[Run, ...] = ()
    runnable: int = 0
    proven: int = 0
    held: int = 0
    broken: int = 0
    believed: bool = False
    needs: tuple[TaskUid, ...] = ()
    parent: str = ""
    depth: int = 0

    @property
    def ended(self) -> bool:
        """Whether it has come to an end; a file that was refused never was at work."""
        return self.state in TERMINAL and self.state is not State.REJECTED

    def seconds(self, until: float) -> float:
        """Return how long agents have worked on it, over all attempts."""
        return sum(run.seconds(until) for run in self.runs)


def measured(
    task: Task,
    attempts: Sequence[AttemptRecord],
    *,
    believed: bool = False,
    needs: Collection[TaskUid] = (),
    parent: str = "",
    depth: int = 0,
) -> Measured:
    """Return what is known of *task* in figures. *attempts* are all of it, oldest first."""
    runs = tuple(_run(task, record, last=record is attempts[-1]) for record in attempts)
    counts = _criteria(task, attempts[-1].verdict if attempts else {})
    models = [run.model for run in runs if run.model]
    return Measured(
        uid=task.uid,
        id=task.spec.id,
        name=task.name or task.spec.id,
        title=task.spec.title[:200],
        type=task.spec.type,
        model=models[-1] if models else task.spec.model,
        state=task.state,
        reason=task.reason,
        created_ts=task.created_ts,
        ended_ts=task.ended_ts if task.state in TERMINAL else 0.0,
        runs=runs,
        believed=believed,
        needs=tuple(needs),
        parent=parent,
        depth=depth,
        **counts,
    )


def as_one(tasks: Sequence[Measured]) -> Measured:
    """Return a task and its runs anew, in their order, as the one task they are for a person: it stands as the last
    of them does, was accepted with the first, and everything that was spent on it counts."""
    last = tasks[-1]
    runs = tuple(run for task in tasks for run in task.runs)
    needs = tuple(dict.fromkeys(need for task in tasks for need in task.needs))
    return replace(last, created_ts=tasks[0].created_ts, runs=runs, needs=needs)


def _run(task: Task, record: AttemptRecord, *, last: bool) -> Run:
    report = _mapping(record.outcome.get("report"))
    usage = _mapping(report.get("usage"))
    return Run(
        number=record.number,
        agent=record.agent,
        model=_text(report.get("model")),
        start_ts=record.started_ts,
        end_ts=record.ended_ts,
        outcome=_text(record.outcome.get("kind")),
        failure=_failure(task, record, last=last),
        turns=_count(usage.get("turns")),
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        cost_usd=cost_of(record.outcome),
    )


def _failure(task: Task, record: AttemptRecord, *, last: bool) -> str:
    """An attempt that ended well and was not believed has its reason with the task, if it was the last one."""
    if failure := _text(record.outcome.get("failure")):
        return failure
    if record.verdict.get("question"):
        return ASKED
    if record.verdict.get("passed") is not False:
        return ""
    return task.reason if last and task.state is State.FAILED and task.reason else NOT_BELIEVED


def _criteria(task: Task, verdict: Mapping[str, Json]) -> dict[str, int]:
    """Of a task that was never judged all runnable criteria count, and none of them is proven."""
    rows = verdict.get("criteria")
    judged = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, (list, tuple)) else []
    if not judged:
        return {"runnable": sum(criterion.runs for criterion in task.spec.criteria)}
    verdicts = [row.get("verdict") for row in judged if _runs(row.get("check"))]
    return {
        "runnable": len(verdicts),
        "proven": verdicts.count(Proof.PROVEN.value),
        "held": verdicts.count(Proof.HOLDS.value),
        "broken": verdicts.count(Proof.FAILED.value),
    }


def _runs(check: Json) -> bool:
    return isinstance(check, Mapping) and check.get("kind") != CheckKind.HUMAN.value


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
