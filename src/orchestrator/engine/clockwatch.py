"""The system's clock is set, or the machine was asleep: what waits goes on waiting as long as it was to wait.

Time limits run on the monotonic clock and notice nothing. What is in the store can only be written as a time of day,
and is moved along with it. Holds until a reset that the provider named are bound to the time of day and stay; after a
step back every hold is tried at once, since nobody knows by which clock its end was reckoned: that costs one probe and
no try.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from orchestrator.core.budget import DAY_BUDGET
from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Pause, Store
from orchestrator.core.retry import Remedy
from orchestrator.core.task import Task
from orchestrator.engine.holds import HEADROOM
from orchestrator.engine.patience import patiently

log = logging.getLogger(__name__)

JUMP_S = 30.0  # below that nothing here waits noticeably wrong
AFTER_YOU_S = 1.0
CLOCK_JUMPED = "clock_jumped"
LOOK_BACK = 500
_BOUND_TO_THE_DAY = (HEADROOM, DAY_BUDGET)


class ClockWatch:
    """Compares the two clocks at every look. *on_jump* is called after what waits was put right."""

    def __init__(self, *, store: Store, clock: Clock, policy: Callable[[], RunPolicy]) -> None:
        self.on_jump: list[Callable[[], None]] = []
        self._store = store
        self._clock = clock
        self._policy = policy
        self._wall, self._mono = clock.now(), clock.monotonic()
        self._begun = False
        self._one_at_a_time = asyncio.Lock()

    async def _latest(self) -> float:
        """Return the latest time among the last events, since a jump was last told of."""
        latest = 0.0
        for event in await self._store.events_after(await self._store.last_seq() - LOOK_BACK, limit=LOOK_BACK):
            told = event.kind is EventKind.WARNING and event.data.get("reason") == CLOCK_JUMPED
            latest = event.ts if told else max(latest, event.ts)
        return latest

    async def look(self) -> None:
        """Notice a jump since the last look; at the first one, also a step back since the last daemon.

        When this returns, what waits does so by the clock as it is now.
        """
        async with self._one_at_a_time:
            await self._look()

    async def _look(self) -> None:
        wall, mono = self._clock.now(), self._clock.monotonic()
        jump = (wall - self._wall) - (mono - self._mono)
        self._wall, self._mono = wall, mono
        if abs(jump) < JUMP_S and not self._begun:  # events of the future: it was set back while nobody watched
            jump = min(0.0, wall - await patiently(self._clock, self._latest))
        self._begun = True
        if abs(jump) >= JUMP_S:
            await self._put_right(jump)

    async def _put_right(self, jump: float) -> None:
        log.warning("the clock has jumped by %+.0f s against the time that passed", jump)
        while True:
            try:
                await patiently(self._clock, lambda: self._replanned(jump))
            except IllegalEventError:
                continue  # a task moved on this very moment: it waits no more
            break
        for tell in self.on_jump:
            tell()

    async def _replanned(self, jump: float) -> None:
        now = self._clock.now()
        holds = [pause for pause in await self._store.pauses() if jump < 0 and _is_to_be_tried(pause, now)]
        asking = [one for one in await self._store.tasks([State.NEEDS_INPUT], limit=1_000_000) if one.not_before]
        waiting = [*await self._store.tasks([State.RETRY_WAIT], limit=1_000_000), *asking]
        moved = [event for task in waiting if (event := self._moved(task, jump, now)) is not None]
        detail = f"the clock of the system went {abs(jump):.0f} s {'forward' if jump > 0 else 'back'} at once"
        data: dict[str, Json] = {"reason": CLOCK_JUMPED, "detail": detail, "seconds": round(jump, 1)}
        data |= {"moved": len(moved), "tried_at_once": [pause.scope for pause in holds]}
        told = Event(EventKind.WARNING, now, data=data)
        await self._store.replan([replace(pause, until=now) for pause in holds], [told, *moved])

    def _moved(self, task: Task, jump: float, now: float) -> Event | None:
        """Return the event that keeps the wait of *task* as long as it was; None where it is to stay as it is."""
        holds = {kind.value for kind, policy in self._policy().retries.items() if policy.remedy is Remedy.HOLD_AGENT}
        if task.reason not in holds:
            not_before = task.not_before + jump
        elif jump < 0:
            not_before = min(task.not_before, now + AFTER_YOU_S)  # as its agent's hold
        else:
            return None
        data: dict[str, Json] = {"not_before": not_before, "reason": CLOCK_JUMPED}
        return Event(EventKind.RESCHEDULED, now, task.uid, task.attempt, task.epoch, data)


def _is_to_be_tried(pause: Pause, now: float) -> bool:
    return pause.until > now and pause.reason not in _BOUND_TO_THE_DAY
