"""Every fail-point, at its first, second and fifth hit, with every act: kill, ENOSPC, EIO, busy, delay.

    python -m tests.under_fire.sweep --all --report sweep.json     everything (some 700 runs of a daemon)
    python -m tests.under_fire.sweep --point claim.renamed         one point
    python -m tests.under_fire.sweep --sample 12 --seed 3          so many cases, drawn by the seed

A case is a root with a handful of tasks: a daemon that meets its fail-point, then one without that has to bring all to
a good end. The oracle is that of the kills. A point that is never reached is an error. Ends with 1 if anything is.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.bridges.git_rig import git, repository
from tests.far_side import FarSide, far_side
from tests.under_fire.fire_oracle import facts_of, violations
from tests.under_fire.kill_round import Plan, Round
from tests.under_fire.kill_subjects import Product, alive_of, command_of, end_all_of
from tests.under_fire.kill_tasks import drop
from tests.warm import Process

from orchestrator.core.failpoint import POINTS
from orchestrator.kit.failpoints import ACTIONS, FIRED, VARIABLE

HITS = (1, 2, 5)
REACHED_S = 20.0
AFTERWARDS_S = 2.5
DRAIN_S = 90.0
KINDS = ("quick", "work", "orphan", "transient", "bad", "quick", "work", "asks", "decides")
# What has to have happened before these points can be reached.
AFTER_A_CRASH = frozenset(
    {"recover.listed", "recover.taken", "recover.adopted", "collect.locked", "collect.settled", "archive.created"}
    | {"finish.interrupted"}
)
OF_A_CLONE = ("area.", "keep.", "prove.", "deliver.")  # what is reached only where a task works in a repository
OF_COMMANDS = frozenset(
    {"take.prepared", "take.forwarded", "take.discarded"}  # e2e/test_killed_commands.py
    | {"job.accepted", "job.archived", "unblock.decided"}  # e2e/test_job_over_kills.py
)
OF_MERGES = frozenset({"area.merged"})  # e2e/test_dependent_work.py, bridges/test_area_merge.py
BY_CANCELLING = "finish.cancelled"
STRAY = "0" * 31 + "1"


@dataclass(frozen=True, slots=True)
class Case:
    """One daemon to run. *action* "" only counts what is reached."""

    point: str
    hit: int
    action: str

    @property
    def value(self) -> str:
        return f"{self.point}:{self.hit}:{self.action}"


@dataclass(slots=True)
class CaseFigures:
    """*fired*: the point was reached so often. *ended*: how the daemon ended by itself after it, None if it did not."""

    case: str
    fired: bool = False
    ended: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    root: str = ""


HOOKS = """hooks:
  before_task: [["true"]]
  after_task: [[sh, -c, 'echo "$ORCHESTRATOR_TASK_NAME" >> hooks.ran']]
"""


class CaseRound(Round):
    """The root of one case."""

    def __init__(self, root: Path, case: Case) -> None:
        super().__init__(root, Product(), Plan(case.value, drain_s=DRAIN_S))
        self.case, self.told = case, CaseFigures(case.value, root=str(root))
        self.far: FarSide | None = None
        self.reached = root / "reached"
        self.reached.mkdir()
        config = root / "config" / "orchestrator.yaml"
        config.write_text(config.read_text().replace("events_bytes: 20000", "events_bytes: 3000"))

    def play(self) -> CaseFigures:
        began = time.monotonic()
        if self.case.point.startswith("hook.") or self.case.point == "*":
            config = self.root / "config" / "orchestrator.yaml"
            config.write_text(f"{config.read_text()}{HOOKS}")
        if not (self._is_about("") or self.case.point.startswith("notice.")):
            return self._play(began)
        with far_side() as self.far:
            config = self.root / "config" / "orchestrator.yaml"
            place = f"{{to: webhook, url: '{self.far.address}/', secret_env: HOOK_SECRET}}"
            config.write_text(f"{config.read_text()}notify: [{place}]\n")
            self.env["HOOK_SECRET"] = "a secret of some length"
            return self._play(began)

    def _play(self, began: float) -> CaseFigures:
        try:
            kinds = (*KINDS, "endless") if self._is_about(BY_CANCELLING) else KINDS
            if self._is_about_a_clone():
                repository(self.root / "workspace" / "project")
                kinds = (*kinds, "cloned") if self.case.point == "*" else (*["cloned"] * max(HITS), *kinds)
            crash = self.case.point in AFTER_A_CRASH or self.case.point == "*"
            # A run that fails at first would be tried again; the crash has to fall on one that has ended well.
            late = {f"t{n}": kind for n, kind in enumerate(kinds) if crash and kind in ("transient", "decides")}
            early = {f"t{n}": kind for n, kind in enumerate(kinds) if f"t{n}" not in late}
            self._drop_all(early)
            if crash:
                self._crash()
            self._drop_all(late)
            self._meet()
            self._drain()
            self.told.breaches += [*self.figures.breaches, *self._found()]
        finally:
            end_all_of(self.root)
        self.told.wall_s = round(time.monotonic() - began, 1)
        self.told.counts = {path.name: path.stat().st_size for path in self.reached.iterdir() if path.name in POINTS}
        self.told.fired = (self.reached / FIRED).exists()
        return self.told

    def _drop_all(self, kinds: Mapping[str, str]) -> None:
        self.dropped += [drop(self.root, name, kind, self.chance) for name, kind in kinds.items()]

    def _is_about(self, point: str) -> bool:
        return self.case.point in (point, "*")

    def _is_about_a_clone(self) -> bool:
        return self.case.point == "*" or self.case.point.startswith(OF_A_CLONE)

    def _found(self) -> list[str]:
        found = list(violations(self.root, facts_of(self.root), self.dropped, disturbed=set()))
        left = sorted(set(alive_of(self.root).values()))
        for one in self.dropped:
            branch = f"refs/heads/orchestrator/{one.name}"
            if one.kind == "cloned" and not git(self.root / "workspace" / "project", "for-each-ref", branch):
                found.append(f"G14 the result of {one.name} is no branch")
        found += [f"{path.name} was left behind" for path in scratch_of(self.root)]
        return [*found, *([f"G6 left running: {left}"] if left else []), *self._untold(), *self._unhooked()]

    def _unhooked(self) -> list[str]:
        """Where there are hooks, those after a task have run for every result."""
        ran = self.root / "hooks.ran"
        names = ran.read_text().split() if ran.exists() else []
        wanted = [path.name.removesuffix("_result.json") for path in (self.root / "results").glob("*_result.json")]
        lost = sorted(set(wanted) - set(names)) if names or self.case.point.startswith("hook.") else []
        return [f"no hook ran after {lost}"] if lost else []

    def _untold(self) -> list[str]:
        """Every refused file is told of, and what is told goes as one message, however often that is sent."""
        if self.far is None:
            return []
        told = "".join(one.body.decode() for one in self.far.asked)
        lost = [one.name for one in self.dropped if one.ends == "rejected" and f"{one.name}.task.md" not in told]
        messages = {(one.json["key"], one.headers["Webhook-Id"]) for one in self.far.asked}
        twice = len(messages) - len({key for key, _ in messages})
        return [
            *([f"nobody was told of {lost}"] if lost else []),
            *([f"{twice} told as two messages"] if twice else []),
        ]

    def _crash(self) -> None:
        """Leave what a killed daemon leaves: attempts that ran, and one that had ended, whose file somebody took away;
        and a folder that nobody knows."""
        process = self.start(**{VARIABLE: "finish.committed:2:kill"})
        self._until(lambda: process.poll() is not None, REACHED_S)
        process.kill()
        process.wait()
        for row in facts_of(self.root).rows:
            if row.state == "checking":
                shutil.rmtree(self.root / "tasks" / "running" / row.uid)
        stray = self.root / "tasks" / "running" / STRAY
        stray.mkdir()
        self.dropped.append(drop(self.root, "stray", "quick", self.chance))
        (self.root / "tasks" / "stray.task.md").rename(stray / "stray.task.md")
        self.dropped.append(drop(self.root, "worse", "bad", self.chance))

    def _meet(self) -> None:
        """Run the daemon that meets the fail-point; leave it alone for a moment, then end it by signal or by kill."""
        process = self.start(**{VARIABLE: f"{self.case.value}:{self.reached}"})
        if self._is_about(BY_CANCELLING):
            self._cancel(process)
        fired = self.reached / FIRED
        drained = partial(self.subject.is_drained, self.root, self.dropped)
        self._until(lambda: fired.exists() or process.poll() is not None or drained(), REACHED_S)
        self.moment.wait(1.2 if self._is_about("store.checkpoint") else 0.0)
        self._until(lambda: process.poll() is not None or drained(), AFTERWARDS_S)
        self.told.ended = process.poll()
        if self.chance.random() < 0.5:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            self.told.breaches.append("the daemon did not end within 30 s of SIGTERM")
            process.kill()
            process.wait()

    def _cancel(self, process: Process) -> None:
        name = next(one.name for one in self.dropped if one.ends == "cancelled")
        folders = self.root / ".orchestrator" / "attempts"
        self._until(lambda: self._runs(folders, name) or process.poll() is not None, REACHED_S)
        self.commands.append(command_of(self.root, self.env, "cancel", name))

    def _runs(self, folders: Path, name: str) -> bool:
        prompts = folders.glob("*/prompt") if folders.is_dir() else ()
        return any(f"Do {name}.".encode() in path.read_bytes() for path in prompts)


def scratch_of(root: Path) -> list[Path]:
    """Return what the proof of a result and the keeping of work need only for a moment."""
    return sorted(
        path for path in (root / ".orchestrator" / "tmp").iterdir() if path.name[:5] in ("check", "index", "hook-")
    )


def play(folder: Path, case: Case) -> CaseFigures:
    """Run one case in a folder of its own, which is removed if nothing was breached."""
    root = Path(tempfile.mkdtemp(prefix="sweep-", dir=folder))
    told = CaseRound(root, case).play()
    if not told.breaches:
        shutil.rmtree(root)
    return told


def all_cases() -> list[Case]:
    points = [point for point in POINTS if point not in OF_COMMANDS | OF_MERGES]
    return [Case(point, hit, action) for point in points for hit in HITS for action in ACTIONS]


def chosen(options: argparse.Namespace) -> list[Case]:
    cases = [case for case in all_cases() if options.point in ("", case.point) and options.action in ("", case.action)]
    cases = cases[options.first :]
    if options.sample:
        cases = random.Random(options.seed).sample(cases, options.sample)
    return cases


def report(done: Sequence[CaseFigures]) -> dict[str, object]:
    """Return what the cases have shown together."""
    first = {told.case.partition(":")[0] for told in done if told.fired}
    errors = [told for told in done if not told.case.endswith(":kill") and told.fired]
    return {
        "points": len(POINTS),
        "points_hit": len(first),
        "points_never_hit": sorted({told.case.partition(":")[0] for told in done} - first),
        "cases": len(done),
        "cases_fired": sum(told.fired for told in done),
        "breaches": {told.case: told.breaches for told in done if told.breaches},
        "errors_that_ended_the_daemon": {told.case: told.ended for told in errors if told.ended is not None},
        "wall_s": round(sum(told.wall_s for told in done), 1),
    }


def sweep(
    cases: Sequence[Case], folder: Path, jobs: int, *, say: bool = True, minutes: float = 1e6
) -> list[CaseFigures]:
    """Run *cases*, *jobs* at once; begin none after *minutes*."""
    deadline = time.monotonic() + 60 * minutes
    done: list[CaseFigures] = []

    def in_time(case: Case) -> CaseFigures | None:
        return play(folder, case) if time.monotonic() < deadline else None

    with ThreadPoolExecutor(jobs) as pool:
        for told in filter(None, pool.map(in_time, cases)):
            done.append(told)
            if say:
                words = "; ".join(told.breaches[:2]) or ("ok" if told.fired else "not reached so often")
                sys.stdout.write(f"{told.case} {told.wall_s} s: {words}{f' {told.root}' if told.breaches else ''}\n")
                sys.stdout.flush()
    return done


def main(argv: Sequence[str]) -> int:
    """Run. Returns 1 if anything was breached or a point never hit."""
    parser = argparse.ArgumentParser(prog="python -m tests.under_fire.sweep", description="Every fail-point.")
    parser.add_argument("--all", action="store_true", help="every case")
    parser.add_argument("--point", default="", choices=["", *POINTS], help="this point only")
    parser.add_argument("--action", default="", choices=["", *ACTIONS], help="this act only")
    parser.add_argument("--sample", type=int, default=0, help="so many cases")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--first", type=int, default=0, help="go on with this case: they are always in one order")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no case after that")
    parser.add_argument("--jobs", type=int, default=2, help="daemons at once")
    parser.add_argument("--report", help="file for the figures, as JSON")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the roots are made")
    options = parser.parse_args(argv)
    found = report(sweep(chosen(options), Path(options.folder), options.jobs, minutes=options.minutes))
    if options.report:
        Path(options.report).write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return int(bool(found["breaches"] or (found["points_never_hit"] and not (options.sample or options.first))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
