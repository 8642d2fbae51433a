"""Whether a database file is sound: quickly, before a daemon trusts it, and thoroughly, before anybody repairs it."""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from orchestrator.bridges import sqlite_read as read
from orchestrator.bridges import sqlite_rows as rows
from orchestrator.bridges.sqlite_file import DAMAGED, check_owner, connect, told
from orchestrator.core.errors import StoreError

_TOLD = 20
_BODIES = "SELECT uid, sha256, body FROM task JOIN content USING (ord) WHERE sha256 <> ''"


def refuse_damaged(path: Path) -> None:
    """Raise StoreError for a damaged file; a missing or empty one is none. Reads the whole file once."""
    if not _has_content(path):
        return
    with told(path), closing(connect(path, busy_timeout_s=30, writable=False)) as con:
        check_owner(con, path)
        (found,) = con.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        first = str(found).strip().splitlines()[-1]
        raise StoreError(f"the database is damaged ({first})", where=str(path), hint=DAMAGED, lasting=True)


def problems_of(path: Path) -> Sequence[str]:
    """Return what is wrong with the file, in sentences; nothing where it is sound, empty or missing.

    Reads every page, every index and every row. Raises StoreError for what is no damage: a file of another program or
    a newer release, one that is locked or may not be read.
    """
    if not _has_content(path):
        return []
    try:
        with told(path), closing(connect(path, busy_timeout_s=30, writable=False)) as con:
            check_owner(con, path)
            whole = [str(line) for (line,) in con.execute(f"PRAGMA integrity_check({_TOLD})") if line != "ok"]
            return whole or [*read.integrity(con), *_unreadable(con)]
    except StoreError as error:
        if not error.lasting:
            raise
        return [error.message]


def _has_content(path: Path) -> bool:
    """A main file that is empty may have all its content in its write-ahead log."""
    return any(one.exists() and one.stat().st_size > 0 for one in (path, Path(f"{path}-wal")))


def _unreadable(con: sqlite3.Connection) -> list[str]:
    queries: Sequence[tuple[str, Callable[[rows.Row], object]]] = (
        (rows.TASK, rows.task_of),
        (rows.ATTEMPT, rows.attempt_of),
        (rows.EVENT, rows.event_of),
        (rows.PAUSE, rows.pause_of),
    )
    if con.execute("PRAGMA user_version").fetchone() == (0,):
        return []
    found: list[str] = []
    for query, read_row in queries:
        for row in con.execute(query):
            try:
                read_row(row)
            except (StoreError, ValueError, TypeError, AttributeError) as error:
                found.append(error.message if isinstance(error, StoreError) else f"a row cannot be read ({error})")
    for uid, sha256, body in con.execute(_BODIES):
        if not isinstance(body, bytes) or hashlib.sha256(body).hexdigest() != sha256:
            found.append(f"the text of task {uid} is not the one that was accepted")
    return list(islice(found, _TOLD))
