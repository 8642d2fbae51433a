"""The program's own log: `logs/orchestrator.log` and standard error.

One record is one line, whatever is in it: a task title cannot forge a second record. Secrets are taken out of
the finished line, traceback included, so no call site has to remember to.
"""

import logging
import os
import re
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

EVENTS_LOGGER = "orchestrator.events"
FILE_NAME = "orchestrator.log"
# They log addresses at INFO, and the address of a bot holds its token.
_TALKATIVE = ("httpx", "httpcore", "telegram", "apscheduler", "watchfiles", "asyncio")
# C0 and C1 controls, line and paragraph separators, and the marks that reorder what is shown.
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class OneLineFormatter(logging.Formatter):
    """Formats a record as one printable line without secrets. Times are UTC."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, layout: str, redact: Callable[[str], str]) -> None:
        super().__init__(layout)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        # The formatter caches the traceback in the record; another handler's must not get ours.
        cached = record.exc_text
        try:
            line = super().format(record)
        finally:
            record.exc_text = cached
        return one_line(self._redact(line))


class _PrivateFileHandler(RotatingFileHandler):
    """Writes a file only its owner can read. A disk that refuses costs the line, never the program."""

    def _open(self) -> Any:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
        return open(descriptor, self.mode, encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Say nothing: the record also goes to standard error, and a traceback helps nobody there."""

    def close(self) -> None:
        with suppress(OSError):  # what a full disk has not taken by now is lost
            super().close()


class LogSetup:
    """The handlers while they are open. Leaving the `with` block puts the root logger back as it was."""

    def __init__(
        self,
        folder: Path,
        *,
        redact: Callable[[str], str],
        stderr: TextIO,
        level: str = "INFO",
        file_bytes: int = 1_000_000,
        file_count: int = 3,
    ) -> None:
        """*level* is a name of logging's; *file_count* rotated files of *file_bytes* are kept. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        file = _PrivateFileHandler(
            folder / FILE_NAME,
            maxBytes=file_bytes,
            backupCount=file_count,
            encoding="utf-8",
            errors="backslashreplace",
        )
        file.setFormatter(OneLineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", redact))
        self._handlers: tuple[logging.Handler, ...] = (file, _screen(stderr, redact))
        root = logging.getLogger()
        self._before = root.level, {name: logging.getLogger(name).level for name in _TALKATIVE}
        for handler in self._handlers:
            root.addHandler(handler)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """Change what is logged from now on."""
        logging.getLogger().setLevel(level)

    def close(self) -> None:
        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
            handler.close()
        root_level, levels = self._before
        root.setLevel(root_level)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_for_the_screen(record: logging.LogRecord) -> bool:
    """Events go to the log file; the screen has them already, in its own form."""
    return record.name != EVENTS_LOGGER


def one_line(text: str) -> str:
    """Return *text* with everything escaped that could move the cursor or end the line."""
    return _UNSHOWABLE.sub(lambda match: repr(match[0])[1:-1], text)


def _screen(stderr: TextIO, redact: Callable[[str], str]) -> logging.Handler:
    if stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        handler: logging.Handler = RichHandler(
            console=Console(file=stderr), show_path=False, markup=False, rich_tracebacks=False
        )
        handler.setFormatter(OneLineFormatter("%(message)s", redact))
    else:
        handler = logging.StreamHandler(stderr)
        handler.setFormatter(OneLineFormatter("%(levelname)s %(name)s: %(message)s", redact))
    handler.addFilter(_is_for_the_screen)
    return handler
