"""What is remembered of a work area, in `area.json` beside it: written by us alone, durable before an agent starts."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.bridges.files import atomic_write, open_folder, opened, sync_folder
from orchestrator.core.events import TaskUid
from orchestrator.core.work import Area, Base, Isolation

NAME = "area.json"
FOLDER = "repo"
INDEX = "index"
VERSION = 1
_TUPLES = ("settings", "read", "apart", "notes", "conflicts", "parents", "considered")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one attempt. *tree* is that of *commit*; *notes* what of the area is not in it. *result* is the
    commit of what can be delivered of it, "" where that is all."""

    ref: str
    commit: str
    tree: str
    notes: tuple[str, ...] = ()
    result: str = ""

    @property
    def deliverable(self) -> str:
        """The commit whose files a result would have."""
        return self.result or self.commit


@dataclass(frozen=True, slots=True)
class AreaFacts:
    """*source* is the top of the person's repository, "" for a copy; *relative* where in it the task works. *git_dir*
    is our repository. *settings* say how text files are converted there. *apart* are paths that are not work: copied or
    made by set-up. *attempt* is the first that worked in the area as it is now. *delivered* and *branch* are "" until
    the result was brought into the repository.

    *bases* are the results of other tasks that *base* has in it. *merged* are those of sub-tasks, merged into what the
    task itself had left: *joined* is that commit, at which the area begins then. *conflicts* are the files of that
    beginning in which they did not fit together. *parents*, where there are any, are those of the result instead of
    *base*. *considered* are the sub-tasks' results that were looked at, merged or not."""

    uid: TaskUid
    name: str
    isolation: Isolation
    asked_cwd: str
    source: str
    relative: str
    git_dir: str
    base: str
    attempt: int
    settings: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)  # submodules on the base: path to commit
    notes: tuple[str, ...] = ()
    kept: Mapping[str, Kept] = field(default_factory=dict)
    branch: str = ""
    delivered: str = ""
    cleaned: bool = False
    bases: tuple[Base, ...] = ()
    merged: tuple[Base, ...] = ()
    joined: str = ""
    conflicts: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    considered: tuple[str, ...] = ()

    @property
    def start(self) -> str:
        """The commit at which the area began."""
        return self.joined or self.base

    @property
    def above(self) -> tuple[str, ...]:
        """The parents of the result. No commit with conflict markers is among them."""
        return tuple(dict.fromkeys((*(self.parents or (self.base,)), *(one.head for one in self.merged))))

    def last_kept(self) -> Kept | None:
        """What was kept of the last attempt that anything is kept of."""
        return self.kept[max(self.kept, key=int)] if self.kept else None

    def with_kept(self, attempt: int, kept: Kept) -> "AreaFacts":
        return replace(self, kept={**self.kept, str(attempt): kept})


class AreaFolder:
    """The folder of one task's area: `area.json`, our own index, and `repo`, all that an agent may write to."""

    def __init__(self, work: Path, uid: str) -> None:
        self.uid = uid
        self.path = work / uid
        self.scratch = work.parent / "tmp"
        self.repo = self.path / FOLDER
        self.index = self.path / INDEX

    def load(self) -> AreaFacts | None:
        """Return what is remembered, None when nothing is. Raises OSError."""
        try:
            raw: dict[str, Any] = json.loads((self.path / NAME).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        kept = {number: Kept(**{**one, "notes": tuple(one["notes"])}) for number, one in raw.pop("kept").items()}
        raw.pop("version")
        raw |= {key: tuple(raw.get(key, ())) for key in _TUPLES}
        raw |= {key: tuple(Base(**one) for one in raw.get(key, ())) for key in ("bases", "merged")}
        return AreaFacts(**(raw | {"kept": kept, "isolation": Isolation(raw["isolation"])}))

    def save(self, facts: AreaFacts) -> AreaFacts:
        """Remember *facts*, durably. Raises OSError."""
        data = json.dumps({"version": VERSION, **asdict(facts)}, ensure_ascii=True, indent=1).encode("ascii")
        with opened(open_folder(self.path)) as folder:
            atomic_write(folder, NAME, data)
        return facts

    def is_there(self) -> bool:
        """Return whether the area itself is there, as a folder and not as a link to one."""
        return self.repo.is_dir() and not self.repo.is_symlink()

    def area(self, facts: AreaFacts, branch: str) -> Area:
        """Return the area as everybody else knows it."""
        return Area(
            cwd=os.path.normpath(self.repo / facts.relative),
            root=str(self.repo),
            source=facts.source or facts.asked_cwd,
            isolation=facts.isolation,
            base=facts.base,
            branch=facts.branch or branch,
            notes=facts.notes,
            git_dir=facts.git_dir,
            read=facts.read,
            merged=tuple(one.task_id for one in (*facts.bases, *facts.merged)),
            conflicts=facts.conflicts,
        )


def made(path: Path) -> Path:
    """Make a private folder, durably."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with opened(open_folder(path.parent)) as parent:
            sync_folder(parent)
    return path
