"""The event log as a file of JSON lines: one writer, whole lines only, its own last line the only memory.

Nothing is synced line by line: the store holds the truth, and what a power cut takes off the end is written again
from there. What counts is that the file never holds half a line in the middle, a line twice, or a gap.
"""

import asyncio
import contextlib
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.bridges.files import open_folder, opened, rename_new, sync_file
from orchestrator.core.failpoint import hit

ROTATE_BYTES = 64 * 1024 * 1024
_PIECE = 64 * 1024


class EventFile:
    """Implements the port `EventSink` for *path*, rotated to `<stem>-<first seq>.ndjson` at *rotate_bytes*.

    A folder that is missing is created. Raises OSError if the file cannot be opened at all.
    """

    def __init__(self, path: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._trouble = ""
        self._known: tuple[int, int, int] | None = None  # device, inode, size after our last append
        self._last = 0
        self._last_line = b""  # as it was found, not as we wrote it

    def trouble(self) -> str:
        return self._trouble

    async def last_seq(self) -> int:
        return await asyncio.to_thread(self._find_last)

    async def last_line(self) -> bytes:
        await asyncio.to_thread(self._find_last)
        return self._last_line

    async def set_aside(self, name: str) -> str:
        return await asyncio.to_thread(self._set_aside, name)

    async def append(self, lines: Sequence[tuple[int, bytes]]) -> int:
        return await asyncio.to_thread(self._append, lines)

    def _append(self, lines: Sequence[tuple[int, bytes]]) -> int:
        self._trouble = ""
        for chunk in _chunks(lines):
            wanted = chunk[-1][0]
            self._write(chunk)
            if self._trouble:
                break
            self._last = max(self._last, wanted)
        return self._last

    def _write(self, lines: Sequence[tuple[int, bytes]]) -> None:
        """Append those *lines* that are not there yet by one write; on a refusal cut back what was written of it."""
        with opened(self._open()) as fd:
            facts = os.fstat(fd)
            if self._known != (facts.st_dev, facts.st_ino, facts.st_size):
                self._last = self._tail_of(fd)  # somebody else touched it, or it is new to us
            data = b"".join(line + b"\n" for seq, line in lines if seq > self._last)
            size = os.fstat(fd).st_size
            try:
                hit("project.events")
                written = os.write(fd, data)
                if written < len(data):
                    raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes were taken")
            except OSError as error:
                self._trouble = f"{self._path.name}: {error.strerror}"
                os.ftruncate(fd, size)
            hit("project.appended")
            facts = os.fstat(fd)
            self._known = (facts.st_dev, facts.st_ino, facts.st_size)

    def _open(self) -> int:
        """Open the file for appending, after rotation when it is full."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        if os.fstat(fd).st_size < self._rotate_bytes:
            return fd
        with opened(fd):
            self._rotate(fd)
        return os.open(self._path, flags, 0o600)

    def _rotate(self, fd: int) -> None:
        first = _seq_in(os.pread(fd, _PIECE, 0).split(b"\n", 1)[0])
        sync_file(fd)
        hit("project.rotate")
        # A name that is taken (somebody edited the first line) costs the rotation, never a line.
        with opened(open_folder(self._path.parent)) as folder_fd, contextlib.suppress(FileExistsError):
            rename_new(folder_fd, self._path.name, folder_fd, f"{self._path.stem}-{first:012d}.ndjson")

    def _find_last(self) -> int:
        with opened(self._open()) as fd:
            self._last = self._tail_of(fd)
            facts = os.fstat(fd)
            self._known = (facts.st_dev, facts.st_ino, facts.st_size)
            return self._last

    def _tail_of(self, fd: int) -> int:
        """Cut off a torn tail and return the last seq, from the newest rotated file if this one holds none."""
        last, end, self._last_line = _last_line(fd)
        if end < os.fstat(fd).st_size:
            os.ftruncate(fd, end)
        return last or self._last_rotated()

    def _last_rotated(self) -> int:
        for path in sorted(self._path.parent.glob(f"{self._path.stem}-*.ndjson"), reverse=True):
            with opened(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as fd:
                last, _, self._last_line = _last_line(fd)
                if last:
                    return last
        return 0

    def _set_aside(self, name: str) -> str:
        folder = self._path.parent / name
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        for path in (*self._path.parent.glob(f"{self._path.stem}-*.ndjson"), self._path):
            with contextlib.suppress(FileNotFoundError):
                path.rename(folder / path.name)
        self._known, self._last, self._last_line = None, 0, b""
        return f"{self._path.parent.name}/{name}"


def _chunks(lines: Sequence[tuple[int, bytes]]) -> list[Sequence[tuple[int, bytes]]]:
    """Cut *lines* into pieces of one write each, of about a megabyte, so that rotation is not missed by far."""
    pieces: list[list[tuple[int, bytes]]] = []
    room = 0
    for line in lines:
        if room < len(line[1]):
            pieces.append([])
            room = 1 << 20
        pieces[-1].append(line)
        room -= len(line[1])
    return [piece for piece in pieces if piece]


def _last_line(fd: int) -> tuple[int, int, bytes]:
    """Return the seq of the last complete line that has one, where the last complete line ends, and that line."""
    position = os.fstat(fd).st_size
    held = b""
    end = -1
    while position > 0:
        start = max(0, position - _PIECE)
        held = os.pread(fd, position - start, start) + held
        position = start
        if end < 0:
            if (cut := held.rfind(b"\n")) < 0:
                continue
            end = position + cut + 1
            held = held[: cut + 1]
        lines = held.split(b"\n")
        for line in reversed(lines if position == 0 else lines[1:]):
            if seq := _seq_in(line):
                return seq, end, line
        held = lines[0] + b"\n"
    return 0, max(end, 0), b""


def _seq_in(line: bytes) -> int:
    try:
        found = json.loads(line)
    except ValueError:
        return 0
    seq = found.get("seq") if isinstance(found, dict) else None
    return seq if isinstance(seq, int) and seq > 0 else 0
