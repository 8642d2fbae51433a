"""Where words go: stdout for what was asked, stderr for progress and warnings; colour only where a person reads it."""

import io
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from orchestrator.api.render import Table
from orchestrator.core.events import Json
from orchestrator.core.text import printable

if TYPE_CHECKING:
    from rich.console import Console

STDERR = 2  # the highest of the standard descriptors
_COLOURS = {
    "succeeded": "green",
    "SUCCEEDED": "bold green",
    "failed": "red",
    "FAILED": "bold red",
    "rejected": "red",
    "REJECTED": "bold red",
    "cancelled": "yellow",
    "CANCELLED": "yellow",
    "running": "cyan",
    "retry_wait": "yellow",
    "held": "yellow",
    "PASS": "green",
    "WARN": "yellow",
    "FAIL": "bold red",
    "NOTE": "cyan",
}


class Output:
    """Prints values. *as_json* turns everything on stdout into JSON documents.

    Rich is loaded only on a terminal that wants colour: a pipe, NO_COLOR and TERM=dumb get plain text.
    """

    def __init__(self, *, as_json: bool, colour: bool, stdout: TextIO | None = None, stderr: TextIO | None = None):
        self.as_json = as_json
        if None in (sys.stdin, sys.stdout, sys.stderr):
            _replace_closed_streams()
        self._out = stdout or sys.stdout
        self._err = stderr or sys.stderr
        self._carries_on = False
        for stream in (self._out, self._err):
            if isinstance(stream, io.TextIOWrapper):  # a locale that lacks a letter, a name that is not UTF-8
                stream.reconfigure(errors="backslashreplace")
        self._console: Console | None = None
        if colour and not as_json and self._out.isatty():
            from rich import console as rich_console

            self._console = rich_console.Console(
                file=self._out, highlight=False, soft_wrap=True, emoji=False, markup=False
            )

    def nobody_reads(self) -> None:
        """The reader of our output has gone: nothing is wrong, and nothing more can be said."""
        _silence(self._out)

    def carry_on(self) -> None:
        """From now on a lost or full standard output silences us and ends nothing: work matters more than words."""
        self._carries_on = True

    def say(self, text: str = "") -> None:
        """Print lines of text; words like SUCCEEDED are coloured where colour is wanted."""
        self._print(text)

    def table(self, table: Table) -> None:
        """Print a table; nothing for one without rows."""
        if table.rows:
            self.say(table.plain())

    def data(self, value: Mapping[str, Json]) -> None:
        """Print one JSON document, in ASCII: any locale and any name can carry it."""
        self._print(json.dumps(value, indent=2, ensure_ascii=True))

    def raw(self, line: bytes) -> None:
        """Print one line of NDJSON as it is."""
        self._print(line.decode("ascii"))

    def exactly(self, data: bytes) -> None:
        """Write *data* as it is, for programs such as `git apply`; on a terminal without what could drive it."""
        if self._out.isatty() or not hasattr(self._out, "buffer"):
            lines = data.decode("utf-8", "backslashreplace").split("\n")
            text = "\n".join("\t".join(printable(part) for part in line.split("\t")) for line in lines)
            print(text, end="", file=self._out, flush=True)
            return
        self._out.flush()
        self._out.buffer.write(data)
        self._out.buffer.flush()

    def note(self, text: str) -> None:
        """Print progress or a warning on stderr; where that cannot be written to, nobody can be told."""
        try:
            print(_spelled(text, self._err), file=self._err, flush=True)
        except OSError:
            _silence(self._err)

    def _print(self, text: str) -> None:
        try:
            self._put(_spelled(text, self._out))
        except OSError as error:
            self.nobody_reads()
            if self._carries_on:
                self.note(f"standard output is lost ({error.strerror}); the work goes on without it")
            elif isinstance(error, BrokenPipeError):
                raise
            else:
                raise OSError(error.errno, error.strerror, "standard output") from None

    def _put(self, text: str) -> None:
        if self._console is None:
            print(text, file=self._out, flush=True)
            return
        from rich.text import Text

        styled = Text(text)
        for word, style in _COLOURS.items():
            if word in text:
                # A state stands first in its row; within a sentence the same word is just a word.
                styled.highlight_regex(rf"\b{word}\b" if word.isupper() else rf"(?m)^{word}\b", style)
        self._console.print(styled)


def _spelled(text: str, stream: TextIO) -> str:
    """Return *text* with dots for the ellipsis where the encoding of *stream* has none."""
    try:
        "…".encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return text.replace("…", "...")
    return text


def _replace_closed_streams() -> None:
    """Whoever started us closed a standard stream: no file that is opened later may get its number."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= STDERR:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open as long as we run
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open as long as we run


def _silence(stream: TextIO) -> None:
    """Let everything that is still written to *stream* go nowhere, also what its buffer holds."""
    with suppress(OSError):  # no real file: nothing lies in a buffer of it
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
