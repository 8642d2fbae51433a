"""Rows of the database as facts of core, and back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from orchestrator.core import codec
from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Pause
from orchestrator.core.task import FileStamp, Label, Task

Row: TypeAlias = tuple[Any, ...]
Value: TypeAlias = str | bytes | int | float | None

FIXED = ("uid", "name", "name_key", "created_ts", "rerun_of", "job", "parent", "root", "depth")
ASKED = ("id_key", "file_name", "inode", "mtime_ns", "size", "sha256", "rank")
LIVING = (
    "state",
    "reason",
    "detail",
    "revision",
    "attempt",
    "tries",
    "epoch",
    "not_before",
    "session_id",
    "session_cost_usd",
    "ended_ts",
    "artifacts",
    "archived",
    "cleaned",
    "path",
    "deadline_ts",
    "agent",
)

# Conditions written exactly as in the partial indexes of sql/: only then does SQLite use them.
WAITING = "state IN ('queued', 'retry_wait')"
AHEAD = "state IN ('queued', 'retry_wait', 'held', 'needs_input', 'split')"
PENDING = "state IN ('queued', 'retry_wait', 'held', 'needs_input', 'split', 'blocked', 'scheduled')"
ACTIVE = "state IN ('running', 'checking', 'cancelling')"
ENDED = "state IN ('succeeded', 'failed', 'cancelled', 'rejected')"
UNPROJECTED = f"{ENDED} AND ((artifacts = 0 AND cleaned = 0 AND state <> 'rejected') OR archived = 0)"
_TASK_COLUMNS = (
    "ord, uid, name, file_name, inode, mtime_ns, size, sha256, created_ts, rerun_of, job, parent, root, depth, spec"
)
TASK = f"SELECT {_TASK_COLUMNS}, {', '.join(LIVING)} FROM task JOIN content USING (ord)"  # noqa: S608 - our own column names
EVENT = "SELECT seq, ts, kind, uid, attempt, epoch, data FROM event"
PAUSE = "SELECT scope, until, reason, detail, account FROM pause"
ATTEMPT = "SELECT uid, number, epoch, agent, session_id, started_ts, ended_ts, outcome, verdict, cap_usd FROM attempt"


def name_key(name: str) -> str:
    """Return the form under which two names are the same on a filesystem that ignores case."""
    return name.casefold()


def plain(value: str) -> str | bytes:
    """Return *value* as SQLite can keep it: a file name with undecodable bytes (surrogates) becomes a blob."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def text(value: str | bytes) -> str:
    """Undo `plain`."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def _wide(number: int) -> int | str:
    return number if -(2**63) <= number < 2**63 else str(number)


def fixed_values(task: Task) -> Sequence[Value]:
    """Return the values of the columns FIXED."""
    names = (plain(task.name), plain(name_key(task.name)))
    return (task.uid, *names, task.created_ts, task.rerun_of, task.job, task.parent, task.root, task.depth)


def asked_values(task: Task) -> Sequence[Value]:
    """Return the values of the columns ASKED."""
    spec, stamp = task.spec, task.stamp
    return (
        plain(task.id_key),
        plain(task.file_name),
        _wide(stamp.inode),
        _wide(stamp.mtime_ns),
        stamp.size,
        task.sha256,
        spec.priority.rank,
    )


def living_values(task: Task) -> Sequence[Value]:
    """Return the values of the columns LIVING."""
    return (
        task.state.value,
        plain(task.reason),
        plain(task.detail),
        task.revision,
        task.attempt,
        task.tries,
        task.epoch,
        task.not_before,
        plain(task.session_id),
        task.session_cost_usd,
        task.ended_ts,
        task.artifacts,
        task.archived,
        task.cleaned,
        task.path,
        task.deadline_ts,
        plain(task.agent),
    )


def task_of(row: Row) -> Task:
    """Return the task of a row of TASK. Raises StoreError when its spec is not readable."""
    order, uid, name, file_name, inode, mtime_ns, size, sha256, created_ts, rerun_of, *placed, spec = row[:15]
    job, parent, root, depth = placed
    living = dict(zip(LIVING, row[15:], strict=True))
    agent = text(living.pop("agent"))
    try:
        asked = codec.spec_from_json(json.loads(spec))
        return Task(
            uid=TaskUid(uid),
            name=text(name),
            spec=asked,
            on_agent="" if agent == asked.agent else agent,
            sha256=sha256,
            created_ts=created_ts,
            file_name=text(file_name),
            stamp=stamp_of(inode, mtime_ns, size),
            rerun_of=rerun_of,
            job=job,
            parent=TaskUid(parent),
            root=TaskUid(root),
            depth=depth,
            order=order,
            **_typed(living),
        )
    except ValueError as error:
        raise _unreadable(f"task {uid}", error) from error


def label_of(uid: TaskUid, row: Row) -> Label:
    """Return the label of a row (name, spec), leaving the rest of the spec alone. Raises StoreError."""
    name, spec = row
    try:
        return Label(str(json.loads(spec)["id"]), text(name))
    except (ValueError, LookupError, TypeError) as error:
        raise _unreadable(f"task {uid}", ValueError(str(error))) from error


def _unreadable(what: str, error: ValueError) -> StoreError:
    return StoreError(
        f"{what} cannot be read ({error})",
        hint="The file is kept as it is. Install the newer release that wrote it, or run `python main.py doctor`.",
    )


def _typed(living: dict[str, Any]) -> dict[str, Any]:
    for name in ("reason", "detail", "session_id"):
        living[name] = text(living[name])
    for name in ("artifacts", "archived", "cleaned"):
        living[name] = bool(living[name])
    living["state"] = State(living["state"])
    return living


def stamp_of(inode: int | str, mtime_ns: int | str, size: int) -> FileStamp:
    """Return the stamp of its three columns."""
    return FileStamp(int(inode), int(mtime_ns), size)


def event_values(seq: int, event: Event) -> Sequence[Value]:
    """Return the values of a row of EVENT. Data that is too large is cut, and says so."""
    data = codec.event_text(event.data)
    return (seq, event.ts, event.kind.value, event.uid, event.attempt, event.epoch, data)


def event_of(row: Row) -> Event:
    """Return the event of a row of EVENT. Raises StoreError when this release does not know its kind."""
    seq, ts, kind, uid, attempt, epoch, data = row
    try:
        return Event(EventKind(kind), ts, TaskUid(uid), attempt, epoch, json.loads(data), seq)
    except ValueError as error:
        raise _unreadable(f"event {seq}", error) from error


def attempt_of(row: Row) -> AttemptRecord:
    """Return the record of a row of ATTEMPT. Raises StoreError when outcome or verdict is not readable."""
    uid, number, epoch, agent, session_id, started_ts, ended_ts, outcome, verdict, cap_usd = row
    try:
        told: Mapping[str, Any] = json.loads(outcome)
        judged: Mapping[str, Any] = json.loads(verdict)
    except ValueError as error:
        raise _unreadable(f"attempt {number} of task {uid}", error) from error
    return AttemptRecord(
        TaskUid(uid), number, epoch, text(agent), text(session_id), started_ts, ended_ts, told, judged, cap_usd
    )


def pause_of(row: Row) -> Pause:
    """Return the pause of a row of PAUSE."""
    scope, until, reason, detail, account = row
    return Pause(text(scope), until, text(reason), text(detail), text(account))
