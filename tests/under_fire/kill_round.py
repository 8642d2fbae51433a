"""One round: a daemon that is killed again and again while files arrive, then left in peace, then judged."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from tests.under_fire.fire_oracle import doubled, journal, violations
from tests.under_fire.kill_subjects import Product, Subject, alive_of, command_of, end_all_of
from tests.under_fire.kill_tasks import Dropped, any_kind, drop
from tests.warm import Process

SHORTEST_S, LONGEST_S = 0.02, 1.2
UP_S = 30.0
DRAIN_S = 180.0
ORPHANS_S = 10.0
TREE_S = 3.0  # so long somebody to be killed is waited for
CALM, CHAOS = "calm", "chaos"


@dataclass(frozen=True, slots=True)
class Plan:
    """*seed* decides everything that chance decides. *mode*: calm kills the daemon alone, chaos its tree as well."""

    seed: str
    kills: int = 10
    tasks: int = 25
    mode: str = CALM
    drain_s: float = DRAIN_S


@dataclass(slots=True)
class RoundFigures:
    """What a round has shown. Times in seconds; *recovery_s* from the start of a daemon until it takes files."""

    seed: str
    mode: str
    daemon_kills: int = 0
    tree_kills: int = 0
    tasks: int = 0
    attempts: int = 0
    doubled: int = 0
    controls: int = 0
    orphans_left: int = 0
    wall_s: float = 0.0
    recovery_s: list[float] = field(default_factory=list)
    to_zero_s: list[float] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Round:
    """A root under fire."""

    def __init__(self, root: Path, subject: Subject, plan: Plan) -> None:
        self.root, self.subject, self.plan = root, subject, plan
        self.chance = random.Random(plan.seed)
        self.figures = RoundFigures(plan.seed, plan.mode)
        self.env = subject.prepare(root)
        self.dropped: list[Dropped] = []
        self.touched: set[str] = set()
        self.commands: list[Process] = []
        self.spawned: dict[int, float] = {}
        self.moment = threading.Event()

    def run(self) -> RoundFigures:
        """Kill, drain, judge."""
        began = time.monotonic()
        names = [f"t{number:03}" for number in range(self.plan.tasks)]
        try:
            while self.figures.daemon_kills < self.plan.kills:
                share = names[: -(-len(names) // (self.plan.kills - self.figures.daemon_kills))]
                del names[: len(share)]
                self._shoot(share)
            self._drain()
            self._judge()
        finally:
            for command in self.commands:
                with suppress(subprocess.TimeoutExpired):
                    command.wait(UP_S)
            self.figures.orphans_left = end_all_of(self.root)
            self.figures.wall_s = time.monotonic() - began
        return self.figures

    def start(self, **more: str) -> Process:
        """Start the daemon, with *more* in its environment."""
        with (self.root / "daemon.out").open("ab") as log:
            process = self.subject.start(self.root, self.env | more, log)
        self.spawned[process.pid] = time.time()
        return process

    def _shoot(self, names: Sequence[str]) -> None:
        """Start the daemon, let files arrive, kill it at a random moment of its life."""
        early = self.chance.randrange(len(names) + 1)
        self._drop(names[:early])
        process = self.start()
        if self.chance.random() < 0.75:
            self._until(lambda: self.subject.is_up(self.root, process.pid) or process.poll() is not None, UP_S)
        self._drop(names[early:])
        if isinstance(self.subject, Product) and self.chance.random() < 0.25:
            self._command()
        if self.plan.mode == CHAOS:
            self._shoot_tree()
        self.moment.wait(self.chance.uniform(SHORTEST_S, LONGEST_S))
        if process.poll() is not None:
            self.figures.breaches.append(f"the daemon ended by itself with {process.returncode}")
        process.kill()
        process.wait()
        self.figures.daemon_kills += 1
        if self.plan.mode == CALM and self.chance.random() < 0.35:
            self._measure_orphans()

    def _drop(self, names: Sequence[str]) -> None:
        self.dropped += [drop(self.root, name, any_kind(self.chance), self.chance) for name in names]

    def _command(self) -> None:
        """Cancel or retry something, from another process."""
        if self.dropped and len(self.commands) < 4:
            name = self.chance.choice(self.dropped).name
            self.touched.add(name)
            self.commands.append(command_of(self.root, self.env, self.chance.choice(("cancel", "retry")), name))

    def _shoot_tree(self) -> None:
        """Kill supervisors, agents and what agents started, up to three of them."""
        shots = self.chance.randrange(4)
        if shots:
            self._until(lambda: bool(alive_of(self.root)), TREE_S)
        for _ in range(shots):
            self.moment.wait(self.chance.uniform(0.0, 0.3))
            alive = alive_of(self.root)
            if alive:
                pid = self.chance.choice(sorted(alive))
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.figures.tree_kills += 1

    def _measure_orphans(self) -> None:
        killed = time.monotonic()
        if self.subject.orphans_end and self._until(lambda: not alive_of(self.root), ORPHANS_S):
            self.figures.to_zero_s.append(round(time.monotonic() - killed, 3))
        elif self.subject.orphans_end:
            self.figures.breaches.append(f"G6 {sorted(alive_of(self.root).values())} outlived the daemon by 10 s")

    def _until(self, fact: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not fact():
            if time.monotonic() > end:
                return False
            self.moment.wait(0.05)
        return True

    # --- in peace ----------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        last = self.start()
        try:
            for command in self.commands:
                command.wait(UP_S)
            if not self._until(lambda: self.subject.is_drained(self.root, self.dropped), self.plan.drain_s):
                self.figures.breaches.append(f"G2 not everything ended within {self.plan.drain_s:g} s of peace")
            self._until(lambda: self.subject.is_up(self.root, last.pid), UP_S)  # from then on a signal is a wish
            last.terminate()
            if last.wait(UP_S) != 0 and self.subject.orphans_end:
                self.figures.breaches.append(f"the last daemon ended with {last.returncode}")
        finally:
            last.kill()
            last.wait()

    def _judge(self) -> None:
        figures, facts = self.figures, self.subject.facts(self.root)
        # A kill inside the tree is a crash of the agent, which costs it a try: then not every good agent succeeds.
        disturbed = self.touched if self.plan.mode == CALM else None
        figures.breaches += violations(self.root, facts, self.dropped, disturbed=disturbed)
        if left := alive_of(self.root):
            figures.breaches.append(f"G6 {len(left)} processes were left running: {sorted(set(left.values()))}")
        figures.tasks, figures.doubled = len(self.dropped), doubled(self.root)
        figures.attempts = sum(word == "start" for word, *_ in journal(self.root))
        figures.controls = len(self.commands)
        if isinstance(self.subject, Product):
            figures.recovery_s = recoveries(self.root, self.spawned)
            self._regenerate()

    def _regenerate(self) -> None:
        """Results and summaries that were deleted are written again by the next start, byte for byte."""
        before: dict[Path, bytes] = {}
        for folder in ("results", "summaries"):
            before |= {path: path.read_bytes() for path in (self.root / folder).iterdir() if path.is_file()}
            shutil.rmtree(self.root / folder)
        again = self.start()
        try:
            self._until(lambda: all(path.exists() for path in before), UP_S)
            self._until(lambda: self.subject.is_up(self.root, again.pid), UP_S)
            again.terminate()
            again.wait(UP_S)
        finally:
            again.kill()
            again.wait()
        for path, content in before.items():
            if not path.exists() or path.read_bytes() != content:
                self.figures.breaches.append(f"G2 {path.name} is not written again as it was")


def recoveries(root: Path, spawned: dict[int, float]) -> list[float]:
    """Return the seconds from each start of a daemon to its being ready, of those that came so far."""
    found = []
    paths = [*sorted((root / "logs").glob("events-*.ndjson")), root / "logs" / "events.ndjson"]
    for line in b"".join(path.read_bytes() for path in paths).splitlines():
        event = json.loads(line)
        if event["event"] == "daemon_started" and (began := spawned.get(event["data"]["pid"])):
            found.append(round(datetime.fromisoformat(event["ts"]).timestamp() - began, 3))
    return found
