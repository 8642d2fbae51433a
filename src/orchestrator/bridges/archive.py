"""Moving a task file from `tasks/` to where it belongs: each move redoable after a crash at any instant.

The rules: a file is never overwritten, never deleted, and what lies in an archive are exactly the bytes that ran.
"""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Mapping

from orchestrator.bridges.files import (
    atomic_write,
    create_new,
    exists,
    fitted,
    look,
    names_in,
    open_below,
    opened,
    read_regular,
    rename_new,
    sync_folder,
)
from orchestrator.bridges.settled import stamp_of
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.failpoint import hit
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import InboxEntry
from orchestrator.core.task import FileStamp, Task
from orchestrator.core.torn import is_torn

SUFFIX = ".task.md"
SUFFIXES = (SUFFIX, ".job.md", ".tasks.json", ".json")  # and those of files of many tasks
RUNNING, PROCESSED, FAILED = "running", "processed", "failed"
REJECTS = "rejects"
_EDITED = ".edited"
_ERROR = ".error.json"
_LARGEST = 64 * 1024 * 1024  # no task file is that large: beyond, it is another file


def own_name(task: Task) -> str:
    """Return the file name of *task*; tasks that came by another door get one from their name."""
    return task.file_name or fitted(task.name, SUFFIX)


def beside(name: str, suffix: str) -> str:
    """Return *name* + *suffix*; a name too long for that is cut and told apart by a hash."""
    if len(os.fsencode(name)) + len(suffix) <= 255:
        return name + suffix
    return fitted(name, f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}{suffix}")


def second_name(name: str, uid: str) -> str:
    """Return the name for a file whose own name is taken: `x.task.md` becomes `x-<uid8>.task.md`."""
    stem = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
    return fitted(stem, f"-{uid[-8:]}{name[len(stem) :]}")


def claim_file(tasks_fd: int, task: Task, body: bytes) -> str:
    """Move the file of *task* to `running/<uid>/`; returns moved, recreated or edited (see the port)."""
    name = own_name(task)
    with (
        opened(open_below(tasks_fd, RUNNING, create=True)) as running_fd,
        opened(open_below(running_fd, task.uid, create=True)) as own_fd,
    ):
        hit("claim.folder")
        if exists(own_fd, beside(name, _EDITED)):
            _restore(own_fd, name, body)
            return "edited"
        if not exists(own_fd, name) and not _taken(tasks_fd, own_fd, task):
            _restore(own_fd, name, body)
            return "recreated"
        return "moved" if _set_apart(own_fd, name, body) else "edited"


def _taken(tasks_fd: int, own_fd: int, task: Task) -> bool:
    if not task.file_name:  # by another door: a file of this name in tasks/ is somebody else's
        return False
    try:
        rename_new(tasks_fd, task.file_name, own_fd, task.file_name)
    except FileNotFoundError:
        return False
    hit("claim.renamed")
    return True


def held(tasks_fd: int, task: Task) -> bool:
    """Return whether `running/<uid>/` holds the file of *task*."""
    name = own_name(task)
    try:
        with (
            opened(open_below(tasks_fd, RUNNING)) as running_fd,
            opened(open_below(running_fd, task.uid)) as own_fd,
        ):
            return exists(own_fd, name) or exists(own_fd, beside(name, _EDITED))
    except FileNotFoundError:
        return False


def is_unchanged(tasks_fd: int, task: Task) -> bool:
    """Return whether what lies in `tasks/` under the name of *task* is what is stored of it; see the port."""
    if not task.file_name or held(tasks_fd, task):
        return True
    try:
        stamp = stamp_of(look(tasks_fd, task.file_name))
    except FileNotFoundError:
        return False
    if stamp == task.stamp:
        return True
    body = read_regular(tasks_fd, task.file_name, limit=min(stamp.size, _LARGEST))
    return body is not None and hashlib.sha256(body).hexdigest() == task.sha256


def archive_file(tasks_fd: int, task: Task, body: bytes, folder: str) -> str:
    """Move the file of *task* to *folder*; returns the path below `tasks/`."""
    with (
        opened(open_below(tasks_fd, folder, create=True)) as folder_fd,
        opened(open_below(tasks_fd, RUNNING, create=True)) as running_fd,
    ):
        kept = _from_running(running_fd, folder_fd, task, body)
        if not kept and _is_ours(tasks_fd, own_name(task), task, body):
            claim_file(tasks_fd, task, body)
            kept = _from_running(running_fd, folder_fd, task, body)
        kept = kept or _archived(folder_fd, task, body) or _from_failed(tasks_fd, folder, folder_fd, task, body)
        kept = kept or _create(folder_fd, own_name(task), task.uid, body)
        hit("archive.moved")
        _drop_folder(running_fd, task.uid)
        return f"{folder}/{kept}"


def _from_running(running_fd: int, folder_fd: int, task: Task, body: bytes) -> str:
    """Move what `running/<uid>/` holds to the archive, the task's file last; "" if it holds nothing."""
    name = own_name(task)
    edited = beside(name, _EDITED)
    try:
        own_fd = open_below(running_fd, task.uid)
    except FileNotFoundError:
        return ""
    with opened(own_fd):
        hit("archive.found")
        if exists(own_fd, name):
            _set_apart(own_fd, name, body)
        if exists(own_fd, edited):
            _restore(own_fd, name, body)
            _move(own_fd, edited, folder_fd, task.uid)
        return _move(own_fd, name, folder_fd, task.uid) if exists(own_fd, name) else ""


def _archived(folder_fd: int, task: Task, body: bytes) -> str:
    """Return the name under which an interrupted call has archived the task already, or ""."""
    name = own_name(task)
    both = (second_name(name, task.uid), name)
    return next((one for one in both if read_regular(folder_fd, one, limit=len(body)) == body), "")


def _from_failed(tasks_fd: int, folder: str, folder_fd: int, task: Task, body: bytes) -> str:
    """Move the file of a task that was accepted after it had failed; "" if it is not there."""
    if folder != PROCESSED or task.state is not State.SUCCEEDED:
        return ""
    try:
        failed_fd = open_below(tasks_fd, FAILED)
    except FileNotFoundError:
        return ""
    with opened(failed_fd):
        name = _archived(failed_fd, task, body)
        return _move(failed_fd, name, folder_fd, task.uid) if name else ""


def mend_file(tasks_fd: int, below: str, body: bytes, *, create: bool) -> bool:
    """Make `tasks/<below>` (a name, or a folder and a name) whole; see the port."""
    folder, _, name = below.rpartition("/")
    if not name or name in (".", "..") or "/" in folder or folder in (".", ".."):
        raise ValueError(f"not a file in tasks/: {below!r}")
    with opened(open_below(tasks_fd, folder or ".", create=create and bool(folder))) as folder_fd:
        if not exists(folder_fd, name):
            if create:
                _restore(folder_fd, name, body)
            return create
        found = read_regular(folder_fd, name, limit=len(body))
        if found is None or not is_torn(found, body):
            return False
        atomic_write(folder_fd, name, body)
        return True


def _drop_folder(running_fd: int, uid: str) -> None:
    with contextlib.suppress(OSError):  # something of somebody else lies in it: it stays
        os.rmdir(uid, dir_fd=running_fd)
        sync_folder(running_fd)


def _is_ours(tasks_fd: int, name: str, task: Task, body: bytes) -> bool:
    """Return whether `tasks/<name>` is the file this task was read from, and not a later one of the same name."""
    try:
        facts = look(tasks_fd, name)
    except FileNotFoundError:
        return False
    if not task.file_name or not stat.S_ISREG(facts.st_mode):
        return False
    if stamp_of(facts) == task.stamp:
        return True
    return task.attempt == 0 and read_regular(tasks_fd, name, limit=len(body)) == body


def _set_apart(folder_fd: int, name: str, body: bytes) -> bool:
    """Make *name* hold *body*. Returns False if it held something else, which now lies beside as `.edited`."""
    if read_regular(folder_fd, name, limit=len(body)) == body:
        return True
    edited = beside(name, _EDITED)
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        rename_new(folder_fd, name, folder_fd, edited)
    _restore(folder_fd, name, body)
    return False


def _restore(folder_fd: int, name: str, body: bytes) -> None:
    with contextlib.suppress(FileExistsError):
        create_new(folder_fd, name, body)


def _move(from_fd: int, name: str, to_fd: int, uid: str) -> str:
    for new_name in _free_names(name, uid):
        with contextlib.suppress(FileExistsError):
            rename_new(from_fd, name, to_fd, new_name)
            return new_name
    raise FileExistsError(f"no free name for {name!r}")


def _create(folder_fd: int, name: str, uid: str, body: bytes) -> str:
    hit("archive.created")
    for new_name in _free_names(name, uid):
        with contextlib.suppress(FileExistsError):
            create_new(folder_fd, new_name, body)
            return new_name
    raise FileExistsError(f"no free name for {name!r}")


def _free_names(name: str, uid: str) -> list[str]:
    return [name, second_name(name, uid), *(second_name(name, f"{uid[-6:]}-{n}") for n in range(2, 10))]


def reject_file(tasks_fd: int, name: str, error: Mapping[str, Json], uid: TaskUid) -> str:
    """Move *name* (of a link: the link) to `failed/` with its error beside it; returns that error's name.

    The error is written first: it carries the uid, by which an interrupted call finds its place again.
    Raises OSError if the file has to stay where it is.
    """
    content = error_bytes(error)
    with opened(open_below(tasks_fd, "failed", create=True)) as failed_fd:
        for new_name in _free_names(name, uid):
            note = beside(new_name, _ERROR)
            mine = _uid_in(failed_fd, note) == uid
            there = exists(failed_fd, new_name)
            if mine and there:  # an interrupted call had come this far
                return note
            if there or (not mine and exists(failed_fd, note)):
                continue
            if not mine:
                create_new(failed_fd, note, content)
            try:
                hit("refuse.noted")
                rename_new(tasks_fd, name, failed_fd, new_name)
            except FileNotFoundError:
                return note
            except OSError:
                if exists(failed_fd, new_name) and not exists(tasks_fd, name):
                    return note  # it was moved, only the sync was refused: its error has to stay beside it
                os.unlink(note, dir_fd=failed_fd)
                raise
            return note
    raise FileExistsError(f"no free name for {name!r}")


def _uid_in(folder_fd: int, note: str) -> str:
    raw = read_regular(folder_fd, note, limit=1 << 20)
    try:
        found = json.loads(raw) if raw else None
    except ValueError:
        return ""
    return str(found.get("uid", "")) if isinstance(found, dict) else ""


def reject_in_place(state_fd: int, entry: InboxEntry, error: Mapping[str, Json], uid: TaskUid) -> str:
    """Write the error of a file that cannot be moved into `rejects/` of the state folder; returns its name."""
    seen: dict[str, Json] = {
        "file_name_hex": os.fsencode(entry.file_name).hex(),
        "inode": entry.stamp.inode,
        "mtime_ns": entry.stamp.mtime_ns,
        "size": entry.stamp.size,
        "changed_ns": entry.changed_ns,
    }
    with opened(open_below(state_fd, REJECTS, create=True)) as rejects_fd:
        atomic_write(rejects_fd, f"{uid}{_ERROR}", error_bytes({**error, "seen": seen}))
    return f"{uid}{_ERROR}"


def rejects_in_place(state_fd: int) -> list[InboxEntry]:
    """Return the files with an error in `rejects/`, as they were then; what cannot be understood is left out."""
    found: list[InboxEntry] = []
    with contextlib.suppress(FileNotFoundError), opened(open_below(state_fd, REJECTS)) as rejects_fd:
        for name in names_in(rejects_fd):
            raw = read_regular(rejects_fd, name, limit=1 << 20)
            with contextlib.suppress(ValueError, KeyError, TypeError):
                seen = json.loads(raw or b"")["seen"]
                stamp = FileStamp(int(seen["inode"]), int(seen["mtime_ns"]), int(seen["size"]))
                file_name = os.fsdecode(bytes.fromhex(seen["file_name_hex"]))
                found.append(InboxEntry(file_name, stamp, int(seen["changed_ns"])))
    return found


def error_bytes(error: Mapping[str, Json]) -> bytes:
    """Return an error as the bytes of its JSON file."""
    return json.dumps(error, ensure_ascii=True, allow_nan=False, indent=2).encode() + b"\n"


def adopt(tasks_fd: int, uid: str) -> list[str]:
    """Move the files of `running/<uid>/` back to `tasks/`; returns their names there. Folders in it stay."""
    moved: list[str] = []
    with opened(open_below(tasks_fd, RUNNING)) as running_fd:
        try:
            own_fd = open_below(running_fd, uid)
        except NotADirectoryError:
            return []
        with opened(own_fd):
            files = [name for name in names_in(own_fd) if not stat.S_ISDIR(look(own_fd, name).st_mode)]
            moved += [_move(own_fd, name, tasks_fd, uid) for name in files]
        hit("recover.adopted")
        _drop_folder(running_fd, uid)
    return moved
