"""Real daemons in real processes, and waiting for facts with a deadline."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import warm

SOURCE = Path(__file__).resolve().parent.parent / "src"
PROGRAM = SOURCE / "orchestrator" / "kit" / "scripted_program.py"
DEADLINE_S = 60.0
TICK = 0.02


def wait_until(fact: Callable[[], object], *, what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return when *fact* is true; fail, naming *what*, when it does not come true in time."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not fact():
        assert time.monotonic() < end, f"waited {deadline_s:g} s in vain for {what}"
        pause.wait(TICK)


async def until(fact: Callable[[], object], *, what: str, deadline_s: float = DEADLINE_S) -> None:
    """The same within an event loop."""
    end = time.monotonic() + deadline_s
    while not fact():
        assert time.monotonic() < end, f"waited {deadline_s:g} s in vain for {what}"
        await asyncio.sleep(TICK)


def environment(root: Path, **more: str) -> dict[str, str]:
    """Return a clean environment: no credential, no address but loopback."""
    home = root / "home"
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(SOURCE),
        "DISABLE_TELEMETRY": "1",
        "ORCHESTRATOR_MAX_STARTS": "0",  # tests that kill daemons again and again are no crash loop
        "ORCHESTRATOR_SELF_TEST": "0",  # a scripted program would fail it: it asks no model
        "DISABLE_ERROR_REPORTING": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "ORCHESTRATOR_CONFINEMENT": "shell" if shutil.which("bwrap") else "rules",  # scripted programs look outside
        **more,
    }


def scripted_command() -> str:
    """Return the setting that makes the scripted program stand in for the agent's CLI."""
    return f"{sys.executable} -I -S {PROGRAM}"


def orchestrator(
    root: Path, *words: str, env: Mapping[str, str] | None = None, timeout_s: float = DEADLINE_S
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return warm.run(("--root", str(root), *words), env or environment(root), timeout_s)


class DaemonProcess:
    """A daemon that runs; ended hard when the test is over."""

    def __init__(self, root: Path, env: Mapping[str, str]) -> None:
        self._log = open(root / "daemon.out", "ab")  # noqa: SIM115 - closed in `end`
        self.process = warm.start(("--root", str(root)), env, self._log, self._log)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        """SIGTERM, and wait for the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._log.close()


@contextmanager
def daemon(root: Path, env: Mapping[str, str] | None = None) -> Iterator[DaemonProcess]:
    """Run a daemon on *root* while the block runs."""
    running = DaemonProcess(root, env or environment(root))
    try:
        yield running
    finally:
        running.end()


def task_text(task_id: str, prompt: str = "Say hello.", task_type: str = "analyze", more: str = "") -> str:
    """Return a small valid task file."""
    return (
        f"---\nid: {task_id}\ntype: {task_type}\npriority: medium\ncreated: 2026-01-01T00:00:00Z\n{more}---\n\n"
        f"# Task {task_id}\n\n**Prompt:**\n{prompt}\n"
    )


def drop(root: Path, name: str, text: str) -> None:
    """Put a file into tasks/ the way careful programs do: whole or not at all."""
    folder = root / "tasks"
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{name}.new"
    hidden.write_text(text, "utf-8")
    hidden.rename(folder / f"{name}.task.md")


def result(root: Path, name: str) -> dict[str, Any]:
    """Return the result file of *name*."""
    found: dict[str, Any] = json.loads((root / "results" / f"{name}_result.json").read_text("utf-8"))
    return found


def results(root: Path) -> Sequence[Path]:
    """Return all result files."""
    return sorted((root / "results").glob("*_result.json"))


def events(root: Path) -> list[dict[str, Any]]:
    """Return the event log, line by line."""
    text = (root / "logs" / "events.ndjson").read_text("ascii")
    return [json.loads(line) for line in text.splitlines()]


def left_running(root: Path) -> list[str]:
    """Return the marks of processes that attempts and checks of this root left running."""
    mine = {path.name.encode() for path in (root / ".orchestrator" / "attempts").iterdir()}
    kept = (root / ".orchestrator" / "tmp").glob("*-*")
    mine |= {path.name.replace("-", ".", 1).encode() for path in kept}
    found = []
    for process in Path("/proc").iterdir():
        try:
            words = (process / "environ").read_bytes().split(b"\0") if process.name.isdigit() else []
        except OSError:
            continue  # gone meanwhile, or somebody else's
        marks = [word.partition(b"=")[2] for word in words if word.startswith(b"ORCHESTRATOR_ATTEMPT=")]
        found += [mark.decode() for mark in marks if mark in mine]
    return found
