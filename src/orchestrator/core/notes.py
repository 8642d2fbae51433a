"""The notes a project keeps for agents (CLAUDE.md, AGENTS.md) as facts, and what of them fits. ADR 18."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

NAMES = ("CLAUDE.md", "AGENTS.md")


@dataclass(frozen=True, slots=True)
class NotesWanted:
    """*limit_bytes* of notes in all are passed on as text, 0 for none. *of_agent* are names the agent reads itself."""

    limit_bytes: int = 0
    of_agent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectNote:
    """One file of notes. *path* is relative to the work area, *size_bytes* that of the file.

    *problem* says why *text* is not all of it, "" when it is.
    """

    path: str
    text: str
    size_bytes: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class NoteGiven:
    """What is told of a note afterwards: all but its text. *given_bytes* of it stood in the prompt, as UTF-8."""

    path: str
    size_bytes: int
    given_bytes: int
    problem: str = ""


def fitted(notes: Sequence[ProjectNote], limit_bytes: int) -> tuple[ProjectNote, ...]:
    """Return *notes*, outermost first as they came, with at most *limit_bytes* of text in all, cut at line ends.

    The ones nearest to the work get their room first.
    """
    left, kept = limit_bytes, []
    for note in reversed(notes):
        kept.append(_cut(note, left))
        left -= _size(kept[-1].text)
    return tuple(reversed(kept))


def _cut(note: ProjectNote, room: int) -> ProjectNote:
    raw = note.text.encode()
    if len(raw) <= room:
        return note
    end = raw.rfind(b"\n", 0, room) + 1
    size = f"{note.size_bytes} bytes"
    problem = f"cut: the first {end} of {size}" if end else f"left out: there is no room for its {size}"
    return replace(note, text=raw[:end].decode(), problem=problem)


def given(notes: Sequence[ProjectNote]) -> tuple[NoteGiven, ...]:
    """Return what is told of *notes* once they stand in a prompt."""
    return tuple(NoteGiven(note.path, note.size_bytes, _size(note.text), note.problem) for note in notes)


def words(note: NoteGiven) -> str:
    """Return *note* for people: its path, and its size or what became of it."""
    return f"{note.path} ({note.problem or f'{note.given_bytes} bytes'})"


def _size(text: str) -> int:
    return len(text.encode())
