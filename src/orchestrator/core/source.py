"""The text of one task file, and where things are in it.

Lines end by LF, CRLF or a lone CR and nothing else; lines and columns count from 1, columns in characters.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from orchestrator.core.errors import TaskFileError
from orchestrator.core.reasons import TASK_FILE_REASONS
from orchestrator.core.task import FileLimits
from orchestrator.core.text import printable

_LINE_END = re.compile(r"\r\n|\r|\n")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_start = attrgetter("start")
_BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line: its *text* without the line end, *number* from 1, *start* the offset of its first character,
    *end* the offset behind its line end."""

    text: str
    number: int
    start: int
    end: int

    @property
    def blank(self) -> bool:
        return not self.text or self.text.isspace()


@dataclass(frozen=True, slots=True)
class Source:
    """A decoded file: *file* is its name as shown to people, *lines* its lines, at least one."""

    file: str
    text: str
    lines: Sequence[Line]

    def lines_from(self, start: int) -> Sequence[Line]:
        """Return the lines from the one that begins at offset *start* on; none at the end of the text."""
        return self.lines[bisect_left(self.lines, start, key=_start) :] if start < len(self.text) else ()

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of *offset*."""
        at = max(0, min(offset, len(self.text)))
        line = self.lines[bisect_right(self.lines, at, key=_start) - 1]
        return line.number, at - line.start + 1

    def fault(
        self,
        reason: str,
        message: str,
        *,
        line: int = 0,
        column: int = 0,
        field: str = "",
        expected: str = "",
        hint: str = "",
    ) -> TaskFileError:
        """Return the error for *reason* at that place; its hint is the catalogue's unless one is given."""
        excerpt = printable(self.lines[line - 1].text[:200].strip()) if line else ""
        return TaskFileError(
            reason,
            message,
            file=self.file,
            line=line,
            column=column,
            field=field,
            expected=expected,
            hint=hint or TASK_FILE_REASONS[reason].hint,
            excerpt=excerpt,
        )


def read_source(data: bytes, *, file_name: str, limits: FileLimits) -> Source:
    """Return the text of *data* without its byte order mark.

    Raises TaskFileError: empty_file, file_too_large, encoding_utf16, encoding_invalid, control_character (NUL).
    """
    file = printable(file_name)
    nothing = source_of("", file=file)
    if len(data) > limits.file_bytes:
        size = f"the file has {len(data):,} bytes"
        raise nothing.fault("file_too_large", size, expected=f"at most {limits.file_bytes:,} bytes")
    if data.startswith(_UTF16_MARKS) or _looks_like_utf16(data):
        raise nothing.fault("encoding_utf16", "the file is UTF-16 or UTF-32", line=1, column=1, expected="UTF-8")
    body = data.removeprefix(_BOM)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(file, body, error, len(data) - len(body)) from None
    if not text.strip():
        raise nothing.fault("empty_file", "the file holds no text")
    source = source_of(text, file=file)
    if (nul := text.find("\0")) >= 0:
        line, column = source.position(nul)
        raise source.fault("control_character", "the file holds a NUL character", line=line, column=column)
    return source


def source_of(text: str, *, file: str = "") -> Source:
    """Return *text* cut into its lines."""
    lines, start = [], 0
    for number, match in enumerate(_LINE_END.finditer(text), 1):
        lines.append(Line(text[start : match.start()], number, start, match.end()))
        start = match.end()
    if start < len(text) or not lines:
        lines.append(Line(text[start:], len(lines) + 1, start, len(text)))
    return Source(file, text, tuple(lines))


def line_of_key(source: Source, *names: str) -> int:
    """Return the number of the first line that begins with one of *names* as a key of front matter; 0: none does."""
    for line in source.lines:
        key, colon, _ = line.text.partition(":")
        if colon and key.strip().strip("'\"").lower().replace("-", "_") in names:
            return line.number
    return 0


def check_line_length(source: Source, start: int, limits: FileLimits) -> None:
    """Raise TaskFileError line_too_long for a line at or behind offset *start* that is longer than the limit."""
    for line in source.lines_from(start):
        size = len(line.text) if line.text.isascii() else len(line.text.encode())
        if size > limits.line_bytes:
            message = f"line {line.number} has {size:,} bytes"
            expected = f"at most {limits.line_bytes:,} bytes"
            raise source.fault("line_too_long", message, line=line.number, column=1, expected=expected)


def _looks_like_utf16(data: bytes) -> bool:
    head = data[:64]
    half = len(head) // 2
    return half >= 2 and any(head[first::2].count(0) == half and not head[1 - first :: 2].count(0) for first in (0, 1))


def _not_utf8(file: str, body: bytes, error: UnicodeDecodeError, skipped: int) -> TaskFileError:
    readable = source_of(body.decode("utf-8", "replace"), file=file)
    before = source_of(body[: error.start].decode("utf-8") + "?")
    line, column = before.position(len(before.text) - 1)
    message = f"byte {error.start + skipped} (0x{body[error.start]:02x}) is not valid UTF-8"
    return readable.fault("encoding_invalid", message, line=line, column=column, expected="UTF-8")
