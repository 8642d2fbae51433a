"""From the moment a file is renamed into tasks/ until the agent's process has begun."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Absent, Figure, Series
from benchmarks.inotify import IN_MODIFY, Inotify
from benchmarks.places import environment
from benchmarks.product import TASK, Product
from benchmarks.rivals import agent, incron, running, why_no_incron
from benchmarks.waiting import TookTooLongError, rest, wait_until

WARM_UP = 5
_INOTIFY, _SPAWN, _INCRON = "inotify + spawn", "spawn alone", "incron"


@dataclass(frozen=True, slots=True)
class _Contender:
    """*act* does what is timed, given the number of the sample; *settle* waits until it is idle again."""

    label: str
    stamps: Path
    act: Callable[[int], None]
    settle: Callable[[int], None]


def measure(folder: Path, samples: int, say: Callable[[str], None]) -> list[Figure]:
    """Return the figure: *samples* of each contender, one after the other in turn, each daemon idle before it."""
    with ExitStack() as stack:
        contenders = [_product(folder / "product", stack), _bare(folder / "inotify", stack)]
        absent = []
        if why := why_no_incron():
            absent.append(Absent(_INCRON, why))
        else:
            contenders.append(_incron(folder / "incron", stack))
        contenders.append(_spawn(folder / "spawn"))
        taken: dict[str, list[float]] = {one.label: [] for one in contenders}
        warm_up = min(WARM_UP, samples)
        for turn in range(warm_up + samples):
            for one in contenders:
                milliseconds = _sample(one, turn)
                if turn >= warm_up:
                    taken[one.label].append(milliseconds)
            if turn % 25 == 0:
                say(f"{turn} of {warm_up + samples}")
    references = tuple(label for label in taken if label != Product.label)
    figure = Figure(
        key="latency",
        title="From drop to agent",
        unit="ms",
        better="lower",
        how="A file is renamed into tasks/ of an idle daemon; the agent, a Python program, notes when it runs. One "
        "file at a time, 50 to 150 ms after everything about the one before is written; contenders take turns. "
        "`spawn alone` is the price of starting that program at all, and no daemon can be faster.",
        series=tuple(
            Series(label, tuple(values), references if label == Product.label else ())
            for label, values in taken.items()
        ),
        absent=tuple(absent),
    )
    return [figure]


def _sample(one: _Contender, turn: int) -> float:
    """Return the milliseconds from the act to the beginning of the agent."""
    watch = Inotify(one.stamps.parent, IN_MODIFY)
    before = _stamps(one.stamps)
    began = time.monotonic_ns()
    one.act(turn)
    while len(found := _stamps(one.stamps)) == len(before):
        if not watch.names(60):
            raise TookTooLongError(f"{one.label} did not start the agent for file {turn}")
    watch.close()
    one.settle(turn)
    rest(random.uniform(0.05, 0.15))
    return (found[-1] - began) / 1e6


def _stamps(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def _product(folder: Path, stack: ExitStack) -> _Contender:
    product = Product(folder, slots=4)
    stack.callback(product.stop)
    product.start()

    def act(turn: int) -> None:
        product.drop([f"task_{turn}"])

    def settle(turn: int) -> None:
        wait_until(lambda: product.projected(turn + 1), what="the result of a task")
        product.check_results([f"task_{turn}"])
        product.prepare([f"task_{turn + 1}"])

    product.prepare(["task_0"])
    return _Contender(product.label, product.stamps, act, settle)


def _folders(folder: Path) -> tuple[Path, Path]:
    watched, stamps = folder / "tasks", folder / "stamps" / "begun"
    watched.mkdir(parents=True)
    stamps.parent.mkdir()
    return watched, stamps


def _dropper(folder: Path, watched: Path) -> Callable[[int], None]:
    source = folder / "prepared"
    source.write_text(TASK.format(name="task_0"))

    def act(turn: int) -> None:
        source.rename(watched / f"task_{turn}.task.md")

    return act


def _rewriter(folder: Path) -> Callable[[int], None]:
    def settle(turn: int) -> None:
        (folder / "prepared").write_text(TASK.format(name=f"task_{turn + 1}"))

    return settle


def _bare(folder: Path, stack: ExitStack) -> _Contender:
    watched, stamps = _folders(folder)
    argv = [sys.executable, "-m", "benchmarks.inotify", str(watched), *agent("run", stamps)]
    stack.enter_context(running(argv, environment(folder / "home"), says="ready"))
    return _Contender(_INOTIFY, stamps, _dropper(folder, watched), _rewriter(folder))


def _incron(folder: Path, stack: ExitStack) -> _Contender:
    watched, stamps = _folders(folder)
    argv = incron(folder / "incron", watched, agent("run", stamps))
    stack.enter_context(running(argv, environment(folder / "home")))
    rest(1.0)  # it does not say when its watch stands
    return _Contender(_INCRON, stamps, _dropper(folder, watched), _rewriter(folder))


def _spawn(folder: Path) -> _Contender:
    _, stamps = _folders(folder)
    children: list[subprocess.Popen[bytes]] = []

    def act(_turn: int) -> None:
        argv = agent("run", stamps)
        children.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))

    def settle(_turn: int) -> None:
        children.pop().wait()

    return _Contender(_SPAWN, stamps, act, settle)
