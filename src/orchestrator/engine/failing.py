"""What follows an attempt that is no success: carried out from the decision of core/retry.py."""

from collections.abc import Callable
from dataclasses import replace

from orchestrator.core.attempt import Failed, FailureKind, WorkOrder
from orchestrator.core.events import EventKind, Json
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock
from orchestrator.core.retry import Remedy, RetryDecision, decide_retry
from orchestrator.core.task import Task
from orchestrator.engine.budget import Budget
from orchestrator.engine.holds import Holds
from orchestrator.engine.remedies import Followed, Remedies

AFTER_YOU_S = 1.0
MAX_REFUSALS = 3
_FOLLOWS = {
    Remedy.TRY_AGAIN: EventKind.RETRY,
    Remedy.HOLD_AGENT: EventKind.LIMITED,
    Remedy.GIVE_UP: EventKind.FAILED,
}


class Failing:
    """Holds nothing: each answer comes from the store and the policy in force."""

    def __init__(
        self, *, holds: Holds, budget: Budget, clock: Clock, policy: Callable[[], RunPolicy], remedies: Remedies
    ) -> None:
        self._remedies = remedies
        self._holds = holds
        self._budget = budget
        self._clock = clock
        self._policy = policy

    async def follows(
        self, task: Task, order: WorkOrder, failure: Failed, rounds: int
    ) -> tuple[EventKind, dict[str, Json]]:
        """Return the event that ends the attempt of *order*, and its data; the agent is held where that is decided.

        *rounds*: how often a failed check was sent back to the session before.
        """
        failure = await self._budget.whose(task, failure)
        decision = self._decision(task, failure, rounds)
        if decision.remedy is not Remedy.GIVE_UP and (spent := await self._budget.used_up(task)):
            failure = replace(failure, kind=FailureKind.BUDGET, detail=f"{spent}; the last one: {failure.detail}")
            decision = self._decision(task, failure, rounds)
        kind, not_before = _FOLLOWS[decision.remedy], decision.not_before
        if failure.kind is FailureKind.START_REFUSED and not await self._holds.held(order.agent):
            # The agent was working until now: the fault may be this task's own, so it is charged, and not for ever.
            kind = EventKind.FAILED if task.tries >= MAX_REFUSALS else EventKind.RETRY
        if failure.kind in (FailureKind.DAY_BUDGET, FailureKind.TREE_BUDGET):
            not_before = self._clock.now() + AFTER_YOU_S  # it goes on as soon as there is money
        elif decision.remedy is Remedy.HOLD_AGENT and kind is not EventKind.FAILED:
            held_until = await self._holds.after(order.agent, failure, decision)
            not_before = held_until + AFTER_YOU_S  # let another one probe: it may be this task's fault
        default: Followed = (
            kind,
            {
                "reason": failure.kind.value,
                "detail": failure.detail,
                "not_before": not_before,
                "hint": decision.hint,
            },
        )
        if await self._budget.used_up(task):
            return default
        return await self._remedies.instead(task, order, failure, default, budget_usd=self._budget.limit(task))

    def is_last_word(self, task: Task, failure: Failed) -> bool:
        """Return whether there would be no further try after *failure*, as far as it alone decides that."""
        return self._decision(task, failure, 0).remedy is Remedy.GIVE_UP

    def _decision(self, task: Task, failure: Failed, rounds: int) -> RetryDecision:
        return decide_retry(
            failure,
            tries=task.tries,
            uncharged=task.attempt - task.tries,
            retries=task.spec.retries,
            now=self._clock.now(),
            chance=self._clock.chance(),
            policies=self._policy().retries,
            sent_back=rounds,
        )
