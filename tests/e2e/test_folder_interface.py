"""A daemon that is watched and steered by nothing but files."""

from pathlib import Path

import pytest
from tests.e2e.command_root import CommandRoot
from tests.harness import left_running, wait_until


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


def test_a_running_task_shows_its_status_and_ends_when_its_file_is_moved(root: CommandRoot) -> None:
    status = root.path / "tasks" / "running" / "runs.status.md"
    with root.daemon() as running:
        root.drop("runs", root.waiting_prompt())
        wait_until(lambda: status.exists() and "I wait." in status.read_text(), what="the status")
        assert "state     running" in status.read_text()
        (claimed,) = (root.path / "tasks" / "running").glob("*/runs.task.md")
        cancelled = root.path / "tasks" / "cancelled"
        cancelled.mkdir(exist_ok=True)
        claimed.rename(cancelled / "runs.task.md")
        wait_until((root.path / "results" / "runs_result.json").exists, what="the result")
        wait_until(lambda: not status.exists(), what="the status to go")
        assert running.stop() == 0
    assert root.json("show", "runs")["status"] == "cancelled"
    assert [path.name for path in cancelled.iterdir()] == ["runs.task.md"]
    assert left_running(root.path) == []
