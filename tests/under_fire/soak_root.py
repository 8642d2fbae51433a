"""A root that lives for long: tasks keep coming, somebody keeps typing, and the daemon is killed and started again."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.harness import DEADLINE_S, SOURCE, drop, environment, left_running, scripted_command, task_text, wait_until
from tests.under_fire.process_figures import Reading, look

CONFIG = (
    "pool:\n  max_concurrent_tasks: {slots}\nlogs:\n  level: WARNING\n  events_bytes: {events}\n"
    "shutdown:\n  drain_s: 5\nintake:\n  scan_interval_s: 2\n"
)
QUEUED = 25  # tasks that have not ended, at any time
OPEN = "SELECT count(*) FROM task WHERE state NOT IN ('succeeded', 'failed', 'cancelled', 'rejected')"
UNWRITTEN = "SELECT count(*) FROM task WHERE (artifacts = 0 AND state <> 'rejected') OR archived = 0"
KINDS: tuple[tuple[int, list[dict[str, object]]], ...] = (
    (60, [{"init": 0}, {"say": "Done."}, {"result": "Done."}]),
    (20, [{"init": 0}, {"hang": 0.2}, {"say": "Done."}, {"result": "Done."}]),
    (8, [{"init": 0}, {"orphan": {}}, {"say": "Done."}, {"result": "Done."}]),
    (7, [{"init": 0}, {"error": "a scripted failure"}]),
    (5, [{"init": 0}, {"say": "This takes a while."}, {"hang": 3}, {"result": "Done."}]),
)


class SoakRoot:
    """One root, its daemon, and everybody who uses it. *leak*: "" or what the control shall lose of each task."""

    def __init__(self, root: Path, *, leak: str = "", seed: int = 0, events_bytes: int = 1_000_000) -> None:
        self.root = root
        self._database = root / ".orchestrator" / "orchestrator.db"
        self.dropped = 0
        self.lives = 0
        self._leak = leak
        self._chance = random.Random(seed)
        self._events_bytes = events_bytes
        (root / "config").mkdir(parents=True)
        self.configure(slots=4)
        self.env = environment(root, ORCHESTRATOR_CLAUDE_COMMAND=scripted_command())
        self.env["PYTHONPATH"] = os.pathsep.join([str(SOURCE), str(SOURCE.parent)])
        self._process: subprocess.Popen[bytes] | None = None
        self._log = open(root / "daemon.out", "ab")  # noqa: SIM115 - closed in `end`

    def configure(self, *, slots: int) -> None:
        """Write the configuration; a daemon that runs reads it anew."""
        text = CONFIG.format(slots=slots, events=self._events_bytes)
        (self.root / "config" / "orchestrator.yaml").write_text(text)

    # the daemon

    def start(self) -> None:
        program = ["tests.under_fire.leaky_daemon", self._leak] if self._leak else ["orchestrator"]
        argv = [sys.executable, "-m", *program, "--root", str(self.root)]
        self._process = subprocess.Popen(
            argv, env=self.env, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        self.lives += 1

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "it was started"
        return self._process

    def reading(self) -> Reading:
        return look(self.process.pid)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._log.close()

    # what is done to it

    def feed(self) -> None:
        """Drop tasks until enough have not ended."""
        for _ in range(QUEUED - self.one(OPEN) - self.loose()):
            (steps,) = self._chance.choices([kind[1] for kind in KINDS], [kind[0] for kind in KINDS])
            self._drop(steps)

    def feed_one(self) -> None:
        """Drop one quick task."""
        self._drop(KINDS[0][1])

    def _drop(self, steps: Sequence[object]) -> None:
        name = f"soak_{self.dropped:06d}"
        prompt = f"Go on. <<<SCRIPT {json.dumps({'steps': steps})} SCRIPT>>>"
        drop(self.root, name, task_text(name, prompt, more="retries: 0\n"))
        self.dropped += 1

    def release_all(self) -> None:
        """Undo a hold or a pause that was typed and whose release came to nothing."""
        self._call("resume")
        with closing(self._connected()) as con:
            held = [uid for (uid,) in con.execute("SELECT uid FROM task WHERE state = 'held'")]
        for uid in held:
            self._call("resume", uid)

    def _call(self, *words: str) -> None:
        argv = [sys.executable, "-m", "orchestrator", "--root", str(self.root), *words]
        subprocess.run(argv, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=120)

    def type_something(self) -> None:
        """Run one command of many; each may find that it comes too late, which its exit code says."""
        some = f"soak_{self._chance.randrange(max(1, self.dropped)):06d}"
        last = f"soak_{max(0, self.dropped - 1):06d}"
        for words in self._chance.choice(
            [
                [["status"]],
                [["show", some]],
                [["cancel", last]],
                [["hold", last], ["resume", last]],
                [["pause"], ["resume"]],
                [["tail-events", "--lines", "5"]],
            ]
        ):
            self._call(*words)

    # what is true

    def one(self, question: str) -> int:
        """Return the number that answers *question*, 0 while there is no answer."""
        if not self._database.exists():
            return 0
        with closing(self._connected()) as con:
            try:
                return int(con.execute(question).fetchone()[0] or 0)
            except sqlite3.OperationalError:  # only being made
                return 0

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=60)

    def loose(self) -> int:
        """Return how many files lie in tasks/ without a row."""
        tasks = self.root / "tasks"
        known = self.one("SELECT count(*) FROM task WHERE file_name <> ''")
        return max(0, self.dropped - known) if tasks.is_dir() else 0

    def at_rest(self) -> bool:
        """Return whether every task has ended and every file about it is written."""
        return not self.loose() and not self.one(OPEN) and not self.one(UNWRITTEN)

    def rest(self) -> None:
        wait_until(self.at_rest, what="the end of every task", deadline_s=600)
        wait_until(lambda: not self.marked(), what="the end of every process of an attempt", deadline_s=15)

    def marked(self) -> list[str]:
        """Return the marks of processes that attempts left running."""
        return left_running(self.root) if (self.root / ".orchestrator" / "attempts").is_dir() else []

    def database_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.root / ".orchestrator").glob("orchestrator.db*"))

    def attempts(self) -> int:
        return len(os.listdir(self.root / ".orchestrator" / "attempts"))

    def log_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.root / "logs").glob("events*.ndjson"))

    def log_problem(self) -> str:
        """Return what is wrong with the event log, all its rotated files together; "" when it is whole."""
        paths = [*sorted((self.root / "logs").glob("events-*.ndjson")), self.root / "logs" / "events.ndjson"]
        numbers = [json.loads(line)["seq"] for path in paths for line in path.read_bytes().splitlines()]
        last = self.one("SELECT max(seq) FROM event")
        if numbers == list(range(1, last + 1)):
            return ""
        return f"the log has {len(numbers)} lines up to {max(numbers, default=0)}, the store {last} events"
