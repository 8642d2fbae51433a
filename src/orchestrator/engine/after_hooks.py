"""Runs the hooks after tasks, driven by the event log: in the order in which results were written, one task at a time.

The place up to which the log was worked off is stored after the hooks of each task. Who dies in between runs them
again: each is run at least once, and never beside another one. Tasks that ended before there were hooks are left alone.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.failpoint import hit
from orchestrator.core.hooks import UNTOLD, Hooks, Places, When, hook_facts
from orchestrator.core.ports import Clock, Store
from orchestrator.core.task import Task
from orchestrator.engine.bell import Bell
from orchestrator.validation.result import build_result

log = logging.getLogger(__name__)

PLACE = "hooks:after"
PIECE = 500  # events
LAG = 2000  # events after which the place is stored although there was nothing to run
LOOK_AT_LEAST_EVERY_S = 30.0
RETRY_S = 5.0
LAST_S = 10.0


class AfterHooks:
    """Runs beside the projector, and outlives it: the last result of a daemon has its hooks run too."""

    def __init__(
        self,
        *,
        store: Store,
        places: Places,
        hooks: Hooks,
        clock: Clock,
        bell: Bell,
        redact: Callable[[Json], Json],
        agent_of: Callable[[Task], str],
        last_s: float = LAST_S,
    ) -> None:
        """*last_s*: so long the end of the daemon waits for hooks that are owed; the next start runs the rest."""
        self._store = store
        self._places = places
        self._hooks = hooks
        self._clock = clock
        self._bell = bell
        self._redact = redact
        self._agent_of = agent_of
        self._last_s = last_s
        self._seq: int | None = None
        self._stored = -1
        self._ending = False

    async def run(self, written: asyncio.Event) -> None:
        """Run what is owed until *written*, when nothing more is written; then for a few seconds what still is.

        Raises StoreError when nothing can be stored ever again. Nothing that a hook started is alive afterwards.
        """
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(written.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            self._ending = True
            self._bell.ring()
            await asyncio.wait({work}, timeout=self._last_s)
        finally:
            for one in (work, stop):
                one.cancel()
            await asyncio.wait({work, stop})
        if not work.cancelled():
            work.result()
        else:
            log.info("some hooks after tasks are still to be run: the next start does it")

    async def _work(self) -> None:
        while True:
            seen, ending = self._bell.count, self._ending
            wait_s = await self._attempted()
            if ending:
                return
            await self._bell.wait(seen, wait_s)

    async def _attempted(self) -> float:
        """Run what is owed. Returns in how many seconds to look again, at the latest."""
        try:
            await self.catch_up()
        except StoreError as error:
            if error.lasting:
                raise
            log.error("hooks after tasks have to wait: %s", error)  # noqa: TRY400 - expected, not a bug
            return RETRY_S
        except Exception:
            log.exception("hooks after tasks have to wait: a bug of ours, please report it")
            return RETRY_S
        return LOOK_AT_LEAST_EVERY_S

    async def begin(self) -> None:
        """Remember from when on hooks are owed, where that is now for the first time: before anything happens."""
        await self._begun()

    async def catch_up(self) -> None:
        """Run the hooks of every result that was written. Raises StoreError: then the next call goes on."""
        if not await self._begun():
            return
        assert self._seq is not None
        while batch := await self._store.events_after(self._seq, limit=PIECE):
            for event in batch:
                if event.kind is EventKind.ARTIFACTS_WRITTEN:
                    await self._owed(event)
                    await self._keep(event.seq)
                self._seq = event.seq
            if self._seq - self._stored > LAG:
                await self._keep(self._seq)

    async def _begun(self) -> bool:
        wanted = self._hooks.any(When.AFTER)
        if self._seq is None:
            told = (await self._places.recall(PLACE)).get(PLACE)
            self._seq = self._stored = int(told) if told else -1
        if wanted and self._seq < 0:
            self._seq = await self._store.last_seq()
            await self._keep(self._seq)
        elif not wanted and self._seq >= 0:
            self._seq = self._stored = -1
            await self._places.memorize({PLACE: None}, ts=self._clock.now())
        return wanted

    async def _keep(self, seq: int) -> None:
        await self._places.memorize({PLACE: str(seq)}, ts=self._clock.now())
        self._stored = seq

    async def _owed(self, event: Event) -> None:
        if (task := await self._store.task(event.uid)) is None:
            return
        result = self._redact(build_result(task, await self._store.attempts(task.uid)))
        facts = self._redact(hook_facts(task, agent=self._agent_of(task), attempt=task.attempt))
        assert isinstance(result, Mapping)
        assert isinstance(facts, Mapping)
        for ran in await self._hooks.after(facts, result):
            if not ran.ok:
                await self._warn(task, ran.name, ran.words)
        hit("hook.after")

    async def _warn(self, task: Task, name: str, words: str) -> None:
        log.warning("the hook %s after %s: %s", name, task.name, words)
        detail = f"the hook {name} after {task.name}: {words}"
        data = self._redact({"reason": UNTOLD, "task": task.name, "uid": task.uid, "hook": name, "detail": detail})
        assert isinstance(data, Mapping)
        await self._store.commit([Event(EventKind.WARNING, self._clock.now(), data=data)])
