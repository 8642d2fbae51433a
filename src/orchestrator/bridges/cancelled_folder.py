"""The folder `tasks/cancelled/` as a wish: was the file of a living task moved there?"""

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from orchestrator.bridges.archive import RUNNING, own_name
from orchestrator.bridges.files import exists, look, open_below, open_folder, opened
from orchestrator.bridges.settled import stamp_of
from orchestrator.core.task import Task

CANCELLED = "cancelled"
_GOES_ON_S = 60.0  # a sync tool copies first and removes later: so long after a change it is looked again
_T = TypeVar("_T")


class CancelledFolder:
    """Implements the port `CancelledFiles` under `<root>/tasks`."""

    def __init__(self, root: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tasks = root / "tasks"
        self._monotonic = monotonic
        self._seen: tuple[int, int] | None = None
        self._until = 0.0

    async def changed(self) -> bool:
        return await asyncio.to_thread(self._changed)

    async def names(self, wanted: Collection[str]) -> Sequence[str]:
        return await asyncio.to_thread(self._inside, lambda _, fd: _names(fd, wanted)) or []

    async def is_moved(self, task: Task) -> bool:
        return await asyncio.to_thread(self._inside, lambda tasks_fd, fd: _is_moved(tasks_fd, fd, task)) or False

    def _changed(self) -> bool:
        try:
            facts = (self._tasks / CANCELLED).stat()
        except OSError:
            return False
        now, looks = self._monotonic(), (facts.st_ino, facts.st_mtime_ns)
        if looks != self._seen:
            self._seen, self._until = looks, now + _GOES_ON_S
        return now < self._until

    def _inside(self, act: Callable[[int, int], _T]) -> _T | None:
        """Return what *act* does with `tasks/` and the folder in it; None where there is none."""
        try:
            with opened(open_folder(self._tasks)) as tasks_fd, opened(open_below(tasks_fd, CANCELLED)) as fd:
                return act(tasks_fd, fd)
        except (FileNotFoundError, NotADirectoryError):
            return None


def _names(fd: int, wanted: Collection[str]) -> list[str]:
    with os.scandir(fd) as found:
        return sorted(item.name for item in found if item.name in wanted)


def _is_moved(tasks_fd: int, fd: int, task: Task) -> bool:
    """It lies in the folder, came there after the task was accepted, and is where it was no more.

    First `tasks/`, then `running/`: a file that the daemon itself claims meanwhile is seen in one of the two.
    """
    if not task.file_name:
        return False
    facts = look(fd, task.file_name)
    if not stat.S_ISREG(facts.st_mode):
        return False
    came_later = facts.st_ctime > task.created_ts or stamp_of(facts) == task.stamp
    return came_later and not exists(tasks_fd, task.file_name) and not _is_claimed(tasks_fd, task)


def _is_claimed(tasks_fd: int, task: Task) -> bool:
    with (
        contextlib.suppress(FileNotFoundError),
        opened(open_below(tasks_fd, RUNNING)) as running_fd,
        opened(open_below(running_fd, task.uid)) as own_fd,
    ):
        return exists(own_fd, own_name(task))
    return False
