"""One connection in one thread: what is asked of a lane happens in the order asked, off the event loop."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from orchestrator.bridges.sqlite_file import told
from orchestrator.core.errors import StoreError
from orchestrator.core.failpoint import hit

WAL_BYTES = 8 * 1024 * 1024
T = TypeVar("T")


class Lane:
    """An open connection. Close it with `close`."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._con: sqlite3.Connection | None = None

    async def open(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Open the connection inside the lane's thread. Raises StoreError."""

        def opened() -> None:
            with told(self._path):
                self._con = connect()

        try:
            await until_done(self._thread.submit(opened))
        except BaseException:
            await self.close()
            raise

    async def run(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *act* returns. It has ended when this returns or raises, even when we are cancelled."""
        return await until_done(self.submit(act))

    def submit(self, act: Callable[[sqlite3.Connection], T]) -> Future[T]:
        def guarded() -> T:
            assert self._con is not None, "the lane is open"
            with told(self._path):
                return act(self._con)

        return self._thread.submit(guarded)

    async def close(self) -> None:
        try:
            if self._con is not None:
                await self.run(sqlite3.Connection.close)
        finally:
            self._thread.shutdown(wait=True)


async def until_done(future: Future[T]) -> T:
    """Return the result of *future*. A cancellation is passed on only after it has ended: it cannot be taken back."""
    waiting = asyncio.wrap_future(future)
    cancelled: asyncio.CancelledError | None = None
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError as cancel:
            cancelled = cancel
    if cancelled is not None:
        waiting.exception()  # seen; the caller is going away and will not ask
        raise cancelled
    return waiting.result()


def snapshot(con: sqlite3.Connection, act: Callable[[sqlite3.Connection], T]) -> T:
    """Return what *act* reads, all of it from one state of the database."""
    con.execute("BEGIN")
    try:
        return act(con)
    finally:
        if con.in_transaction:  # an error may have ended it
            con.execute("COMMIT")


class Writer:
    """The discipline of the writing connection. Lives in its lane's thread.

    After an I/O error nobody knows what is on the disk (the kernel may have dropped what it could not write), so
    nothing more is written by this process: every later write raises the same StoreError.
    """

    def __init__(self, path: Path, *, checkpoint: bool) -> None:
        self._wal = Path(f"{path}-wal")
        self._path = path
        self.checkpoints = checkpoint
        self._checkpoint_above = WAL_BYTES
        self._broken: StoreError | None = None

    def write(self, con: sqlite3.Connection, act: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *act* returns after its transaction is on the disk; on any error nothing has changed."""
        if self._broken is not None:
            raise self._broken
        try:
            with told(self._path):
                result = _transaction(con, act)
        except StoreError as error:
            self._remember(error)
            raise
        if self.checkpoints and _size(self._wal) > self._checkpoint_above:
            self.checkpoint(con)
        return result

    def checkpoint(self, con: sqlite3.Connection) -> None:
        """Move the WAL into the database and empty it, unless somebody reads from it. A failure breaks the writer."""
        if self._broken is not None:
            return
        try:
            with told(self._path):
                (timeout,) = con.execute("PRAGMA busy_timeout").fetchone()
                con.execute("PRAGMA busy_timeout=0")
                try:
                    hit("store.checkpoint")
                    (busy, _, _) = con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                finally:
                    con.execute(f"PRAGMA busy_timeout={timeout}")
        except StoreError as error:  # what was committed stays committed
            self._remember(error)
        else:
            self._checkpoint_above = max(WAL_BYTES, 2 * _size(self._wal)) if busy else WAL_BYTES

    def _remember(self, error: StoreError) -> None:
        if error.lasting:
            self._broken = error


def _transaction(con: sqlite3.Connection, act: Callable[[sqlite3.Connection], T]) -> T:
    con.execute("BEGIN IMMEDIATE")
    try:
        hit("store.begun")
        result = act(con)
        hit("store.written")
        con.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # the first error is the one to tell
            if con.in_transaction:
                con.execute("ROLLBACK")
        raise
    hit("store.committed")
    return result


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a plain call, after every commit
    except OSError:
        return 0
