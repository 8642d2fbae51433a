"""Following a file that grows: complete lines of bytes, as they come."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

MAX_LINE_BYTES = 16 << 20
CHUNK_BYTES = 256 << 10
LOOK_S = 0.02  # how often a quiet file is looked at
T = TypeVar("T")


class LineSplitter:
    """Cuts a stream of bytes at each LF, and at nothing else.

    A line longer than *max_line* bytes is dropped and counted, so that one runaway line costs neither the memory
    nor the lines around it.
    """

    def __init__(self, max_line: int = MAX_LINE_BYTES) -> None:
        self.max_line = max_line
        self.oversize = 0
        self._parts: list[bytes] = []
        self._held = 0
        self._dropping = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that *chunk* completes, without their LF."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            self._keep(piece)
            if (line := self._take()) is not None:
                yield line
        self._keep(rest)

    def rest(self) -> bytes:
        """Return what came after the last LF: a torn line, or nothing."""
        return self._take() or b""

    def _keep(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held > self.max_line:
            self._dropping = True
            self._parts.clear()
        elif piece:
            self._parts.append(piece)

    def _take(self) -> bytes | None:
        line = b"".join(self._parts)
        dropped = self._dropping
        self._parts.clear()
        self._held, self._dropping = 0, False
        if dropped:
            self.oversize += 1
            return None
        return line


async def follow(path: Path, end: asyncio.Future[T], splitter: LineSplitter) -> AsyncIterator[bytes]:
    """Yield the lines of *path* from its start, as they come, until *end* is done and the file is read to its end.

    What follows the last LF is yielded last. A file that is not there has no lines.
    """
    if not path.exists():
        return
    with path.open("rb", buffering=0) as stream:
        while True:
            over = end.done()  # asked before reading: what was written before the end is read after it
            chunk = stream.read(CHUNK_BYTES)
            for line in splitter.feed(chunk):
                yield line
            if chunk:
                await asyncio.sleep(0)
            elif over:
                break
            else:
                await _growth(stream.fileno(), stream.tell(), end)
    if torn := splitter.rest():
        yield torn


async def _growth(fd: int, size: int, end: asyncio.Future[T]) -> None:
    """Wait until the file is larger than *size*, or *end* is done.

    Everybody looks at the same instants, multiples of LOOK_S, so that the loop wakes once for all files and not
    once for each.
    """
    loop = asyncio.get_running_loop()
    grown: asyncio.Future[None] = loop.create_future()
    timer: asyncio.TimerHandle | None = None

    def look(_: object = None) -> None:
        nonlocal timer
        if grown.done():
            return
        if end.done() or os.fstat(fd).st_size > size:
            grown.set_result(None)
        else:
            timer = loop.call_at((loop.time() // LOOK_S + 1) * LOOK_S, look)

    end.add_done_callback(look)
    try:
        look()
        await grown
    finally:
        end.remove_done_callback(look)
        if timer is not None:
            timer.cancel()


def head(path: Path, limit: int) -> bytes:
    """Return the first *limit* bytes of a file, b"" if there is none."""
    if not path.exists():
        return b""
    with path.open("rb") as stream:
        return stream.read(limit)


def tail(path: Path, limit: int) -> bytes:
    """Return the last *limit* bytes of a file, b"" if there is none."""
    if not path.exists():
        return b""
    with path.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - limit))
        return stream.read(limit)
