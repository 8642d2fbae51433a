"""Following a file that grows: complete lines of bytes, as they come."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

MAX_LINE_BYTES = 16 << 20
CHUNK_BYTES = 256 << 10
POLL_S = (0.005, 0.025)  # how soon after output, and at the latest, the file is looked at again
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
    pause = POLL_S[0]
    with path.open("rb", buffering=0) as stream:
        while True:
            over = end.done()  # asked before reading: what was written before the end is read after it
            chunk = stream.read(CHUNK_BYTES)
            for line in splitter.feed(chunk):
                yield line
            if chunk:
                pause = POLL_S[0]
                await asyncio.sleep(0)
            elif over:
                break
            else:
                await asyncio.wait([end], timeout=pause)
                pause = min(pause * 1.5, POLL_S[1])
    if torn := splitter.rest():
        yield torn
