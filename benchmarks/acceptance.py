"""How many files per second are accepted: parsed, stored and acknowledged, while the only slot is taken."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Absent, Figure, Series
from benchmarks.product import TASK, Product
from benchmarks.rivals import Huey
from benchmarks.waiting import wait_until

_ENQUEUE, _FLOOR = "huey, enqueue", "read + INSERT, 500 a commit"
_BATCH = 500


def measure(folder: Path, count: int, rounds: int, huey: Huey, say: Callable[[str], None]) -> list[Figure]:
    """Return the figure for bursts of *count* files; the contenders take turns, *rounds* times."""
    ours, floor, enqueued = [], [], []
    for turn in range(rounds):
        here = folder / str(turn)
        ours.append(burst(here / "product", count))
        floor.append(_floor(here / "floor", count))
        if not huey.why_not:
            (here / "huey").mkdir()
            enqueued.append(count / huey.call(here / "huey" / "huey.db", "enqueue", count))
        say(f"round {turn + 1} of {rounds}: {ours[-1]:.0f} files/s")
    series = [Series(Product.label, tuple(ours), (_ENQUEUE, _FLOOR)), Series(_FLOOR, tuple(floor))]
    if enqueued:
        series.insert(1, Series(_ENQUEUE, tuple(enqueued)))
    figure = Figure(
        key=f"acceptance-{count}",
        title=f"Accepting a burst of {count:,} files",
        unit="files/s",
        better="higher",
        how=f"{count:,} prepared files are renamed into tasks/ at once while the daemon runs, its one slot taken. "
        "Timed from the first renaming until the store holds the last task: by then every file has been read, parsed, "
        "checked and committed to disk, with its exact bytes and its first two events. huey stores a function call "
        "per task, without a file. The last line reads the same files and commits their bytes, without parsing.",
        series=tuple(series),
        absent=(Absent(_ENQUEUE, huey.why_not),) if huey.why_not else (),
    )
    return [figure]


def burst(folder: Path, count: int, program: tuple[str, ...] = Product.program) -> float:
    """Return how many of *count* files per second the daemon that *program* starts accepts."""
    product = Product(folder, slots=1, mode="hold", program=program)
    names = [f"task_{n}" for n in range(count)]
    product.prepare(["holder", *names])
    product.start()
    try:
        product.drop(["holder"])
        wait_until(product.begun, what="the agent that takes the slot")
        began = time.monotonic()
        product.drop(names)
        product.await_accepted(count + 1)
        return count / (time.monotonic() - began)
    finally:
        product.stop()


def _floor(folder: Path, count: int) -> float:
    folder.mkdir(parents=True)
    for n in range(count):
        (folder / f"task_{n}.task.md").write_text(TASK.format(name=f"task_{n}"))
    con = sqlite3.connect(folder / "floor.db", isolation_level=None)
    con.execute("PRAGMA journal_mode=WAL")
    con.execute("PRAGMA synchronous=FULL")
    con.execute("CREATE TABLE task (ord INTEGER PRIMARY KEY, name TEXT UNIQUE, body BLOB)")
    began = time.monotonic()
    paths = sorted(folder.glob("*.task.md"))
    for at in range(0, count, _BATCH):
        con.execute("BEGIN")
        rows = [(path.name, path.read_bytes()) for path in paths[at : at + _BATCH]]
        con.executemany("INSERT INTO task (name, body) VALUES (?, ?)", rows)
        con.execute("COMMIT")
    seconds = time.monotonic() - began
    con.close()
    return count / seconds
