"""Works in place: the folder the task names. Remembers how it looked before, to tell what changed.

Nothing is kept here and nothing delivered: what an agent does, it does to the person's files (else see isolation.py).
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.bridges.files import atomic_write, open_folder, opened
from orchestrator.bridges.project_notes import read_notes
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.evidence import Changes, compare
from orchestrator.core.failpoint import hit
from orchestrator.core.job_tree import JOB_FOLDER
from orchestrator.core.notes import NotesWanted, ProjectNote
from orchestrator.core.work import Area, CommitWords, Delivery, Isolation

BASELINE = "baseline.json"
MAX_FILES = 50_000
# Folders that tools fill by themselves: their changes say nothing about the work.
SKIPPED = frozenset({".git", ".hg", ".svn", "node_modules", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache",
                     ".ruff_cache", ".orchestrator"})  # fmt: skip


class InPlaceWorkspace:
    """Implements the port `Workspace`. *own* are the root's folders, whose changes are the daemon's own.

    Of a work area with more than *max_files* files only so many are compared.
    """

    def __init__(self, *, base_cwd: Callable[[], Path], own: frozenset[Path], max_files: int = MAX_FILES) -> None:
        self._base_cwd = base_cwd
        self._max_files = max_files
        self._own = frozenset(path.resolve() for path in own)  # as `_walk` meets them: the work area is a real path
        self._at_work: dict[str, Path] = {}  # who works where now, by the mark of the attempt
        self._met_others: set[str] = set()

    async def prepare(self, order: WorkOrder, allowed_root: str, *, fresh: bool) -> Area:  # noqa: ARG002 - what is there stays
        cwd = await self.real(order.cwd, allowed_root)
        hit("prepare.area")
        await self.record(replace(order, cwd=cwd))
        return Area(cwd, cwd, cwd, Isolation.IN_PLACE)

    async def record(self, order: WorkOrder) -> None:
        """Remember beside the attempt how the work area looks before the start; survives a crash."""
        self._enter(order)
        await asyncio.to_thread(self._record, order)

    async def notes(self, cwd: str, wanted: NotesWanted) -> Sequence[ProjectNote]:
        return await asyncio.to_thread(read_notes, Path(cwd), wanted)

    async def real(self, cwd: str, allowed_root: str) -> str:
        """Return the real path of *cwd*, made if it is the configured base folder. Raises WorkAreaError."""
        return await asyncio.to_thread(self._real, Path(cwd), Path(allowed_root))

    async def worked_in(self, order: WorkOrder) -> bool:
        """Return whether the attempt before *order* worked in place."""
        return order.attempt > 1 and (_of_attempt(order, order.attempt - 1) / BASELINE).exists()

    async def area(self, order: WorkOrder) -> Area | None:  # noqa: ARG002 - as the port says
        return None

    async def keep(self, order: WorkOrder) -> Delivery | None:  # noqa: ARG002 - nothing is kept in place
        return None

    async def deliver(self, order: WorkOrder, words: CommitWords) -> Delivery | None:  # noqa: ARG002
        return None

    async def changes(self, order: WorkOrder) -> Changes:
        # After a restart of the daemon nobody remembers who else was there.
        alone = order.mark in self._at_work and order.mark not in self._met_others and order.attempt == 1
        return await asyncio.to_thread(self._changes, order, alone=alone)

    def leave(self, order: WorkOrder) -> None:
        self._at_work.pop(order.mark, None)
        self._met_others.discard(order.mark)

    def _enter(self, order: WorkOrder) -> None:
        here = Path(order.cwd)
        for mark, cwd in self._at_work.items():
            if here.is_relative_to(cwd) or cwd.is_relative_to(here):
                self._met_others |= {mark, order.mark}
        self._at_work[order.mark] = here

    def _real(self, cwd: Path, allowed_root: Path) -> str:
        try:
            if cwd == self._base_cwd():
                cwd.mkdir(parents=True, exist_ok=True)
            real, fence = cwd.resolve(strict=True), allowed_root.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise WorkAreaError(f"the folder {cwd} cannot be used: {getattr(error, 'strerror', error)}") from error
        if not real.is_dir():
            raise WorkAreaError(f"{cwd} is not a folder")
        if not real.is_relative_to(fence):
            raise WorkAreaError(f"{cwd} leads to {real}, outside of {fence}, by a symbolic link")
        return str(real)

    def _record(self, order: WorkOrder) -> None:
        """An attempt that goes on where an earlier one of its task ended is measured against that one's beginning."""
        folder = Path(order.attempt_dir)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = self._earlier(order)
        if before is None:
            files, complete = self._listing(Path(order.cwd))
            before = {"cwd": order.cwd, "complete": complete, "files": files}
        hit("prepare.baseline")
        with opened(open_folder(folder)) as folder_fd:
            atomic_write(folder_fd, BASELINE, json.dumps(before, ensure_ascii=True).encode("ascii"))

    def _earlier(self, order: WorkOrder) -> dict[str, object] | None:
        try:
            before: dict[str, object] = json.loads((_of_attempt(order, order.attempt - 1) / BASELINE).read_bytes())
        except (OSError, ValueError):
            return None
        return before if before.get("cwd") == order.cwd else None

    def _changes(self, order: WorkOrder, *, alone: bool) -> Changes:
        try:
            before = json.loads((Path(order.attempt_dir) / BASELINE).read_bytes())
        except FileNotFoundError:
            return Changes(complete=False, alone=alone, detail="the work area was not recorded before the start")
        after, complete = self._listing(Path(before["cwd"]))
        whole = complete and before["complete"]
        if not whole:  # a name may have been pushed over the edge of the listing by another: that is no change of it
            before["files"] = {path: look for path, look in before["files"].items() if path in after}
            after = {path: look for path, look in after.items() if path in before["files"]}
        detail = "" if whole else f"more than {self._max_files} files: only a part was compared"
        return compare(before["files"], after, complete=whole, detail=detail, alone=alone)

    def _listing(self, top: Path) -> tuple[dict[str, str], bool]:
        """Path to fingerprint (size, modification time and inode: contents are not read), and whether it is whole."""
        files: dict[str, str] = {}
        for path, stat in self._walk(top):
            if len(files) >= self._max_files:
                return files, False
            name = os.fsencode(path).decode("utf-8", "backslashreplace")
            files[name] = f"{stat.st_size}.{stat.st_mtime_ns}.{stat.st_ino}"
        return files, True

    def _walk(self, top: Path) -> Iterator[tuple[str, os.stat_result]]:
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue  # made unreadable or removed meanwhile
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if not (entry.name in SKIPPED or JOB_FOLDER.match(entry.name) or Path(entry.path) in self._own):
                            folders.append(Path(entry.path))
                    else:
                        yield os.path.relpath(entry.path, top), entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # gone meanwhile


def _of_attempt(order: WorkOrder, number: int) -> Path:
    return Path(order.attempt_dir).with_name(f"{order.uid}.{number}")
