"""A job of a coding team from tasks.json to branches, killed four times in between: nothing twice, nothing lost."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.bridges.git_rig import git, needs_git, repository
from tests.e2e.command_root import CommandRoot, script
from tests.harness import left_running, wait_until

from orchestrator.kit.failpoints import VARIABLE

pytestmark = needs_git


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


def task(task_id: str, name: str, file: str, *on: str, wait_for: str = "") -> dict[str, Any]:
    """An entry of tasks.json whose agent writes *file*."""
    wait: list[dict[str, Any]] = [{"wait_for": wait_for}] if wait_for else []
    work: list[dict[str, Any]] = [{"write": {"path": file, "text": f"{task_id}\n"}}, {"result": f"{name}: done."}]
    steps: list[dict[str, Any]] = [{"init": 0}, *wait, *work]
    return {
        "id": task_id,
        "name": name,
        "description": f"It is about {file}.",
        "prompt": script(*steps),
        "branch_name": f"feature/{task_id}",
        "dependencies": list(on),
        "type": "fix",
        "cwd": "project",
        "criteria": [f"exists: `{file}`"],
    }


def killed_at(root: CommandRoot, point: str) -> None:
    with root.daemon(**{VARIABLE: f"{point}:1:kill"}) as running:
        wait_until(lambda: running.process.poll() is not None, what=f"the death at {point}")
    wait_until(lambda: left_running(root.path) == [], what="the end of all that ran")


def test_a_job_goes_on_over_kills_and_ends_with_its_branches_and_reports(root: CommandRoot) -> None:
    top = repository(root.path / "workspace" / "project")
    (root.path / "tasks").mkdir()
    tasks = [
        task("task-1", "Create database schema", "schema.sql"),
        task("task-2", "Add API endpoints", "api.py", "task-1", wait_for=str(root.gate)),
        task("task-3", "Add frontend components", "page.html"),
    ]
    (root.path / "tasks" / ".new").write_text(json.dumps({"tasks": tasks}))
    os.rename(root.path / "tasks" / ".new", root.path / "tasks" / "tasks.json")
    killed_at(root, "job.accepted")
    assert (root.path / "tasks" / "tasks.json").exists()
    killed_at(root, "job.archived")
    killed_at(root, "unblock.decided")
    with root.daemon() as running:
        wait_until(lambda: started(root, "task-2") == 1, what="the start of task-2")
        running.kill()
    with root.daemon() as running:
        root.open_gate()
        wait_until((root.path / "workspace" / f"job_{short(root)}" / "FINAL_RESULT.md").exists, what="the final report")
        assert running.stop() == 0

    told = root.json("job", "show", "tasks")
    assert (told["status"], told["total_tasks"], told["completed_tasks"]) == ("succeeded", 3, 3)
    assert [ended(root, one["id"]) for one in told["tasks"]] == [1, 1, 1]  # what a kill cut off was begun again
    assert len(root.json("jobs")["sessions"]) == 1
    assert (root.path / "tasks" / "processed" / "tasks.json").exists()
    heads = git(top, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert heads == ["feature/task-1", "feature/task-2", "feature/task-3", "main"]
    assert git(top, "show", "feature/task-2:schema.sql") == "task-1"  # it began with what it depends on
    assert git(top, "show", "feature/task-2:api.py") == "task-2"
    folder = root.path / "workspace" / f"job_{short(root)}"
    final = (folder / "FINAL_RESULT.md").read_text()
    assert "| api.py | created | worker_2 | task-2 |" in final
    assert (folder / "reports" / "picture.html").exists()
    assert (folder / "depth_0" / "worker_3" / "changes.patch").read_text().count("+task-3") == 1
    assert json.loads((folder / "result.json").read_text())["status"] == "completed"


def short(root: CommandRoot) -> str:
    return str(root.json("job", "show", "tasks")["short"])


def ended(root: CommandRoot, task_id: str) -> int:
    return sum(event["task_id"] == task_id for event in root.events("task_succeeded"))


def started(root: CommandRoot, task_id: str) -> int:
    return sum(event["task_id"] == task_id for event in root.events("claude_started"))
