"""Asks the hooks before a task is started. One that refuses holds the task: no attempt is begun and no try is lost."""

import logging
from collections.abc import Callable, Mapping

from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.hooks import REFUSED, HookRun, Hooks, When, hook_facts
from orchestrator.core.ports import Clock, Store
from orchestrator.core.task import Task

log = logging.getLogger(__name__)

LATER_S = 5.0
HINT = "Correct what the hook says, then `resume` the task: it is asked again."


class Gate:
    """Remembers nothing: a hook that was under way when the daemon died is run again before the task starts."""

    def __init__(
        self,
        *,
        store: Store,
        hooks: Hooks,
        clock: Clock,
        redact: Callable[[Json], Json],
        agent_of: Callable[[Task], str],
    ) -> None:
        self._store = store
        self._hooks = hooks
        self._clock = clock
        self._redact = redact
        self._agent_of = agent_of

    @property
    def asks(self) -> bool:
        """Whether there is anybody to ask, as configured now."""
        return self._hooks.any(When.BEFORE)

    async def opens(self, task: Task) -> bool:
        """Return whether *task* may start now, as it was when the hooks were asked; one that may not is held."""
        facts = self._redact(hook_facts(task, agent=self._agent_of(task), attempt=task.attempt + 1))
        assert isinstance(facts, Mapping)
        refusal = await self._hooks.before(facts)
        if refusal is None:
            return await self._store.task(task.uid) == task
        if refusal.later:
            log.error("%s waits: its hook %s: %s", task.spec.id, refusal.name, refusal.words)
            await self._clock.sleep(LATER_S)
            return False
        await self._hold(task, refusal)
        return False

    async def _hold(self, task: Task, refusal: HookRun) -> None:
        detail = f"the hook {refusal.name} refused it: {refusal.words}"
        data = self._redact({"reason": REFUSED, "hook": refusal.name, "detail": detail, "hint": HINT})
        assert isinstance(data, Mapping)
        held = Event(EventKind.HELD, self._clock.now(), task.uid, task.attempt, task.epoch, data)
        try:
            await self._store.commit([held])
        except IllegalEventError:
            log.info("%s was cancelled or moved on while its hook ran", task.spec.id)
