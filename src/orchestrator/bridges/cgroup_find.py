"""Where this process may make control groups for its attempts. Looked for once, when a daemon starts."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ALL = "orchestrator"  # the folder for the groups of all attempts, of whatever root
_OURS = "daemon"  # the group into which the daemon moves: a group with limited children may hold no process itself

YOUNG_S = 60.0  # its first process may still be on its way


@dataclass(frozen=True, slots=True)
class Mounted:
    """A hierarchy of control groups and where in it this process is. *controllers* is empty for version 2."""

    folder: Path
    controllers: frozenset[str] = frozenset()


def find(*, settle: bool, proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Return the folders in which groups can be made, made new where they were missing; () for none.

    That of version 2 comes first; those of version 1 are for the controllers that version 2 does not have here.
    *settle*: this is a daemon, and may divide the group that systemd has handed over to it.
    """
    return tuple(str(folder) for mounted in _hierarchies(proc) if (folder := _place(mounted, settle=settle)))


def sweep(folders: tuple[str, ...], *, now: float) -> int:
    """Remove the groups of attempts that have ended, but for those made just now. Return how many went.

    The kernel keeps those with a process.
    """
    gone = 0
    for folder in map(Path, folders):
        for group in folder.iterdir() if folder.is_dir() else ():
            with suppress(OSError):
                if group.is_dir() and group.stat().st_mtime < now - YOUNG_S:
                    group.rmdir()
                    gone += 1
    return gone


def _hierarchies(proc: Path) -> Iterator[Mounted]:
    """Yield version 2, then version 1 by controllers that are of use here."""
    try:
        mounts = (proc / "self/mountinfo").read_text(errors="surrogateescape").splitlines()
        paths = [line.split(":", 2) for line in (proc / "self/cgroup").read_text().splitlines()]
    except OSError:
        return
    own = {controllers: path for _, controllers, path in paths}
    found = []
    for line in mounts:
        left, _, right = line.partition(" - ")
        root, point = left.split()[3:5]
        kind, _, options = right.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        wanted = frozenset({"pids", "memory"} & set(options.split(","))) if kind == "cgroup" else frozenset()
        key = next((names for names in own if wanted & set(names.split(","))), None) if wanted else ""
        if (wanted or kind == "cgroup2") and key in own and own[key].startswith(root.rstrip("/")):
            found.append(Mounted(Path(point + own[key].removeprefix(root.rstrip("/"))), wanted))
    yield from sorted(found, key=lambda mounted: len(mounted.controllers))


def _place(mounted: Mounted, *, settle: bool) -> Path | None:
    """Return our folder in this hierarchy, None where we may not make one."""
    parent = mounted.folder
    if not mounted.controllers:
        if parent.name == _OURS and _is_delegated(parent.parent):
            parent = parent.parent
        if settle and _is_delegated(parent):
            _hand_down(parent)
    folder = parent / _ALL
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    _allow_limits(folder)
    procs = (folder / "cgroup.procs", mounted.folder / "cgroup.procs")  # to join, both must be open to us
    return folder if all(os.access(path, os.W_OK) for path in procs) else None


def _is_delegated(folder: Path) -> bool:
    """systemd marks what it has handed over to a unit with Delegate=yes."""
    with suppress(OSError, AttributeError):
        return any(os.getxattr(folder, f"{space}.delegate") == b"1" for space in ("user", "trusted") if folder.is_dir())
    return False


def _hand_down(folder: Path) -> None:
    """Move everything of this unit one group down, so that limits can be given to the groups beside it."""
    with suppress(OSError):
        (folder / _OURS).mkdir(exist_ok=True)
        for pid in (folder / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (folder / _OURS / "cgroup.procs").write_text(pid)
    _allow_limits(folder)


def _allow_limits(folder: Path) -> None:
    for controller in ("pids", "memory"):
        with suppress(OSError):
            if controller in (folder / "cgroup.controllers").read_text().split():
                (folder / "cgroup.subtree_control").write_text(f"+{controller}")
