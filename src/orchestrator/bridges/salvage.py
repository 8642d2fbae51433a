"""What can still be read of a damaged database: by SQLite where the tree holds, page by page for the rest."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.bridges import sqlite_rows as rows
from orchestrator.bridges.sqlite_outbox import THROUGH
from orchestrator.bridges.sqlite_pages import FoundRow, Value, found_rows
from orchestrator.core import codec
from orchestrator.core.errors import StoreError
from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.notice import notice_of

Row = tuple[Value, ...]
_UID = re.compile(r"[0-9a-f]{32}")
_KINDS = frozenset(kind.value for kind in EventKind)
_OUTBOX_STATES = ("waiting", "sending", "sent", "dropped")
_STATES = frozenset(state.value for state in State)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the newest schema. *key* are the places of its primary key; *rowid*: that is a number of the row's."""

    name: str
    columns: tuple[str, ...]
    defaults: tuple[Value, ...]
    key: tuple[int, ...]
    rowid: bool

    def keyed(self, row: Row) -> Row:
        return tuple(row[place] for place in self.key)


@dataclass(slots=True)
class Salvage:
    """Rows by the name of their table and their key. *bodies_lost*: tasks whose text is not the one they were given."""

    rows: dict[str, dict[Row, Row]] = field(default_factory=dict)
    bodies_lost: int = 0

    @property
    def uids(self) -> frozenset[str]:
        """The tasks that were found. (Of every task the column after its number is its uid.)"""
        return frozenset(str(row[1]) for row in self.rows["task"].values())

    @property
    def root_tag(self) -> str:
        """What the marks of its attempts carry beside uid and number."""
        return str(self.rows["meta"].get(("mark_tag",), ("", ""))[1])

    def count(self, table: str) -> int:
        return len(self.rows.get(table, {}))


def tables_of(con: sqlite3.Connection) -> Mapping[str, Table]:
    """Return the tables of a sound database."""
    found = {}
    for name, sql in con.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
        info = con.execute(f"PRAGMA table_info({name})").fetchall()
        key = [place for place, *_, order in sorted(info, key=lambda column: column[5]) if order]
        defaults = tuple(_literal(column[4]) for column in info)
        columns = tuple(str(column[1]) for column in info)
        found[name] = Table(name, columns, defaults, tuple(key), "WITHOUT ROWID" not in sql)
    return found


def salvaged(path: Path, tables: Mapping[str, Table]) -> Salvage:
    """Return what the file *path*, with its write-ahead log, still holds. Give it a copy: reading may change it."""
    found = Salvage({name: {} for name in tables})
    by_pages = {name: dict[Row, Row]() for name in tables}
    if path.exists():
        for row in found_rows(path):  # first: what SQLite makes of a log it cannot read is to cut it
            _sort_in(row, tables, by_pages)
    for table in tables.values():
        for row_ in _walked(path, table):
            found.rows[table.name].setdefault(table.keyed(row_), row_)
        for key, row_ in by_pages[table.name].items():
            found.rows[table.name].setdefault(key, row_)
    _keep_what_is_whole(found, tables)
    return found


def _literal(text: str | None) -> Value:
    return None if text is None else text[1:-1] if text[:1] == "'" else float(text)


def _walked(path: Path, table: Table) -> Iterator[Row]:
    """Walk the tree from both ends, each time up to the first fault."""
    if not path.exists():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as con:
        there = {str(column[1]) for column in con.execute(f"PRAGMA table_info({table.name})")}
        chosen = [
            name if name in there else f"{_sql(default)} AS {name}"
            for name, default in zip(table.columns, table.defaults, strict=True)
        ]
        key = [table.columns[place] for place in table.key]
        for way in ("ASC", "DESC"):
            order = ", ".join(f"{name} {way}" for name in key)
            with suppress(sqlite3.Error):
                yield from con.execute(f"SELECT {', '.join(chosen)} FROM {table.name} NOT INDEXED ORDER BY {order}")  # noqa: S608 - our own names


def _sql(value: Value) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def _sort_in(row: FoundRow, tables: Mapping[str, Table], into: Mapping[str, dict[Row, Row]]) -> None:
    for name, fits in _SHAPES.items():
        table = tables.get(name)
        if table is None or table.rowid != (row.rowid is not None) or not fits(row.values):
            continue
        values = (*row.values, *table.defaults[len(row.values) :])[: len(table.columns)]
        if table.rowid:
            values = tuple(row.rowid if place in table.key else value for place, value in enumerate(values))
        key = table.keyed(values)
        if key not in into[name] or _is_newer(table, values, into[name][key]):
            into[name][key] = values
        return


def _is_newer(table: Table, one: Row, other: Row) -> bool:
    """Of two copies of a task or notice the one that came further; of anything else the first is as good."""
    if table.name == "outbox":
        return _OUTBOX_STATES.index(str(one[4])) > _OUTBOX_STATES.index(str(other[4]))
    if table.name != "task":
        return False
    places = [table.columns.index(name) for name in ("epoch", "attempt", "revision", "ended_ts", "archived")]
    return [str(one[place]).zfill(30) for place in places] > [str(other[place]).zfill(30) for place in places]


def _is_uid(value: Value) -> bool:
    return isinstance(value, str) and _UID.fullmatch(value) is not None


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float))


def _is_task(row: Row) -> bool:
    return len(row) > 20 and row[0] is None and _is_uid(row[1]) and any(value in _STATES for value in row[10:20])


def _is_content(row: Row) -> bool:
    return len(row) == 3 and row[0] is None and isinstance(row[1], str) and isinstance(row[2], bytes)


def _is_event(row: Row) -> bool:
    return len(row) == 7 and row[0] is None and _is_number(row[1]) and row[2] in _KINDS and isinstance(row[6], str)


def _is_attempt(row: Row) -> bool:
    return len(row) >= 9 and _is_uid(row[0]) and isinstance(row[1], int) and all(isinstance(v, str) for v in row[7:9])


def _is_pause(row: Row) -> bool:
    if not 4 <= len(row) <= 5 or not _is_number(row[1]):
        return False
    return all(isinstance(value, (str, bytes)) for value in (row[0], *row[2:]))


def _is_meta(row: Row) -> bool:
    return len(row) == 2 and row[0] in ("root_uuid", "home", "mark_tag", THROUGH) and isinstance(row[1], str)


def _is_owed(row: Row) -> bool:
    return len(row) == 11 and row[0] is None and row[4] in _OUTBOX_STATES and all(isinstance(v, str) for v in row[1:6])


def _is_job(row: Row) -> bool:
    return len(row) == 5 and row[0] is None and _is_uid(row[1]) and isinstance(row[3], int) and isinstance(row[4], str)


def _is_need(row: Row) -> bool:
    return len(row) == 5 and _is_uid(row[0]) and row[1] in ("after", "child") and row[4] in (0, 1)


_SHAPES: Mapping[str, Callable[[Row], bool]] = {
    "task": _is_task,
    "content": _is_content,
    "event": _is_event,
    "attempt": _is_attempt,
    "pause": _is_pause,
    "meta": _is_meta,
    "outbox": _is_owed,
    "job": _is_job,
    "need": _is_need,
}


def _keep_what_is_whole(found: Salvage, tables: Mapping[str, Table]) -> None:
    """Drop what this release cannot read, tasks without their text, and attempts without their task."""
    content, task = found.rows["content"], found.rows["task"]
    sha256, uid = (tables["task"].columns.index(name) for name in ("sha256", "uid"))
    for key, row in list(task.items()):
        text = content.get(key)
        body = text[2] if text is not None else None
        if not isinstance(body, bytes) or (row[sha256] and hashlib.sha256(body).hexdigest() != row[sha256]):
            found.bodies_lost += 1
            del task[key]
        elif text is None or not _readable_task(tables["task"], row, text):
            del task[key]
    found.rows["content"] = {key: row for key, row in content.items() if key in task}
    uids = {row[uid] for row in task.values()}
    found.rows["attempt"] = {
        key: row for key, row in found.rows["attempt"].items() if row[0] in uids and _can(rows.attempt_of, row[:10])
    }
    found.rows["need"] = {key: row for key, row in found.rows["need"].items() if row[0] in uids}
    found.rows["job"] = {key: row for key, row in found.rows["job"].items() if _can(_job_of, row)}
    found.rows["event"] = {key: row for key, row in found.rows["event"].items() if _can(rows.event_of, row)}
    found.rows["outbox"] = {key: row for key, row in found.rows["outbox"].items() if _can(_notice_of, row)}


def _readable_task(table: Table, row: Row, content: Row) -> bool:
    try:
        codec.spec_from_json(json.loads(str(content[1])))
        return row[table.columns.index("state")] in _STATES
    except ValueError:
        return False


def _job_of(row: Row) -> object:
    return codec.job_from_json(json.loads(str(row[4])))


def _notice_of(row: Row) -> object:
    return notice_of(json.loads(str(row[3])))


def _can(read: Callable[[Row], object], row: Sequence[Value]) -> bool:
    try:
        read(tuple(row))
    except (StoreError, ValueError, TypeError, AttributeError):
        return False
    return True
