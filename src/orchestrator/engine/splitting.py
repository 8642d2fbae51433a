"""One task becomes many, and one again: what each attempt at such a task is for, and what its agent is told.

What part an attempt plays follows from the verdicts on those before it; nothing is remembered here. Where no agent is
needed, because a plan was approved or all that was to be done was done by sub-tasks, the attempt ends without one.
What follows on a plan or a wish to split is `engine/splits.py`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.attempt import (
    AgentReport,
    AttemptRecord,
    Failed,
    FailureKind,
    Finished,
    Usage,
    WorkOrder,
    not_begun,
)
from orchestrator.core.events import Json
from orchestrator.core.offspring import ordinary_type
from orchestrator.core.plan_words import (
    Ended,
    PlanningLimits,
    join_words,
    joined_summary,
    missing,
    planned_again,
    planning_prompt,
    refused_words,
    types_for,
)
from orchestrator.core.planning import PLAN, Role, Stage, children_in, last_stage, plan_in, role_of
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Store
from orchestrator.core.prompt import sent_back_prompt_of
from orchestrator.core.question import exchange_in
from orchestrator.core.rights import why_not_at_all
from orchestrator.core.subtask import Plan, plan_schema
from orchestrator.core.task import JOINED, Task, TaskSpec, TaskType
from orchestrator.core.work import Area
from orchestrator.engine.bounds import Bounds
from orchestrator.engine.children import ended_children, inherited
from orchestrator.engine.patience import patiently
from orchestrator.engine.wishes import wished
from orchestrator.validation.checks import Verdict

_NO_WORK = frozenset({Role.PLAN, Role.RUN_PLAN, Role.REJECTED})


@dataclass(frozen=True, slots=True)
class Part:
    """What an attempt is for. *kind* is the type that its result is judged by, *wish* the sub-tasks that its agent has
    asked for by its tool, None where it did not. *planned*: its task is of a type that is planned."""

    role: Role
    kind: TaskType
    planned: bool = False
    wish: Plan | None = None

    def judged(self, spec: TaskSpec) -> TaskSpec:
        """Return *spec* with the criteria that this attempt is to be judged by: a plan does nothing yet."""
        return replace(spec, criteria=()) if self.role in _NO_WORK or self.wish else spec


class Splitting:
    """What the executor asks before an agent is started, and on its verdict."""

    def __init__(self, *, store: Store, clock: Clock, policy: Callable[[], RunPolicy]) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._bounds = Bounds(store, clock, policy)

    async def part(self, task: Task, kind: TaskType, attempts: Sequence[AttemptRecord]) -> Part:
        """Return what the last of *attempts* at *task*, which is of the configured type *kind*, is for."""
        role = role_of(kind, attempts[:-1])
        if role is not Role.JOIN and last_stage(attempts[:-1]) is None and await self._inherits(task):
            role = Role.JOIN
        if role in _NO_WORK:
            return Part(role, kind, kind.plans)
        if kind.plans:
            ordinary = self._ordinary(task, kind)
            return Part(role, ordinary if role is Role.WORK else replace(kind, tools=ordinary.tools), planned=True)
        wish = None
        if self._policy().splits.tool:
            wish = await patiently(self._clock, lambda: wished(self._store, task, attempts))
        return Part(role, kind if wish is None else replace(kind, expects_changes=False), wish=wish)

    async def _inherits(self, task: Task) -> bool:
        """Whether *task* is a new run for the sake of sub-tasks that had failed: it joins what is there."""

        async def look() -> bool:
            return bool(await inherited(self._store, task))

        return await patiently(self._clock, look)

    def reason_again(self, kind: TaskType, attempts: Sequence[AttemptRecord]) -> str:
        """Return why the last of *attempts*, which was cut off, is to be done again; "" for no reason of its own.

        What sub-tasks did may be put together however often that was cut off, and whatever the account says.
        """
        return JOINED if role_of(kind, attempts[:-1]) is Role.JOIN else ""

    def _ordinary(self, task: Task, kind: TaskType) -> TaskType:
        """Return the type of a task that was to be planned and is done as one."""
        policy = self._policy()
        return policy.types.get(ordinary_of(task.spec, policy), kind)

    async def begin(
        self, task: Task, order: WorkOrder, kind: TaskType, attempts: Sequence[AttemptRecord], area: Area
    ) -> WorkOrder | Finished | Failed:
        """Return what the agent gets in the last of *attempts*, or how that ends where no agent is needed."""
        part = await self.part(task, kind, attempts)
        match part.role:
            case Role.PLAN:
                return await self._planning(task, order, attempts)
            case Role.RUN_PLAN:
                last = last_stage(attempts[:-1])
                return _by_us(order, "The plan is approved.", plan_in(last).get(PLAN) if last else None)
            case Role.REJECTED:
                return Failed(FailureKind.PLAN_FAILED, "a person has rejected the plan", not_begun(order))
            case Role.JOIN:
                return await self._joining(task, order, part, attempts, area)
            case _:
                return _alone(order, part, attempts)

    async def _planning(self, task: Task, order: WorkOrder, attempts: Sequence[AttemptRecord]) -> WorkOrder | Failed:
        rights = await self._bounds.rights(task)
        if why := why_not_at_all(rights):
            return Failed(FailureKind.PLAN_FAILED, why, not_begun(order))
        limits = PlanningLimits(
            levels=rights.levels,
            max_children=min(rights.most, rights.room),
            types=self._policy().types,
            commands=bool(self._policy().splits.commands_from),
        )
        again = planning_prompt(order.continue_prompt, limits)
        if (answer := _answer(attempts)) is not None:
            again = planned_again(answer) if plan_in(attempts[-2]) else answer
        schema = json.dumps(plan_schema(types_for(limits), max_children=limits.max_children))
        return replace(order, prompt=planning_prompt(order.prompt, limits), continue_prompt=again, schema=schema)

    async def _joining(
        self, task: Task, order: WorkOrder, part: Part, attempts: Sequence[AttemptRecord], area: Area
    ) -> WorkOrder | Finished:
        """A task that was planned is done by its sub-tasks: an agent is needed only where their results do not fit
        together, or a check on all of them fails."""
        ended = await self._ended(task, attempts, area)
        failed_checks = sent_back_prompt_of(attempts[-2].verdict) if len(attempts) > 1 else ""
        if part.planned and not area.conflicts and not failed_checks:
            return _by_us(order, joined_summary(task.spec.title, ended))
        words = join_words(task.spec.title, ended, area.conflicts, planned=part.planned)
        words = f"{words}\n\n{failed_checks}" if failed_checks else words
        again = words if _answer(attempts) is None else order.continue_prompt
        return replace(order, prompt=f"{order.prompt}\n\n{words}", continue_prompt=again, tools=part.kind.tools)

    async def verdict(self, task: Task, part: Part, verdict: Verdict, attempts: Sequence[AttemptRecord]) -> Verdict:
        """Return *verdict* with what the sub-tasks say to it: a task that was done by them is what they are."""
        if part.role is not Role.JOIN or not part.planned or verdict.question is not None:
            return verdict
        if not (lacks := missing(await self._ended(task, attempts))):
            return verdict
        report = verdict.failure.report if verdict.failure else AgentReport()
        return replace(verdict, failure=Failed(FailureKind.CHILDREN_FAILED, lacks, report))

    async def _ended(self, task: Task, attempts: Sequence[AttemptRecord], area: Area | None = None) -> Sequence[Ended]:
        ids = children_in(attempts[:-1])
        return await patiently(self._clock, lambda: ended_children(self._store, task, ids, area))


def ordinary_of(spec: TaskSpec, policy: RunPolicy) -> str:
    """Return the type that the words of *spec* say, where it is done as one task."""
    return ordinary_type(f"{spec.title}\n{spec.prompt}", policy.types, policy.splits.default_type).value


def _answer(attempts: Sequence[AttemptRecord]) -> str | None:
    """Return what a person answered to the attempt before the last, None where nothing was asked."""
    exchange = exchange_in(attempts[-2].verdict) if len(attempts) > 1 else None
    return exchange.answer if exchange else None


def _by_us(order: WorkOrder, answer: str, plan: Json = None) -> Finished:
    """Return the end of an attempt that needed no agent and cost nothing."""
    report = AgentReport(
        answer=answer,
        exit_code=0,
        usage=Usage(turns=0, input_tokens=0, output_tokens=0, cost_usd=0.0, session_cost_usd=order.session_cost_usd),
        session_id=order.session_id,
        duration_s=0.0,
        structured=json.dumps(plan) if isinstance(plan, Mapping) else "",
        no_agent=True,
    )
    return Finished(report)


def _alone(order: WorkOrder, part: Part, attempts: Sequence[AttemptRecord]) -> WorkOrder:
    """Return *order* for an agent that does the whole task, and knows it where it had wished for sub-tasks."""
    if part.planned:
        return replace(order, tools=part.kind.tools)
    before = plan_in(attempts[-2]) if len(attempts) > 1 else {}
    if not before:
        return order
    asked = before.get("stage") == Stage.ASKED
    words = refused_words(f"a person said: {_answer(attempts)}" if asked else str(before.get("why", "")))
    return replace(order, prompt=f"{order.prompt}\n\n{words}", continue_prompt=f"{words}\n\n{order.continue_prompt}")
