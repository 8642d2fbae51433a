"""One daemon per root: an advisory lock the kernel gives back however its holder ends.

The lock is on `daemon.lock`, which is never removed. Who holds it is written beside it in `daemon.json`; that
file is for people and is believed only while the lock is really held.
"""

import asyncio
import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.core.errors import AlreadyRunningError, RootError

LOCK_NAME = "daemon.lock"
HOLDER_NAME = "daemon.json"
_TRIES = 50
_BETWEEN_S = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """Who owns a root. *started_at* is seconds since the epoch. A *pid* of 0: it has not yet said who it is."""

    pid: int
    host: str
    started_at: float
    version: str


UNKNOWN = Holder(0, "", 0.0, "")


class RootLock:
    """The lock while it is held."""

    def __init__(self, state: Path, descriptor: int, holder: Holder) -> None:
        self._state = state
        self._descriptor = descriptor
        self.holder = holder

    def still_held(self) -> bool:
        """Return whether the lock is on the file that lies there now: false once the folder was moved or replaced."""
        return self._descriptor >= 0 and _is_same(self._descriptor, self._state / LOCK_NAME)

    def release(self) -> None:
        """Give the root free. Does nothing the second time."""
        if self._descriptor < 0:
            return
        if self.still_held():
            with suppress(OSError):
                (self._state / HOLDER_NAME).unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


async def take_root(state: Path, me: Holder) -> RootLock:
    """Make this process the only daemon of the root whose state folder is *state*.

    Raises AlreadyRunningError at once when another one is, naming it; RootError when the lock cannot be used.
    Tries for a second where only a passing look of `holder` is in the way.
    """
    for _ in range(_TRIES):
        try:
            descriptor = _try(state)
        except OSError as error:
            raise _unusable(state, error) from None
        if descriptor is not None:
            try:
                _write_holder(state, me)
            except OSError as error:
                os.close(descriptor)
                raise _unusable(state, error) from None
            return RootLock(state, descriptor, me)
        await asyncio.sleep(_BETWEEN_S)
    raise _taken(state)


def holder(state: Path) -> Holder | None:
    """Return who runs the daemon of this root, None when nobody does. Judged by the lock, never by the file."""
    try:
        descriptor = os.open(state / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(state, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(state)
    except OSError as error:
        raise _unusable(state, error) from None
    finally:
        os.close(descriptor)
    return None


def _try(state: Path) -> int | None:
    """Return the locked descriptor, None when somebody only looked. Raises AlreadyRunningError, OSError."""
    path = state / LOCK_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            # A look takes a shared lock for a moment, a daemon an exclusive one for its life: only the second
            # is in the way of a shared lock.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(state) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
    except BaseException:
        os.close(descriptor)
        raise
    if _is_same(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat(follow_symlinks=False)
    except OSError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _write_holder(state: Path, me: Holder) -> None:
    # What a killed daemon left behind names the wrong process: away with it before anything else.
    (state / HOLDER_NAME).unlink(missing_ok=True)
    new = state / f"{HOLDER_NAME}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(me), file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(state / HOLDER_NAME)


def _read_holder(state: Path) -> Holder:
    try:
        said = json.loads((state / HOLDER_NAME).read_text("utf-8"))
        return Holder(int(said["pid"]), str(said["host"]), float(said["started_at"]), str(said["version"]))
    except (OSError, ValueError, KeyError, TypeError):
        return UNKNOWN


def _taken(state: Path) -> AlreadyRunningError:
    who = _read_holder(state)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(who.started_at))
    name = f"pid {who.pid} on {who.host}, started {since}" if who.pid else "one that is just starting"
    return AlreadyRunningError(
        f"another daemon owns this root: {name}",
        where=str(state.parent),
        hint="Use that one (python main.py status), or stop it first.",
    )


def _unusable(state: Path, error: OSError) -> RootError:
    return RootError(
        f"the lock of this root cannot be used: {error.strerror or error}",
        where=str(state / LOCK_NAME),
        hint="The state folder must be on a local disk and belong to you: python main.py doctor",
    )
