"""The daemon: intake, pool, projector and listener in one TaskGroup. The first signal drains, the second ends."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence

from orchestrator.core.errors import ConfigError, OrchestratorError, StoreError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.ports import Clock, Store
from orchestrator.engine.bell import Bell, listen
from orchestrator.engine.clockwatch import ClockWatch
from orchestrator.engine.pool import Pool
from orchestrator.engine.projector import Projector
from orchestrator.engine.service import Orchestrator
from orchestrator.engine.telling import Telling

log = logging.getLogger(__name__)

UPKEEP_EVERY_S = 2.0
DISK = "Look at the disk (`dmesg` tells), then start again: what it lost is written again from the database."
LOST = "the lock file of this root was replaced or taken away"


def _first_expected(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first expected error in *group*: the one a person can act on; else the group itself."""
    expected, others = group.split(lambda error: isinstance(error, (OrchestratorError, OSError)))
    if expected is not None and others is not None:
        log.error("the daemon also ended for a reason of our own", exc_info=others)
    found: BaseException = expected or group
    while found is not group and isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


class Signals:
    """What the operating system or the caller wants: *stopping* (drain) and *ending* (at once)."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.ending = asyncio.Event()

    def stop(self) -> None:
        """The first call drains, the second ends."""
        if self.stopping.is_set():
            self.ending.set()
        self.stopping.set()


class Daemon:
    """Runs until stopped. Recovery has been done before; the lock is held by the caller."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        bell: Bell,
        service: Orchestrator,
        intake: Callable[[asyncio.Event], Coroutine[None, None, None]],
        pool: Pool,
        projector: Projector,
        config_changed: Callable[[], bool],
        still_owner: Callable[[], bool],
        disk_refused: Callable[[], str] = str,
        clockwatch: ClockWatch | None = None,
        beside: Sequence[Callable[[asyncio.Event], Coroutine[None, None, None]]] = (),
        telling: Telling | None = None,
        last: Sequence[Callable[[asyncio.Event], Coroutine[None, None, None]]] = (),
    ) -> None:
        """*beside* are further parts, each run until it is told to stop: when no attempt runs any more; those in *last*
        when the projector has written everything too."""
        self._last = last
        self._beside = beside
        self._clockwatch = clockwatch
        self._telling = telling
        self._store = store
        self._clock = clock
        self._bell = bell
        self._service = service
        self._intake = intake
        self._pool = pool
        self._projector = projector
        self._config_changed = config_changed
        self._still_owner = still_owner
        self._disk_refused = disk_refused
        self._lost = False

    async def run(self, signals: Signals, facts: dict[str, Json]) -> None:
        """Work until *signals* say stop; return when nothing runs any more and every file is written.

        Raises StoreError where it stopped by itself: the root is not surely ours any more, or nobody knows what is on
        the disk (*disk_refused*, in words).
        """
        if self._telling is not None:
            await self._telling.begin()
        await self._note(EventKind.DAEMON_STARTED, facts)
        try:
            await self._together(signals)
        except BaseExceptionGroup as group:
            raise _first_expected(group) from None
        self._require_disk()
        if self._lost:
            hint = "Was .orchestrator/ moved or removed? Put it back, then start again."
            raise StoreError(f"{LOST}, so the daemon has stopped", hint=hint, lasting=True)

    async def _together(self, signals: Signals) -> None:
        stopped = asyncio.Event()  # after the pool: the listener and the projector outlive it
        written = asyncio.Event()  # after the projector: it has the last thing to tell
        async with asyncio.TaskGroup() as group:
            group.create_task(self._intake(signals.stopping), name="intake")
            group.create_task(listen(self._store, self._bell, stopped), name="listener")
            projecting = group.create_task(self._projector.run(stopped), name="projector")
            if self._telling is not None:
                group.create_task(self._telling.run(written), name="telling")
            group.create_task(self._upkeep(signals), name="upkeep")
            for part in self._beside:
                group.create_task(part(stopped), name="a further part")
            for part in self._last:
                group.create_task(part(written), name="a last part")
            await self._pool.run(signals.stopping, signals.ending)
            await self._note(EventKind.DAEMON_STOPPED, {})
            stopped.set()
            self._bell.ring()
            await asyncio.wait([projecting])
            written.set()
            self._bell.ring()

    async def _upkeep(self, signals: Signals) -> None:
        """Notice a failing disk, a clock that was set, an edited configuration, a lock that is not ours any more."""
        while not signals.stopping.is_set():
            try:
                async with asyncio.timeout(UPKEEP_EVERY_S):
                    await signals.stopping.wait()
            except TimeoutError:
                pass
            self._require_disk()
            await self._look_at_the_clock()
            if self._config_changed():
                await self._reload()
            if not self._still_owner():
                log.error("%s: another daemon may run; stopping", LOST)
                self._lost = True
                signals.stop()

    def _require_disk(self) -> None:
        if what := self._disk_refused():
            raise StoreError(f"{what}; the daemon has stopped, nothing is lost", hint=DISK, lasting=True)

    async def _look_at_the_clock(self) -> None:
        if self._clockwatch is not None:
            await self._clockwatch.look()

    async def _reload(self) -> None:
        try:
            changed = await self._service.reload_from_env()
        except (ConfigError, StoreError) as error:
            log.error("%s\nThe old configuration stays in force.", error)  # noqa: TRY400 - expected, not a bug
            return
        if changed:
            log.info("configuration reloaded: %s", ", ".join(changed))

    async def _note(self, kind: EventKind, data: dict[str, Json]) -> None:
        try:
            await self._store.commit([Event(kind, self._clock.now(), data=data)])
        except StoreError as error:
            log.error("%s could not be stored: %s", kind, error)  # noqa: TRY400 - expected, not a bug
        self._bell.ring()
