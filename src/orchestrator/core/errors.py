"""Every expected error: a code, an exit code, where it is and what to do next.

A user never sees a stack trace for one of these. The same code and words appear on the command line,
in `<name>.error.json`, in events and later over HTTP. docs/errors.md is generated from this module.
Codes are snake_case words rather than numbers, so that they can be searched for and remembered
(docs/adr/0003-error-codes.md).
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a command's exit status says. Stable: scripts depend on it."""

    OK = 0
    FAILED = 1  # the thing asked for was done and its answer is no: a task failed, doctor found a failure
    USAGE = 2  # the command line itself was wrong
    CONFIG = 3  # not set up, or the configuration is invalid
    NOT_FOUND = 4
    NOT_RUNNING = 5
    CONFLICT = 6  # what was asked contradicts the state of the task
    BUG = 70  # EX_SOFTWARE: our fault; the message names the file that tells more
    IO_ERROR = 74  # EX_IOERR: the disk refused; nothing is acknowledged that is not stored
    TEMPORARY = 75  # EX_TEMPFAIL: another daemon owns this root
    TIMEOUT = 124
    INTERRUPTED = 130


class OrchestratorError(Exception):
    """Base of all expected errors.

    *message* says what is wrong, *where* (optional) names file, line or object, *hint* says what to do now.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        tail = f"\n  {self.hint}" if self.hint else ""
        return f"error[{self.code}]: {place}{self.message}{tail}"


class UsageError(OrchestratorError):
    """The command line or a request was not understood."""

    code = "usage"
    exit_code = ExitCode.USAGE
    http_status = 400


class ConfigError(OrchestratorError):
    """One or more settings are invalid. The message lists all of them at once."""

    code = "config_invalid"
    exit_code = ExitCode.CONFIG
    http_status = 500


class NotFoundError(OrchestratorError):
    """No task with that id, uid or name."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND
    http_status = 404


class AmbiguousError(OrchestratorError):
    """The short name fits more than one task; the message lists them."""

    code = "ambiguous"
    exit_code = ExitCode.USAGE
    http_status = 409


class ConflictError(OrchestratorError):
    """What was asked contradicts the state the task is in."""

    code = "conflict"
    exit_code = ExitCode.CONFLICT
    http_status = 409


class RepeatedError(OrchestratorError):
    """This very request was carried out before; it was not done again."""

    code = "repeated"
    exit_code = ExitCode.CONFLICT
    http_status = 409


class AlreadyRunningError(OrchestratorError):
    """Another daemon owns this root; the message names its pid, host and start time."""

    code = "already_running"
    exit_code = ExitCode.TEMPORARY
    http_status = 409


class StoppedError(OrchestratorError):
    """A signal ended a foreground run before its task had ended."""

    code = "stopped"
    exit_code = ExitCode.INTERRUPTED
    http_status = 503


class StoreError(OrchestratorError):
    """The database could not be opened, read or written. The file is kept as it is.

    *lasting*: this process will never write again (I/O error, damage); else it may work the next time (full, locked).
    """

    code = "store"
    exit_code = ExitCode.IO_ERROR
    http_status = 503

    def __init__(self, message: str, *, where: str = "", hint: str = "", lasting: bool = False) -> None:
        super().__init__(message, where=where, hint=hint)
        self.lasting = lasting


class RootError(OrchestratorError):
    """The root folder, or a folder under it, cannot be used."""

    code = "root"
    exit_code = ExitCode.CONFIG
    http_status = 500


class ServiceError(OrchestratorError):
    """The system's service manager is not there, or refused."""

    code = "service"
    exit_code = ExitCode.FAILED
    http_status = 503


class WorkAreaError(OrchestratorError):
    """The folder a task is to work in cannot be used. The task fails as `prepare_failed`."""

    code = "work_area"
    exit_code = ExitCode.FAILED
    http_status = 422


class IllegalEventError(OrchestratorError):
    """An event that may not follow in this state, or of an attempt that is no longer the current one.

    Nothing was changed. Somebody else was first: read the task again.
    """

    code = "illegal_event"
    exit_code = ExitCode.CONFLICT
    http_status = 409

    def __init__(self, state: str, kind: str, *, legal: Sequence[str] = (), why: str = "") -> None:
        may = ", ".join(legal) if legal else "nothing may follow"
        super().__init__(f"{kind} may not follow in state {state} ({why or may})")
        self.state = state
        self.kind = kind


class TaskFileError(OrchestratorError):
    """A task file that cannot become a task. One *reason* from TASK_FILE_REASONS (core/reasons.py).

    *line* and *column* count from 1, in lines ended by LF, CRLF or a lone CR; 0 means the file as a whole.
    *field* is the front matter key or section concerned, with an index for lists (`Target Files[2]`).
    *expected* says what would have been right. *excerpt* is at most 80 characters of the offending text.
    """

    code = "task_file"
    exit_code = ExitCode.FAILED
    http_status = 422

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        field: str = "",
        expected: str = "",
        hint: str = "",
        excerpt: str = "",
    ) -> None:
        place = ":".join([file, *(str(n) for n in (line, column) if n)]) if file else ""
        super().__init__(message, where=place, hint=hint)
        self.reason = reason
        self.file = file
        self.line = line
        self.column = column
        self.field = field
        self.expected = expected
        self.excerpt = excerpt[:80]

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else (f"line {self.line}: " if self.line else "")
        wanted = f"\n  expected: {self.expected}" if self.expected else ""
        tail = f"\n  {self.hint}" if self.hint else ""
        return f"error[{self.reason}]: {place}{self.message}{wanted}{tail}"
