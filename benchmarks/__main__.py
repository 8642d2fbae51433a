"""`python -m benchmarks`: measure everything, write docs/benchmarks.md and docs/benchmarks.svg."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import acceptance, backlog, durability, isolation, jobs, latency, throughput
from benchmarks.chart import svg
from benchmarks.document import as_json, markdown, with_added
from benchmarks.figures import Figure
from benchmarks.machine import busy_share, load, look
from benchmarks.places import REPOSITORY
from benchmarks.rivals import Huey

Say = Callable[[str], None]
Measure = Callable[[Say], Sequence[Figure]]
QUIET = 0.1  # share of all cores that others may take
LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured: numbers of samples, files, tasks and rounds."""

    latency_samples: int
    bursts: tuple[tuple[int, int], ...]  # (files, rounds)
    slots: tuple[int, ...]
    tasks: int
    task_rounds: int
    backlog: tuple[int, int]
    launches: int
    rest_s: float  # before memory is looked at
    durability: durability.Sizes
    isolation: tuple[isolation.Size, ...]
    jobs: jobs.Size
    patience_s: float  # how long to wait for a quiet machine before each benchmark


_SMALL, _MIDDLE, _LARGE = (245, 4_096), (4_069, 24_576), (20_345, 49_152)  # files and their size: 1 MB, 100 MB, 1 GB
FULL = Sizes(
    200,
    ((2_000, 5), (10_000, 3)),
    (4, 16),
    200,
    5,
    (10_000, 100_000),
    5,
    1.0,
    durability.Sizes(2_000, 100, 4, 100),
    (isolation.Size(*_SMALL, 20), isolation.Size(*_MIDDLE, 7), isolation.Size(*_LARGE, 5)),
    jobs.Size(tasks=10_000, depth=5, rounds=25),
    120.0,
)
QUICK = Sizes(
    20,
    ((500, 1), (2_000, 1)),
    (4, 16),
    60,
    1,
    (500, 2_000),
    1,
    1.0,
    durability.Sizes(500, 20, 1, 10),
    (isolation.Size(*_SMALL, 3),),
    jobs.Size(tasks=2_000, depth=4, rounds=3),
    0.0,
)
NAMES = ("latency", "acceptance", "throughput", "durability", "isolation", "jobs", "backlog")


def main(argv: Sequence[str] | None = None, sizes: Sizes = FULL) -> int:
    """Run what *argv* asks for. Returns the exit code."""
    args = _parse(sys.argv[1:] if argv is None else argv)
    if args.quick:
        sizes = QUICK
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=args.dir) as name:
        folder = Path(name)
        machine = look(folder)
        _say(f"load average {machine.load_before:.2f} on {machine.cores} cores")
        huey = Huey(folder / "huey", install=not args.no_install)
        figures = list(_measure(folder, args.only or NAMES, sizes, huey))
    only = [f"--only {name}" for name in args.only or ()]
    command = " ".join(["python -m benchmarks", *(["--quick"] if args.quick else []), *only])
    text = markdown(figures, machine, command)
    if args.json:
        Path(args.json).write_text(json.dumps(as_json(figures, machine, command), indent=1) + "\n")
    if args.add:
        args.add.write_text(with_added(args.add.read_text(), figures, machine, command))
        _say(f"written: {args.add}")
        return 0
    out = args.out or (None if args.only or args.quick else REPOSITORY / "docs")
    if out is None:
        print(text)
        return 0
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmarks.md").write_text(text)
    (out / "benchmarks.svg").write_text(svg(figures))
    _say(f"written: {out / 'benchmarks.md'}, {out / 'benchmarks.svg'}")
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few samples, in a minute or two: does it work at all?")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--json", metavar="FILE", help="write every sample there too")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the document there; a complete run: docs/")
    parser.add_argument("--add", type=Path, metavar="FILE", help="put only these figures into that document")
    parser.add_argument("--dir", metavar="DIR", help="measure on this disk (default: that of temporary files)")
    parser.add_argument("--no-install", action="store_true", help="leave out what would have to be installed first")
    return parser.parse_args(argv)


def _measure(folder: Path, names: Sequence[str], sizes: Sizes, huey: Huey) -> Iterator[Figure]:
    for what, measure in _plan(folder, names, sizes, huey):
        before = _quiet(sizes.patience_s)
        found = measure(partial(_say, what))
        others = before, _others(sizes.patience_s)
        yield from (replace(figure, others=others) for figure in found)


def _plan(folder: Path, names: Sequence[str], sizes: Sizes, huey: Huey) -> Iterator[tuple[str, Measure]]:
    """Yield what is to be measured, each with its name for the progress."""
    if "latency" in names:
        yield "latency", partial(latency.measure, folder / "latency", sizes.latency_samples)
    if "acceptance" in names:
        for files, rounds in sizes.bursts:
            burst = partial(acceptance.measure, folder / f"acceptance_{files}", files, rounds, huey)
            yield f"acceptance of {files:,}", burst
    if "throughput" in names:
        for slots in sizes.slots:
            pool = partial(throughput.measure, folder / f"slots_{slots}", slots, sizes.tasks, sizes.task_rounds, huey)
            yield f"throughput with {slots} slots", pool
    if "durability" in names:
        yield "durability", partial(durability.measure, folder / "durability", sizes.durability)
    if "isolation" in names:
        yield "isolation", partial(isolation.measure, folder / "isolation", sizes.isolation)
    if "jobs" in names:
        yield "jobs", partial(jobs.measure, folder / "jobs", sizes.jobs)
    if "backlog" in names:
        yield "backlog", partial(backlog.measure, folder / "backlog", sizes.backlog, sizes.launches, sizes.rest_s, huey)


def _quiet(patience_s: float) -> float:
    """Wait for the machine to be quiet, at most so long. Returns which share of its cores others still take."""
    end = time.monotonic() + patience_s
    others = _others(patience_s)
    if others > QUIET and patience_s:
        _say(f"others take {others:.0%} of the cores; waiting for less than {QUIET:.0%}, at most {patience_s:g} s")
    while others > QUIET and time.monotonic() < end:
        others = _others(patience_s)
    return others


def _others(patience_s: float) -> float:
    """Return which share of the cores others take; a hasty look where there is no patience."""
    return busy_share(LOOK_S if patience_s else LOOK_S / 10)


def _say(*words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  load {load():4.1f} ", ": ".join(words), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
