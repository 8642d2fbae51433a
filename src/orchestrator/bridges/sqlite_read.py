"""What is read from the database. Each function sees one state of it; none changes anything."""

import heapq
import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from math import inf

from orchestrator.bridges import sqlite_rows as rows
from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import Spending
from orchestrator.core.errors import NotFoundError
from orchestrator.core.events import Event, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import EndedTask, Pause
from orchestrator.core.task import FileStamp, Label, Task, id_key

SHORTEST_PREFIX = 4
UID_END = 8  # what messages show of a uid, and ask people to type
# INDEXED BY makes a statement fail rather than read 100,000 rows, should an index and its condition ever part.
NEXT_AGENT = f"SELECT agent FROM task INDEXED BY task_ready WHERE {rows.WAITING} AND agent > ? ORDER BY agent LIMIT 1"  # noqa: S608 - our own condition
FIRST_AGENT = f"SELECT agent FROM task INDEXED BY task_ready WHERE {rows.WAITING} ORDER BY agent LIMIT 1"  # noqa: S608 - our own condition
_OLDEST = "SELECT ord FROM task WHERE state = ? ORDER BY ord LIMIT ?"
_NEWEST = "SELECT ord FROM task WHERE state = ? ORDER BY ord DESC LIMIT ?"
_IN_LINE = " ORDER BY rank, line, path DESC, ord LIMIT ?"
_FREE = (
    f"SELECT rank, line, -path, ord, job FROM task AS t INDEXED BY task_ready WHERE {rows.WAITING} AND agent = ?"  # noqa: S608 - our own conditions
    " AND not_before <= ? AND job NOT IN (SELECT value FROM json_each(?))"
    f" AND NOT EXISTS (SELECT 1 FROM task AS a WHERE a.id_key = t.id_key AND a.{rows.ACTIVE})"
    f" AND NOT EXISTS (SELECT 1 FROM task AS w WHERE w.id_key = t.id_key AND w.{rows.AHEAD} AND w.ord < t.ord)"
)
READY = f"{_FREE}{_IN_LINE}"
# Only where a lineage is held: who it belongs to stands in no index.
_NOT_OF = (
    " AND (reason = 'joined' OR substr(coalesce(nullif(root, ''), uid), -8) NOT IN (SELECT value FROM json_each(?)))"
)
READY_BUT = f"{_FREE}{_NOT_OF}{_IN_LINE}"
WAKE = (
    f"SELECT not_before FROM task INDEXED BY task_wake WHERE {rows.WAITING} AND not_before > 0 AND not_before > ?"  # noqa: S608 - our own condition
    " ORDER BY not_before LIMIT 1"
)
UNPROJECTED = f"SELECT ord FROM task INDEXED BY task_unprojected WHERE {rows.UNPROJECTED} ORDER BY ord LIMIT ?"  # noqa: S608 - our own condition
# By rowid, in pieces: whoever goes through all of them never holds more than one piece.
ENDED = (
    f"SELECT ord, uid, name, ended_ts, artifacts, cleaned FROM task NOT INDEXED WHERE {rows.ENDED}"  # noqa: S608 - our own condition
    " AND ord > ? AND ended_ts < ? ORDER BY ord LIMIT ?"
)
KNOWN_ID = "SELECT 1 FROM task INDEXED BY task_id WHERE id_key = ? LIMIT 1"
PENDING_OF = f"SELECT ord FROM task INDEXED BY task_line WHERE id_key = ? AND {rows.PENDING} ORDER BY ord DESC LIMIT 2"  # noqa: S608 - our own condition
ACTIVE_OF = f"SELECT ord FROM task INDEXED BY task_active WHERE id_key = ? AND {rows.ACTIVE}"  # noqa: S608 - our own condition
DONE_OF = (
    "SELECT ord FROM task INDEXED BY task_id WHERE id_key = ? AND state = 'succeeded' AND sha256 = ?"
    " ORDER BY ord DESC LIMIT 1"
)
LABEL = "SELECT name, spec FROM task JOIN content USING (ord) WHERE uid = ?"
SPENT = (
    "SELECT total(day_usd), count(*) - count(day_usd) FROM attempt INDEXED BY attempt_ended"
    " WHERE ended_ts > 0 AND ended_ts >= ?"
)
RESERVED = "SELECT total(cap_usd), total(cap_usd = 0) FROM attempt INDEXED BY attempt_ended WHERE ended_ts = 0"
_FILE_COLUMNS = "file_name, inode, mtime_ns, size, uid, ord"
FILES = f"SELECT {_FILE_COLUMNS} FROM task INDEXED BY task_waiting_file WHERE {rows.PENDING} AND file_name <> ''"  # noqa: S608 - our own condition


def task(con: sqlite3.Connection, uid: TaskUid) -> Task | None:
    row = con.execute(f"{rows.TASK} WHERE uid = ?", (uid,)).fetchone()
    return None if row is None else rows.task_of(row)


def find(con: sqlite3.Connection, key: str) -> Sequence[Task]:
    if not key:
        return []
    plain = rows.plain(key)
    found = _orders(con, "SELECT ord FROM task WHERE uid = ?", plain)
    found |= _orders(con, "SELECT ord FROM task WHERE id_key = ?", rows.plain(id_key(key)))
    found |= _orders(con, "SELECT ord FROM task WHERE name_key = ? AND name_key <> ''", rows.plain(rows.name_key(key)))
    found |= _orders(con, "SELECT ord FROM task WHERE file_name = ? AND file_name <> ''", plain)
    if len(key) == UID_END:
        found |= _orders(con, "SELECT ord FROM task WHERE substr(uid, -8) = ?", plain)
    if len(key) >= SHORTEST_PREFIX and isinstance(plain, str):
        found |= _orders(con, "SELECT ord FROM task WHERE uid >= ? AND uid < ?", plain, plain + "\U0010ffff")
    return _load(con, sorted(found, reverse=True))


def body(con: sqlite3.Connection, uid: TaskUid) -> bytes:
    row = con.execute("SELECT body FROM task JOIN content USING (ord) WHERE uid = ?", (uid,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no task {uid}", hint="`python main.py status` lists the tasks.")
    return bytes(row[0])


def tasks(con: sqlite3.Connection, states: Sequence[State], limit: int, newest_first: bool) -> Sequence[Task]:
    query = _NEWEST if newest_first else _OLDEST
    each = [con.execute(query, (state.value, limit)).fetchall() for state in dict.fromkeys(states)]
    merged = heapq.merge(*each, reverse=newest_first)
    return _load(con, (order for (order,) in islice(merged, limit)))


def ready(
    con: sqlite3.Connection,
    now: float,
    limit: int,
    held: Collection[str],
    jobs: Sequence[str] = (),
    trees: Sequence[str] = (),
) -> Sequence[Task]:
    """One look into the index for every agent that has waiting tasks, so that a held agent's queue costs nothing."""
    full = json.dumps(list(jobs))
    query, more = (READY_BUT, (json.dumps(list(trees)),)) if trees else (READY, ())
    each = [
        con.execute(query, (agent, now, full, *more, limit)).fetchall()
        for agent in _agents(con)
        if rows.text(agent) not in held
    ]
    return _load(con, (row[3] for row in islice(heapq.merge(*each), limit)))


def _agents(con: sqlite3.Connection) -> Iterable[str | bytes]:
    found = con.execute(FIRST_AGENT).fetchone()
    while found is not None:
        yield found[0]
        found = con.execute(NEXT_AGENT, found).fetchone()


def next_wake(con: sqlite3.Connection, now: float) -> float:
    found = con.execute(WAKE, (now,)).fetchone()
    return 0.0 if found is None else float(found[0])


def unprojected(con: sqlite3.Connection, limit: int) -> Sequence[Task]:
    return _load(con, (order for (order,) in con.execute(UNPROJECTED, (limit,)).fetchall()))


def ended(con: sqlite3.Connection, after: int, before_ts: float, limit: int) -> Sequence[EndedTask]:
    return [
        EndedTask(order, TaskUid(uid), rows.text(name), ended_ts, bool(artifacts), bool(cleaned))
        for order, uid, name, ended_ts, artifacts, cleaned in con.execute(ENDED, (after, before_ts, limit))
    ]


def ended_last(con: sqlite3.Connection, limit: int) -> Sequence[Task]:
    query = f"SELECT ord FROM task WHERE {rows.ENDED} ORDER BY ended_ts DESC, ord DESC LIMIT ?"  # noqa: S608 - our own condition
    return _load(con, (order for (order,) in con.execute(query, (limit,)).fetchall()))


def counts(con: sqlite3.Connection) -> Mapping[State, int]:
    found = dict(con.execute("SELECT state, count(*) FROM task GROUP BY state").fetchall())
    return {state: found.get(state.value, 0) for state in State}


def waiting_files(con: sqlite3.Connection) -> Sequence[tuple[str, FileStamp, TaskUid, int]]:
    return [
        (rows.text(name), rows.stamp_of(inode, mtime_ns, size), TaskUid(uid), order)
        for name, inode, mtime_ns, size, uid, order in con.execute(FILES)
    ]


def namesakes(con: sqlite3.Connection, task_id: str, sha256: str) -> Sequence[Task]:
    """A few looks into indexes, however many tasks of that id there were; for a new id it is one."""
    key = rows.plain(id_key(task_id))
    if con.execute(KNOWN_ID, (key,)).fetchone() is None:
        return []
    found = _orders(con, PENDING_OF, key) | _orders(con, ACTIVE_OF, key)
    newest = sorted(found, reverse=True)[:2]
    return _load(con, sorted({*newest, *_orders(con, DONE_OF, key, sha256)}, reverse=True))


def labels(con: sqlite3.Connection, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Label]:
    found = ((uid, con.execute(LABEL, (uid,)).fetchone()) for uid in uids)
    return {uid: rows.label_of(uid, row) for uid, row in found if row is not None}


def attempts(con: sqlite3.Connection, uid: TaskUid) -> Sequence[AttemptRecord]:
    return [rows.attempt_of(row) for row in con.execute(f"{rows.ATTEMPT} WHERE uid = ? ORDER BY number", (uid,))]


def events_after(con: sqlite3.Connection, seq: int, limit: int) -> Sequence[Event]:
    found = con.execute(f"{rows.EVENT} WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
    return [rows.event_of(row) for row in found]


def events_of(con: sqlite3.Connection, uid: TaskUid, limit: int) -> Sequence[Event]:
    found = con.execute(f"{rows.EVENT} WHERE uid = ? AND uid <> '' ORDER BY seq DESC LIMIT ?", (uid, limit))
    return [rows.event_of(row) for row in reversed(found.fetchall())]


def last_seq(con: sqlite3.Connection) -> int:
    (seq,) = con.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
    return int(seq)


def pauses(con: sqlite3.Connection) -> Sequence[Pause]:
    return [rows.pause_of(row) for row in con.execute(f"{rows.PAUSE} ORDER BY scope")]


def spending(con: sqlite3.Connection, since: float) -> Spending:
    spent, unknown = con.execute(SPENT, (since,)).fetchone()
    reserved, open_ended = con.execute(RESERVED).fetchone()
    return Spending(inf if unknown else spent, inf if open_ended else reserved)


def root_uuid(con: sqlite3.Connection) -> str:
    (value,) = con.execute("SELECT value FROM meta WHERE key = 'root_uuid'").fetchone()
    return str(value)


def schema_version(con: sqlite3.Connection) -> int:
    (version,) = con.execute("PRAGMA user_version").fetchone()
    return int(version)


def integrity(con: sqlite3.Connection) -> Sequence[str]:
    """Return what is wrong with the file, nothing when it is sound: pages, references, gaps in the event log."""
    problems = [str(line) for (line,) in con.execute("PRAGMA quick_check(20)") if line != "ok"]
    problems += [f"{table} refers to a missing {parent}" for table, _, parent, _ in _dangling(con)]
    number, last = con.execute("SELECT count(*), coalesce(max(seq), 0) FROM event").fetchone()
    if number != last:
        problems.append(f"the event log ends at {last} but holds {number} events")
    return problems


def _dangling(con: sqlite3.Connection) -> Sequence[rows.Row]:
    return list(islice(con.execute("PRAGMA foreign_key_check"), 20))


def _orders(con: sqlite3.Connection, query: str, *values: rows.Value) -> set[int]:
    return {order for (order,) in con.execute(query, values)}


def _load(con: sqlite3.Connection, orders: Iterable[int]) -> Sequence[Task]:
    return [rows.task_of(con.execute(f"{rows.TASK} WHERE ord = ?", (order,)).fetchone()) for order in orders]
