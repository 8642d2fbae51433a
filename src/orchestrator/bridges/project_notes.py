"""Reads the notes of a project (ADR 18): CLAUDE.md and AGENTS.md of the work area and of the folders above it, up to
the root of the git repository that holds it.

The daemon may read what a confined agent may not, so nobody must be able to make it read something else: a link
is followed only to another .md file of the work area, which the agent reads anyway, and opening itself follows none.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges.files import look, open_below, open_folder, opened, read_all
from orchestrator.core.notes import NAMES, NotesWanted, ProjectNote, fitted

_LEADS_AWAY = "not given: it is a link to something other than a .md file of the work area"
_NO_FILE = "not given: it is no regular file"
# `@AGENTS.md` in a CLAUDE.md is an import: where the CLI reads the one itself, it reads the other as well.
_IMPORTS_AGENTS = re.compile(r"(?<!\S)@(?:\./)?AGENTS\.md(?!\S)")


@dataclass(frozen=True, slots=True)
class _Read:
    """What was found under a name. *elsewhere*: the name is a link to this other place where notes are looked for."""

    text: str = ""
    size_bytes: int = 0
    problem: str = ""
    elsewhere: Path | None = None


def repository_folders(cwd: Path) -> tuple[Path, ...]:
    """Return *cwd* and the folders above it up to the one with the repository, innermost first; else *cwd* alone."""
    folders = (cwd, *cwd.parents)
    for count, folder in enumerate(folders, start=1):
        if _is_repository(folder / ".git"):
            return folders[:count]
    return (cwd,)


def _is_repository(git: Path) -> bool:
    """A folder, or the file by which a worktree points to one. An empty folder is what a sandbox leaves behind."""
    try:
        return git.is_file() or (git / "HEAD").is_file()
    except OSError:
        return False


def read_notes(cwd: Path, wanted: NotesWanted) -> tuple[ProjectNote, ...]:
    """Return the notes for work in *cwd* (a real path), outermost first; what cannot be read says why."""
    if not wanted.limit_bytes:
        return ()
    folders = repository_folders(cwd)
    places = {folder / name: "../" * up + name for up, folder in reversed(list(enumerate(folders))) for name in NAMES}
    found = {place: _read(place, cwd, frozenset(places), wanted.limit_bytes) for place in places}
    by_agent = {place: one for place, one in found.items() if one and place.name in wanted.of_agent}
    skipped = set(_read_with(by_agent))
    known = {(one.text, one.size_bytes) for one in by_agent.values() if not one.problem}
    notes = []
    for place, one in found.items():
        if one is None or one.elsewhere or place in skipped or place in by_agent:
            continue
        if one.problem or (one.text.strip() and (one.text, one.size_bytes) not in known):
            known.add((one.text, one.size_bytes))
            notes.append(ProjectNote(places[place], one.text, one.size_bytes, one.problem))
    return fitted(notes, wanted.limit_bytes)


def _read_with(by_agent: dict[Path, _Read]) -> Iterator[Path]:
    """The places whose notes reach an agent because it reads those of *by_agent*."""
    for place, one in by_agent.items():
        if one.elsewhere:
            yield one.elsewhere
        if _IMPORTS_AGENTS.search(one.text):
            yield place.with_name("AGENTS.md")


def _read(place: Path, cwd: Path, places: frozenset[Path], limit: int) -> _Read | None:
    try:
        with opened(open_folder(place.parent)) as folder:
            if not stat.S_ISLNK(look(folder, place.name).st_mode):
                return _content(folder, place.name, limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _Read(problem=f"not given: {error.strerror or error}")
    return _linked(place, cwd, places, limit)


def _linked(place: Path, cwd: Path, places: frozenset[Path], limit: int) -> _Read:
    try:
        real = place.resolve(strict=True)
        if real in places:
            return _Read(elsewhere=real)
        if not real.is_relative_to(cwd) or real.suffix != ".md":
            return _Read(problem=_LEADS_AWAY)
        return _below(cwd, real.relative_to(cwd).parts, limit)
    except RuntimeError:
        return _Read(problem="not given: it is a link to itself")
    except OSError as error:
        return _Read(problem=f"not given: the link leads to nothing that can be read: {error.strerror or error}")


def _below(cwd: Path, parts: tuple[str, ...], limit: int) -> _Read:
    """Read a file in the work area on a way without links, whatever somebody puts there meanwhile."""
    folder = open_folder(cwd)
    try:
        for part in parts[:-1]:
            inner = open_below(folder, part)
            os.close(folder)
            folder = inner
        return _content(folder, parts[-1], limit)
    finally:
        os.close(folder)


def _content(folder: int, name: str, limit: int) -> _Read:
    if not stat.S_ISREG(look(folder, name).st_mode):  # to open a device may already do something
        return _Read(problem=_NO_FILE)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with opened(os.open(name, flags, dir_fd=folder)) as fd:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode):
            return _Read(problem=_NO_FILE)
        return _Read(read_all(fd, limit=limit).decode("utf-8", "replace"), seen.st_size)
