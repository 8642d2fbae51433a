"""Jobs, needs, trees and times in the database: the part `JobStore` of the port, and what writes do for it."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from orchestrator.bridges import sqlite_rows as rows
from orchestrator.core import codec
from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.dependencies import Need, NeedKind
from orchestrator.core.errors import ConflictError, IllegalEventError
from orchestrator.core.events import Event, TaskUid
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task, id_key

T = TypeVar("T")
SHORTEST_PREFIX, UID_END = 4, 8

_NEED = "SELECT uid, on_key, on_uid, kind, met FROM need"
_OPEN = f"uid IN (SELECT uid FROM task WHERE NOT {rows.ENDED})"  # noqa: S608 - our own condition
_ENDED_BADLY = "state IN ('failed', 'cancelled', 'rejected')"
_NEWEST_OF = (
    "SELECT uid FROM task INDEXED BY task_id WHERE id_key = ? AND uid <> ? AND state NOT IN ('scheduled', 'rejected')"
    " ORDER BY job = ? DESC, ord DESC LIMIT 1"
)
# A job of its own may have a task of the same id: that one is another one's predecessor. A template never ends: who
# waits for one (it was a task like others, and its file was edited) waits for its next run.
_TAKE_PLACE = (
    "UPDATE need SET on_uid = :uid WHERE on_key = :key AND met = 0 AND uid <> :uid AND (on_uid = :before"  # noqa: S608 - our own conditions
    " AND on_uid <> '' OR kind = 'after' AND (on_uid = '' OR (SELECT job FROM task WHERE task.uid = need.uid) = :job"
    f" AND EXISTS (SELECT 1 FROM task WHERE task.uid = on_uid AND {_ENDED_BADLY})"
    f" OR EXISTS (SELECT 1 FROM task WHERE task.uid = on_uid AND state = 'scheduled'))) AND {_OPEN}"
)
_WAITING_FOR_TASKS = "state IN ('blocked', 'split')"
DUE = (
    "SELECT ord FROM task INDEXED BY task_due WHERE state = 'scheduled' AND not_before <= ?"
    " ORDER BY not_before, ord LIMIT ?"
)
_NOT_ENDED = "state NOT IN ('succeeded', 'failed', 'cancelled', 'rejected')"
OVERDUE = (
    f"SELECT ord FROM task INDEXED BY task_overdue WHERE deadline_ts > 0 AND {_NOT_ENDED} AND deadline_ts <= ?"  # noqa: S608 - our own condition
    " ORDER BY deadline_ts, ord LIMIT ?"
)
NEXT_DUE = (
    "SELECT min(ts) FROM (SELECT min(not_before) AS ts FROM task INDEXED BY task_due WHERE state = 'scheduled'"  # noqa: S608 - our own condition
    f" UNION ALL SELECT min(deadline_ts) FROM task INDEXED BY task_overdue WHERE deadline_ts > 0 AND {_NOT_ENDED})"
)


_STANDING = (
    "SELECT n.uid, n.on_key, n.on_uid, n.kind, n.met, t.state FROM need AS n LEFT JOIN task AS t ON t.uid = n.on_uid"
    " WHERE n.met = 0 AND n.uid IN (SELECT value FROM json_each(?)) ORDER BY n.uid, n.kind, n.on_key"
)
_ABOUT = "FROM need AS n LEFT JOIN task AS p ON p.uid = n.on_uid WHERE n.uid = w.uid AND n.met = 0"
STIRRED = (
    f"SELECT ord FROM task AS w WHERE w.{_WAITING_FOR_TASKS} AND w.ord > ? AND (EXISTS (SELECT 1 {_ABOUT}"  # noqa: S608 - our own conditions
    " AND n.kind = 'after' AND p.state IN ('failed', 'cancelled', 'rejected', 'held', 'needs_input'))"
    f" OR NOT EXISTS (SELECT 1 {_ABOUT} AND (p.state IS NULL OR p.{_NOT_ENDED}))) ORDER BY w.ord LIMIT ?"
)
ABANDONED = (
    f"SELECT n.on_uid FROM need AS n JOIN task AS p ON p.uid = n.uid AND p.{rows.ENDED} JOIN task AS c"  # noqa: S608 - our own conditions
    f" ON c.uid = n.on_uid AND c.{_NOT_ENDED} WHERE n.met = 0 AND n.kind = 'child'"
)
ABANDONED_BY = f"{ABANDONED} AND n.uid IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own condition


# What writes


def put_jobs(con: sqlite3.Connection, jobs: Sequence[Job], first_order: int) -> None:
    """Store *jobs* that are not stored yet; the tasks of a new one stand in line as the first of them does."""
    (last,) = con.execute("SELECT coalesce(max(ord), 0) FROM job").fetchone()
    for order, job in enumerate(jobs, start=last + 1):
        con.execute(
            "INSERT OR IGNORE INTO job (ord, uid, name, line, facts) VALUES (?, ?, ?, ?, ?)",
            (order, job.uid, rows.plain(job.name), first_order, codec.text(job)),
        )


def line_of(con: sqlite3.Connection, task: Task) -> int:
    """Return the place in line of a new task. Raises ConflictError for a job that is not stored."""
    if not task.job:
        return task.order
    found = con.execute("SELECT line FROM job WHERE uid = ?", (task.job,)).fetchone()
    if found is None:
        raise ConflictError(f"there is no job {task.job}")
    return int(found[0])


def put_job(con: sqlite3.Connection, task: Task) -> None:
    """Let *task* belong to its job, and stand in line with it."""
    con.execute("UPDATE task SET job = ?, line = ? WHERE ord = ?", (task.job, line_of(con, task), task.order))


def put_needs(con: sqlite3.Connection, task: Task, needs: Iterable[Need]) -> None:
    """Replace the unmet needs of *task* by *needs*; one without a uid is of the newest task of that id."""
    con.execute("DELETE FROM need WHERE uid = ? AND met = 0 AND kind = 'after'", (task.uid,))
    for need in needs:
        on_uid: str = need.on_uid
        if not on_uid:
            found = con.execute(_NEWEST_OF, (rows.plain(need.on_key), task.uid, task.job)).fetchone()
            on_uid = found[0] if found else ""
        con.execute(
            "INSERT OR IGNORE INTO need (uid, kind, on_key, on_uid, met) VALUES (?, ?, ?, ?, ?)",
            (task.uid, need.kind.value, rows.plain(need.on_key), on_uid, need.met),
        )


def take_place(con: sqlite3.Connection, task: Task) -> None:
    """Let who waits for a task of this id that is no success, or that nobody had submitted, wait for *task* instead."""
    given = {"uid": task.uid, "key": rows.plain(id_key(task.spec.id)), "before": task.rerun_of, "job": task.job}
    con.execute(_TAKE_PLACE, given)


def need_children(con: sqlite3.Connection, parent: Task, children: Sequence[Task]) -> None:
    """From now on *parent* waits for *children*."""
    needs = [Need(parent.uid, child.id_key, child.uid, NeedKind.CHILD) for child in children]
    for need in needs:
        con.execute(
            "INSERT OR REPLACE INTO need (uid, kind, on_key, on_uid, met) VALUES (?, ?, ?, ?, 0)",
            (need.uid, need.kind.value, rows.plain(need.on_key), need.on_uid),
        )


def met(con: sqlite3.Connection, uid: TaskUid) -> None:
    """The task waits for nothing more."""
    con.execute("UPDATE need SET met = 1 WHERE uid = ? AND met = 0", (uid,))


def refuse_early(con: sqlite3.Connection, task: Task, event: Event) -> None:
    """Raise IllegalEventError when *task* still waits for another one: the last line of defence."""
    found = con.execute("SELECT on_key FROM need WHERE uid = ? AND met = 0 LIMIT 1", (task.uid,)).fetchone()
    if found is not None:
        raise IllegalEventError(task.state, event.kind, why=f"it waits for {rows.text(found[0])}")


# What reads


class SqliteJobs:
    """The part `JobStore` of the store."""

    async def _read(self, act: Callable[[sqlite3.Connection], T]) -> T:
        raise NotImplementedError

    async def needs(self, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Sequence[Need]]:
        return await self._read(lambda con: _needs(con, uids))

    async def open_needs(self) -> Sequence[Need]:
        query = f"{_NEED} WHERE met = 0 AND {_OPEN}"
        return await self._read(lambda con: [_need_of(row) for row in con.execute(query)])

    async def dependents(self, uids: Sequence[TaskUid]) -> Sequence[Task]:
        query = (
            f"{rows.TASK} WHERE NOT {rows.ENDED} AND uid IN (SELECT uid FROM need WHERE met = 0 AND on_uid IN"  # noqa: S608 - our own condition
            " (SELECT value FROM json_each(?))) ORDER BY ord"
        )
        return await self._read(lambda con: _tasks(con, query, json.dumps(list(uids))))

    async def blocked(self, *, after: int = 0, limit: int) -> Sequence[Task]:
        query = f"{rows.TASK} WHERE {_WAITING_FOR_TASKS} AND ord > ? ORDER BY ord LIMIT ?"
        return await self._read(lambda con: _tasks(con, query, after, limit))

    async def standing(self, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Sequence[tuple[Need, State | None]]]:
        return await self._read(lambda con: _standing(con, uids))

    async def stirred(self, *, after: int = 0, limit: int) -> Sequence[Task]:
        return await self._read(lambda con: _in_order(con, STIRRED, after, limit))

    async def abandoned(self, parents: Sequence[TaskUid] | None = None) -> Sequence[TaskUid]:
        return await self._read(lambda con: _abandoned(con, parents))

    async def children(self, uid: TaskUid) -> Sequence[Task]:
        return await self._read(
            lambda con: _tasks(con, f"{rows.TASK} WHERE parent = ? AND parent <> '' ORDER BY ord", uid)
        )

    async def tree(self, root: TaskUid) -> Sequence[Task]:
        query = f"{rows.TASK} WHERE uid = ? OR (root = ? AND root <> '') ORDER BY uid <> ?, ord"
        return await self._read(lambda con: _tasks(con, query, root, root, root))

    async def tree_attempts(self, root: TaskUid) -> Sequence[AttemptRecord]:
        query = (
            f"{rows.ATTEMPT} WHERE uid = ? OR uid IN (SELECT uid FROM task WHERE root = ? AND root <> '')"  # noqa: S608 - our own columns
            " ORDER BY started_ts, uid, number"
        )
        return await self._read(lambda con: [rows.attempt_of(row) for row in con.execute(query, (root, root))])

    async def recent_attempts(self, *, limit: int) -> Sequence[AttemptRecord]:
        query = f"{rows.ATTEMPT} WHERE ended_ts > 0 ORDER BY ended_ts DESC, uid DESC, number DESC LIMIT ?"
        return await self._read(lambda con: [rows.attempt_of(row) for row in con.execute(query, (limit,))])

    async def job(self, key: str) -> Sequence[Job]:
        return await self._read(lambda con: _job(con, key))

    async def jobs(self, *, limit: int, newest_first: bool = True) -> Sequence[Job]:
        query = f"SELECT facts FROM job ORDER BY ord {'DESC' if newest_first else ''} LIMIT ?"  # noqa: S608 - our own word
        return await self._read(lambda con: [_job_of(row) for row in con.execute(query, (limit,))])

    async def job_tasks(self, uid: str) -> Sequence[Task]:
        return await self._read(lambda con: _tasks(con, f"{rows.TASK} WHERE job = ? AND job <> '' ORDER BY ord", uid))

    async def due(self, now: float, *, limit: int) -> Sequence[Task]:
        return await self._read(lambda con: _in_order(con, DUE, now, limit))

    async def overdue(self, now: float, *, limit: int) -> Sequence[Task]:
        return await self._read(lambda con: _in_order(con, OVERDUE, now, limit))

    async def next_due(self) -> float:
        return await self._read(lambda con: con.execute(NEXT_DUE).fetchone()[0] or 0.0)


def _needs(con: sqlite3.Connection, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Sequence[Need]]:
    each = {
        uid: [_need_of(row) for row in con.execute(f"{_NEED} WHERE uid = ? ORDER BY kind, on_key", (uid,))]
        for uid in uids
    }
    return {uid: found for uid, found in each.items() if found}


def _standing(
    con: sqlite3.Connection, uids: Sequence[TaskUid]
) -> Mapping[TaskUid, Sequence[tuple[Need, State | None]]]:
    found: dict[TaskUid, list[tuple[Need, State | None]]] = {}
    for *row, state in con.execute(_STANDING, (json.dumps(list(uids)),)):
        need = _need_of(tuple(row))
        found.setdefault(need.uid, []).append((need, State(state) if state else None))
    return found


def _abandoned(con: sqlite3.Connection, parents: Sequence[TaskUid] | None) -> Sequence[TaskUid]:
    if parents is None:
        return [TaskUid(uid) for (uid,) in con.execute(ABANDONED)]
    return [TaskUid(uid) for (uid,) in con.execute(ABANDONED_BY, (json.dumps(list(parents)),))]


def _tasks(con: sqlite3.Connection, query: str, *values: rows.Value) -> Sequence[Task]:
    return [rows.task_of(row) for row in con.execute(query, values)]


def _in_order(con: sqlite3.Connection, query: str, *values: rows.Value) -> Sequence[Task]:
    orders = con.execute(query, values).fetchall()
    return [task for (order,) in orders for task in _tasks(con, f"{rows.TASK} WHERE ord = ?", order)]


def _need_of(row: rows.Row) -> Need:
    uid, on_key, on_uid, kind, is_met = row
    return Need(TaskUid(uid), rows.text(on_key), TaskUid(on_uid), NeedKind(kind), bool(is_met))


def _job_of(row: rows.Row) -> Job:
    return codec.job_from_json(json.loads(row[0]))


def _job(con: sqlite3.Connection, key: str) -> Sequence[Job]:
    if not key:
        return []
    plain = rows.plain(key)
    conditions = ["uid = ?1", "name = ?1"]
    if len(key) == UID_END:
        conditions.append("substr(uid, -8) = ?1")
    if len(key) >= SHORTEST_PREFIX and isinstance(plain, str) and key.isalnum():
        conditions.append("(uid >= ?1 AND uid < ?1 || char(1114111))")
    found = con.execute(f"SELECT facts FROM job WHERE {' OR '.join(conditions)} ORDER BY ord DESC", (plain,))  # noqa: S608 - our own conditions
    return [_job_of(row) for row in found]
