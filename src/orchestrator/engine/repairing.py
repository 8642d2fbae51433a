"""Runs a failed task anew, once, because others wait for it: where the strategy dependency_repair is configured.

A task that fails while others wait for it has had one more try already (remedies.py). This is for those that others
came to wait for afterwards. It goes by the service, as `retry` does: the new run takes the place of the old one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf
from typing import Protocol

from orchestrator.core.attempt import FailureKind
from orchestrator.core.budget import spent_by
from orchestrator.core.errors import ConflictError, StoreError
from orchestrator.core.events import EventKind, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.policy import RunPolicy, budget_of
from orchestrator.core.ports import Store
from orchestrator.core.remedies import NOT_BY_ANOTHER_TRY, Use
from orchestrator.core.task import Task

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
PIECE = 1000
_FIRST_EVENTS = 2000
_MOST_RUNS = 1000  # that are looked back at


class Retry(Protocol):
    """Runs an ended task anew: `retry` of the service."""

    def __call__(self, key: str, *, strategy: str, budget_usd: float | None) -> Awaitable[Task]: ...


class Repairing:
    """Runs beside the pool. Remembers nothing: that a run is a repair stands in its first event."""

    def __init__(
        self,
        *,
        store: Store,
        policy: Callable[[], RunPolicy],
        retry: Retry,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._store = store
        self._policy = policy
        self._retry = retry
        self._look_every_s = look_every_s

    async def run(self, stopping: asyncio.Event) -> None:
        """Look every few seconds until *stopping*. Raises StoreError when nothing can be stored ever again."""
        while not stopping.is_set():
            try:
                async with asyncio.timeout(self._look_every_s):
                    await stopping.wait()
            except TimeoutError:
                await self._attempted()

    async def _attempted(self) -> None:
        try:
            await self.look()
        except StoreError as error:
            if error.lasting:
                raise
            log.error("nothing is repaired for now: %s", error)  # noqa: TRY400 - expected, not a bug

    async def look(self) -> int:
        """Repair what blocked tasks wait for. Returns how many were run anew. Raises StoreError."""
        if not self._policy().recovery.uses(Use.DEPENDENCY_REPAIR):
            return 0
        repaired, after, seen = 0, 0, set[TaskUid]()
        while batch := await self._store.blocked(after=after, limit=PIECE):
            after = batch[-1].order
            blocked = [task.uid for task in batch if task.state is State.BLOCKED]
            needs = await self._store.needs(blocked) if blocked else {}
            named = {need.on_uid for row in needs.values() for need in row if need.on_uid and not need.met}
            repaired += sum([await self._repaired(uid) for uid in sorted(named - seen)])
            seen |= named
        return repaired

    async def _repaired(self, uid: TaskUid) -> bool:
        task = await self._store.task(uid)
        if task is None or task.state is not State.FAILED or task.reason not in list(FailureKind):
            return False
        kind = FailureKind(task.reason)
        asked = self._policy().recovery.of(kind, waited_for=True)
        times = [one.times or 1 for one in asked if one.use == Use.DEPENDENCY_REPAIR]
        within = task.spec.retries is None or task.tries <= task.spec.retries
        if not times or not within or kind in NOT_BY_ANOTHER_TRY or await self._used(task) >= times[0]:
            return False
        limit = budget_of(task, self._policy())
        left = limit - spent_by(await self._store.attempts(uid)) if limit else inf
        if left <= 0:
            return False
        try:
            await self._retry(uid, strategy=Use.DEPENDENCY_REPAIR.value, budget_usd=left if left < inf else None)
        except ConflictError:
            return False  # somebody was first
        log.info("%s is run anew: other tasks wait for it", task.spec.id)
        return True

    async def _used(self, task: Task) -> int:
        """Return how often *task* was repaired, counted over the runs that it is a repair of."""
        used, run = 0, task
        for _ in range(_MOST_RUNS):
            events = await self._store.events_of(run.uid, limit=_FIRST_EVENTS)
            told = [event for event in events if event.data.get("strategy") == Use.DEPENDENCY_REPAIR]
            used += len(told)
            is_repair = any(event.kind is EventKind.RECEIVED for event in told)
            before = await self._store.task(TaskUid(run.rerun_of)) if is_repair else None
            if before is None:
                return used
            run = before
        return used
