"""Lets tasks go on that wait for the machine: when it has again what they lacked, not when some time is over.

Each has a latest time, after which it starts whatever the machine has. A crash loses nothing: who waits, and why, is in
the store.
"""

import asyncio
import logging
from collections.abc import Callable

from orchestrator.core.attempt import FailureKind
from orchestrator.core.errors import IllegalEventError, StoreError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Store
from orchestrator.core.remedies import OF_THE_MACHINE, Machine
from orchestrator.core.task import Task
from orchestrator.engine.remedies import waits_for_the_machine

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
MOST = 10_000
_LAST_EVENTS = 50
BACK = "the machine has again what it lacked"


class ResourceWait:
    """Runs beside the pool. *look_every_s*: so often it looks while somebody waits."""

    def __init__(
        self,
        *,
        store: Store,
        machine: Machine,
        clock: Clock,
        policy: Callable[[], RunPolicy],
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._store = store
        self._machine = machine
        self._clock = clock
        self._policy = policy
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
            log.error("who waits for the machine is looked at later: %s", error)  # noqa: TRY400 - expected, not a bug

    async def look(self) -> int:
        """Let go of those whose lack is over. Returns how many. Raises StoreError."""
        if not self._policy().recovery.strategies:
            return 0
        waiting = [task for task in await self._store.tasks([State.RETRY_WAIT], limit=MOST) if await self._waits(task)]
        lacks = {kind: await self._machine.lacks(kind) for kind in {task.reason for task in waiting}}
        free = [task for task in waiting if not lacks[task.reason]]
        if any(task.reason == FailureKind.SHORTAGE for task in free):
            await self._release_agents()
        for task in free:
            await self._release(task)
        return len(free)

    async def _waits(self, task: Task) -> bool:
        if task.reason not in OF_THE_MACHINE or task.not_before <= self._clock.now():
            return False
        return waits_for_the_machine(task, list(await self._store.events_of(task.uid, limit=_LAST_EVENTS)))

    async def _release(self, task: Task) -> None:
        data: dict[str, Json] = {"detail": BACK}
        released = Event(EventKind.RELEASED, self._clock.now(), task.uid, task.attempt, task.epoch, data)
        try:
            await self._store.commit([released])
        except IllegalEventError:
            log.info("%s was cancelled or held while it waited for the machine", task.spec.id)

    async def _release_agents(self) -> None:
        """The shortage held the agents as well: they wait for the same."""
        for pause in await self._store.pauses():
            if pause.reason == FailureKind.SHORTAGE and pause.scope in self._policy().agents:
                data: dict[str, Json] = {"agent": pause.scope, "reason": pause.reason, "by": BACK}
                await self._store.release(pause.scope, Event(EventKind.AGENT_RELEASED, self._clock.now(), data=data))
