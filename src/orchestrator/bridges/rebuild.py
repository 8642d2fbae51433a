"""A new database of what was salvaged from a damaged one, and of what the event log still tells."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.bridges import sqlite_jobs
from orchestrator.bridges import sqlite_read as read
from orchestrator.bridges import sqlite_rows as rows
from orchestrator.bridges import sqlite_write as write
from orchestrator.bridges.files import open_folder, opened, rename_new, sync_folder
from orchestrator.bridges.salvage import Row, Salvage, Table
from orchestrator.core.errors import IllegalEventError, NotFoundError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import ACTIVE, State

REBUILT = "rebuilt.db"  # whole: what it replaces may go
LOST = "event_lost"  # the reason of the warning that stands in the place of an event nobody has any more
_OPEN_ATTEMPTS = (
    "INSERT OR IGNORE INTO attempt (uid, number, epoch, agent, session_id, started_ts, ended_ts, outcome, verdict)"  # noqa: S608 - our own condition
    " SELECT uid, attempt, epoch, agent, session_id, created_ts, 0, '{}', '{}' FROM task"
    f" WHERE {rows.ACTIVE}"
)
_INSERT_EVENT = "INSERT INTO event (seq, ts, kind, uid, attempt, epoch, data) VALUES (?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Events:
    """How many events were *kept* by the database, *logged* only in the log, and *lost* in both."""

    kept: int
    logged: int
    lost: int


def put_in_place(database: Path) -> bool:
    """Put a rebuilt database, if there is one, into the place of the damaged one. Redoable after a crash in it."""
    new = database.with_name(REBUILT)
    if not new.exists():
        return False
    for ending in ("-wal", "-shm", "-journal", ""):  # a log of the old one beside the new one would be believed
        Path(f"{database}{ending}").unlink(missing_ok=True)
    with opened(open_folder(database.parent)) as folder:
        sync_folder(folder)
        rename_new(folder, REBUILT, folder, database.name)
    return True


def fill(con: sqlite3.Connection, found: Salvage, tables: Mapping[str, Table]) -> None:
    """Put the salvaged rows, but for the events, into the empty database *con*. The caller commits."""
    for row in found.rows["meta"].values():
        con.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row)
    task = tables["task"]
    for key, row in sorted(found.rows["task"].items(), key=lambda item: str(item[0][0]).zfill(20)):
        _insert_task(con, task, row)
        _insert(con, "content", found.rows["content"][key])
    for name in ("attempt", "pause", "job", "need", "memo"):
        for row in found.rows[name].values():
            _insert(con, name, row)
    for row in found.rows["outbox"].values():
        with suppress(sqlite3.IntegrityError):  # two copies of a page: the same notice is owed once
            _insert(con, "outbox", row)
    _mend_active(con)
    sqlite_jobs.replant(con)


def _insert_task(con: sqlite3.Connection, table: Table, row: Row) -> None:
    """Insert a task. A copy of a page may hold what two rows cannot both have: then the name is made unique."""
    try:
        _insert(con, "task", row)
    except sqlite3.IntegrityError:
        uid = str(row[table.columns.index("uid")])
        changed: Mapping[str, object] = {"name": f"lost.{uid}", "name_key": f"lost.{uid}"}
        if row[table.columns.index("state")] in ACTIVE:
            changed = {**changed, "state": State.QUEUED.value}
        values = [changed.get(name, value) for name, value in zip(table.columns, row, strict=True)]
        _insert(con, "task", values)


def _insert(con: sqlite3.Connection, table: str, row: Sequence[object]) -> None:
    con.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - our own names


def _mend_active(con: sqlite3.Connection) -> None:
    """A running task has a record of its attempt; one that is to be checked has an outcome, or is collected again."""
    con.execute(_OPEN_ATTEMPTS)
    con.execute(
        "UPDATE task SET state = 'running' WHERE state = 'checking' AND (SELECT outcome FROM attempt"
        " WHERE attempt.uid = task.uid AND number = task.attempt) = '{}'"
    )


def put_events(con: sqlite3.Connection, kept: Mapping[Row, Row], logged: Mapping[int, Event]) -> Events:
    """Make the events of the database gapless again: its own, those of the log, else a warning in their place.

    What the log has beyond the last one of the database is done again, as far as its task is still there: that is
    what the database had lost of its last transactions.
    """
    own = {int(str(key[0])): row for key, row in kept.items()}
    if any(seq in logged and logged[seq].kind.value != row[2] for seq, row in own.items()):
        logged = {}  # the log of another life of this root: whoever writes it next sets it aside
    last = max(own, default=0)
    lost = from_log = 0
    ts = 0.0
    for seq in range(1, last + 1):
        if (row := own.get(seq)) is not None:
            con.execute(_INSERT_EVENT, row)
            ts = float(str(row[1]))
            continue
        event = logged.get(seq)
        lost, from_log = lost + (event is None), from_log + (event is not None)
        event = event or Event(EventKind.WARNING, ts, data={"reason": LOST, "detail": "lost by damage to the database"})
        con.execute(_INSERT_EVENT, rows.event_values(seq, event))
        ts = event.ts
    again = replay(con, logged)
    sqlite_jobs.replant(con)
    return Events(len(own), from_log + again, lost)


def replay(con: sqlite3.Connection, logged: Mapping[int, Event]) -> int:
    """Take the events of the log behind the last one of the database into it. Returns their number."""
    seq = read.last_seq(con)
    count = 0
    while (event := logged.get(seq + 1)) is not None:
        _again(con, event)
        seq, count = seq + 1, count + 1
    return count


def _again(con: sqlite3.Connection, event: Event) -> None:
    task = read.task(con, event.uid) if event.uid else None
    if task is not None and event.attempt in (0, task.attempt, task.attempt + 1):
        with suppress(IllegalEventError, NotFoundError, sqlite3.IntegrityError):
            write.commit(con, [replace(event, epoch=task.epoch)])
            return
    con.execute(_INSERT_EVENT, rows.event_values(event.seq, event))


def goes_on_in(con: sqlite3.Connection, logged: Mapping[int, Event]) -> bool:
    """Return whether the log was written from this database and knows events that it has lost."""
    last = read.last_seq(con)
    if last + 1 not in logged:
        return False
    if last == 0:
        return True
    (mine,) = read.events_after(con, last - 1, 1)
    theirs = logged.get(last)
    return theirs is not None and theirs.kind is mine.kind and abs(theirs.ts - mine.ts) < 0.002
