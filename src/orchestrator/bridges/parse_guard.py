"""A file whose reading ends the daemon is read at most twice: the count is on the disk before the reading begins.

A daemon that was killed while it read proves nothing against the file. So before a file is refused a child of ours
reads it once more, and only if that ends too, or does not come to an end, was it the file.

What is counted is the content, not the name: the corrected file is another one. Nothing is synced, since what ends a
process leaves the kernel's memory alone; and a power cut is no fault of the file that was being read.
"""

import hashlib
import json
import logging
import os
import signal
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestrator.bridges.files import atomic_write, open_folder, opened
from orchestrator.core.errors import TaskFileError
from orchestrator.core.task import TaskRules, TaskSpec
from orchestrator.core.text import printable

log = logging.getLogger(__name__)

MAX_TRIES = 2
PATIENCE_S = 10
READING = "reading"  # the digest of what is being read now, blanks in between
ENDED = "reading-ended-us.json"  # digest to the number of daemons that ended while they read it
_KEY_CHARS = 64
Parse = Callable[[bytes, str, TaskRules], TaskSpec]


class ParseGuard:
    """Reads by *parse*, one file at a time, and remembers in the folder *state* what it is at.

    Where the folder cannot be written it counts nothing and reads all the same.
    """

    def __init__(self, state: Path, parse: Parse) -> None:
        self._state = state
        self._parse = parse
        self._ended = _counts(state / ENDED)
        self._fd = -1
        with suppress(OSError):
            self._fd = os.open(state / READING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._blame(os.pread(self._fd, _KEY_CHARS, 0).decode("ascii", "replace").strip())

    def close(self) -> None:
        """Let go of the file. Does nothing the second time."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def parse(self, data: bytes, file_name: str, rules: TaskRules) -> TaskSpec:
        """Return what *parse* returns. Raises TaskFileError, also `parser_bug` for what has ended us twice."""
        key = hashlib.sha256(data).hexdigest()
        tries = self._ended.get(key, 0)
        if tries >= MAX_TRIES:
            if not self._is_survived(data, file_name, rules):
                raise _refusal(file_name, tries)
            self._ended[key] = 0
        self._at(key)
        try:
            return self._parse(data, file_name, rules)
        finally:
            self._at("")

    def _is_survived(self, data: bytes, file_name: str, rules: TaskRules) -> bool:
        """Return whether a process that reads this lives on. What the reading finds is not asked for here."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork among threads: this child only reads
            pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(PATIENCE_S)  # it also holds the lock of the root: it must not outlive us by long
                with suppress(Exception):
                    self._parse(data, file_name, rules)
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def _at(self, key: str) -> None:
        if self._fd >= 0:
            with suppress(OSError):
                os.pwrite(self._fd, key.ljust(_KEY_CHARS).encode("ascii"), 0)

    def _blame(self, key: str) -> None:
        """Count the daemon that ended while it read *key*; then forget that it was at it, so that it counts once."""
        if len(key) == _KEY_CHARS:
            self._ended[key] = self._ended.get(key, 0) + 1
            log.warning("an earlier daemon ended while it read a file (sha256 %s), %d times now", key, self._ended[key])
            with opened(open_folder(self._state)) as folder:
                atomic_write(folder, ENDED, json.dumps(self._ended).encode())
        self._at("")


def _counts(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_bytes())
        return {str(key): int(tries) for key, tries in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _refusal(file_name: str, tries: int) -> TaskFileError:
    return TaskFileError(
        "parser_bug",
        f"reading this file ended the daemon {tries} times; it is read no more, other tasks go on",
        file=printable(file_name),
        hint="This is a fault of the program, not of your file. Please report it, with the file if you may share it.",
    )
