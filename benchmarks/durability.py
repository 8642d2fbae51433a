"""What it costs that nothing acknowledged is lost: the daemon beside itself with every sync taken away."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import acceptance, throughput
from benchmarks.figures import Absent, Figure, Series
from benchmarks.places import REPOSITORY, environment
from benchmarks.product import Product
from benchmarks.rivals import agent

UNSYNCED = ("benchmarks.unsynced",)
SLOTS = 4
_NO_SYNC = "the same, nothing synced"
_BARE, _NO_RECORD = "spawn alone", "supervisor, nothing synced"
_SUPERVISED, _CONTAINED = f"{Product.label}, supervisor", f"{Product.label}, supervisor and container"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    files: int
    tasks: int
    rounds: int
    attempts: int


def measure(folder: Path, sizes: Sizes, say: Callable[[str], None]) -> list[Figure]:
    """Return the figures: accepting, whole tasks, and single attempts; contenders take turns."""
    accepted: dict[str, list[float]] = {Product.label: [], _NO_SYNC: []}
    done: dict[str, list[float]] = {Product.label: [], _NO_SYNC: []}
    for turn in range(sizes.rounds):
        for label, program in ((Product.label, Product.program), (_NO_SYNC, UNSYNCED)):
            here = folder / f"{turn}_{program[0]}"
            accepted[label].append(acceptance.burst(here / "burst", sizes.files, program))
            seconds = throughput.whole_tasks(here / "tasks", SLOTS, sizes.tasks, program)
            done[label].append(sizes.tasks / seconds)
        say(f"round {turn + 1} of {sizes.rounds}: {accepted[Product.label][-1]:.0f} files/s")
    return [
        Figure(
            key="durability-acceptance",
            title=f"The price of durability: accepting {sizes.files:,} files",
            unit="files/s",
            better="higher",
            how="The burst as above, and the same with a daemon whose fsync and whose SQLite's were taken away by the "
            "launcher of this benchmark: what is acknowledged there may be lost in a power cut.",
            series=_against(accepted),
        ),
        Figure(
            key="durability-tasks",
            title=f"The price of durability: tasks per second, {SLOTS} slots",
            unit="tasks/s",
            better="higher",
            how=f"{sizes.tasks:,} tasks whose agent answers and ends, with all their files; the daemon as it is, and "
            "one that, like its supervisors, syncs nothing.",
            series=_against(done),
        ),
        _attempts(folder / "attempts", sizes.attempts),
    ]


def _against(samples: dict[str, list[float]]) -> tuple[Series, ...]:
    return tuple(
        Series(label, tuple(values), (_NO_SYNC,) if label == Product.label else ()) for label, values in samples.items()
    )


def _attempts(folder: Path, count: int) -> Figure:
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "benchmarks.attempt_side", str(folder), str(count), *agent("run", folder / "begun")]
    env = environment(folder / "home")
    told = subprocess.run(argv, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    found = json.loads(told)
    ms = found["ms"]
    references = (_BARE, _NO_RECORD)
    series = [Series(_SUPERVISED, tuple(ms["supervised"]), references)]
    if "contained" in ms:
        series.append(Series(_CONTAINED, tuple(ms["contained"]), (*references, _SUPERVISED)))
    series += [Series(_NO_RECORD, tuple(ms["unsynced"]), (_BARE,)), Series(_BARE, tuple(ms["bare"]))]
    return Figure(
        key="durability-attempt",
        title="The price of one attempt",
        unit="ms",
        better="lower",
        how="From the request to start the agent's program until its end is known, one at a time: started by itself; "
        "under a supervisor that syncs nothing; under one whose record of the end is on the disk before it is told; "
        f"and the same in the container of this machine ({found['container'] or 'none'}).",
        series=tuple(series),
        absent=(Absent(_CONTAINED, found["why_not"]),) if found["why_not"] else (),
    )
