"""A root under load: files made beside it and moved in, a daemon with one slot that one task holds, and the truth."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.data.bad_inputs import CASES
from tests.harness import DaemonProcess, environment, scripted_command, task_text, wait_until
from tests.under_fire.process_figures import Reading, look

BAD = [case for case in CASES if case.reason]
TASK = "---\nid: {id}\ntype: analyze\npriority: {priority}\n---\n\n# Task {id}\n\n**Prompt:**\n{prompt}\n"
# The task that holds the slot may take as long as the loading does.
CONFIG = (
    "agents:\n  claude:\n    timeout_s: 86400\n    stall_s: 86400\npool:\n  max_concurrent_tasks: 1\n"
    "logs:\n  level: WARNING\nshutdown:\n  drain_s: 2\n"
)
HOLDER, URGENT = "holder", "urgent"


class LoadRoot:
    """One root and, while it runs, its daemon. *digests* tells of each good file what was in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.digests: dict[str, str] = {}
        self.bad: list[str] = []
        self._beside = root / "beside"
        self._gate = root / "gate"
        for folder in (root / "tasks", root / "config", self._beside):
            folder.mkdir(parents=True, exist_ok=True)
        (root / "config" / "orchestrator.yaml").write_text(CONFIG)
        self.env = environment(root, ORCHESTRATOR_CLAUDE_COMMAND=scripted_command())
        self._daemon: DaemonProcess | None = None

    # files

    def prepare(self, files: int, *, poison: bool) -> list[str]:
        """Make files beside the folder, with *poison* a bad one before each good one. Returns their names in order."""
        names = []
        contents = [(case.name, case.content()) for case in BAD] if poison else []
        for n in range(files):
            if contents:
                bad = f"bad_{n:06d}.task.md"
                (self._beside / bad).write_bytes(contents[n % len(contents)][1])
                self.bad.append(bad)
                names.append(bad)
            names.append(self._good(f"task_{n:06d}", "low"))
        return names

    def _good(self, task_id: str, priority: str, prompt: str = "Say hello.") -> str:
        name = f"{task_id}.task.md"
        body = TASK.format(id=task_id, priority=priority, prompt=prompt).encode()
        (self._beside / name).write_bytes(body)
        self.digests[name] = hashlib.sha256(body).hexdigest()
        return name

    def move_in(self, names: Sequence[str]) -> None:
        """Rename files into tasks/, what a careful program does last."""
        for name in names:
            os.rename(self._beside / name, self.root / "tasks" / name)

    def drop(self, task_id: str, priority: str) -> float:
        """Put one file into tasks/. Returns the monotonic moment of its renaming."""
        name = self._good(task_id, priority)
        moment = time.monotonic()
        self.move_in([name])
        return moment

    def hold_the_slot(self) -> None:
        """Drop the task that takes the one slot until `let_go`."""
        script = {"steps": [{"init": 0}, {"wait_for": str(self._gate)}, {"say": "Done."}, {"result": "Done."}]}
        prompt = f"Wait.\n<<<SCRIPT {json.dumps(script)} SCRIPT>>>"
        self.move_in([self._good(HOLDER, "high", prompt)])

    def let_go(self) -> None:
        self._gate.touch()

    # the daemon

    def start(self) -> None:
        self._daemon = DaemonProcess(self.root, self.env)

    @property
    def pid(self) -> int:
        assert self._daemon is not None, "it was started"
        return self._daemon.process.pid

    def alive(self) -> bool:
        return self._daemon is not None and self._daemon.process.poll() is None

    def reading(self) -> Reading:
        return look(self.pid)

    def freeze(self) -> None:
        """Stop the daemon by SIGSTOP, then fill its queue of notifications: nothing that follows is ever notified."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: "State:\tT" in Path(f"/proc/{self.pid}/status").read_text(), what="a stopped daemon")
        self.make_noise()

    def make_noise(self) -> None:
        """Make more changes in tasks/ than the kernel keeps notifications for."""
        for n in range(queue_length()):  # two events each, and neighbours that are equal are merged
            noise = self.root / "tasks" / f".noise_{n % 2}"
            noise.touch()
            noise.unlink()

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        if self._daemon is not None:
            self.let_go()
            if self.alive():
                self.thaw()
                for _ in range(2):
                    self._daemon.process.send_signal(signal.SIGTERM)
                try:
                    self._daemon.process.wait(30)
                except subprocess.TimeoutExpired:
                    self._daemon.kill()
            self._daemon.end()
            self._daemon = None

    def command(self, *words: str) -> float:
        """Run a command of the product beside the daemon. Returns the seconds it took; raises when it failed."""
        argv = [sys.executable, "-m", "orchestrator", "--root", str(self.root), *words]
        began = time.monotonic()
        subprocess.run(argv, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=120)
        return time.monotonic() - began

    # the truth

    @contextmanager
    def store(self) -> Iterator[sqlite3.Connection]:
        database = self.root / ".orchestrator" / "orchestrator.db"
        wait_until(database.exists, what="the database")
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as con:
            yield con

    def one(self, question: str, *values: str) -> int:
        """Return the number that answers *question*, 0 while there is no answer."""
        with self.store() as con:
            try:
                row = con.execute(question, values).fetchone()
            except sqlite3.OperationalError:  # the database is only being made
                return 0
        return int(row[0] or 0) if row else 0

    def log_is_complete(self) -> bool:
        """Return whether the last line of events.ndjson is the last event of the store."""
        last = self.one("SELECT max(seq) FROM event")
        with (self.root / "logs" / "events.ndjson").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
            lines = log.read().rpartition(b"\n")[0].splitlines()
        return bool(lines) and int(json.loads(lines[-1])["seq"]) >= last


def queue_length() -> int:
    """Return how many notifications the kernel keeps for one watcher before it drops all that follow."""
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def rest(seconds: float) -> None:
    """Let others work for a while."""
    threading.Event().wait(seconds)


def plain_task(task_id: str) -> bytes:
    """Return the bytes of a small task, for references."""
    return task_text(task_id).encode()
