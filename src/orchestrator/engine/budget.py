"""Keeping to what may be spent: of a task over all its attempts, of a day over all tasks. All of it is in the store."""

from collections.abc import Callable
from dataclasses import replace
from datetime import tzinfo
from math import inf

from orchestrator.core.attempt import Failed, FailureKind, Outcome
from orchestrator.core.budget import BUDGET_SCOPE, DAY_BUDGET, cap, day_of, dollars, smaller, spent_by
from orchestrator.core.codec import to_json
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.policy import RunPolicy, budget_of
from orchestrator.core.ports import Clock, Pause, Store
from orchestrator.core.retry import hint_for
from orchestrator.core.task import Task
from orchestrator.engine.accounts import Accounts
from orchestrator.engine.patience import patiently


class Budget:
    """Remembers nothing: each question is answered from the store. *zone* None: the days of this machine."""

    def __init__(
        self, *, store: Store, clock: Clock, policy: Callable[[], RunPolicy], zone: tzinfo | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._zone = zone
        self.accounts = Accounts(store=store, clock=clock, policy=policy)

    async def cap(self, task: Task, *, free_slots: int) -> float | None:
        """Return what the next attempt of *task* may cost, 0.0 for no limit of ours; None: not to be started now.

        What runs is counted with its cap until its cost is known.
        """
        left, day_usd = await self._left(task), self._policy().day_budget_usd
        spending = await self._store.spending(day_of(self._clock.now(), self._zone).begins)
        share = await self.accounts.share(task, free_slots=free_slots)
        if share is None:
            return None
        usd = cap(left_usd=max(0.0, min(left, share)), day_usd=day_usd, spending=spending, free_slots=free_slots)
        return smaller(usd, await self.accounts.of_night(free_slots=free_slots))

    async def settle(self) -> None:
        """Close the day when its budget is used up, and open it on the next one, or when the setting was raised.

        The same for the night, and for the breaker.
        """
        await self.accounts.settle()
        limit, now = self._policy().day_budget_usd, self._clock.now()
        closed = next((pause for pause in await self._store.pauses() if pause.scope == BUDGET_SCOPE), None)
        if not limit and closed is None:
            return
        day = day_of(now, self._zone)
        spent = (await self._store.spending(day.begins)).spent_usd
        if closed is not None and (spent < limit or not limit or closed.until <= now):
            why = "a new day" if closed.until <= now else "the setting"
            data: dict[str, Json] = {"agent": BUDGET_SCOPE, "reason": DAY_BUDGET, "by": why}
            await self._store.release(BUDGET_SCOPE, Event(EventKind.AGENT_RELEASED, now, data=data))
            closed = None
        if closed is None and limit and spent >= limit:
            used = (
                f"{dollars(spent)} is spent" if spent < inf else "nobody knows what one attempt without a cap has cost"
            )
            detail = f"{used}, and the budget of this day, which ends at 00:00 {day.zone}, is {dollars(limit)}"
            await self._close(Pause(BUDGET_SCOPE, day.ends, DAY_BUDGET, detail))
        elif closed is not None and closed.until > day.ends:  # the clock was set back
            await self._store.replan([replace(closed, until=day.ends)], [])

    async def _close(self, pause: Pause) -> None:
        data: dict[str, Json] = {"agent": pause.scope, "until": pause.until, "reason": pause.reason}
        data |= {"detail": pause.detail, "hint": hint_for(DAY_BUDGET)}
        await self._store.pause(pause, Event(EventKind.AGENT_HELD, self._clock.now(), data=data))

    async def whose(self, task: Task, failure: Failed) -> Failed:
        """Tell a task that has used up its own budget from one whose share of another ended it: that one goes on."""
        if failure.kind is not FailureKind.BUDGET or await self._left(task) <= 0:
            return failure
        if await self.accounts.bounds(task):
            return replace(failure, kind=FailureKind.TREE_BUDGET, detail=f"its share of its lineage: {failure.detail}")
        if self._policy().day_budget_usd or self._policy().night_budget_usd:
            return replace(failure, kind=FailureKind.DAY_BUDGET, detail=f"its share of the day: {failure.detail}")
        return failure

    async def used_up(self, task: Task, ending: Outcome | None = None) -> str:
        """Return in words that nothing is left for another attempt of *task*, "" when something is.

        *ending* is how the current attempt ends, where the store has not been told yet.
        """
        left, limit = await self._left(task, ending), self.limit(task)
        return f"the budget of the task, ${limit:g} for all its attempts, is used up" if left <= 0 else ""

    async def _left(self, task: Task, ending: Outcome | None = None) -> float:
        limit = self.limit(task)
        if not limit:
            return inf
        attempts = list(await patiently(self._clock, lambda: self._store.attempts(task.uid)))
        if ending is not None and attempts:
            told = to_json(ending)
            assert isinstance(told, dict)
            attempts[-1] = replace(attempts[-1], outcome=told)
        return limit - spent_by(attempts)

    def limit(self, task: Task) -> float:
        """Return what all attempts of *task* may cost, 0.0 for no limit."""
        return budget_of(task, self._policy())
