"""A job of many tasks, and a tree of sub-tasks: planned, folded into figures, forecast, on paper only."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, Series
from benchmarks.places import environment


@dataclass(frozen=True, slots=True)
class Size:
    """A job of so many *tasks*, a tree of so many splits one below the other (*depth*), measured so many *rounds*."""

    tasks: int
    depth: int
    rounds: int


def measure(folder: Path, size: Size, say: Callable[[str], None]) -> list[Figure]:
    """Return the figures; they are measured in a process of their own."""
    say(f"{size.tasks:,} tasks, and a tree of depth {size.depth}")
    command = [sys.executable, "-m", "benchmarks.jobs_side", *map(str, (size.tasks, size.depth, size.rounds))]
    ran = subprocess.run(
        command, env=environment(folder / "home"), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True
    )
    return [_figure(row) for row in json.loads(ran.stdout)]


def _figure(row: dict[str, object]) -> Figure:
    series = row.pop("series")
    assert isinstance(series, list)
    each = tuple(Series(one["label"], tuple(one["samples"]), tuple(one["versus"])) for one in series)
    return Figure(**{**row, "series": each, "absent": (), "others": (0.0, 0.0)})  # type: ignore[arg-type]
