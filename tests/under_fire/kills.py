"""kill -9 at random moments over the real daemon, by one command, with figures.

    python -m tests.under_fire.kills --kills 1000 --seed 7 --report kills.json
    python -m tests.under_fire.kills --naive --kills 60          the control: it must be found guilty
    python -m tests.under_fire.kills --seed 7 --only 12          one round again, kept for a look

Rounds of ten kills, two at once, calm and chaotic ones in turn (kill_round.py). Ends with 1 if anything was breached.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from tests.under_fire.kill_round import CALM, CHAOS, Plan, Round, RoundFigures
from tests.under_fire.kill_subjects import SUBJECTS

KILLS_A_ROUND = 10


def round_of(folder: Path, subject: str, seed: str, mode: str, *, kills: int, tasks: int, keep: bool) -> RoundFigures:
    """Run one round in a folder of its own below *folder*, which is removed if nothing was breached."""
    root = Path(tempfile.mkdtemp(prefix="kills-", dir=folder))
    drain_s = 180.0 if subject == "product" else 10.0
    figures = Round(root, SUBJECTS[subject](), Plan(seed, kills, tasks, mode, drain_s)).run()
    if figures.breaches and subject == "product":
        sys.stdout.write(f"  kept: {root}\n")
    elif not keep:
        shutil.rmtree(root)
    return figures


def mode_of(index: int, wanted: str) -> str:
    return wanted if wanted in (CALM, CHAOS) else (CALM, CHAOS)[index % 2]


def rounds(options: argparse.Namespace, done: list[RoundFigures]) -> None:
    """Run rounds until there are as many kills as asked for, or the time is over."""
    deadline = time.monotonic() + 60 * options.minutes
    subject = "naive" if options.naive else "product"
    running: set[Future[RoundFigures]] = set()
    index, asked = options.first, 0
    with ThreadPoolExecutor(options.jobs) as pool:
        while running or (asked < options.kills and time.monotonic() < deadline):
            while len(running) < options.jobs and asked < options.kills and time.monotonic() < deadline:
                kills = min(KILLS_A_ROUND, options.kills - asked)
                arguments = (Path(options.folder), subject, f"{options.seed}:{index}", mode_of(index, options.mode))
                running.add(pool.submit(round_of, *arguments, kills=kills, tasks=options.tasks, keep=options.keep))
                asked, index = asked + kills, index + 1
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            done += [future.result() for future in ended]
            for figures in (future.result() for future in ended):
                told = "; ".join(figures.breaches[:3]) or "nothing breached"
                sys.stdout.write(f"{figures.seed} {figures.mode}: {figures.wall_s:.1f} s, {told}\n")
                sys.stdout.flush()
            if options.report:
                Path(options.report).write_text(json.dumps(report(done, options.seed), indent=2) + "\n")


def report(done: Sequence[RoundFigures], seed: object) -> dict[str, object]:
    """Return the figures of all rounds together. Times in seconds."""
    recovery = sorted(value for one in done for value in one.recovery_s)
    to_zero = sorted(value for one in done for value in one.to_zero_s)
    kills = sum(one.daemon_kills for one in done)
    doubles = sum(one.doubled for one in done)
    return {
        "seed": seed,
        "rounds": len(done),
        "daemon_kills": kills,
        "tree_kills": sum(one.tree_kills for one in done),
        "tasks": sum(one.tasks for one in done),
        "attempts": sum(one.attempts for one in done),
        "commands_meanwhile": sum(one.controls for one in done),
        "breaches": [f"{one.seed}: {breach}" for one in done for breach in one.breaches],
        "completed_twice": doubles,
        "completed_twice_per_100_kills": round(100 * doubles / max(1, kills), 1),
        "orphans_left": sum(one.orphans_left for one in done),
        "time_to_zero_s": spread(to_zero),
        "recovery_s": spread(recovery),
        "wall_s": round(sum(one.wall_s for one in done), 1),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return number, median, 99th percentile and maximum of sorted *values*."""
    if not values:
        return {"n": 0}
    at = {name: values[min(len(values) - 1, int(share * len(values)))] for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {"n": len(values), **at, "max": values[-1]}


def options_of(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.under_fire.kills", description="kill -9, again and again.")
    parser.add_argument("--kills", type=int, default=100, help="kills of the daemon")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run")
    parser.add_argument("--first", type=int, default=0, help="the number of the first round: goes on with a seed")
    parser.add_argument("--only", type=int, help="this round alone, kept")
    parser.add_argument("--mode", choices=("mixed", CALM, CHAOS), default="mixed")
    parser.add_argument("--tasks", type=int, default=25, help="files a round")
    parser.add_argument("--jobs", type=int, default=2, help="rounds at once")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no round after that")
    parser.add_argument("--report", help="file for the figures, as JSON, written after every round")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the roots are made")
    parser.add_argument("--naive", action="store_true", help="shoot at the control instead")
    parser.add_argument("--keep", action="store_true", help="keep the roots")
    options = parser.parse_args(argv)
    if options.only is not None:
        options.first, options.kills, options.keep = options.only, KILLS_A_ROUND, True
    return options


def main(argv: Sequence[str]) -> int:
    """Run. Returns 1 if anything was breached."""
    options = options_of(argv)
    sys.stdout.write(f"seed {options.seed}\n")
    done: list[RoundFigures] = []
    rounds(options, done)
    found = report(done, options.seed)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return int(bool(found["breaches"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
