"""The folder `tasks/`: what lies in it, and moving it on."""

import asyncio
import contextlib
import errno
import os
import stat
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from orchestrator.bridges.archive import (
    REJECTS,
    RUNNING,
    SUFFIX,
    adopt,
    archive_file,
    claim_file,
    held,
    is_unchanged,
    mend_file,
    reject_file,
    reject_in_place,
    rejects_in_place,
)
from orchestrator.bridges.files import (
    NAME_BYTES,
    TEMPORARY,
    create_new,
    names_in,
    open_below,
    open_folder,
    opened,
    sync_names,
)
from orchestrator.bridges.settled import RECENT_NS, Lease, read_settled, stamp_of, take_lease
from orchestrator.core.errors import ConflictError, TaskFileError, UsageError
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.jobfile import is_job_file
from orchestrator.core.ports import FileBytes, InboxEntry, InboxScan, NotReady
from orchestrator.core.sync_names import is_conflict, is_temporary
from orchestrator.core.task import FileStamp, Task

_TROUBLE = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.EMFILE: "no_descriptors",
    errno.ENFILE: "no_descriptors",
}
_T = TypeVar("_T")
_STALE_S = 36 * 3600


def is_task_name(name: str) -> bool:
    """Return whether a file of this name is meant to become a task.

    Everything hidden is not, nor what editors, transfers and sync tools leave: see `core.sync_names`.
    """
    is_one = name.endswith(SUFFIX) and len(name) > len(SUFFIX)
    return is_one and not is_temporary(name) and not is_conflict(name, "task")


class TaskFolder:
    """Implements the port `Inbox` for `<root>/tasks`; *state* is the folder for errors that fit nowhere else.

    *settle_s*: where the kernel cannot tell whether a file has a writer, how long it must look the same.
    """

    def __init__(
        self,
        root: Path,
        *,
        state: Path,
        settle_s: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
        lease: Callable[[int], Lease] = take_lease,
    ) -> None:
        self._root = root
        self._tasks = root / "tasks"
        self._state = state
        self._settle_s = settle_s
        self._monotonic = monotonic
        self._lease = lease
        self._seen: dict[str, InboxEntry] = {}
        self._held: int | None = None
        self._names_as_of: tuple[int, int, int] | None = None  # device, inode, mtime_ns of the folder at the last scan
        self._settling: dict[str, tuple[FileStamp, float]] = {}

    async def scan(self) -> InboxScan:
        return await asyncio.to_thread(self._scan)

    def _scan(self) -> InboxScan:
        """One lstat for each candidate. Unchanged entries are the objects of the last scan: no memory grows."""
        entries: dict[str, InboxEntry] = {}
        ignored: dict[str, str] = {}
        try:
            with opened(open_folder(self._tasks)) as tasks_fd:
                facts = self._hold(tasks_fd)
                self._names_as_of = _names_as_of(facts)
                with os.scandir(tasks_fd) as found:
                    for item in found:
                        self._sort_in(item, entries, ignored)
        except OSError as error:
            self._names_as_of = None
            return InboxScan(trouble=_TROUBLE.get(error.errno or 0, "unreadable"))
        self._seen = entries
        return InboxScan(entries=entries, ignored=ignored, identity=(facts.st_dev, facts.st_ino))

    async def same_names(self) -> bool:
        try:
            return self._names_as_of is not None and _names_as_of(self._tasks.stat()) == self._names_as_of
        except OSError:
            return False

    def _hold(self, tasks_fd: int) -> os.stat_result:
        """Keep the folder open: its inode number is then not given to another that is made in its place."""
        facts = os.fstat(tasks_fd)
        if self._held is None or not os.path.samestat(facts, os.fstat(self._held)):
            self.close()
            self._held = os.dup(tasks_fd)
        return facts

    def close(self) -> None:
        """Let go of the folder."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _sort_in(self, item: "os.DirEntry[str]", entries: dict[str, InboxEntry], ignored: dict[str, str]) -> None:
        name = item.name
        if not (is_task_name(name) or is_job_file(name)):
            if is_task_name(name.lower()):
                ignored[name] = "suffix_case"
            elif is_conflict(name, "task"):
                ignored[name] = "conflict_copy"
            return
        try:
            facts = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        if (why := _never_a_task(facts.st_mode)) != "":
            ignored[name] = why
            return
        before = self._seen.get(name)
        if before is not None and _is_same(before, facts):
            entries[name] = before
        else:
            entries[name] = InboxEntry(name, stamp_of(facts), facts.st_ctime_ns)

    async def read(
        self, file_names: Sequence[str], *, limit: int
    ) -> Mapping[str, FileBytes | NotReady | TaskFileError]:
        return await asyncio.to_thread(self._read, file_names, limit)

    def _read(self, file_names: Sequence[str], limit: int) -> dict[str, FileBytes | NotReady | TaskFileError]:
        try:
            tasks_fd = open_folder(self._tasks)
        except OSError:
            return dict.fromkeys(file_names, NotReady("gone", 0.0))
        with opened(tasks_fd):
            found = {name: self._read_one(tasks_fd, name, limit) for name in file_names}
            return {**found, **_kept_by_the_disk(tasks_fd, found)}

    def _read_one(self, tasks_fd: int, name: str, limit: int) -> FileBytes | NotReady | TaskFileError:
        def settled(stamp: FileStamp) -> bool:
            return self._is_settled(name, stamp)

        try:
            found = read_settled(tasks_fd, name, limit=limit, settled=settled, lease=self._lease)
        except TaskFileError as error:
            self._settling.pop(name, None)
            return error
        if isinstance(found, FileBytes) or found.reason == "gone":
            self._settling.pop(name, None)
        return found

    def _is_settled(self, name: str, stamp: FileStamp) -> bool:
        now = self._monotonic()
        seen, since = self._settling.get(name, (None, now))
        if seen != stamp:
            self._settling[name] = (stamp, now)
            return self._settle_s <= 0
        return now - since >= self._settle_s

    async def unchanged(self, task: Task) -> bool:
        try:
            return await asyncio.to_thread(self._inside, lambda fd: is_unchanged(fd, task))
        except OSError:
            return False  # the folder cannot be looked at: nothing starts until it can

    async def claim(self, task: Task, body: bytes) -> str:
        return await asyncio.to_thread(self._inside, lambda fd: claim_file(fd, task, body))

    async def holds(self, task: Task) -> bool:
        return await asyncio.to_thread(self._inside, lambda fd: held(fd, task))

    async def archive(self, task: Task, body: bytes, folder: str) -> str:
        below = await asyncio.to_thread(self._inside, lambda fd: archive_file(fd, task, body, folder))
        return f"tasks/{below}"

    async def reject(self, entry: InboxEntry, error: Mapping[str, Json], uid: TaskUid) -> str:
        return await asyncio.to_thread(self._reject, entry, error, uid)

    def _reject(self, entry: InboxEntry, error: Mapping[str, Json], uid: TaskUid) -> str:
        try:
            note = self._inside(lambda fd: reject_file(fd, entry.file_name, error, uid))
        except OSError as refused:
            why = {**error, "not_moved": refused.strerror or str(refused)}
            self._state.mkdir(parents=True, exist_ok=True)
            with opened(open_folder(self._state)) as state_fd:
                note = reject_in_place(state_fd, entry, why, uid)
            return os.path.relpath(self._state / REJECTS / note, self._root)
        return f"tasks/failed/{note}"

    async def rejected_in_place(self) -> Sequence[InboxEntry]:
        return await asyncio.to_thread(self._rejected_in_place)

    def _rejected_in_place(self) -> list[InboxEntry]:
        try:
            state_fd = open_folder(self._state)
        except FileNotFoundError:
            return []
        with opened(state_fd):
            return rejects_in_place(state_fd)

    async def put(self, file_name: str, body: bytes) -> str:
        if not is_task_name(file_name) or "/" in file_name or "\0" in file_name:
            hint = "Choose a name like fix_login.task.md, without folders."
            raise UsageError(f"{file_name!r} is not the name of a task file", hint=hint)
        if len(os.fsencode(file_name)) > NAME_BYTES:
            raise UsageError("the file name is too long", hint=f"A name has at most {NAME_BYTES} bytes.")
        try:
            await asyncio.to_thread(self._inside, lambda fd: create_new(fd, file_name, body))
        except FileExistsError:
            hint = "Choose another name, or edit the file that is there."
            raise ConflictError("the file exists already", where=f"tasks/{file_name}", hint=hint) from None
        return f"tasks/{file_name}"

    async def mend(self, path: str, body: bytes, *, create: bool) -> bool:
        below = path.removeprefix("tasks/")
        try:
            return await asyncio.to_thread(self._inside, lambda fd: mend_file(fd, below, body, create=create))
        except FileNotFoundError:
            return False  # not even its folder is there

    async def adopt_strays(self, known: Callable[[TaskUid], Awaitable[bool]]) -> Sequence[str]:
        await asyncio.to_thread(self._remove_stale_temporaries)
        moved: list[str] = []
        for uid in await asyncio.to_thread(self._claimed):
            if not await known(TaskUid(uid)):
                names = await asyncio.to_thread(self._adopt, uid)
                moved += [f"tasks/{name}" for name in names]
        return moved

    def _adopt(self, uid: str) -> list[str]:
        return self._inside(lambda fd: adopt(fd, uid))

    def _claimed(self) -> list[str]:
        try:
            with opened(open_folder(self._tasks)) as tasks_fd, opened(open_below(tasks_fd, RUNNING)) as running_fd:
                return names_in(running_fd)
        except FileNotFoundError:
            return []

    def _remove_stale_temporaries(self) -> None:
        """Remove what `put` left when it was interrupted: never acknowledged, so nobody's."""
        with contextlib.suppress(OSError), opened(open_folder(self._tasks)) as tasks_fd, os.scandir(tasks_fd) as found:
            for item in found:
                age_s = time.time() - item.stat(follow_symlinks=False).st_mtime
                if item.name.startswith(TEMPORARY) and item.is_file(follow_symlinks=False) and age_s > _STALE_S:
                    os.unlink(item.name, dir_fd=tasks_fd)

    def _inside(self, act: Callable[[int], _T]) -> _T:
        with opened(open_folder(self._tasks)) as tasks_fd:
            return act(tasks_fd)


def _kept_by_the_disk(tasks_fd: int, found: Mapping[str, FileBytes | NotReady | TaskFileError]) -> dict[str, NotReady]:
    """Sync what was read: who dropped it may not have, and what is accepted must not be half a file after a power cut.

    Returns an answer in place of each one that the disk refuses to keep.
    """
    names = [name for name, one in found.items() if isinstance(one, FileBytes) and one.body]
    try:
        if names:
            sync_names(tasks_fd, names)
    except OSError:
        return dict.fromkeys(names, NotReady("disk_error", 5.0))
    return {}


def _names_as_of(facts: os.stat_result) -> tuple[int, int, int] | None:
    """Return by what a later change of the folder is noticed; None if one could carry the same time stamp."""
    if abs(time.time_ns() - facts.st_mtime_ns) < RECENT_NS:
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns


def _is_same(before: InboxEntry, facts: os.stat_result) -> bool:
    """Compare without making objects: a scan does this for every file there is."""
    stamp = before.stamp
    return (
        before.changed_ns == facts.st_ctime_ns
        and stamp.mtime_ns == facts.st_mtime_ns
        and stamp.size == facts.st_size
        and stamp.inode == facts.st_ino
    )


def _never_a_task(mode: int) -> str:
    if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
        return ""
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISFIFO(mode):
        return "fifo"
    return "socket" if stat.S_ISSOCK(mode) else "device"
