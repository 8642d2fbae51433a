"""Notices that wait to be sent, in the store's database. Implements the port `Outbox`."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from orchestrator.core import codec
from orchestrator.core.errors import StoreError
from orchestrator.core.notice import Notice, notice_json, notice_of
from orchestrator.core.notice_ports import Owed, SinkFacts

THROUGH = "noticed_seq"  # its key in `meta`
_OPEN = "state IN ('waiting', 'sending')"  # exactly as in the index
_DONE = "state IN ('sent', 'dropped')"
_PIECE = 500  # of numbers in one statement
_INSERT = (
    "INSERT OR IGNORE INTO outbox (sink, key, notice, state, message, tries, next_ts, done_ts, reference, trouble)"
    " VALUES (?, ?, ?, 'waiting', '', 0, 0, 0, '', '')"
)
_OWED = (
    "SELECT ord, sink, notice, message, state = 'sending', tries, next_ts, trouble FROM outbox INDEXED BY outbox_owed"  # noqa: S608 - our own condition
    f" WHERE sink = ? AND {_OPEN} ORDER BY ord LIMIT ?"
)
_SINCE = (
    "SELECT max(done_ts) FROM outbox INDEXED BY outbox_done WHERE sink = ? AND state = 'sent' AND done_ts >= ?"  # noqa: S608 - our own condition
    f" AND {_DONE} GROUP BY message ORDER BY 1"
)
_AS = (
    "SELECT notice FROM outbox INDEXED BY outbox_reference WHERE sink = ? AND reference = ? AND reference <> '' LIMIT 2"
)
_FACTS = (
    "SELECT sink, total(state IN ('waiting', 'sending')), total(state = 'sent'), total(state = 'dropped'),"
    " max(CASE state WHEN 'sent' THEN done_ts ELSE 0 END) FROM outbox GROUP BY sink ORDER BY sink"
)
_TROUBLE = f"SELECT trouble FROM outbox INDEXED BY outbox_owed WHERE sink = ? AND {_OPEN} AND trouble <> '' LIMIT 1"  # noqa: S608 - our own condition
T = TypeVar("T")


class Run(Protocol):
    """Runs a function on a connection, in one transaction."""

    def __call__(self, act: Callable[[sqlite3.Connection], T]) -> Awaitable[T]: ...


class SqliteOutbox:
    """The outbox of an open store, whose *read* and *write* it uses."""

    def __init__(self, read: Run, write: Run) -> None:
        self._read = read
        self._write = write

    async def told_through(self) -> int:
        return await self._read(_told_through)

    async def owe(self, notices: Sequence[tuple[str, Notice]], *, through: int) -> None:
        await self._write(lambda con: _owe(con, notices, through))

    async def owed(self, sink: str, *, limit: int) -> Sequence[Owed]:
        return await self._read(lambda con: [_owed_of(row) for row in con.execute(_OWED, (sink, limit))])

    async def sending(self, orders: Sequence[int], message: str) -> None:
        change = "state = 'sending', message = ?, tries = tries + 1"
        await self._write(lambda con: _set(con, orders, change, message))

    async def sent(self, orders: Sequence[int], ts: float, reference: str) -> None:
        change = "state = 'sent', done_ts = ?, reference = ?, trouble = ''"
        await self._write(lambda con: _set(con, orders, change, ts, reference))

    async def not_sent(self, orders: Sequence[int], next_ts: float, trouble: str, *, unsure: bool) -> None:
        change = f"state = 'waiting', next_ts = ?, trouble = ?{'' if unsure else ', message = ' + repr('')}"
        await self._write(lambda con: _set(con, orders, change, next_ts, trouble))

    async def drop(self, orders: Sequence[int], ts: float, why: str) -> None:
        await self._write(lambda con: _set(con, orders, "state = 'dropped', done_ts = ?, trouble = ?", ts, why))

    async def messages_since(self, sink: str, ts: float) -> Sequence[float]:
        return await self._read(lambda con: [float(row[0]) for row in con.execute(_SINCE, (sink, ts))])

    async def told_as(self, sink: str, reference: str) -> Notice | None:
        rows = await self._read(lambda con: con.execute(_AS, (sink, reference)).fetchall())
        return _notice(rows[0][0]) if len(rows) == 1 else None

    async def sinks(self) -> Sequence[SinkFacts]:
        return await self._read(_facts)

    async def forget_sent(self, *, before: float) -> None:
        await self._write(lambda con: con.execute(f"DELETE FROM outbox WHERE {_DONE} AND done_ts < ?", (before,)))  # noqa: S608 - our own condition

    async def forget_others(self, sinks: Collection[str], ts: float) -> int:
        return await self._write(lambda con: _drop_others(con, sinks, ts))


def drop_all(con: sqlite3.Connection, ts: float, why: str) -> int:
    """Drop whatever is owed to anybody, within the caller's transaction. Returns how much that was."""
    done = con.execute(f"UPDATE outbox SET state = 'dropped', done_ts = ?, trouble = ? WHERE {_OPEN}", (ts, why))  # noqa: S608 - our own condition
    return done.rowcount


def _told_through(con: sqlite3.Connection) -> int:
    row = con.execute("SELECT value FROM meta WHERE key = ?", (THROUGH,)).fetchone()
    return -1 if row is None else int(row[0])


def _owe(con: sqlite3.Connection, notices: Sequence[tuple[str, Notice]], through: int) -> None:
    rows = [(sink, notice.key, codec.text(notice_json(notice))) for sink, notice in notices]
    con.executemany(_INSERT, rows)
    if through < 0:
        con.execute("DELETE FROM meta WHERE key = ?", (THROUGH,))
    elif through > _told_through(con):
        con.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (THROUGH, str(through)))


def _set(con: sqlite3.Connection, orders: Sequence[int], change: str, *values: str | float) -> None:
    for piece in _pieces(orders):
        marks = ", ".join("?" * len(piece))
        con.execute(f"UPDATE outbox SET {change} WHERE ord IN ({marks}) AND {_OPEN}", (*values, *piece))  # noqa: S608 - our own words


def _drop_others(con: sqlite3.Connection, sinks: Collection[str], ts: float) -> int:
    marks = ", ".join("?" * len(sinks))
    done = con.execute(
        f"UPDATE outbox SET state = 'dropped', done_ts = ?, trouble = 'no such place is configured any more'"  # noqa: S608 - our own words
        f" WHERE {_OPEN} AND sink NOT IN ({marks})",
        (ts, *sinks),
    )
    return done.rowcount


def _facts(con: sqlite3.Connection) -> Sequence[SinkFacts]:
    facts = []
    for sink, waiting, sent, dropped, last_ts in con.execute(_FACTS).fetchall():
        row = con.execute(_TROUBLE, (sink,)).fetchone()
        facts.append(SinkFacts(sink, int(waiting), int(sent), int(dropped), float(last_ts), str(row[0]) if row else ""))
    return facts


def _owed_of(row: Sequence[Any]) -> Owed:
    order, sink, notice, message, sending, tries, next_ts, trouble = row
    return Owed(order, sink, _notice(notice), message, bool(sending), tries, next_ts, trouble)


def _notice(text: str) -> Notice:
    try:
        return notice_of(json.loads(text))
    except ValueError as error:
        raise StoreError(
            f"a notice cannot be read ({error})", hint="A newer release wrote it: install that."
        ) from error


def _pieces(orders: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(orders), _PIECE):
        yield orders[start : start + _PIECE]
