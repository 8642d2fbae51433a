"""The store on one machine: a SQLite file in WAL mode. Implements the port `Store`.

One connection writes and one reads, each in its own thread; a third, which only ever asks whether the file has
changed, is so quick that it lives in the event loop's thread. Several processes may have the file open.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from math import inf
from pathlib import Path
from typing import TypeVar

from orchestrator.bridges import sqlite_memos as memos
from orchestrator.bridges import sqlite_read as read
from orchestrator.bridges import sqlite_write as write
from orchestrator.bridges.homes import arrive, home_of, how_it_came, tag_of
from orchestrator.bridges.sqlite_file import check_current, check_owner, connect, prepare, told
from orchestrator.bridges.sqlite_jobs import SqliteJobs
from orchestrator.bridges.sqlite_lane import Lane, Writer, snapshot
from orchestrator.bridges.sqlite_outbox import SqliteOutbox
from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import Spending
from orchestrator.core.dependencies import Need
from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, TaskUid
from orchestrator.core.home import Arrival
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import EndedTask, NewTask, Pause
from orchestrator.core.task import FileStamp, Label, Task

T = TypeVar("T")


@asynccontextmanager
async def open_store(
    path: Path,
    *,
    read_only: bool = False,
    checkpoint: bool = True,
    busy_timeout_s: float = 30.0,
    idle_s: float = 1.0,
    committed: Callable[[], None] = lambda: None,
) -> "AsyncIterator[SqliteStore]":
    """Open the store in the file *path*; it is created when it is missing, its folder is not.

    *checkpoint* is for the daemon, which keeps the WAL small: when it has written nothing for *idle_s* seconds,
    and whenever the WAL grows large. Short-lived commands leave that to it. *read_only* changes nothing, not
    even the schema. *busy_timeout_s* is how long a write waits for other processes.
    *committed* is called in the event loop after every write of this store.
    Raises StoreError, also out of every method: it says what is wrong with the file and what to do.
    """
    async with AsyncExitStack() as opened:
        reader = Lane(path, "store-reader")
        writer = None if read_only else Lane(path, "store-writer")
        if writer is not None:
            await writer.open(partial(_writing, path, busy_timeout_s))
            opened.push_async_callback(writer.close)
        await reader.open(partial(_reading, path, busy_timeout_s))
        opened.push_async_callback(reader.close)
        with told(path):
            watch = connect(path, busy_timeout_s=0, writable=False, any_thread=True)
        opened.callback(watch.close)
        store = SqliteStore(
            path,
            root_uuid=await reader.run(read.root_uuid),
            reader=reader,
            writer=writer,
            watch=watch,
            discipline=Writer(path, checkpoint=checkpoint and not read_only),
            idle_s=idle_s,
            committed=committed,
        )
        opened.callback(store.stop_waiting)
        yield store


def _writing(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    prepare(path, busy_timeout_s=busy_timeout_s)
    return connect(path, busy_timeout_s=busy_timeout_s, writable=True)


def _reading(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    con = connect(path, busy_timeout_s=busy_timeout_s, writable=False)
    try:
        check_owner(con, path)
        check_current(con, path)
    except BaseException:
        con.close()
        raise
    return con


class SqliteStore(SqliteJobs):
    """An open store; made by `open_store`. *root_uuid* was drawn when the file was made: it tells copies apart."""

    def __init__(
        self,
        path: Path,
        *,
        root_uuid: str,
        reader: Lane,
        writer: Lane | None,
        watch: sqlite3.Connection,
        discipline: Writer,
        idle_s: float,
        committed: Callable[[], None],
    ) -> None:
        self.root_uuid = root_uuid
        self._path = path
        self._reader = reader
        self._writer = writer
        self._watch = watch
        self._discipline = discipline
        self._idle_s = idle_s
        self._idle: asyncio.TimerHandle | None = None
        self._seen = -1
        self._committed = committed
        self.outbox = SqliteOutbox(self._read, self._write)

    async def accept(self, new: Sequence[NewTask], jobs: Sequence[Job] = ()) -> Sequence[Task]:
        return await self._write(lambda con: write.accept(con, new, jobs))

    async def revise(
        self, task: Task, body: bytes, event: Event, *, then: Sequence[Event] = (), needs: Sequence[Need] = ()
    ) -> Task:
        return await self._write(lambda con: write.revise(con, task, body, event, then, needs))

    async def split(self, events: Sequence[Event], children: Sequence[NewTask]) -> Sequence[Task]:
        return await self._write(lambda con: write.split(con, events, children))

    async def fire(self, event: Event, runs: Sequence[NewTask]) -> Sequence[Task]:
        return await self._write(lambda con: write.fire(con, event, runs))

    async def commit(self, events: Sequence[Event]) -> Sequence[Task]:
        return await self._write(lambda con: write.commit(con, events))

    async def pause(self, pause: Pause, event: Event) -> None:
        await self._write(lambda con: write.pause(con, pause, event))

    async def release(self, scope: str, event: Event) -> None:
        await self._write(lambda con: write.release(con, scope, event))

    async def replan(self, pauses: Sequence[Pause], events: Sequence[Event]) -> None:
        await self._write(lambda con: write.replan(con, pauses, events))

    async def forgive(self, scope: str, event: Event) -> None:
        await self._write(lambda con: write.forgive(con, scope, event))

    async def task(self, uid: TaskUid) -> Task | None:
        return await self._read(lambda con: read.task(con, uid))

    async def find(self, key: str) -> Sequence[Task]:
        return await self._read(lambda con: read.find(con, key))

    async def body(self, uid: TaskUid) -> bytes:
        return await self._read(lambda con: read.body(con, uid))

    async def tasks(self, states: Sequence[State], *, limit: int, newest_first: bool = False) -> Sequence[Task]:
        return await self._read(lambda con: read.tasks(con, states, limit, newest_first))

    async def ready(
        self,
        now: float,
        *,
        limit: int,
        agents: Sequence[str] | None = None,
        jobs: Sequence[str] = (),
        trees: Sequence[str] = (),
    ) -> Sequence[Task]:
        return await self._read(lambda con: read.ready(con, now, limit, frozenset(agents or ()), jobs, trees))

    async def next_wake(self, now: float) -> float:
        return await self._read(lambda con: read.next_wake(con, now))

    async def unprojected(self, *, limit: int) -> Sequence[Task]:
        return await self._read(lambda con: read.unprojected(con, limit))

    async def ended(self, *, after: int = 0, before_ts: float = inf, limit: int) -> Sequence[EndedTask]:
        return await self._read(lambda con: read.ended(con, after, before_ts, limit))

    async def ended_last(self, *, limit: int) -> Sequence[Task]:
        return await self._read(lambda con: read.ended_last(con, limit))

    async def counts(self) -> Mapping[State, int]:
        return await self._read(read.counts)

    async def waiting_files(self) -> Sequence[tuple[str, FileStamp, TaskUid, int]]:
        return await self._read(read.waiting_files)

    async def namesakes(self, asked: Sequence[tuple[str, str]]) -> Sequence[Sequence[Task]]:
        return await self._read(lambda con: [read.namesakes(con, *one) for one in asked])

    async def labels(self, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Label]:
        return await self._read(lambda con: read.labels(con, uids))

    async def attempts(self, uid: TaskUid) -> Sequence[AttemptRecord]:
        return await self._read(lambda con: read.attempts(con, uid))

    async def events_after(self, seq: int, *, limit: int) -> Sequence[Event]:
        return await self._read(lambda con: read.events_after(con, seq, limit))

    async def events_of(self, uid: TaskUid, *, limit: int) -> Sequence[Event]:
        return await self._read(lambda con: read.events_of(con, uid, limit))

    async def last_seq(self) -> int:
        return await self._read(read.last_seq)

    async def pauses(self) -> Sequence[Pause]:
        return await self._read(read.pauses)

    async def spending(self, since: float) -> Spending:
        return await self._read(lambda con: read.spending(con, since))

    async def changed(self) -> bool:
        try:
            with told(self._path):
                (version,) = self._watch.execute("PRAGMA data_version").fetchone()
        except StoreError:
            return True  # somebody is at work on it; who reads it now will meet the error, if it is one
        changed = version != self._seen
        self._seen = version
        return bool(changed)

    async def recall(self, prefix: str) -> Mapping[str, str]:
        return await self._read(lambda con: memos.recall(con, prefix))

    async def memorize(self, changes: Mapping[str, str | None], *, ts: float) -> None:
        await self._write(lambda con: memos.memorize(con, changes, ts))

    async def forget(self, prefixes: Sequence[str], *, before_ts: float) -> int:
        return await self._write(lambda con: memos.forget(con, prefixes, before_ts))

    def once(self, key: str, *, ts: float) -> "SqliteStore":
        return OnceStore(self, key, ts)

    async def arrive(self, host: str, now: float) -> Arrival:
        """Remember where this root lies; one that was copied becomes another root. For its owner."""
        here = home_of(self._path, host)
        return await self._write(lambda con: arrive(con, self._path, here, now))

    async def how_it_came(self, host: str) -> Arrival:
        """Return how this root came to be where it is since a daemon last owned it."""
        here = home_of(self._path, host)
        return await self._read(lambda con: how_it_came(con, self._path, here))

    async def root_tag(self) -> str:
        """Return what the marks of this root's attempts carry beside uid and number."""
        return await self._read(tag_of)

    async def integrity(self) -> Sequence[str]:
        """Return what is wrong with the file, in sentences; nothing when it is sound. Reads the whole file."""
        return await self._read(read.integrity)

    async def schema_version(self) -> int:
        """Return the number of the schema the file has."""
        return await self._read(read.schema_version)

    async def _read(self, act: Callable[[sqlite3.Connection], T]) -> T:
        return await self._reader.run(lambda con: snapshot(con, act))

    async def _write(self, act: Callable[[sqlite3.Connection], T]) -> T:
        if self._writer is None:
            raise StoreError("the database is open for reading only", where=str(self._path))
        try:
            done = await self._writer.run(lambda con: self._discipline.write(con, act))
        finally:
            self._wait_for_idleness(self._writer)
        self._committed()
        return done

    def _wait_for_idleness(self, writer: Lane) -> None:
        self.stop_waiting()
        if self._discipline.checkpoints:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._idle_s, writer.submit, self._discipline.checkpoint)

    def stop_waiting(self) -> None:
        """Forget the checkpoint that was to come: the store is written again, or closed."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


class OnceStore(SqliteStore):
    """The store *of* for one request: what it writes first, it writes together with the request's *key*."""

    def __init__(self, of: SqliteStore, key: str, ts: float) -> None:
        vars(self).update(vars(of))
        self._of = of
        self._key = key
        self._ts = ts
        self._kept = False

    async def _write(self, act: Callable[[sqlite3.Connection], T]) -> T:
        if self._kept:
            return await self._of._write(act)
        done = await self._of._write(lambda con: memos.once(con, self._key, self._ts, act))
        self._kept = True
        return done
