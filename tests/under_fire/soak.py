"""A soak: the real daemon for as long as asked, with everything that happens to it, and what grows meanwhile.

    python -m tests.under_fire.soak --minutes 15 --report FILE.json
    python -m tests.under_fire.soak --minutes 3 --leak descriptor

Short tasks keep coming (some fail, some leave processes behind); commands are typed, the configuration is edited, the
event log rotates, and every few minutes the daemon is killed by SIGKILL or stopped and started again. With --leak it
loses something of each task: then the exit code is 0 if the soak has noticed.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.harness import wait_until
from tests.under_fire.process_figures import Reading, Slope, slope
from tests.under_fire.soak_root import QUEUED, SoakRoot

WARM_S = 20.0  # of each life: imports, caches and pools of threads are filled
SAMPLE_S = 1.0
COMMAND_S = 6.0
RELOAD_S = 25.0
__all__ = ["QUEUED", "Report", "Soak", "main", "run"]
LEAKS = ("descriptor", "memory", "thread")
# For each ended task more than this is a leak, if it is also beyond the noise.
LIMITS = {"rss_mb": 0.02, "descriptors": 0.02, "threads": 0.02}


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a daemon: *life* counts its starts, *ended* tasks with all their files, sizes in MB."""

    at_s: float
    life: int
    ended: int
    reading: Reading
    database_mb: float
    log_mb: float
    attempts: int


@dataclass(slots=True)
class Report:
    """What a soak found. Each slope is per hour and, as *per_task*, for each ended task."""

    seconds: float = 0.0
    leak: str = ""
    tasks: int = 0
    kills: int = 0
    restarts: int = 0
    commands: int = 0
    reloads: int = 0
    rotated: int = 0
    marked: list[str] = field(default_factory=list)
    before: Reading | None = None  # a daemon at rest that has done one task
    after: Reading | None = None  # the last one at rest, when all is done
    threads_most: int = 0
    per_hour: dict[str, Slope] = field(default_factory=dict)
    per_task: dict[str, Slope] = field(default_factory=dict)
    leaks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


class Soak:
    """Everything that happens to one root. *restart_s*: how long one daemon lives."""

    def __init__(self, folder: Path, *, restart_s: float, leak: str, seed: int, warm_s: float) -> None:
        self.report = Report(leak=leak)
        self.samples: list[Sample] = []
        self._root = SoakRoot(folder / "root", leak=leak, seed=seed)
        self._restart_s = restart_s
        self._chance = random.Random(seed)
        self._warm_s = warm_s
        self._began = time.monotonic()
        self._life_began = 0.0
        self._slots = 4

    def run(self, seconds: float) -> Report:
        root, report = self._root, self.report
        try:
            self._start()
            root.feed_one()
            root.rest()
            report.before = root.reading()
            self._live(seconds)
            self._finish()
        finally:
            root.end()
        report.seconds = time.monotonic() - self._began
        self._judge()
        return report

    def _start(self) -> None:
        starts = "SELECT count(*) FROM event WHERE kind = 'daemon_started'"
        before = self._root.one(starts)
        self._root.start()
        wait_until(lambda: self._root.one(starts) > before, what="the start of the daemon")
        self._life_began = time.monotonic()

    def _live(self, seconds: float) -> None:
        now = time.monotonic()
        end = now + seconds
        acts: list[tuple[float, Callable[[], None]]] = [
            (SAMPLE_S, self._sample),
            (COMMAND_S, self._command),
            (RELOAD_S, self._reload),
            (self._restart_s, self._restart),
        ]
        due = [now + every for every, _ in acts]
        while time.monotonic() < end:
            self._root.feed()
            for number, (every, act) in enumerate(acts):
                if time.monotonic() >= due[number]:
                    act()
                    due[number] = time.monotonic() + every
            threading.Event().wait(0.1)

    def _sample(self) -> None:
        root, now = self._root, time.monotonic()
        reading = root.reading()
        self.report.threads_most = max(self.report.threads_most, reading.threads)
        if now - self._life_began < self._warm_s:
            return
        ended = root.one("SELECT count(*) FROM task WHERE artifacts = 1")
        sizes = root.database_bytes() / 1e6, root.log_bytes() / 1e6
        self.samples.append(Sample(now - self._began, root.lives, ended, reading, *sizes, root.attempts()))

    def _command(self) -> None:
        self._root.type_something()
        self.report.commands += 1

    def _reload(self) -> None:
        self._slots = 7 - self._slots  # 3 and 4 in turn
        self._root.configure(slots=self._slots)
        self.report.reloads += 1

    def _restart(self) -> None:
        if self._chance.random() < 0.5:
            self._root.kill()
            self.report.kills += 1
        else:
            code = self._root.stop()
            self.report.restarts += 1
            if code != 0:
                self.report.broken.append(f"a daemon that was asked to stop ended with {code}")
        self._start()

    def _finish(self) -> None:
        """Let everything come to its end, then look at what is left."""
        root, report = self._root, self.report
        root.release_all()
        root.rest()
        report.after = root.reading()
        report.marked = root.marked()
        if (code := root.stop()) != 0:
            report.broken.append(f"the last daemon ended with {code}")
        report.marked += root.marked()
        report.tasks = root.one("SELECT count(*) FROM task")
        report.rotated = len(list((root.root / "logs").glob("events-*.ndjson")))
        results = len(list((root.root / "results").glob("*_result.json")))
        if not report.tasks == root.dropped == results:
            report.broken.append(f"{root.dropped} files were dropped: {report.tasks} tasks, {results} results")
        if problem := root.log_problem():
            report.broken.append(problem)

    def _judge(self) -> None:
        report = self.report
        for name in ("rss_mb", "descriptors", "threads"):
            values = [float(getattr(one.reading, name)) for one in self.samples]
            self._slope(name, values, within_lives=True)
            found = report.per_task[name]
            if found.rises and found.per_hour / 3600 > LIMITS[name]:
                report.leaks.append(name)
        for name in ("database_mb", "log_mb", "attempts"):
            self._slope(name, [float(getattr(one, name)) for one in self.samples], within_lives=False)
        before, after = report.before, report.after
        if before and after and after.descriptors > before.descriptors and "descriptors" not in report.leaks:
            report.leaks.append("descriptors")
        if report.marked:
            report.broken.append(f"{len(report.marked)} processes were left running")

    def _slope(self, name: str, values: Sequence[float], *, within_lives: bool) -> None:
        lives = [one.life if within_lives else 0 for one in self.samples]
        values = _around(values, lives)
        hours = _around([one.at_s for one in self.samples], lives)
        tasks = _around([float(one.ended) for one in self.samples], lives)
        self.report.per_hour[name] = slope(hours, values)
        self.report.per_task[name] = slope(tasks, values)


def _around(values: Sequence[float], lives: Sequence[int]) -> list[float]:
    """Return *values* as what they are above the mean of their life: a new process begins anew."""
    groups: dict[int, list[float]] = {}
    for life, value in zip(lives, values, strict=True):
        groups.setdefault(life, []).append(value)
    means = {life: sum(group) / len(group) for life, group in groups.items()}
    return [value - means[life] for life, value in zip(lives, values, strict=True)]


def run(
    folder: Path, seconds: float, *, restart_s: float = 150.0, leak: str = "", seed: int = 0, warm_s: float = WARM_S
) -> Report:
    """Soak one root under *folder* for *seconds*, then let it come to rest."""
    return Soak(folder, restart_s=restart_s, leak=leak, seed=seed, warm_s=warm_s).run(seconds)


def as_json(report: Report) -> dict[str, object]:
    """Return the report with each slope as its rise, its noise and the number of samples."""
    found = asdict(report)
    for one in found["per_task"].values():
        one["per_task"], one["error"] = one.pop("per_hour") / 3600, one["error"] / 3600
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run one soak as asked for. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.under_fire.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--restart-minutes", type=float, default=2.5, help="how long one daemon lives")
    parser.add_argument("--warm-seconds", type=float, default=WARM_S, help="of each daemon, which are not judged")
    parser.add_argument("--leak", choices=LEAKS, default="", help="the control: lose this of each task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, metavar="FILE.json")
    parser.add_argument("--dir", metavar="DIR", help="work there (default: the folder for temporary files)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="soak-", dir=args.dir) as name:
        restart_s = args.restart_minutes * 60
        given = {"leak": args.leak, "seed": args.seed, "warm_s": args.warm_seconds}
        report = run(Path(name), args.minutes * 60, restart_s=restart_s, **given)
    text = json.dumps(as_json(report), indent=1)
    if args.report:
        args.report.write_text(text + "\n")
    print(text)
    noticed = bool(report.leaks)
    return 0 if not report.broken and noticed == bool(args.leak) else 1


if __name__ == "__main__":
    sys.exit(main())
