"""What fail-points do when the environment asks for it: die, meet an error, wait. For tests; nothing else sets this.

    ORCHESTRATOR_FAILPOINT=NAME:HIT:ACTION[:FOLDER]

From the HIT-th time on that any process of this root reaches NAME it does ACTION, once: `kill` (SIGKILL to itself),
`enospc`, `eio`, `busy` (the error as the file system or SQLite would raise it there) or `delay` (two seconds). FOLDER
gets a file for each point that was reached, one byte long for each time: by it several processes count together, and
a sweep sees what it has covered. NAME `*` only counts.
"""

import errno
import fcntl
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Mapping

from orchestrator.core import failpoint
from orchestrator.core.errors import ConfigError, StoreError

VARIABLE = "ORCHESTRATOR_FAILPOINT"
ACTIONS = ("kill", "enospc", "eio", "busy", "delay")
DELAY_S = 2.0
FIRED = ".fired"
_NUMBERS = {"enospc": errno.ENOSPC, "eio": errno.EIO, "busy": errno.EBUSY}
_SQLITE = {
    "enospc": (sqlite3.SQLITE_FULL, "SQLITE_FULL", "database or disk is full"),
    "eio": (sqlite3.SQLITE_IOERR, "SQLITE_IOERR", "disk I/O error"),
    "busy": (sqlite3.SQLITE_BUSY, "SQLITE_BUSY", "database is locked"),
}


def install(environ: Mapping[str, str]) -> str:
    """Install what *environ* asks for. Returns what to tell a person about it, "" where nothing is asked for.

    Raises ConfigError for a value that means nothing.
    """
    wanted = environ.get(VARIABLE, "")
    if not wanted:
        return ""
    source = f"from orchestrator.kit.failpoints import act_of; from orchestrator.core import failpoint; failpoint.install(act_of({wanted!r})); "  # noqa: E501
    failpoint.install(act_of(wanted), supervisor=source)
    return f"{VARIABLE} is set to {wanted}: this process is made to fail on purpose"


def act_of(wanted: str) -> Callable[[str], None]:
    """Return what is to happen at each point. Raises ConfigError for a value that means nothing."""
    name, number, action, folder, *_ = [*wanted.split(":", 3), "", "", ""]
    if (name != "*" and name not in failpoint.POINTS) or not number.isdigit() or action not in (*ACTIONS, ""):
        hint = f"NAME is * or one of {', '.join(failpoint.POINTS)}; HIT a number; ACTION one of {', '.join(ACTIONS)}."
        raise ConfigError(f"{VARIABLE} is {wanted!r}, not NAME:HIT:ACTION[:FOLDER]", hint=hint)
    counted: dict[str, int] = {}
    lock = threading.Lock()

    def act(reached: str) -> None:
        with lock:
            counted[reached] = counted.get(reached, 0) + 1
            count = _count_in(folder, reached) if folder else counted[reached]
        if reached == name and count >= int(number) and _is_first(folder, counted):
            _do(action, reached)

    return act


def _count_in(folder: str, name: str) -> int:
    """Append a byte to the point's file; returns its size: so often was it reached by all processes together."""
    fd = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)  # noqa: PTH118
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, b".")
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def _is_first(folder: str, counted: dict[str, int]) -> bool:
    """An act happens once for each root, or each process where there is no folder to remember it in."""
    if not folder:
        counted[FIRED] = counted.get(FIRED, 0) + 1
        return counted[FIRED] == 1
    try:
        os.close(os.open(os.path.join(folder, FIRED), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # noqa: PTH118
    except FileExistsError:
        return False
    return True


def _do(action: str, name: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "delay":
        threading.Event().wait(DELAY_S)
    else:
        raise _error(action, failpoint.POINTS[name], name)


def _error(action: str, kind: str, name: str) -> Exception:
    if kind == failpoint.STORE:
        code, symbol, words = _SQLITE[action]
        refusal = sqlite3.OperationalError(f"{words} (fail-point {name})")
        refusal.sqlite_errorcode, refusal.sqlite_errorname = code, symbol
        return refusal
    if kind == failpoint.STEP and action == "busy":
        return StoreError(f"the database is locked (fail-point {name})")
    number = _NUMBERS[action]
    return OSError(number, f"{os.strerror(number)} (fail-point {name})")
