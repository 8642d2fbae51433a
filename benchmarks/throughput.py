"""How many tasks per second go the whole way when the agent does nothing: what the machinery itself costs."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Absent, Figure, Series
from benchmarks.places import REPOSITORY, environment
from benchmarks.product import Product
from benchmarks.rivals import Huey, TaskSpooler, agent, why_no_tsp
from benchmarks.waiting import wait_until

_LOOP, _TSP, _HUEY = "asyncio spawn loop", "task-spooler", "huey"


def measure(folder: Path, slots: int, count: int, rounds: int, huey: Huey, say: Callable[[str], None]) -> list[Figure]:
    """Return the figure for *count* tasks with *slots* slots; the contenders take turns, *rounds* times."""
    absent = {_TSP: why_no_tsp(), _HUEY: huey.why_not}
    contenders: dict[str, Callable[[Path], float]] = {
        Product.label: lambda here: whole_tasks(here, slots, count),
        _LOOP: lambda here: _loop(here, slots, count),
        _TSP: lambda here: _spooler(here, slots, count),
        _HUEY: lambda here: _huey(here, slots, count, huey),
    }
    contenders = {label: one for label, one in contenders.items() if not absent.get(label)}
    rates: dict[str, list[float]] = {label: [] for label in contenders}
    for turn in range(rounds):
        for label, one in contenders.items():
            rates[label].append(count / one(folder / str(turn) / label.replace(" ", "_")))
        say(f"round {turn + 1} of {rounds}: {rates[Product.label][-1]:.1f} tasks/s")
    references = tuple(label for label in contenders if label != Product.label)
    figure = Figure(
        key=f"throughput-{slots}",
        title=f"Tasks per second, {slots} slots",
        unit="tasks/s",
        better="higher",
        how=f"{count:,} tasks whose agent, the same Python program for all, answers and ends. For us timed from the "
        "first renaming until every task has its result, its summary, its archived file and its last line in "
        "events.ndjson, each agent under a supervisor of its own; the result files are then checked. task-spooler "
        "keeps the output in a file, huey the exit code in its database, the spawn loop nothing at all.",
        series=tuple(
            Series(label, tuple(values), references if label == Product.label else ())
            for label, values in rates.items()
        ),
        absent=tuple(Absent(label, why) for label, why in absent.items() if why),
    )
    return [figure]


def whole_tasks(folder: Path, slots: int, count: int, program: tuple[str, ...] = Product.program) -> float:
    """Return the seconds in which the daemon that *program* starts brings *count* tasks to their end, files and all."""
    product = Product(folder, slots=slots, program=program)
    names = [f"task_{n}" for n in range(count)]
    product.prepare(["first", *names])
    product.start()
    try:
        product.drop(["first"])  # so that what is done once for all is done
        wait_until(lambda: product.projected(1), what="the first result")
        began = time.monotonic()
        product.drop(names)
        wait_until(lambda: product.projected(count + 1), what=f"{count} results", every_s=0.05)
        seconds = time.monotonic() - began
        product.check_results(names)
        return seconds
    finally:
        product.stop()


def _loop(folder: Path, slots: int, count: int) -> float:
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "benchmarks.spawn_loop", str(slots), str(count), *agent("run", folder / "begun")]
    env = environment(folder / "home")
    return float(subprocess.run(argv, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout)


def _spooler(folder: Path, slots: int, count: int) -> float:
    spooler = TaskSpooler(folder, slots)
    program = agent("run", folder / "begun")
    try:
        began = time.monotonic()
        numbers = [spooler.add(program) for _ in range(count)]
        for number in numbers[-2 * slots :]:
            spooler.wait(number)
        wait_until(lambda: spooler.unfinished() == 0, what="the last jobs of task-spooler")
        return time.monotonic() - began
    finally:
        spooler.end()


def _huey(folder: Path, slots: int, count: int, huey: Huey) -> float:
    folder.mkdir(parents=True)
    database = folder / "huey.db"
    huey.call(database, "enqueue", 1)  # makes the database, and shows below when the consumer is there
    stamps = folder / "begun"
    with huey.consumer(database, slots, "run", stamps):
        wait_until(stamps.exists, what="the first task of huey")
        return huey.call(database, "run", count)
