"""What it costs to work in a clone of one's own and to prove the result, beside a plain worktree."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, Series, number
from benchmarks.places import REPOSITORY, environment
from benchmarks.product import Product

PREPARE, KEEP, DELIVER, PROVE, DISK = "prepare", "keep", "deliver", "prove", "disk"
_STEPS = (
    ("work area", (PREPARE,), "git worktree add", (PREPARE,)),
    ("keep and deliver", (KEEP, DELIVER), "git add -A, git commit", (DELIVER,)),
    ("proof on base and result", (PROVE,), "two worktrees for the check", (PROVE,)),
    ("all of it", (PREPARE, KEEP, DELIVER, PROVE), "plain worktree, all of it", (PREPARE, DELIVER, PROVE)),
)
_HOW = (
    "{files:,} files of {kb:g} kB each and 40 commits, base64 of random bytes. Work area: the task's clone. Then ten "
    "files are changed, one is new, one is gone. Keep and deliver: all of it as a commit under a hidden ref of the "
    "person's repository, and the result as a commit on a branch there, with its list of files and its patch, every "
    "object on the disk before it counts. Proof: the check `true` in a clean checkout of the base and of the result. "
    "Beside it the same by hand: a worktree, a commit there, and one more worktree for each of both commits, removed "
    "again. Pairs in turn; what was written before is synced before each step is timed. In parentheses the lowest and "
    "the highest ratio of a pair."
)


@dataclass(frozen=True, slots=True)
class Size:
    """A repository, and how many pairs are measured on it."""

    files: int
    file_bytes: int
    rounds: int

    @property
    def words(self) -> str:
        megabytes = self.files * self.file_bytes / 1e6
        return f"{number(megabytes)} MB" if megabytes < 999 else f"{number(megabytes / 1000)} GB"


def measure(folder: Path, sizes: Sequence[Size], say: Callable[[str], None]) -> list[Figure]:
    """Return a figure for each size, and one of the disk that a task takes."""
    figures, disk = [], []
    for size in sizes:
        here = folder / size.words.replace(" ", "")
        here.mkdir(parents=True)
        found = _pairs(here, size)
        shutil.rmtree(here)
        figures.append(_time(size, found))
        disk += _disk(size, found)
        ours = next(iter(figures[-1].series))
        say(f"{size.words}: a work area in {number(ours.median)} s")
    return [*figures, _of_disk(disk)]


def _pairs(folder: Path, size: Size) -> Mapping[str, Mapping[str, list[float]]]:
    argv = [sys.executable, "-m", "benchmarks.isolation_side", str(folder)]
    argv += map(str, (size.files, size.file_bytes, size.rounds))
    told = subprocess.run(argv, env=environment(folder / "home"), cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    found: Mapping[str, Mapping[str, list[float]]] = json.loads(told.stdout)
    return found


def _time(size: Size, found: Mapping[str, Mapping[str, list[float]]]) -> Figure:
    def sums(way: str, steps: Sequence[str]) -> tuple[float, ...]:
        return tuple(map(sum, zip(*(found[way][step] for step in steps), strict=True)))

    ours = [Series(f"{Product.label}, {name}", sums("ours", mine), (label,)) for name, mine, label, _ in _STEPS]
    plain = [Series(label, sums("plain", theirs)) for _, _, label, theirs in _STEPS]
    return Figure(
        key=f"isolation-{size.words.replace(' ', '')}",
        title=f"The price of isolation and proof: a repository of {size.words}",
        unit="s",
        better="lower",
        how=_HOW.format(files=size.files, kb=size.file_bytes / 1000),
        series=(*ours, *plain),
        paired=True,
    )


def _disk(size: Size, found: Mapping[str, Mapping[str, list[float]]]) -> list[Series]:
    plain = f"plain worktree, {size.words}"
    return [
        Series(f"{Product.label}, {size.words}", tuple(found["ours"][DISK]), (plain,)),
        Series(plain, tuple(found["plain"][DISK])),
    ]


def _of_disk(series: Sequence[Series]) -> Figure:
    return Figure(
        key="isolation-disk",
        title="The price of isolation: disk for a task",
        unit="MB",
        better="lower",
        how="What one task adds to the disk until its result is delivered: work area, daemon's own repository, objects "
        "and refs in the person's; the worktree with its commit. While a check runs, one checkout more.",
        series=tuple(series),
        paired=True,
    )
