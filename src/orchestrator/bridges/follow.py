"""Following a file that grows: complete lines of bytes, as they come."""

from collections.abc import Iterator

MAX_LINE_BYTES = 16 << 20


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
