"""A person's repository, and the work areas that tasks get of it. Real git, real files."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bridges.git import Git
from orchestrator.bridges.git_clone import Equipment
from orchestrator.bridges.git_shelf import GitShelf
from orchestrator.bridges.isolation import AUTO, IsolatedWorkspace, IsolationRules
from orchestrator.bridges.workspace import InPlaceWorkspace
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.core.work import CommitWords

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
AUTHOR = "Orchestrator <orchestrator@localhost>"
WORDS = CommitWords("Say hello", (("Task-Id", "hello"), ("Agent", "claude"), ("Attempt", "1")))
ENV = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "A"), ("EMAIL", "a@b"))
    },
}


def git(where: Path, *words: str, data: bytes = b"", check: bool = True) -> str:
    """Run git as the person would. Returns what it printed, without the last line's end."""
    ran = subprocess.run(["git", *words], cwd=where, env=ENV, input=data, capture_output=True, check=False)
    assert not check or ran.returncode == 0, (words, ran.stderr)
    return os.fsdecode(ran.stdout).rstrip("\n")


def repository(path: Path, **files: str) -> Path:
    """Make a repository with one commit of *files* (`__` in a name is a slash)."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    for name, text in (files or {"app.py": "answer = 41\n"}).items():
        file = path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "first")
    return path


def picture(top: Path, *, but: Sequence[str] = ()) -> dict[str, str]:
    """Return every file of a repository with its content, times, and mode; objects and our own refs are left out."""
    seen = {}
    ours = (".git/objects", ".git/refs/orchestrator", *but)
    for folder, _, names in os.walk(top):
        for name in names:
            path = Path(folder, name)
            at = os.path.relpath(path, top)
            if at.startswith(ours):
                continue
            found = path.lstat()
            what = os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
            seen[at] = f"{what} {found.st_mode:o} {found.st_mtime_ns} {found.st_ino}"
    return seen


class Rig:
    """A root's work areas. *place* is where everything lies; the allowed root is all of it."""

    def __init__(self, place: Path, **rules: Any) -> None:
        self.place, self.state = place, place / "root" / ".orchestrator"
        self.state.mkdir(parents=True, exist_ok=True)
        equipment = Equipment(AUTHOR, rules.pop("setup", ()), rules.pop("copy", ()), ENV)
        self.rules = IsolationRules(**{"mode": AUTO, "branch": "orchestrator/{name}", "equipment": equipment, **rules})
        self.git = Git(ENV["PATH"])
        self.space = self.later()
        self.shelf = GitShelf(self.state, self.git, author=lambda: AUTHOR, owned=lambda: False)

    def later(self) -> IsolatedWorkspace:
        """Return the work areas as a later daemon has them: it remembers nothing."""
        in_place = InPlaceWorkspace(base_cwd=lambda: self.place / "base", own=frozenset({self.state}))
        return IsolatedWorkspace(
            in_place, state=self.state, git=self.git, rules=lambda: self.rules, own=frozenset({self.state})
        )

    def order(self, cwd: Path, *, uid: str = "a" * 32, attempt: int = 1, name: str = "hello") -> WorkOrder:
        folder = self.state / "attempts" / f"{uid}.{attempt}"
        return WorkOrder(TaskUid(uid), attempt, 1, name, "claude", "Do it.", str(cwd), "s", str(folder), (), name=name)

    async def begin(self, cwd: Path, *, fresh: bool = True, **more: Any) -> tuple[WorkOrder, Path]:
        """Prepare an attempt. Returns its order and the top of its area."""
        order = self.order(cwd, **more)
        area = await self.space.prepare(order, str(self.place), fresh=fresh)
        return order, Path(area.root)

    def task(self, order: WorkOrder, state: State = State.FAILED) -> Task:
        spec = TaskSpec(id=order.task_id, type="fix", priority=Priority.MEDIUM, title="Say hello", prompt="Do it.")
        return replace(Task(order.uid, order.name, spec, "0" * 64, 0.0), state=state, attempt=order.attempt)


def trap(path: Path, marker: Path) -> Path:
    """Make a program that leaves *marker* when it is run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ntouch '{marker}'\ncat\n")
    path.chmod(0o755)
    return path
