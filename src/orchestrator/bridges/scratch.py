"""Private folders for the time of one act: a check, a checkout, an index. What a crash leaves of them is removed later.

Whoever works in one holds a lock on it, which the kernel lets go of when that process dies, however it dies. So a
daemon that starts can tell what is left over from what a command in another process uses this moment.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges.strays import end_strays, lock_is_free

CHECK, CHECKOUT, INDEX, HOOK = "check-", "checkout-", "index-", "hook-"
RUN = "run"  # the folder of an attempt, in one in which a program runs under a supervisor
PATIENCE_S = 5.0  # so long a supervisor that has lost its daemon may take to end what it started


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder of ours alone, to be closed by whoever made it."""

    path: Path
    held: int

    def close(self) -> None:
        """Remove it. Raises OSError."""
        try:
            remove(self.path)
        finally:
            os.close(self.held)


def new_scratch(parent: Path, prefix: str) -> Scratch:
    """Make a folder below *parent*, which is made too where it is missing. Raises OSError."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        path = Path(os.path.realpath(tempfile.mkdtemp(prefix=prefix, dir=parent)))
        held = _locked(path)
        if held is not None:
            return Scratch(path, held)
        # A daemon that starts this moment took it for a leftover, between its making and its lock.


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """The same as a context, in which the folder is there."""
    made = new_scratch(parent, prefix)
    try:
        yield made.path
    finally:
        made.close()


async def clear_scratch(parent: Path) -> list[Path]:
    """Remove what nobody works in any more, and end what still runs there. Returns the folders that are gone."""
    gone: list[Path] = []
    # In the order of their names: what runs is ended before the checkout in which it runs is removed.
    for path in sorted(parent.iterdir()) if parent.is_dir() else ():
        if not path.name.startswith((CHECK, CHECKOUT, INDEX, HOOK)) or (held := _locked(path)) is None:
            continue
        try:
            if (path / RUN).is_dir():
                await lock_is_free(path / RUN / "lock", PATIENCE_S)
                await end_strays(path / RUN, mark_of(path), PATIENCE_S)
            with suppress(OSError):
                remove(path)
                gone.append(path)
        finally:
            os.close(held)
    return gone


def mark_of(path: Path) -> str:
    """Return the mark of what runs in the folder *path*."""
    return path.name.replace("-", ".", 1)


def remove(path: Path) -> None:
    """Remove a folder with all that is in it, also where an agent has taken the rights away; a link only itself."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    for attempt in range(2):
        shutil.rmtree(path, ignore_errors=attempt == 0)
        if not path.exists():
            return
        for folder, inner, _ in os.walk(path):  # links to folders are not followed
            for one in (Path(folder), *(Path(folder, name) for name in inner)):
                if not one.is_symlink():
                    one.chmod(0o700)


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock of the folder *path*, None where another has it or it is gone."""
    try:
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(held), path.stat()):
            return held
    except OSError:
        pass
    with suppress(OSError):
        os.close(held)
    return None
