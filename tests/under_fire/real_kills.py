"""The same kills over the real Claude Code CLI with a scripted model: no account, no network, real sessions.

    python -m tests.under_fire.real_kills --kills 50 --report real.json

Daemon, supervisors and CLIs are killed at random moments of conversations of several turns. The oracle is that of
kills.py; besides, sessions have to be resumed for real: the model's own log shows that the conversation went on.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness import environment, task_text
from tests.under_fire.fire_oracle import database
from tests.under_fire.kill_round import CALM, CHAOS, UP_S, Plan, Round, RoundFigures
from tests.under_fire.kill_subjects import CONFIG, Product, alive_of
from tests.under_fire.kill_tasks import Dropped, by_rename
from tests.under_fire.kills import report

from orchestrator.bridges.claude_find import locate
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Scenario, ToolCall, as_block

KILLS_A_ROUND = 10
SHORTEST_S, LONGEST_S = 0.3, 4.0
DRAIN_S = 300.0
TURN_S = 30.0  # so long a second turn is waited for
SLOTS = 2
LONG = 4  # messages: a conversation that begins has two


def conversation(name: str) -> Scenario:
    """Write, read, change, be done: four requests, each of which takes a moment."""
    path = f"$CWD/{name}.txt"
    turns = (
        Answer("I write.", (ToolCall("Write", {"file_path": path, "content": "one\n"}),), delay_s=0.3),
        Answer("I read.", (ToolCall("Read", {"file_path": path}),), delay_s=0.3),
        Answer("I look.", (ToolCall("Glob", {"pattern": f"{name}*"}),), delay_s=0.5),
        Answer("Done with it.", delay_s=0.4),
    )
    return Scenario(turns, Answer("Done with it."))


def prompt_of(name: str) -> str:
    return f"Task {name}: write its file. {as_block(conversation(name))}"


class RealProduct(Product):
    """The product with the real CLI, which talks to *model*."""

    def __init__(self, model: ScriptedModel) -> None:
        self.model = model

    def prepare(self, root: Path) -> dict[str, str]:
        (root / "config").mkdir(parents=True)
        (root / "tasks").mkdir()
        (root / "config" / "orchestrator.yaml").write_text(CONFIG)
        located = locate((), "")
        assert located.command, "the claude extra is not installed: python3 main.py setup dev claude"
        return environment(
            root,
            ORCHESTRATOR_CLAUDE_COMMAND=located.command[0],
            ANTHROPIC_BASE_URL=self.model.play("night", Scenario()),
            ANTHROPIC_API_KEY="not-a-real-key",
            MAX_CONCURRENT_TASKS=str(SLOTS),
            LOG_LEVEL="WARNING",
        )


@dataclass(slots=True)
class Resumed:
    """A task whose second attempt went on where the first had been killed. *messages*: of its first request."""

    name: str
    attempts: int
    tries: int
    messages: int


@dataclass(slots=True)
class RealFigures:
    round: RoundFigures
    interrupted: int = 0
    resumed: list[Resumed] = field(default_factory=list)


class RealRound(Round):
    """A root under fire whose agents are real."""

    def __init__(self, root: Path, model: ScriptedModel, plan: Plan) -> None:
        super().__init__(root, RealProduct(model), plan)
        self.model = model

    def _drop(self, names: Sequence[str]) -> None:
        for name in names:
            content = task_text(name, prompt_of(name), "fix").encode()
            by_rename(self.root / "tasks", name, content)
            self.dropped.append(Dropped(name, "real", hashlib.sha256(content).hexdigest(), "succeeded"))

    def _shoot(self, names: Sequence[str]) -> None:
        self._drop(names)
        process = self.start()
        self._until(lambda: self.subject.is_up(self.root, process.pid) or process.poll() is not None, UP_S)
        if self.chance.random() < 0.5:  # in the middle of a conversation, however slow the machine is
            seen = len(self.model.requests("night"))
            self._until(lambda: any(r.turn > 0 for r in self.model.requests("night")[seen:]), TURN_S)
            self.moment.wait(self.chance.uniform(0.0, 1.0))
        else:
            self.moment.wait(self.chance.uniform(SHORTEST_S, LONGEST_S))
        if self.plan.mode == CHAOS and (alive := alive_of(self.root)):
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(sorted(alive)), signal.SIGKILL)
                self.figures.tree_kills += 1
            self.moment.wait(self.chance.uniform(0.0, 0.5))
        process.kill()
        process.wait()
        self.figures.daemon_kills += 1
        if self.plan.mode == CALM and self.chance.random() < 0.5:
            self._measure_orphans()

    def resumptions(self) -> RealFigures:
        """Return what the database and the model tell of sessions that went on, after `run`."""
        told = RealFigures(self.figures)
        for name, attempts, tries, sessions in _attempts_of(self.root):
            told.interrupted += attempts > 1
            begun = [_begun(self.root, folder) for folder in sessions]
            later = [one for one in begun[1:] if one.get("resumed") is True]
            firsts = [r for r in self.model.requests("night") if r.turn == 0 and f"Task {name}:" in r.prompt]
            # A conversation that goes on holds what was said before; one that begins holds our words alone.
            messages = max((r.n_messages for r in firsts), default=0)
            if later and later[-1].get("session_id") == begun[0].get("session_id") and messages >= LONG:
                told.resumed.append(Resumed(name, attempts, tries, messages))
        return told


def _attempts_of(root: Path) -> list[tuple[str, int, int, list[str]]]:
    with closing(sqlite3.connect(f"{database(root).as_uri()}?mode=ro", uri=True)) as con:
        rows = con.execute("SELECT uid, name, attempt, tries FROM task WHERE state = 'succeeded'").fetchall()
    return [(name, attempt, tries, [f"{uid}.{n}" for n in range(1, attempt + 1)]) for uid, name, attempt, tries in rows]


def _begun(root: Path, folder: str) -> dict[str, Any]:
    path = root / ".orchestrator" / "attempts" / folder / "claude.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def real_round(folder: Path, seed: str, mode: str, *, kills: int, tasks: int) -> RealFigures:
    """Run one round in a folder of its own below *folder*, which is removed if nothing was breached."""
    root = Path(tempfile.mkdtemp(prefix="real-", dir=folder))
    with ScriptedModel() as model:
        fired = RealRound(root, model, Plan(seed, kills, tasks, mode, DRAIN_S))
        fired.run()
        told = fired.resumptions()
    if told.round.breaches:
        sys.stdout.write(f"  kept: {root}\n")
    else:
        shutil.rmtree(root)
    return told


def one_resumed(root: Path) -> tuple[Resumed, list[int], dict[str, Any]]:
    """Kill the daemon in the middle of one conversation. Returns what became of it, the numbers of messages of all
    requests, and its result."""
    with ScriptedModel() as model:
        fired = RealRound(root, model, Plan("one", 1, 1, CALM, DRAIN_S))
        fired._drop(["t000"])
        process = fired.start()
        try:
            # The third request is on its way: two answers and their tools are in the session's transcript.
            fired._until(lambda: any(r.turn == 2 for r in model.requests("night")), 120.0)
        finally:
            process.kill()
            process.wait()
        fired._drain()
        fired._judge()
        assert fired.figures.breaches == []
        result = json.loads((root / "results" / "t000_result.json").read_text())
        (resumed,) = fired.resumptions().resumed
        return resumed, [r.n_messages for r in model.requests("night")], result


def main(argv: Sequence[str]) -> int:
    """Run. Returns 1 if anything was breached or no session was resumed."""
    parser = argparse.ArgumentParser(prog="python -m tests.under_fire.real_kills", description="kill -9, real agents.")
    parser.add_argument("--kills", type=int, default=50, help="kills of the daemon")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run")
    parser.add_argument("--tasks", type=int, default=6, help="files a round")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no round after that")
    parser.add_argument("--report", help="file for the figures, as JSON")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the roots are made")
    options = parser.parse_args(argv)
    deadline, done = time.monotonic() + 60 * options.minutes, list[RealFigures]()
    for index, first in enumerate(range(0, options.kills, KILLS_A_ROUND)):
        if time.monotonic() > deadline:
            break
        kills, mode = min(KILLS_A_ROUND, options.kills - first), (CALM, CHAOS)[index % 2]
        told = real_round(Path(options.folder), f"{options.seed}:{index}", mode, kills=kills, tasks=options.tasks)
        done.append(told)
        words = "; ".join(told.round.breaches[:3]) or "nothing breached"
        sys.stdout.write(f"{told.round.seed} {mode}: {told.round.wall_s:.0f} s, {len(told.resumed)} resumed, {words}\n")
        sys.stdout.flush()
    resumed = [one for told in done for one in told.resumed]
    found = report([told.round for told in done], options.seed) | {
        "tasks_interrupted": sum(told.interrupted for told in done),
        "sessions_resumed": len(resumed),
        "resumed_and_charged": sum(one.tries > 1 for one in resumed),
    }
    if options.report:
        Path(options.report).write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return int(bool(found["breaches"]) or not resumed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
