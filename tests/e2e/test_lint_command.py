"""`check tasks/` on a real root with a real repository: what it finds, and that it leaves nothing behind."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git, repository
from tests.e2e.command_root import CommandRoot
from tests.harness import drop

from orchestrator.validation.schema import lint_problems, requirements_problems

pytestmark = needs_git
TEXT = """---
id: {id}
type: {type}
priority: medium
created: 2026-01-01T00:00:00Z
cwd: {cwd}
---

# Task {id}

**Prompt:**
Do it.

**Target Files:**
- app.py

**Success Criteria:**
{criteria}
"""


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    root = CommandRoot(tmp_path)
    (tmp_path / "tasks").mkdir()
    repository(tmp_path / "workspace" / "app", **{"app.py": "answer = 41\n", "test_app.py": "import app\n"})
    root.call("pause", "local")  # so that there is a database
    return root


def put(root: CommandRoot, task_id: str, *criteria: str, cwd: str = "app", kind: str = "fix") -> None:
    lines = "\n".join(f"- [ ] {one}" for one in criteria)
    drop(root.path, task_id, TEXT.format(id=task_id, type=kind, cwd=cwd, criteria=lines))


def everything(top: Path) -> Mapping[str, str]:
    """Return a digest of each file below *top*, and the folders."""
    return {
        str(path.relative_to(top)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(top.rglob("*"))
        if not path.name.endswith(("-wal", "-shm"))
    }


def test_the_lint_of_a_folder_runs_the_checks_on_a_clean_base_and_changes_nothing(root: CommandRoot) -> None:
    app = root.path / "workspace" / "app"
    put(root, "one", 'it is right: `python3 -c "import app; assert app.answer == 42"`', "contains: `app.py` `answer`")
    put(root, "two", "it is clean: `sh -c 'echo x > made; test ! -e loose.txt'`")
    put(root, "three", cwd="nowhere")
    drop(root.path, "four", "---\nid: four\ntype: nonsense\n---\n\nDo it.\n")
    (app / "loose.txt").write_text("not committed")
    (app / "app.py").write_text("answer = 42  # only in the checkout\n")
    before, head = everything(root.path), git(app, "rev-parse", "HEAD")

    told = root.json("check", str(root.path / "tasks"), code=1)

    assert everything(root.path) == before
    assert git(app, "rev-parse", "HEAD") == head
    assert lint_problems(told) == []
    said = {(Path(row["file"] or "").name.partition(".")[0], row["code"]) for row in told["remarks"]}
    assert {
        ("one", "check_passes_already"),
        ("one", "target_uncommitted"),
        ("two", "nothing_to_prove"),
        ("two", "targets_overlap"),
        ("three", "folder_missing"),
        ("three", "criteria_missing"),
        ("four", "type_invalid"),
        ("", "repository_dirty"),
        ("", "questions_unheard"),
    } <= said
    assert ("one", "nothing_to_prove") not in said, "its first check fails where only the last commit is"
    assert told["checks"]["run"] == 3
    assert root.events() == []


def test_without_running_each_check_is_said_to_be_left_out(root: CommandRoot) -> None:
    put(root, "one", "it is right: `true`")
    told = root.json("check", str(root.path / "tasks"), "--no-run", code=1)
    assert told["checks"]["run"] == 0
    assert [row["message"] for row in told["remarks"] if row["code"] == "checks_not_run"] == [
        "its 1 check was not run: --no-run was given"
    ]


def test_where_there_is_no_repository_only_files_are_looked_at(root: CommandRoot) -> None:
    plain = root.path / "workspace" / "plain"
    plain.mkdir()
    (plain / "app.py").touch()
    put(root, "one", "exists: `app.py`", "it is right: `sh -c 'touch harm'`", cwd="plain")
    rows = root.json("check", str(root.path / "tasks"), code=1)["remarks"]
    codes = {row["code"] for row in rows}
    assert {"works_in_place", "check_passes_already", "check_not_run"} <= codes
    assert not (plain / "harm").exists()
    assert any("there is no clean checkout" in row["message"] for row in rows)


def test_the_tasks_of_a_job_file_are_linted_each_by_its_id(root: CommandRoot) -> None:
    rows = [
        {"id": "one", "prompt": "Do it.", "type": "fix", "cwd": "app", "criteria": ["it is right: `true`"]},
        {"id": "two", "prompt": "Do it.", "type": "fix", "cwd": "app", "dependencies": ["one", "nobody"]},
    ]
    (root.path / "tasks" / "tasks.json").write_text(json.dumps({"name": "night", "tasks": rows}))
    (root.path / "tasks" / "broken.job.md").write_text("nothing\n")
    told = root.json("check", str(root.path / "tasks"), code=1)
    assert lint_problems(told) == []
    said = {((row["file"] or "").rpartition("/")[2], row["code"]) for row in told["remarks"]}
    assert {
        ("tasks.json: one", "nothing_to_prove"),
        ("tasks.json: two", "dependency_unknown"),
        ("broken.job.md", "job_syntax"),
    } <= said
    assert "2 tasks" in root.call("check", str(root.path / "tasks" / "tasks.json")).stdout


def test_requirements_are_read_without_storing_and_written_as_tasks_that_a_lint_reads(root: CommandRoot) -> None:
    (root.path / "about.txt").write_text("Everything is written in Django.")
    before = everything(root.path)
    words = ("parse", "Add a page to site/page.py, then document it.", "--context", str(root.path / "about.txt"))
    told = root.json(*words)
    assert requirements_problems(told) == []
    assert told["metadata"]["technologies"] == ["python", "django"]
    assert everything(root.path) == before

    plan = root.path / "plan"
    written = root.json(*words, "--as-tasks", str(plan))["files"]
    assert [Path(one).name for one in written] == ["add-a-page-to-site-page-py.task.md", "document-it.task.md"]
    whole = everything(root.path)
    assert "is there already" in root.call(*words, "--as-tasks", str(plan), code=6).stderr.replace(
        "are there", "is there"
    )
    assert everything(root.path) == whole
    linted = root.json("check", str(plan), "--no-run", code=1)
    assert [row["ok"] for row in linted["files"]] == [True, True]
    assert not {row["code"] for row in linted["remarks"]} & {"dependency_unknown", "dependency_cycle", "id_duplicate"}
