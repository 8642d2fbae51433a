"""Every way in which an agent's shell can leave work behind, each going on to write beats into a file of its own."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from tests.harness import wait_until

from orchestrator.bridges import proctable
from orchestrator.core.events import Json
from orchestrator.kit.script import Answer, Scenario, ToolCall

# Leaves its parent, its session, its descriptors and its environment: the mark of the attempt is gone with it.
DAEMON = """
import os, sys
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
os.closerange(0, 4096)
os.open(os.devnull, os.O_RDWR)
os.dup(0), os.dup(0)
os.execve("/bin/sh", ["/bin/sh", "-c", *sys.argv[1:]], {"PATH": "/usr/bin:/bin"})
"""
BY_THE_SHELL = {"setsid", "nohup", "daemon", "bash-env"}
BY_OVERDUE = {"overdue", "overdue-child"}
BY_HOME = {".bashrc", ".profile"}  # of the person, so only where the agent's home folder is the person's


class Background:
    """A work area and a home that make whatever runs in them leave processes behind; each carries *word*."""

    def __init__(self, cwd: Path, home: Path) -> None:
        self.word = f"w{os.getpid()}x{time.time_ns()}"
        self.cwd, self.beats, self.tools = cwd, cwd / "beats", cwd / "tools"
        for folder in (cwd, home, self.beats, self.tools):
            folder.mkdir(parents=True, exist_ok=True)
        if (python := shutil.which("python3", path="/usr/bin:/bin")) is None:
            pytest.skip("python3 is not among the programs of the system, which are all that a confined agent sees")
        (self.tools / "daemon.py").write_text(DAEMON)
        self.daemon = f"{python} {self.tools}/daemon.py"
        self.bash_env = self.tools / "bash-env.sh"
        self.bash_env.write_text(self._detached("bash-env"))
        for name in BY_HOME:
            (home / name).write_text(self._detached(name))

    def scenario(self, *, foreground: bool = False) -> Scenario:
        """Return a run that leaves one of each behind and ends well, or goes on with a command in the *foreground*."""
        calls = [
            bash(f"setsid sh -c {self._loop('setsid')} & {self._begun('setsid')}"),
            bash(f"nohup sh -c {self._loop('nohup')} >/dev/null 2>&1 & disown; {self._begun('nohup')}"),
            bash(f"{self.daemon} {self._loop('daemon')}; {self._begun('daemon')}"),
        ]
        if foreground:
            calls.append(bash(f"sh -c {self._loop('foreground')}"))
        else:
            overdue = f"(setsid sh -c {self._loop('overdue-child')} &); sh -c {self._loop('overdue')}"
            calls += [
                bash(f"sh -c {self._loop('asked')}", run_in_background=True, timeout=1000),
                bash(overdue, timeout=1000),
            ]
        return Scenario((*(Answer("Next.", (call,)) for call in calls), Answer("Done.")), Answer("Done."))

    def sizes(self) -> Mapping[str, int]:
        """Return how many beats there are of each."""
        return {path.name: path.stat().st_size for path in self.beats.iterdir()}

    def have_begun(self, names: Iterable[str]) -> bool:
        """Return whether each of *names* has written a beat."""
        sizes = self.sizes()
        return all(sizes.get(name) for name in names)

    def carrying(self) -> list[int]:
        """Return the living processes that any of it has left, or that are at home in the work area."""
        word = self.word.encode()
        return [
            pid
            for pid in proctable.all_pids()
            if word in proctable.read_proc(f"/proc/{pid}/cmdline") or self._is_at_home(pid)
        ]

    def is_silent(self) -> bool:
        """Return whether nothing writes any more: not while a witness of ours writes five beats."""
        before, witness = self.sizes(), self.tools / "witness"
        witness.unlink(missing_ok=True)
        with subprocess.Popen(["sh", "-c", f"while :; do echo >> {witness}; sleep 0.05; done"]) as beating:
            try:
                wait_until(lambda: witness.exists() and witness.stat().st_size >= 5, what="five beats of the witness")
            finally:
                beating.kill()
        return self.sizes() == before

    def end(self) -> None:
        """Kill what is left, so that a test that fails leaves nothing."""
        for pid in self.carrying():
            proctable.send(pid, signal.SIGKILL)

    def _is_at_home(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(self.cwd)
        except OSError:
            return False

    def _loop(self, name: str) -> str:
        return f"'while :; do echo >> {self.beats}/{name}; sleep 0.05; done' {self.word}"

    def _detached(self, name: str) -> str:
        return f"setsid sh -c {self._loop(name)} </dev/null >/dev/null 2>&1 &\n"

    def _begun(self, name: str) -> str:
        return f"until [ -s {self.beats}/{name} ]; do sleep 0.02; done; echo begun {name}"


def bash(command: str, **more: Json) -> ToolCall:
    return ToolCall("Bash", {"command": command, "description": "Try it", **more})
