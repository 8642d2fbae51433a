"""Where a task stands that is split: read from the verdicts on its attempts, which are all that is remembered of it.

A verdict tells of a split under `plan`: its *stage*, why, the plan, the ids of the sub-tasks. An attempt that was cut
off says nothing, and the one after it has the same part to play.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.events import Json
from orchestrator.core.plan_words import APPROVE, REJECT
from orchestrator.core.question import exchange_in
from orchestrator.core.task import TaskType

PLAN = "plan"  # the key in a verdict


class Stage(StrEnum):
    """How far the split of a task has come."""

    ASKED = "asked"  # a person is asked whether the plan may run
    SPLIT = "split"  # its sub-tasks are stored
    ONE = "one"  # it is done as one task after all


class Role(StrEnum):
    """What an attempt is for."""

    WORK = "work"  # it does the task
    PLAN = "plan"  # it makes a plan of it
    RUN_PLAN = "run_plan"  # nothing is left to do but to split: a person has approved the plan
    REJECTED = "rejected"  # a person has rejected the plan
    JOIN = "join"  # the sub-tasks have ended


def plan_in(record: AttemptRecord) -> Mapping[str, Json]:
    """Return what the verdict on an attempt tells of a split, {} where there was none."""
    told = record.verdict.get(PLAN)
    return told if isinstance(told, Mapping) else {}


def last_stage(attempts: Sequence[AttemptRecord]) -> AttemptRecord | None:
    """Return the last attempt whose verdict tells of a split."""
    return next((record for record in reversed(attempts) if plan_in(record)), None)


def role_of(kind: TaskType, before: Sequence[AttemptRecord]) -> Role:
    """Return what an attempt at a task of *kind* is for after those *before*."""
    last = last_stage(before)
    stage = str(plan_in(last).get("stage")) if last else ""
    if stage == Stage.SPLIT:
        return Role.JOIN
    otherwise = Role.PLAN if kind.plans and stage != Stage.ONE else Role.WORK
    exchange = exchange_in(last.verdict) if last and stage == Stage.ASKED else None
    said = exchange.answer.strip().lower().rstrip(".!") if exchange else ""
    if said == APPROVE:
        return Role.RUN_PLAN
    return Role.REJECTED if said == REJECT and kind.plans else otherwise


def why_one(attempts: Sequence[AttemptRecord]) -> str:
    """Return as what a task that was to be split is done as one, and why; "" where that was never decided."""
    last = last_stage(attempts)
    told = plan_in(last) if last else {}
    if told.get("stage") != Stage.ONE:
        return ""
    kind = f" of the type {told['type']}" if told.get("type") else ""
    return f"done as one task{kind}: {told.get('why', '')}"


def children_in(attempts: Sequence[AttemptRecord]) -> tuple[str, ...]:
    """Return the ids of the sub-tasks of the last split, in the order of its plan."""
    last = last_stage(attempts)
    told = plan_in(last).get("children") if last else ()
    if not isinstance(told, Sequence) or isinstance(told, str):
        return ()
    return tuple(str(one.get("id", "")) for one in told if isinstance(one, Mapping))
