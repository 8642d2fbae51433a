"""Where words go: stdout for what was asked, stderr for progress and warnings; colour only where a person reads it."""

import io
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from orchestrator.api.render import Table
from orchestrator.core.events import Json

if TYPE_CHECKING:
    from rich.console import Console

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
}


class Output:
    """Prints values. *as_json* turns everything on stdout into JSON documents.

    Rich is loaded only on a terminal that wants colour: a pipe, NO_COLOR and TERM=dumb get plain text.
    """

    def __init__(self, *, as_json: bool, colour: bool, stdout: TextIO | None = None, stderr: TextIO | None = None):
        self.as_json = as_json
        self._out = stdout or sys.stdout
        self._err = stderr or sys.stderr
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())

    def say(self, text: str = "") -> None:
        """Print lines of text; words like SUCCEEDED are coloured where colour is wanted."""
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

    def table(self, table: Table) -> None:
        """Print a table; nothing for one without rows."""
        if table.rows:
            self.say(table.plain())

    def data(self, value: Mapping[str, Json]) -> None:
        """Print one JSON document, in ASCII: any locale and any name can carry it."""
        print(json.dumps(value, indent=2, ensure_ascii=True), file=self._out, flush=True)

    def raw(self, line: bytes) -> None:
        """Print one line of NDJSON as it is."""
        print(line.decode("ascii"), file=self._out, flush=True)

    def note(self, text: str) -> None:
        """Print progress or a warning on stderr."""
        print(text, file=self._err, flush=True)
