"""Rows of a database file that SQLite itself refuses, read page by page.

Every leaf page is looked at, whether or not the tree still leads to it: a page names neither its table nor its age, so
who uses this decides by the shape of a row what it is, and believes the living tree where it can be walked. The format
is https://sqlite.org/fileformat2.html; all numbers in it are big-endian.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges.files import opened

Value = str | bytes | int | float | None
TABLE_LEAF, INDEX_LEAF = 13, 10
_LARGEST = 64 * 1024 * 1024  # of one row
_USUAL_PAGE = 4096
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_WAL_HEADER, _FRAME_HEADER = 32, 24
_INTS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class _BrokenError(Exception):
    """What stands there is no row."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row of a table (*rowid* given, and None where its column of that number is) or of an index (None)."""

    rowid: int | None
    values: tuple[Value, ...]


def found_rows(path: Path) -> Iterator[FoundRow]:
    """Yield every row that any leaf page of the file *path*, or of its write-ahead log, still holds whole."""
    with opened(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as fd:
        yield from _Pages(fd, _bytes(Path(f"{path}-wal"))).rows()


class _Pages:
    """The pages of a file, those that were committed to its write-ahead log in place of the older ones."""

    def __init__(self, fd: int, wal: bytes) -> None:
        self._fd = fd
        header = os.pread(fd, 100, 0)
        named = int.from_bytes(header[16:18], "big")
        size = 65536 if named == 1 else named
        in_wal = int.from_bytes(wal[8:12], "big")
        self._size = next((each for each in (size, in_wal) if _is_page_size(each)), _USUAL_PAGE)
        spare = header[20] if _is_page_size(size) else 0
        self._usable = self._size - (spare if spare < 64 else 0)
        self._newer = _committed(wal, self._size) if in_wal == self._size else {}
        self._count = (
            max(-(-os.fstat(fd).st_size // self._size), *self._newer, 0)
            if self._newer
            else (-(-os.fstat(fd).st_size // self._size))
        )

    def rows(self) -> Iterator[FoundRow]:
        for number in range(1, self._count + 1):
            page = self._page(number)
            base = 100 if number == 1 else 0
            if len(page) == self._size and page[base] in (TABLE_LEAF, INDEX_LEAF):
                yield from self._of_page(page, base)

    def _page(self, number: int) -> bytes:
        return self._newer.get(number) or os.pread(self._fd, self._size, (number - 1) * self._size)

    def _of_page(self, page: bytes, base: int) -> Iterator[FoundRow]:
        cells = int.from_bytes(page[base + 3 : base + 5], "big")
        for at in range(base + 8, min(base + 8 + 2 * cells, self._usable - 1), 2):
            place = int.from_bytes(page[at : at + 2], "big")
            try:
                yield self._cell(page, place, table=page[base] == TABLE_LEAF)
            except (_BrokenError, IndexError, UnicodeDecodeError, struct.error):
                continue

    def _cell(self, page: bytes, at: int, *, table: bool) -> FoundRow:
        size, at = _varint(page, at)
        if not 0 < size <= _LARGEST:
            raise _BrokenError
        rowid = None
        if table:
            rowid, at = _varint(page, at)
        usable = self._usable
        most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
        local = size
        if size > most:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (usable - 4)
            local = local if local <= most else least
        payload = page[at : at + local]
        if len(payload) < local or at + local > usable:
            raise _BrokenError
        if local < size:
            payload += self._overflow(int.from_bytes(page[at + local : at + local + 4], "big"), size - local)
        return FoundRow(rowid, _record(payload))

    def _overflow(self, number: int, left: int) -> bytes:
        pieces = []
        while left > 0:
            page = self._page(number) if 0 < number <= self._count else b""
            if len(page) < self._size:
                raise _BrokenError
            piece = page[4 : min(self._usable, 4 + left)]
            pieces.append(piece)
            left -= len(piece)
            number = int.from_bytes(page[:4], "big")
        return b"".join(pieces)


def _record(payload: bytes) -> tuple[Value, ...]:
    end, at = _varint(payload, 0)
    if not 0 < end <= len(payload):
        raise _BrokenError
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    at = end
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise _BrokenError
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind in (10, 11):
        raise _BrokenError
    size = _INTS.get(kind) or (8 if kind == 7 else (kind - 12) // 2)
    piece = payload[at : at + size]
    if len(piece) < size:
        raise _BrokenError
    if kind in _INTS:
        return int.from_bytes(piece, "big", signed=True), at + size
    if kind == 7:
        return struct.unpack(">d", piece)[0], at + size
    return (piece.decode("utf-8") if kind % 2 else piece), at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    value = value << 8 | data[at]
    return value - (1 << 64) if value >= 1 << 63 else value, at + 1


def _committed(wal: bytes, size: int) -> dict[int, bytes]:
    """Return the pages of all whole transactions in a write-ahead log; what follows the first fault is not used."""
    if int.from_bytes(wal[:4], "big") not in _WAL_MAGIC or len(wal) < _WAL_HEADER:
        return {}
    order = ">" if wal[3] & 1 else "<"
    salts, sums = wal[16:24], _sums(wal[:24], (0, 0), order)
    if struct.pack(">II", *sums) != wal[24:32]:
        return {}
    done: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for at in range(_WAL_HEADER, len(wal) - _FRAME_HEADER - size + 1, _FRAME_HEADER + size):
        head, page = wal[at : at + _FRAME_HEADER], wal[at + _FRAME_HEADER : at + _FRAME_HEADER + size]
        sums = _sums(page, _sums(head[:8], sums, order), order)
        if head[8:16] != salts or struct.pack(">II", *sums) != head[16:24]:
            break
        number, is_last = struct.unpack(">II", head[:8])
        pending[number] = page
        if is_last:
            done |= pending
            pending = {}
    return done


def _sums(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    one, two = sums
    for first, second in struct.iter_unpack(f"{order}II", data):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _is_page_size(size: int) -> bool:
    return 512 <= size <= 65536 and size & (size - 1) == 0


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
