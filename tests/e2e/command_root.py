"""A root for tests of commands: the scripted program as agent, and no stack trace anywhere."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.harness import (
    DaemonProcess,
    daemon,
    drop,
    environment,
    orchestrator,
    scripted_command,
    task_text,
    wait_until,
)

TRACE = "Traceback (most recent call last)"


def script(*steps: dict[str, Any], **more: str) -> str:
    """Return a prompt that makes the scripted program take these steps."""
    return f"Do this. <<<SCRIPT {json.dumps({'steps': steps, **more})} SCRIPT>>>"


GOOD = script({"init": 0}, {"say": "Done."}, {"result": "All is done."})
BROKEN = script({"init": 0}, {"error": "the scripted failure"})


class CommandRoot:
    """One root and everything a person would type about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = environment(path, ORCHESTRATOR_CLAUDE_COMMAND=scripted_command())
        self.gate = path / "gate"
        self.command = f"python main.py --root {shlex.quote(str(path))}"  # what a person types to reach it

    def waiting_prompt(self) -> str:
        """Return a prompt whose run ends well once `open_gate` was called."""
        return script({"init": 0}, {"say": "I wait."}, {"wait_for": str(self.gate)}, {"result": "All is done."})

    def open_gate(self) -> None:
        self.gate.touch()

    def drop(self, name: str, prompt: str = GOOD, more: str = "retries: 0\n") -> None:
        drop(self.path, name, task_text(name, prompt, more=more))

    def call(self, *words: str, code: int | None = 0, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; it must end with *code* and show no stack trace."""
        done = orchestrator(self.path, *words, env=self.env | env)
        assert TRACE not in done.stdout + done.stderr
        assert code is None or done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Return the one document a command prints with --json; every one has a version."""
        found: dict[str, Any] = json.loads(self.call(*words, "--json", code=code).stdout)
        assert found["schema_version"] == 1
        return found

    @contextmanager
    def daemon(self, **env: str) -> Iterator[DaemonProcess]:
        """Run a daemon meanwhile; it must leave no stack trace."""
        with daemon(self.path, self.env | env) as running:
            yield running
        assert TRACE not in self.log() + (self.path / "daemon.out").read_text("utf-8")

    def log(self) -> str:
        path = self.path / "logs" / "orchestrator.log"
        return path.read_text("utf-8") if path.exists() else ""

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the events written so far, of one *kind* when given."""
        path = self.path / "logs" / "events.ndjson"
        lines = path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []
        return [event for event in map(json.loads, lines) if kind in ("", event["event"])]

    def archived(self, name: str, folder: str = "*") -> bool:
        return bool(list((self.path / "tasks").glob(f"{folder}/{name}.task.md")))

    def _is_in(self, name: str, folders: tuple[str, ...]) -> bool:
        return any(self.archived(name, folder) for folder in folders)

    def wait(self, *names: str) -> None:
        """Wait until the tasks have ended and their files lie where they stay."""
        ended = ("processed", "failed", "cancelled")
        for name in names:
            wait_until(partial(self._is_in, name, ended), what=f"the end of {name}")

    def wait_event(self, kind: str, count: int = 1) -> None:
        wait_until(lambda: len(self.events(kind)) >= count, what=f"{count} x {kind}")

    def run_to_end(self, **prompts: str) -> None:
        """Drop tasks on a daemon, wait for their ends, and stop it."""
        with self.daemon() as running:
            for name, prompt in prompts.items():
                self.drop(name, prompt)
            self.wait(*prompts)
            assert running.stop() == 0
