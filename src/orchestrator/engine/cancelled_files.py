"""Who moves the file of a living task to `tasks/cancelled/` wants it cancelled: queued, running or waiting alike."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from orchestrator.core.errors import ConflictError, StoreError
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Store
from orchestrator.core.task import Task

log = logging.getLogger(__name__)

LOOK_S = 1.0
RETRY_S = 5.0
MOST = 10_000
# Of those that wait with their file in tasks/ the store has a list of its own.
_AT_WORK = (State.RUNNING, State.CHECKING)


class CancelledFiles(Protocol):
    """The folder `tasks/cancelled/`, looked at for files that a person has moved there."""

    async def changed(self) -> bool:
        """Return whether something may have come into it lately. Costs microseconds."""
        ...

    async def names(self, wanted: Collection[str]) -> Sequence[str]:
        """Return those of *wanted* that lie there."""
        ...

    async def is_moved(self, task: Task) -> bool:
        """Return whether the file of *task* lies there since it was accepted, and where it was no more."""
        ...


class CancelledByFile:
    """Runs beside the pool. *cancel* cancels a task by its uid, as every door does."""

    def __init__(self, *, store: Store, files: CancelledFiles, cancel: Callable[[str], Awaitable[object]]) -> None:
        self._store = store
        self._files = files
        self._cancel = cancel

    async def run(self, stopping: asyncio.Event) -> None:
        """Look once a second until *stopping*: one look at the folder itself, unless something came into it."""
        while not stopping.is_set():
            wait_s = LOOK_S
            try:
                await self.look()
            except (OSError, StoreError) as error:
                if isinstance(error, StoreError) and error.lasting:
                    raise
                log.error("tasks/cancelled/ is looked at again in %g s: %s", RETRY_S, error)  # noqa: TRY400 - expected
                wait_s = RETRY_S
            try:
                async with asyncio.timeout(wait_s):
                    await stopping.wait()
            except TimeoutError:
                continue

    async def look(self) -> int:
        """Cancel what was moved there. Returns how many. Raises OSError, StoreError."""
        if not await self._files.changed():
            return 0
        living: dict[str, list[str]] = {}
        for name, _stamp, uid, _order in await self._store.waiting_files():
            living.setdefault(name, []).append(uid)
        for task in await self._store.tasks(_AT_WORK, limit=MOST):
            living.setdefault(task.file_name, []).append(task.uid)
        there = await self._files.names(living.keys() - {""})
        return sum([await self._look_at(uid) for name in there for uid in living[name]])

    async def _look_at(self, uid: str) -> int:
        task = await self._store.task(TaskUid(uid))
        if task is None or not await self._files.is_moved(task):
            return 0
        try:
            await self._cancel(uid)
        except ConflictError:
            return 0  # it has ended this very moment
        log.info("%s is cancelled: its file was moved to tasks/cancelled/", task.name)
        return 1
