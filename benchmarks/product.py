"""The daemon as a user starts it, on a root of its own, with the scripted agent behind it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import IO

from benchmarks.places import agent_command, as_setting, environment
from benchmarks.waiting import wait_until

TASK = """---
id: {name}
type: analyze
priority: medium
created: 2026-01-01T00:00:00Z
---

# Task {name}

**Prompt:**
Say hello.
"""
SETTINGS = "shutdown:\n  drain_s: 1\n"


class Product:
    """One root, and the daemon on it while it runs."""

    label = "orchestrator"
    program: tuple[str, ...] = ("orchestrator",)  # a module, and words that go before those of the daemon

    def __init__(self, root: Path, *, slots: int, mode: str = "run", program: tuple[str, ...] = program) -> None:
        self.root = root
        self._argv = [sys.executable, "-m", *program, "--root", str(root)]
        self.tasks = root / "tasks"
        self.stamps = root / "stamps" / "begun"
        self._prepared = root / "prepared"
        for folder in (self.tasks, self.stamps.parent, self._prepared, root / "config"):
            folder.mkdir(parents=True)
        (root / "config" / "orchestrator.yaml").write_text(SETTINGS)
        self._env = environment(
            root / "home",
            ORCHESTRATOR_SELF_TEST="0",  # a scripted program asks no model
            ORCHESTRATOR_CLAUDE_COMMAND=as_setting(agent_command(mode, self.stamps)),
            MAX_CONCURRENT_TASKS=str(slots),
            CLAUDE_TIMEOUT_SEC="86400",
            LOG_LEVEL="WARNING",
            ORCHESTRATOR_CONFINEMENT="rules",  # the agent of the benchmarks writes its stamps outside the work area
            ORCHESTRATOR_MAX_STARTS="0",  # launches in quick succession are what is measured, no crash loop
        )
        self._out: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    def launch(self) -> None:
        """Start the daemon; returns at once."""
        self._out = (self.root / "daemon.out").open("ab")
        self._process = subprocess.Popen(
            self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._out
        )

    def start(self) -> None:
        """Start the daemon and wait until it says in its log that it has started."""
        before = self._starts()
        self.launch()
        wait_until(lambda: self._alive() and self._starts() > before, what="the start of the daemon")

    def stop(self) -> None:
        """End the daemon: what runs is interrupted."""
        if self._process is None or self._out is None:
            return
        for _ in range(2):
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()
        self._process = None

    def prepare(self, names: list[str]) -> None:
        """Write task files beside tasks/, so that only their renaming is measured."""
        for name in names:
            (self._prepared / name).write_text(TASK.format(name=name))

    def drop(self, names: list[str]) -> None:
        """Rename prepared files into tasks/: what a careful program does last."""
        for name in names:
            os.rename(self._prepared / name, self.tasks / f"{name}.task.md")

    def await_accepted(self, count: int) -> None:
        """Wait until the store holds so many tasks."""
        question = "SELECT count(*) FROM task"
        wait_until(lambda: self._ask(question) >= count, what=f"{count} accepted files", every_s=0.05)

    def projected(self, count: int) -> bool:
        """Return whether *count* tasks have ended with all their files, and every event is in its log."""
        done = "SELECT count(*) FROM task WHERE artifacts = 1 AND archived = 1"
        return self._ask(done) >= count and self._ask("SELECT max(seq) FROM event") <= self._last_line()

    def check_results(self, names: list[str]) -> None:
        """Prove that work was done: every result says so. Raises ValueError for the first that does not."""
        for name in names:
            result = json.loads((self.root / "results" / f"{name}_result.json").read_text())
            if result["status"] != "succeeded":
                raise ValueError(f"{name} ended as {result['status']}")

    def begun(self) -> list[int]:
        """Return when agents began, in nanoseconds of the monotonic clock."""
        return [int(line) for line in self.stamps.read_text().split()] if self.stamps.exists() else []

    def _last_line(self) -> int:
        with (self.root / "logs" / "events.ndjson").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
            lines = log.read().rpartition(b"\n")[0].splitlines()  # the last may be half written
        return int(json.loads(lines[-1])["seq"]) if lines else 0

    def _starts(self) -> int:
        log = self.root / "logs" / "events.ndjson"
        return log.read_bytes().count(b'"daemon_started"') if log.exists() else 0

    def _alive(self) -> bool:
        assert self._process is not None, "it was started"
        if self._process.poll() is None:
            return True
        raise RuntimeError(f"the daemon ended: {(self.root / 'daemon.out').read_text()[-2000:]}")

    def _ask(self, question: str) -> int:
        database = self.root / ".orchestrator" / "orchestrator.db"
        con = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
        try:
            return int(con.execute(question).fetchone()[0] or 0)
        finally:
            con.close()
