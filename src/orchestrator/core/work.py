"""Where a task works and what comes of it: the work area, the changes as a commit. Facts only."""

from dataclasses import dataclass
from enum import StrEnum


class Isolation(StrEnum):
    """How far a work area is kept from the person's own files. The word stands in every result."""

    CLONE = "clone"  # a git clone of its own: checkout, index and branches of the person are never touched
    COPY = "copy"  # a copy of a folder without git
    IN_PLACE = "in place"  # the folder itself, as configured or because nothing else is possible


@dataclass(frozen=True, slots=True)
class Area:
    """A work area that is ready.

    *cwd* is where the agent starts, *root* all that it may write: both absolute, real paths, *cwd* within *root*.
    *source* is the person's own folder that *root* stands for: top of the repository, or the folder that was copied;
    in place it is *root*. *base* is the commit it began from and *branch* the name of what comes of it, "" without git.
    *notes* say for people what is not as they might expect: submodules, LFS, a dirty checkout. *git_dir* is our own
    repository, in which *base* and all that is kept can be looked up without trusting anything an agent wrote;
    *read* are the object stores of the person that the agent's git needs to see. *targets* are the target files of the
    task as they are called there. *merged* are the ids of the tasks whose results are in it, *conflicts* the paths in
    which they contradict each other and that hold conflict markers.
    """

    cwd: str
    root: str
    source: str
    isolation: Isolation
    base: str = ""
    branch: str = ""
    notes: tuple[str, ...] = ()
    git_dir: str = ""
    read: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Base:
    """The result of another task in the person's repository *source*: the commit *head*, and its *branch* there, ""
    when it was not brought. *title* is for people."""

    uid: str
    task_id: str
    title: str
    source: str
    head: str
    branch: str = ""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed file of a commit. *status* is git's letter: A M D T. Line counts are None for binary files."""

    path: str
    status: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an attempt leaves as a commit. *head* is "" where nothing was changed. *patch* is the path of a file.

    *delivered*: the branch is in the person's repository. *kept* is the hidden ref there that keeps the work. Before it
    is delivered, *head* is the commit that the hidden ref names. *notes* say what could not be done, and why.
    """

    base: str
    head: str
    branch: str
    files: tuple[FileChange, ...] = ()
    patch: str = ""
    kept: str = ""
    delivered: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitWords:
    """What the commit of a result says. *subject* is its first line; *trailers* are names and values, in order."""

    subject: str
    trailers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Recovered:
    """Work that was brought back: of which *attempt*, from which hidden *ref* and *commit*, to a folder or a *branch*
    of the repository *source*. *files* is how many differ from the base."""

    attempt: int
    ref: str
    commit: str
    source: str
    folder: str = ""
    branch: str = ""
    files: int = 0


@dataclass(frozen=True, slots=True)
class CleanedArea:
    """A work area that was, or would be, removed, with its size on the disk; or why it stays."""

    path: str
    size_bytes: int
    removed: bool
    why: str = ""
