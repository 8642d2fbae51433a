"""The folder `tasks/waiting/`: files that people write answers into. Nothing is overwritten, no link is followed."""

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from orchestrator.bridges.files import (
    create_new,
    look,
    names_in,
    open_below,
    open_folder,
    opened,
    rename_new,
    sync_folder,
)
from orchestrator.bridges.settled import Lease, read_settled, stamp_of, take_lease
from orchestrator.core.errors import TaskFileError
from orchestrator.core.failpoint import hit
from orchestrator.core.ports import FileBytes
from orchestrator.core.sync_names import is_conflict, is_temporary
from orchestrator.core.task import FileStamp
from orchestrator.core.waiting import LATE, SUFFIX

FOLDER = "waiting"
_LARGEST = 1 << 20
_LATE_NAMES = 1000
_T = TypeVar("_T")


class WaitingFolder:
    """Implements the port `WaitingFiles` under `<root>/tasks`.

    *settle_s*: where the kernel cannot tell whether a file has a writer, how long it must look the same.
    """

    def __init__(
        self,
        root: Path,
        *,
        settle_s: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
        lease: Callable[[int], Lease] = take_lease,
    ) -> None:
        self._tasks = root / "tasks"
        self._settle_s = settle_s
        self._monotonic = monotonic
        self._lease = lease
        self._settling: dict[str, tuple[FileStamp, float]] = {}

    async def scan(self) -> Mapping[str, FileStamp]:
        return await asyncio.to_thread(self._scan)

    async def conflicts(self) -> Sequence[str]:
        return await asyncio.to_thread(self._inside, _conflicts) or []

    async def read(self, name: str) -> bytes | None:
        return await asyncio.to_thread(self._inside, lambda fd: self._read(fd, name))

    async def create(self, name: str, text: bytes) -> bool:
        return await asyncio.to_thread(self._create, name, text)

    async def remove(self, name: str, seen: FileStamp) -> bool:
        return await asyncio.to_thread(self._inside, lambda fd: _removed(fd, name, seen)) or False

    async def set_aside(self, name: str) -> str:
        return await asyncio.to_thread(self._inside, lambda fd: _set_aside(fd, name)) or ""

    def _scan(self) -> dict[str, FileStamp]:
        found: dict[str, FileStamp] = {}
        with (
            contextlib.suppress(FileNotFoundError),
            opened(open_folder(self._tasks)) as tasks_fd,
            opened(open_below(tasks_fd, FOLDER)) as fd,
            os.scandir(fd) as items,
        ):
            for item in items:
                if is_question_name(item.name) and item.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        found[item.name] = stamp_of(look(fd, item.name))
        self._settling = {name: seen for name, seen in self._settling.items() if name in found}
        return found

    def _read(self, fd: int, name: str) -> bytes | None:
        def settled(stamp: FileStamp) -> bool:
            now = self._monotonic()
            seen, since = self._settling.get(name, (None, now))
            if seen != stamp:
                self._settling[name] = (stamp, now)
                return self._settle_s <= 0
            return now - since >= self._settle_s

        try:
            found = read_settled(fd, name, limit=_LARGEST, settled=settled, lease=self._lease)
        except TaskFileError:
            return None
        return found.body if isinstance(found, FileBytes) else None

    def _create(self, name: str, text: bytes) -> bool:
        with opened(open_folder(self._tasks)) as tasks_fd, opened(open_below(tasks_fd, FOLDER, create=True)) as fd:
            try:
                create_new(fd, name, text)
            except FileExistsError:
                return False
            hit("question.written")
            return True

    def _inside(self, act: Callable[[int], _T]) -> _T | None:
        """Return what *act* does in the folder; None where there is no such folder or file."""
        try:
            with opened(open_folder(self._tasks)) as tasks_fd, opened(open_below(tasks_fd, FOLDER)) as fd:
                return act(fd)
        except FileNotFoundError:
            return None


def is_question_name(name: str) -> bool:
    """Return whether a file of this name is one of ours, and no hidden or temporary copy of it."""
    is_one = name.endswith(SUFFIX) and len(name) > len(SUFFIX)
    return is_one and not is_temporary(name) and not is_conflict(name, "question")


def _conflicts(fd: int) -> list[str]:
    return [name for name in names_in(fd) if is_conflict(name, "question")]


def _removed(fd: int, name: str, seen: FileStamp) -> bool:
    facts = look(fd, name)
    if not stat.S_ISREG(facts.st_mode) or stamp_of(facts) != seen:
        return False  # saved once more this very moment: the next look reads it
    os.unlink(name, dir_fd=fd)
    hit("question.removed")
    sync_folder(fd)
    return True


def _set_aside(fd: int, name: str) -> str:
    stem = name.removesuffix(SUFFIX)
    for number in range(1, _LATE_NAMES):
        new_name = f"{stem[:200]}{f'-{number}' if number > 1 else ''}{LATE}"
        with contextlib.suppress(FileExistsError):
            rename_new(fd, name, fd, new_name)
            return new_name
    raise FileExistsError(f"no free name for {name!r}")
