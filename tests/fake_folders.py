"""The folders of a root in memory: task files, artefacts and the event log. They outlive the daemons that use them.

Held to the same contract as the real ones: tests/ports/test_folders.py.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from orchestrator.core.errors import ConflictError, TaskFileError, UsageError
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import FileBytes, InboxEntry, InboxScan, NotReady
from orchestrator.core.task import FileStamp, Task
from orchestrator.core.torn import is_torn

SUFFIX = ".task.md"


@dataclass
class MemoryFolder:
    """The files below `tasks/`, by their path there."""

    files: dict[str, bytes] = field(default_factory=dict)
    stamps: dict[str, InboxEntry] = field(default_factory=dict)
    _moments: "count[int]" = field(default_factory=lambda: count(1))

    def write(self, path: str, body: bytes) -> None:
        """Create or replace a file, as a person would."""
        moment = next(self._moments)
        self.files[path] = body
        self.stamps[path] = InboxEntry(path, FileStamp(moment, moment, len(body)), moment)

    def move(self, path: str, to: str) -> None:
        assert to not in self.files, "nothing is ever overwritten"
        self.files[to], self.stamps[to] = self.files.pop(path), self.stamps.pop(path)

    def remove(self, path: str) -> None:
        del self.files[path], self.stamps[path]


class MemoryInbox:
    """Implements the port `Inbox` on a MemoryFolder."""

    def __init__(self, folder: MemoryFolder) -> None:
        self._folder = folder
        self._scanned: dict[str, int] = {}

    async def scan(self) -> InboxScan:
        self._scanned = self._inodes()
        found = {name: self._folder.stamps[name] for name in self._folder.files if self._is_task(name)}
        return InboxScan(entries=found, identity=(1, 1))

    async def same_names(self) -> bool:
        return bool(self._scanned) and self._scanned == self._inodes()

    def _inodes(self) -> dict[str, int]:
        return {name: entry.stamp.inode for name, entry in self._folder.stamps.items() if "/" not in name}

    async def read(
        self, file_names: Sequence[str], *, limit: int
    ) -> Mapping[str, FileBytes | NotReady | TaskFileError]:
        return {name: self._read(name, limit) for name in file_names}

    def _read(self, name: str, limit: int) -> FileBytes | NotReady | TaskFileError:
        body = self._folder.files.get(name)
        if body is None:
            return NotReady("gone", 0.0)
        if len(body) > limit:
            return TaskFileError("file_too_large", f"the file has {len(body)} bytes", file=name)
        return FileBytes(body, self._folder.stamps[name])

    async def unchanged(self, task: Task) -> bool:
        if not task.file_name or await self.holds(task):
            return True
        body = self._folder.files.get(task.file_name)
        if body is None:
            return False
        same = self._folder.stamps[task.file_name].stamp == task.stamp
        return same or hashlib.sha256(body).hexdigest() == task.sha256

    async def claim(self, task: Task, body: bytes) -> str:
        own = _own(task)
        if f"{own}.edited" in self._folder.files:
            self._restore(own, body)
            return "edited"
        if own not in self._folder.files:
            if not task.file_name or task.file_name not in self._folder.files:
                self._restore(own, body)
                return "recreated"
            self._folder.move(task.file_name, own)
        return "moved" if self._set_apart(own, body) else "edited"

    async def holds(self, task: Task) -> bool:
        return any(path in self._folder.files for path in (_own(task), f"{_own(task)}.edited"))

    async def archive(self, task: Task, body: bytes, folder: str) -> str:
        own, name = _own(task), _name(task)
        if not await self.holds(task) and self._is_ours(task, body):
            await self.claim(task, body)
        kept = ""
        if own in self._folder.files:
            self._set_apart(own, body)
        if f"{own}.edited" in self._folder.files:
            self._restore(own, body)
            self._folder.move(f"{own}.edited", self._free(folder, f"{name}.edited", task.uid))
        if own in self._folder.files:
            kept = self._free(folder, name, task.uid)
            self._folder.move(own, kept)
        both = (f"{folder}/{_second(name, task.uid)}", f"{folder}/{name}")
        kept = kept or next((path for path in both if self._folder.files.get(path) == body), "")
        if not kept and folder == "processed" and task.state is State.SUCCEEDED:  # it was accepted
            failed = (f"failed/{_second(name, task.uid)}", f"failed/{name}")
            if there := next((path for path in failed if self._folder.files.get(path) == body), ""):
                kept = self._free(folder, there.partition("/")[2], task.uid)
                self._folder.move(there, kept)
        if not kept:
            kept = self._free(folder, name, task.uid)
            self._folder.write(kept, body)
        return f"tasks/{kept}"

    async def reject(self, entry: InboxEntry, error: Mapping[str, Json], uid: TaskUid) -> str:
        for path in _names("failed", entry.file_name, uid):
            note = f"{path}.error.json"
            mine = json.loads(self._folder.files.get(note, b"{}")).get("uid") == uid
            there = path in self._folder.files
            if mine and there:
                return f"tasks/{note}"
            if there or (not mine and note in self._folder.files):
                continue
            if not mine:
                self._folder.write(note, json.dumps(dict(error)).encode())
            if entry.file_name in self._folder.files:
                self._folder.move(entry.file_name, path)
            return f"tasks/{note}"
        raise FileExistsError(entry.file_name)

    async def rejected_in_place(self) -> Sequence[InboxEntry]:
        return []

    async def put(self, file_name: str, body: bytes) -> str:
        if not self._is_task(file_name):
            raise UsageError(f"{file_name!r} is not the name of a task file")
        if file_name in self._folder.files:
            raise ConflictError("the file exists already")
        self._folder.write(file_name, body)
        return f"tasks/{file_name}"

    async def mend(self, path: str, body: bytes, *, create: bool) -> bool:
        below = path.removeprefix("tasks/")
        found = self._folder.files.get(below)
        if not is_torn(found, body) if found is not None else not create:
            return False
        self._folder.write(below, body)
        return True

    async def adopt_strays(self, known: Callable[[TaskUid], Awaitable[bool]]) -> Sequence[str]:
        moved = []
        for path in [path for path in sorted(self._folder.files) if path.startswith("running/")]:
            _, uid, name = path.split("/", 2)
            if not await known(TaskUid(uid)):
                to = self._free("", name, uid)
                self._folder.move(path, to)
                moved.append(f"tasks/{to}")
        return moved

    def _is_task(self, name: str) -> bool:
        return "/" not in name and name.endswith(SUFFIX) and name != SUFFIX and not name.startswith(".")

    def _is_ours(self, task: Task, body: bytes) -> bool:
        found = self._folder.files.get(task.file_name)
        if not task.file_name or found is None:
            return False
        return self._folder.stamps[task.file_name].stamp == task.stamp or (task.attempt == 0 and found == body)

    def _restore(self, path: str, body: bytes) -> None:
        if path not in self._folder.files:
            self._folder.write(path, body)

    def _set_apart(self, path: str, body: bytes) -> bool:
        if self._folder.files[path] == body:
            return True
        self._folder.move(path, f"{path}.edited")
        self._folder.write(path, body)
        return False

    def _free(self, folder: str, name: str, uid: str) -> str:
        return next(path for path in _names(folder, name, uid) if path not in self._folder.files)


def _name(task: Task) -> str:
    return task.file_name or f"{task.name}{SUFFIX}"


def _own(task: Task) -> str:
    return f"running/{task.uid}/{_name(task)}"


def _second(name: str, uid: str) -> str:
    stem = name.removesuffix(SUFFIX)
    return f"{stem}-{uid[-8:]}{name[len(stem) :]}"


def _names(folder: str, name: str, uid: str) -> list[str]:
    names = [name, _second(name, uid), *(_second(name, f"{uid[-6:]}-{n}") for n in range(2, 10))]
    return [f"{folder}/{one}" if folder else one for one in names]


class MemoryArtifacts:
    """Implements the port `Artifacts`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def write(self, relative: str, data: bytes) -> None:
        self.files[_inside(relative)] = data

    async def read(self, relative: str) -> bytes | None:
        return self.files.get(_inside(relative))

    async def exists(self, relative: str) -> bool:
        return _inside(relative) in self.files

    async def remove(self, relative: str) -> bool:
        return self.files.pop(_inside(relative), None) is not None

    async def names(self, folder: str) -> Sequence[str]:
        found = [path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/")]
        return sorted(name for name in found if "/" not in name and not name.startswith("."))


def _inside(relative: str) -> str:
    if relative.startswith("/") or not relative or ".." in relative.split("/") or "\0" in relative:
        raise ValueError(f"not a path inside the root: {relative!r}")
    return relative


class MemoryLog:
    """Implements the port `EventSink`."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, bytes]] = []
        self.former: dict[str, list[tuple[int, bytes]]] = {}

    async def last_seq(self) -> int:
        return self.lines[-1][0] if self.lines else 0

    async def last_line(self) -> bytes:
        return self.lines[-1][1] if self.lines else b""

    async def set_aside(self, name: str) -> str:
        self.former[name], self.lines = self.lines, []
        return f"logs/{name}"

    async def append(self, lines: Sequence[tuple[int, bytes]]) -> int:
        for seq, line in lines:
            if seq > await self.last_seq():
                self.lines.append((seq, line))
        return await self.last_seq()

    def trouble(self) -> str:
        return ""
