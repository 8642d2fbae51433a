"""What follows on a plan, or on a worker's wish to split its task.

What an agent proposes is never more than a wish. Here it is checked, bounded by depth, number, size of the tree and
budget, shown to a person where that is asked for, and stored: the parent and its sub-tasks in one transaction, so that
a crash leaves all of them or none. A plan that cannot be used costs nobody the request: the task is done as one, and
the verdict says why.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.core.attempt import AttemptRecord, Failed, FailureKind, Finished, WorkOrder
from orchestrator.core.decompose import Checked, check_plan, checked
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.failpoint import hit
from orchestrator.core.offspring import Offspring, offspring, summed_up
from orchestrator.core.plan_words import APPROVE, REJECT, approval_question
from orchestrator.core.planning import PLAN, Role, Stage
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, NewTask, Store
from orchestrator.core.question import BY_DEFAULT, Source
from orchestrator.core.retry import hint_for
from orchestrator.core.rights import Rights, why_not_at_all
from orchestrator.core.split import wants_approval
from orchestrator.core.subtask import Plan, PlanFinding, plan_facts
from orchestrator.core.task import Task
from orchestrator.core.work import Area
from orchestrator.engine.asking import rules_for
from orchestrator.engine.children import Nursery, born
from orchestrator.engine.labour import Facts
from orchestrator.engine.patience import patiently
from orchestrator.engine.splitting import Part, Splitting, ordinary_of
from orchestrator.validation.checks import Verdict, verdict_facts

Clean = Callable[[Mapping[str, Json]], Mapping[str, Json]]
GivesUp = Callable[[Failed], bool]
_AT_ONCE = frozenset({FailureKind.BAD_OUTPUT, FailureKind.PLAN_FAILED})  # trying again would bring the same
_NOT_FOR_A_PLAN = frozenset({FailureKind.BUDGET, FailureKind.DAY_BUDGET, FailureKind.INTERRUPTED_TOO_OFTEN})
_NO_PLAN = "its agent gave no plan"


class Splits(Splitting):
    """The same, and what follows on a verdict."""

    def __init__(self, *, store: Store, clock: Clock, policy: Callable[[], RunPolicy], clean: Clean) -> None:
        super().__init__(store=store, clock=clock, policy=policy)
        self._clean = clean

    async def follow(
        self,
        task: Task,
        order: WorkOrder,
        part: Part,
        outcome: Finished | Failed,
        verdict: Verdict,
        *,
        attempts: Sequence[AttemptRecord],
        work: Facts,
        area: Area,
        gives_up: GivesUp,
    ) -> bool:
        """Commit what follows on this attempt if that is about a split; returns whether it was.

        *gives_up* tells of a failure whether there would be no further try. Raises IllegalEventError if somebody was
        first.
        """
        case = _Case(self, task, order, part, verdict, attempts, work)
        if part.role is Role.REJECTED:
            await case.rejected()
            return True
        if part.role in (Role.PLAN, Role.RUN_PLAN):
            return await self._on_a_plan(case, outcome, area, gives_up)
        if part.wish is None or (isinstance(outcome, Failed) and not _stands(outcome, gives_up)):
            return False
        rights = await self._bounds.rights(task)
        await self._on(case, checked(part.wish, self._bounds.of_plan(rights)), rights)
        return True

    async def _on_a_plan(self, case: "_Case", outcome: Finished | Failed, area: Area, gives_up: GivesUp) -> bool:
        if (failure := case.verdict.failure) is not None:
            if case.verdict.question is not None or not (failure.kind in _AT_ONCE or _stands(failure, gives_up)):
                return False
            await case.one(failure.detail)
            return True
        value, rights = structured_in(outcome, area), await self._bounds.rights(case.task)
        found = check_plan(value, self._bounds.of_plan(rights)) if value else Checked(None, (), _NO_PLAN)
        await self._on(case, found, rights)
        return True

    async def _on(self, case: "_Case", found: Checked, rights: Rights) -> None:
        """Go on with a plan that was checked: it is refused, shown, or run."""
        task = case.task
        refused = found.why or why_not_at_all(rights)
        if found.plan is None or refused:
            await case.one(refused, found.findings)
            return
        if case.part.role is not Role.RUN_PLAN and wants_approval(task.spec.approve, self._policy().splits):
            await case.ask(found.plan, found.findings)
            return
        kind, planned = case.part.kind, case.part.planned
        given = await self._bounds.of_children(task, kind, rights, case.attempts, planned=planned)
        await case.split(found.plan, offspring(found.plan, task.spec, given), found.findings)

    # What cases need

    def event(self, kind: EventKind, order: WorkOrder, data: Mapping[str, Json]) -> Event:
        return Event(kind, self._clock.now(), order.uid, order.attempt, order.epoch, self._clean(data))

    async def commit(self, *events: Event) -> None:
        await patiently(self._clock, lambda: self._store.commit(events))
        hit("finish.judged")

    def born(self, parent: Task, made: Sequence[Offspring]) -> tuple[NewTask, ...]:
        """Return the tasks that *made* become below *parent*."""
        nursery, policy = Nursery(self._clock, self._clean), self._policy().on_dependency.value
        return born(nursery, parent, made, on_dependency=policy)

    async def store(self, events: Sequence[Event], children: Sequence[NewTask]) -> None:
        """Store the events of a parent and its sub-tasks at once."""
        await patiently(self._clock, lambda: self._store.split(events, children))
        hit("finish.judged")

    def now(self) -> float:
        return self._clock.now()

    def ordinary(self, task: Task) -> str:
        """Return the type that *task* is done as when it is not split after all."""
        return ordinary_of(task.spec, self._policy())

    def question_rules(self, task: Task, attempts: Sequence[AttemptRecord]) -> tuple[str, float]:
        """Return what follows when nobody answers whether a plan may run, and the deadline; 0.0: none.

        A default counts only where it is one of the two answers. Without a time, one who is to be asked is waited for.
        """
        rules = rules_for(task.spec, self._policy().questions, attempts)
        default = rules.default.strip().lower()
        if rules.default and default not in (APPROVE, REJECT):
            rules = replace(rules, if_unanswered="wait")
        return rules.if_unanswered, rules.deadline(self._clock.now()) if rules.waits else 0.0


class _Case:
    """One attempt whose verdict is about a split, and the ways it may go on."""

    def __init__(
        self,
        splits: Splits,
        task: Task,
        order: WorkOrder,
        part: Part,
        verdict: Verdict,
        attempts: Sequence[AttemptRecord],
        work: Facts,
    ) -> None:
        self._splits = splits
        self.task, self.order, self.part = task, order, part
        self.verdict, self.attempts, self._work = verdict, attempts, work

    async def one(self, why: str, findings: Sequence[PlanFinding] = ()) -> None:
        """Queue the task again: it is done as one, of the type that its words say where its own only plans."""
        kind = self._splits.ordinary(self.task) if self.part.planned or self.part.kind.plans else ""
        told = self._validated({"stage": Stage.ONE.value, "why": why, "findings": _told(findings), "type": kind})
        data: dict[str, Json] = {
            "reason": FailureKind.PLAN_FAILED.value,
            "detail": f"it is done as one task: {why}",
            "not_before": self._splits.now(),
            "hint": hint_for(FailureKind.PLAN_FAILED.value),
        }
        await self._splits.commit(told, self._splits.event(EventKind.RETRY, self.order, data))

    async def rejected(self) -> None:
        data: dict[str, Json] = {
            "reason": FailureKind.PLAN_FAILED.value,
            "detail": "a person has rejected the plan",
            "hint": hint_for(FailureKind.PLAN_FAILED.value),
        }
        await self._splits.commit(self._validated(None), self._splits.event(EventKind.FAILED, self.order, data))

    async def ask(self, plan: Plan, findings: Sequence[PlanFinding]) -> None:
        """Wait for a person to say whether *plan* may run."""
        rule, deadline = self._splits.question_rules(self.task, self.attempts)
        told = self._validated(
            {"stage": Stage.ASKED.value, "why": plan.summary, PLAN: plan_facts(plan), "findings": _told(findings)}
        )
        asked: dict[str, Json] = {
            "question": approval_question(plan, [one.message for one in findings]),
            "options": [APPROVE, REJECT],
            "source": Source.PLAN.value,
            "deadline": deadline,
            "if_unanswered": rule,
            "reason": FailureKind.ASKED_A_QUESTION.value,
            "detail": f"may its plan of {len(plan.tasks)} sub-tasks run?",
        }
        events = [told, self._splits.event(EventKind.QUESTION_ASKED, self.order, asked)]
        if not deadline and rule.lower().startswith("default:"):
            answered: dict[str, Json] = {"answer": rule.partition(":")[2].strip(), "by": BY_DEFAULT, "door": ""}
            events.append(self._splits.event(EventKind.ANSWERED, self.order, answered))
        await self._splits.commit(*events)

    async def split(self, plan: Plan, made: Sequence[Offspring], findings: Sequence[PlanFinding]) -> None:
        """Store the sub-tasks, for which the task waits from now on."""
        new = self._splits.born(self.task, made)
        said = [*_told(findings), *(notice.message for notice in summed_up(made))]
        children: list[Json] = [
            {"uid": one.task.uid, "id": one.task.spec.id, "title": one.task.spec.title} for one in new
        ]
        split: dict[str, Json] = {"why": plan.summary, "children": children, "findings": said}
        told = self._validated({"stage": Stage.SPLIT.value, PLAN: plan_facts(plan), **split})
        detail = f"it was split into {len(new)} sub-tasks"
        happened = self._splits.event(EventKind.SPLIT, self.order, {**split, "detail": detail})
        await self._splits.store([told, happened], new)

    def _validated(self, plan: Mapping[str, Json] | None) -> Event:
        facts = verdict_facts(self.verdict, passed=self.verdict.failure is None) | {"work": self._work}
        return self._splits.event(EventKind.VALIDATED, self.order, facts | ({PLAN: plan} if plan else {}))


def _stands(failure: Failed, gives_up: GivesUp) -> bool:
    """Return whether a failed attempt is the last word: only then is something else done instead."""
    return failure.kind not in _NOT_FOR_A_PLAN and gives_up(failure)


def structured_in(outcome: Finished | Failed, area: Area) -> Json:
    """Return the plan of a planner, in which its own copy of the folder is called by the name of the original."""
    text = outcome.report.structured
    if area.root not in ("", "/", area.source):
        text = text.replace(area.root, area.source)
    try:
        value: Json = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return value


def _told(findings: Sequence[PlanFinding]) -> list[Json]:
    return [one.message for one in findings]
