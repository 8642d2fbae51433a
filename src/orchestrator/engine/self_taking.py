"""Takes proven results by itself, where that is configured: merges, pushes, opens pull requests; one after the other.

Which results is said by their own last event, so a setting that is switched on takes nothing that ended before, and a
crash between the end and the taking loses nothing. What was tried is an event: nothing is tried twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from orchestrator.core.errors import OrchestratorError, StoreError
from orchestrator.core.events import Event, EventKind, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Store
from orchestrator.core.task import Task
from orchestrator.engine.bell import Bell
from orchestrator.engine.taking import BY_ITSELF, Results, not_proven

log = logging.getLogger(__name__)

MERGE, PUSH, REQUEST, DISCARD = "merge", "push", "pr", "discard"
OWED = 200  # ended tasks that are looked through at a start
PIECE = 500  # events
LOOK_EVERY_S = 5.0


class SelfTaking:
    """Runs beside the pool. A refusal is told as the event `result_taken` and in the report, and never repeated."""

    def __init__(self, *, store: Store, bell: Bell, results: Results, policy: Callable[[], RunPolicy]) -> None:
        self._store = store
        self._bell = bell
        self._results = results
        self._policy = policy
        self._seen_seq: int | None = None  # before the first whole look

    async def run(self, stopping: asyncio.Event) -> None:
        """Take what is owed, then what ends, until *stopping*; what is under way then is done to its end.

        Where the store refuses for now it is tried again. Raises StoreError when nothing can be stored ever again.
        """
        while not stopping.is_set():
            count = self._bell.count
            try:
                await self._look(stopping)
            except StoreError as error:
                if error.lasting:
                    raise
                log.error("no result is taken by itself for now: %s", error)  # noqa: TRY400 - expected, not a bug
            await self._bell.wait(count, LOOK_EVERY_S)

    async def _look(self, stopping: asyncio.Event) -> None:
        if self._seen_seq is None:
            seen_seq = await self._store.last_seq()
            for task in reversed(await self._store.ended_last(limit=OWED)):
                await self._take_owed(task.uid, stopping)
            self._seen_seq = seen_seq
        for event in await self._store.events_after(self._seen_seq, limit=PIECE):
            if event.kind is EventKind.SUCCEEDED:
                await self._take_owed(event.uid, stopping)
            self._seen_seq = event.seq  # afterwards: what was not done is looked at again

    async def _take_owed(self, uid: TaskUid, stopping: asyncio.Event) -> None:
        task = await self._store.task(uid)
        if task is None or task.state is not State.SUCCEEDED:
            return
        events = await self._store.events_of(uid, limit=PIECE)
        for how in owed(events):
            if not stopping.is_set():
                await self._take(task, how)

    async def _take(self, task: Task, how: str) -> None:
        if not_proven((await self._store.attempts(task.uid))[-1]):
            return  # a person has to look: the report says so
        remote = self._policy().remote
        acts: Mapping[str, Callable[[], Awaitable[object]]] = {
            MERGE: lambda: self._results.merge(task, unproven=False, by=BY_ITSELF),
            PUSH: lambda: self._results.push(task, remote, by=BY_ITSELF),
            REQUEST: lambda: self._results.open_request(task, remote, by=BY_ITSELF),
        }
        try:
            await acts[how]()
        except StoreError:
            raise  # it may be done, and only the note of it was refused: the next look finds out
        except (OrchestratorError, OSError) as error:
            why = error.message if isinstance(error, OrchestratorError) else error.strerror or str(error)
            log.warning("the result of %s was not taken by itself (%s): %s", task.spec.id, how, why)
            await self._results.refused(task, how, why)


def owed(events: Sequence[Event]) -> list[str]:
    """Return what is still to be done with a result by itself, by the *events* of its task, oldest first."""
    wanted: list[str] = []
    for event in events:
        if event.kind is EventKind.SUCCEEDED:
            take = event.data.get("take")
            wanted = [str(how) for how in take] if isinstance(take, (list, tuple)) else []
        elif event.kind is EventKind.TAKEN:
            how = event.data.get("how")
            wanted = [] if how == DISCARD else [one for one in wanted if one != how]
    return wanted
