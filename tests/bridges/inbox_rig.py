"""A folder `tasks/` for tests, with a task as the intake makes it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.bridges.inbox import TaskFolder
from orchestrator.core.events import TaskUid
from orchestrator.core.task import FileStamp, Priority, Task, TaskSpec

UID = TaskUid("0190aaaabbbbccccddddeeee12345678")
LIMIT = 1024 * 1024
SPEC = TaskSpec(id="x", type="fix", priority=Priority.LOW, title="x", prompt="do")
ODD_NAMES = ["x.task.md", "a\nb.task.md", "n" * 247 + ".task.md", os.fsdecode(b"\xff.task.md"), "ü🙂.task.md"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    return tmp_path


@pytest.fixture
def inbox(root: Path) -> Iterator[TaskFolder]:
    folder = TaskFolder(root, state=root / ".orchestrator")
    yield folder
    folder.close()


def task(root: Path, name: str = "x.task.md", *, attempt: int = 0) -> Task:
    """A task as the intake makes it of a file that lies in `tasks/`, or lay there."""
    path = root / "tasks" / name
    stamp = FileStamp()
    if name and path.exists():
        facts = path.lstat()
        stamp = FileStamp(facts.st_ino, facts.st_mtime_ns, facts.st_size)
    return Task(uid=UID, name="x", spec=SPEC, sha256="", created_ts=0.0, file_name=name, stamp=stamp, attempt=attempt)


def everything(root: Path) -> dict[str, bytes]:
    """Every file under `tasks/` by its path there."""
    found = (root / "tasks").rglob("*")
    return {str(path.relative_to(root / "tasks")): path.read_bytes() for path in found if path.is_file()}
