"""The account of each lineage, and the breaker: asked before every start, closed with one message.

Closed means held (scope `tree:…`, or everything): what runs goes on, nothing is lost, and a person who resumes it gives
the same amount once more.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf

from orchestrator.core.account import (
    TREE_BUDGET,
    UNPROVEN_SPEND,
    Account,
    limit_of,
    spending_of,
    tree_scope,
    trips,
    unproven_usd,
)
from orchestrator.core.budget import NIGHT_BUDGET, NIGHT_SCOPE, cap, dollars
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.hours import since, until
from orchestrator.core.lifecycle import WAITING
from orchestrator.core.plan import EVERYTHING
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Pause, Store
from orchestrator.core.task import JOINED, Task

LOOKED_BACK = 500  # attempts without a step, after which the breaker of the queue looks no further
LEAST_USD = 1e-6
_GRANT = "grant:"


class Accounts:
    """Remembers nothing of money: each question is answered from the store."""

    def __init__(self, *, store: Store, clock: Clock, policy: Callable[[], RunPolicy]) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._seen: object = None  # the last attempt that had ended when the queue's breaker was looked at

    async def share(self, task: Task, *, free_slots: int) -> float | None:
        """Return what the next attempt of *task* may cost its lineage, infinite for no limit; None: nothing now.

        A parent that only joins what its sub-tasks did may always start: that costs nothing by itself.
        """
        policy = self._policy()
        lone = await self._is_lone(task)
        if lone and not policy.unproven_usd:
            return inf
        if task.reason != JOINED and (await self._is_held(task) or await self._tripped(task)):
            return None
        if lone:
            return inf
        tree = await self._store.tree(task.lineage)
        account = await self._account(tree[0])
        if account.is_used_up and task.reason != JOINED:
            await self._close(tree[0], account)
            return None
        starters = sum(one.state in WAITING for one in tree)
        share = account.share(min(free_slots, starters))
        if task.reason == JOINED:
            return max(share, LEAST_USD)
        return share or None

    async def _is_held(self, task: Task) -> bool:
        """Return whether its lineage was closed, perhaps a moment ago for another task that was to start with it: what
        had been spent then counts as granted only once a person has let it go."""
        scope = tree_scope(task.lineage)
        return any(pause.scope == scope for pause in await self._store.pauses())

    async def bounds(self, task: Task) -> bool:
        """Return whether *task* belongs to a lineage whose account has a limit beside its own, and not yet reached."""
        if await self._is_lone(task):
            return False
        root = await self._store.task(task.lineage)
        if root is None:
            return False
        return limit_of(root, self._policy().splits) < inf

    async def _is_lone(self, task: Task) -> bool:
        """Return whether *task* is no tree and no account is kept of what may yet become one: its own budget does."""
        policy = self._policy()
        kind = policy.types.get(task.spec.type)
        limited = bool(task.spec.tree_budget_usd or policy.splits.tree_budget_usd)
        if task.root or limited or (kind is not None and kind.plans):
            return False
        return not await self._store.children(task.uid)

    async def of_night(self, *, free_slots: int) -> float | None:
        """Return what one attempt may cost for the budget of the night, 0.0 for no limit; None: nothing now."""
        limit, begins = self._policy().night_budget_usd, self._night_begins()
        if not limit or not begins:
            return 0.0
        spending = await self._store.spending(begins)
        spent = max(0.0, spending.spent_usd - await self._granted(NIGHT_SCOPE, NIGHT_BUDGET, begins))
        return cap(left_usd=inf, day_usd=limit, spending=replace(spending, spent_usd=spent), free_slots=free_slots)

    async def settle(self) -> None:
        """Close the night when its budget is used up, and open it when it is over; hold everything when the whole queue
        spends and nothing of it is proven."""
        await self._settle_night()
        await self._settle_breaker()

    def _night_begins(self) -> float:
        hours = self._policy().hours
        return since(self._policy().night, self._clock.now(), hours.zone)

    async def _settle_night(self) -> None:
        policy, now, begins = self._policy(), self._clock.now(), self._night_begins()
        closed = next((pause for pause in await self._store.pauses() if pause.scope == NIGHT_SCOPE), None)
        if closed is None and not (policy.night_budget_usd and begins):
            return
        spent = (await self._store.spending(begins)).spent_usd if begins else 0.0
        if closed is not None and (closed.until <= now or not begins or spent < (policy.night_budget_usd or inf)):
            why = "the end of the night" if closed.until <= now or not begins else "the setting"
            data: dict[str, Json] = {"agent": NIGHT_SCOPE, "reason": NIGHT_BUDGET, "by": why}
            await self._store.release(NIGHT_SCOPE, Event(EventKind.AGENT_RELEASED, now, data=data))
            closed = None
        if not policy.night_budget_usd or not begins or closed is not None:
            return
        used = spent - await self._granted(NIGHT_SCOPE, NIGHT_BUDGET, begins)
        if used >= policy.night_budget_usd:
            known = (
                f"{dollars(used)} is spent" if spent < inf else "nobody knows what one attempt without a cap has cost"
            )
            ends = until(policy.night, now, policy.hours.zone)
            detail = f"{known}, and the budget of this night is {dollars(policy.night_budget_usd)}"
            hint = "It goes on in the morning; raise budget.per_night_usd, or `resume night`, for tonight."
            await self._hold(NIGHT_SCOPE, NIGHT_BUDGET, detail, hint, spent, until_ts=ends)

    async def _settle_breaker(self) -> None:
        limit = self._policy().unproven_total_usd
        if not limit:
            return
        newest = await self._store.recent_attempts(limit=1)
        if newest == self._seen:
            return
        unproven = unproven_usd(await self._store.recent_attempts(limit=LOOKED_BACK))
        if trips(unproven, limit_usd=limit, granted_usd=await self._granted(EVERYTHING, UNPROVEN_SPEND)):
            detail = f"{dollars(unproven)} was spent since anything was proven; the breaker opens at {dollars(limit)}"
            hint = "Look at what fails; `resume` lets as much be spent again (budget.unproven_total_usd)."
            await self._hold(EVERYTHING, UNPROVEN_SPEND, detail, hint, unproven)
        self._seen = newest

    async def _tripped(self, task: Task) -> bool:
        limit = self._policy().unproven_usd
        if not limit:
            return False
        records = sorted(
            await self._store.tree_attempts(task.lineage),
            key=lambda one: (not one.ended_ts, one.ended_ts),
            reverse=True,
        )
        unproven = unproven_usd([record for record in records if record.ended_ts])
        scope = tree_scope(task.lineage)
        if not trips(unproven, limit_usd=limit, granted_usd=await self._granted(scope, UNPROVEN_SPEND)):
            return False
        root = await self._store.task(task.lineage) or task
        cost = f"{root.spec.id} has cost {dollars(unproven)} since anything of it was proven"
        detail = f"{cost}, and the breaker is {dollars(limit)}"
        hint = f"Look at what fails; `resume {scope}` lets as much be spent again (budget.unproven_usd)."
        await self._hold(scope, UNPROVEN_SPEND, detail, hint, unproven)
        return True

    async def _account(self, root: Task) -> Account:
        spending = spending_of(await self._store.tree_attempts(root.uid))
        granted = await self._granted(tree_scope(root.uid), TREE_BUDGET)
        return Account(limit_of(root, self._policy().splits), spending, granted)

    async def _close(self, root: Task, account: Account) -> None:
        scope = tree_scope(root.uid)
        spent = "nobody knows what one attempt without a cap has cost"
        if account.used_usd < inf:
            spent = f"{dollars(account.used_usd)} is spent"
        detail = f"{spent}, and the account of {root.spec.id} with all its sub-tasks is {dollars(account.limit_usd)}"
        hint = f"What it has done is kept. `resume {scope}` gives as much again, `cancel {root.uid[-8:]}` ends it."
        await self._hold(scope, TREE_BUDGET, detail, hint, account.spending.spent_usd)

    async def _hold(
        self, scope: str, reason: str, detail: str, hint: str, spent_usd: float, *, until_ts: float = 0.0
    ) -> None:
        """First the hold: a crash between the two asks a person once more, the other order would not ask at all."""
        if any(pause.scope == scope and pause.until == 0 for pause in await self._store.pauses()):
            return
        now = self._clock.now()
        data: dict[str, Json] = {"agent": scope, "until": until_ts, "reason": reason, "detail": detail, "hint": hint}
        await self._store.pause(Pause(scope, until_ts, reason, detail), Event(EventKind.AGENT_HELD, now, data=data))
        await self._store.memorize({f"{_GRANT}{reason}:{scope}": f"{now!r} {spent_usd!r}"}, ts=now)

    async def _granted(self, scope: str, reason: str, since_ts: float = 0.0) -> float:
        """Return what had been spent when *scope* was closed last, not before *since_ts*: who lets it go on grants as
        much again."""
        key = f"{_GRANT}{reason}:{scope}"
        ts, _, usd = (await self._store.recall(key)).get(key, "").partition(" ")
        return float(usd) if usd and float(ts) >= since_ts else 0.0
