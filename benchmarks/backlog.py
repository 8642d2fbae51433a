"""Memory with a long queue, and how soon the first agent starts after a launch with that queue."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Absent, Figure, Series
from benchmarks.machine import memory_mb
from benchmarks.product import Product
from benchmarks.rivals import Huey
from benchmarks.waiting import rest, wait_until

_READINGS = 5


@dataclass(slots=True)
class _Taken:
    """Samples by the label of their series; *rest_s* before memory is looked at."""

    rest_s: float
    rss: dict[str, list[float]] = field(default_factory=dict)
    pss: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def memory(self, label: str, pid: int) -> None:
        rest(self.rest_s)  # let the last garbage be collected
        for _ in range(_READINGS):
            rss, pss = memory_mb(pid)
            self.rss.setdefault(label, []).append(rss)
            self.pss.setdefault(label, []).append(pss)
            rest(0.1)

    def start(self, label: str, seconds: float) -> None:
        self.seconds.setdefault(label, []).append(seconds)


def measure(
    folder: Path, counts: tuple[int, int], rounds: int, rest_s: float, huey: Huey, say: Callable[[str], None]
) -> list[Figure]:
    """Return the figures of memory and start-up for an empty queue and for queues of *counts* tasks.

    Before memory is looked at, *rest_s* pass.
    """
    taken = _Taken(rest_s)
    product = Product(folder / "product", slots=1, mode="hold")
    try:
        product.start()
        taken.memory(_ours(0), product.pid)
        _fill(product, counts, taken, say)
        if not huey.why_not:
            (folder / "huey").mkdir()
            huey.call(folder / "huey" / "long.db", "fill", counts[1] + rounds)
        for turn in range(rounds):
            say(f"launch {turn + 1} of {rounds}")
            taken.start(_ours(counts[1]), _launch(product))
            taken.memory(f"{_ours(counts[1])}, new launch", product.pid)
            product.stop()
            taken.start(_ours(0), _launch_empty(folder / f"empty_{turn}"))
            if not huey.why_not:
                _launch_huey(huey, folder / "huey" / "long.db", turn, _theirs(counts[1]), taken)
                huey.call(folder / "huey" / f"short_{turn}.db", "enqueue", 1)
                _launch_huey(huey, folder / "huey" / f"short_{turn}.db", turn, _theirs(0), taken)
    finally:
        product.stop()
    return _figures(taken, huey.why_not)


def _ours(count: int) -> str:
    return f"{Product.label}, {count:,} queued"


def _theirs(count: int) -> str:
    return f"huey, {count:,} queued"


def _fill(product: Product, counts: tuple[int, int], taken: _Taken, say: Callable[[str], None]) -> None:
    """Take the one slot, then queue the files in two steps and look at the memory after each."""
    product.prepare(["holder"])
    product.drop(["holder"])
    wait_until(product.begun, what="the agent that takes the slot")
    done = 0
    for count in counts:
        say(f"queueing {count:,} files")
        names = [f"task_{n}" for n in range(done, count)]
        product.prepare(names)
        product.drop(names)
        product.await_accepted(count + 1)
        done = count
        taken.memory(_ours(count), product.pid)
    product.stop()


def _launch(product: Product) -> float:
    """Return the seconds from the start of the daemon's process until an agent has begun."""
    before = len(product.begun())
    began = time.monotonic_ns()
    product.launch()
    wait_until(lambda: len(product.begun()) > before, what="the first agent after a launch")
    return (product.begun()[-1] - began) / 1e9


def _launch_empty(folder: Path) -> float:
    """The same with one task file that waits in tasks/ of a root that was never used."""
    product = Product(folder, slots=1, mode="hold")
    product.prepare(["task_0"])
    product.drop(["task_0"])
    try:
        return _launch(product)
    finally:
        product.stop()


def _launch_huey(huey: Huey, database: Path, turn: int, label: str, taken: _Taken) -> None:
    stamps = database.with_suffix(f".begun_{turn}")
    began = time.monotonic_ns()
    with huey.consumer(database, 1, "hold", stamps) as pid:
        wait_until(lambda: stamps.exists() and stamps.read_text(), what="the first agent of huey")
        taken.start(label, (int(stamps.read_text().split()[0]) - began) / 1e9)
        taken.memory(label, pid)


def _figures(taken: _Taken, why_no_huey: str) -> list[Figure]:
    absent = (Absent("huey", why_no_huey),) if why_no_huey else ()
    memory = "The daemon's own process, agents not included, five readings each; huey's consumer with one worker."
    shared = " PSS counts a page that several processes share only by share, RSS in full."
    start = (
        "From the start of the process until the first agent has begun, in a root whose queue was filled before; "
        "`0 queued`: a new root with one file. The one slot is then taken until the end."
    )
    return [
        Figure("memory-rss", "Memory, RSS", "MB", "lower", memory + shared, _series(taken.rss), absent),
        Figure("memory-pss", "Memory, PSS", "MB", "lower", memory + shared, _series(taken.pss), absent),
        Figure("start-up", "Launch to first agent", "s", "lower", start, _series(taken.seconds), absent),
    ]


def _series(samples: dict[str, list[float]]) -> tuple[Series, ...]:
    """Each of ours is held against huey with the same queue where there is one, else against huey with none."""
    found = []
    for label, values in samples.items():
        same = ", ".join(["huey", *label.split(", ")[1:2]])
        reference = same if same in samples else "huey, 0 queued"
        found.append(Series(label, tuple(values), (reference,) if label.startswith(Product.label) else ()))
    return tuple(found)
