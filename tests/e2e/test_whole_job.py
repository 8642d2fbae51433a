"""A coding team's tasks.json with the real Claude Code: what is independent runs at once, what depends begins with the
result, over a killed daemon; and results that contradict each other go to an agent once, then to a person."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git
from tests.e2e.whole_rig import WholeRoot, criteria, prompt, works
from tests.harness import left_running, result, wait_until

from orchestrator.core.events import Json
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Hang, Scenario, ToolCall

pytestmark = [pytest.mark.real_cli, pytest.mark.timeout(180), needs_git]
LOOK = ToolCall("Read", {"file_path": "$CWD/parts/schema"})


@pytest.fixture
def root(tmp_path: Path) -> Iterator[WholeRoot]:
    with ScriptedModel() as model:
        yield WholeRoot(tmp_path, model)


def team_task(task_id: str, name: str, part: str, scenario: Scenario, *after: str) -> dict[str, Json]:
    """Return one task as a coding team's file has it, with checks beside it."""
    return {
        "id": task_id,
        "name": name,
        "description": f"{name} for the shop.",
        "prompt": prompt(part, scenario),
        "branch_name": f"feature/{part}",
        "dependencies": list(after),
        "type": "code-generation",
        "criteria": criteria(part),
    }


def drop(root: WholeRoot, *tasks: Json) -> None:
    """Put a tasks.json into tasks/, whole or not at all."""
    folder = root.path / "tasks"
    folder.mkdir(exist_ok=True)
    hidden = folder / ".tasks.json.new"
    hidden.write_text(json.dumps({"tasks": list(tasks)}, indent=2))
    hidden.rename(folder / "tasks.json")


def test_a_teams_tasks_run_at_once_or_on_the_result_they_depend_on_over_a_killed_daemon(root: WholeRoot) -> None:
    drop(
        root,
        team_task("task-1", "Create database schema", "schema", works("schema", Hang(key="schema"))),
        team_task("task-2", "Add API endpoints", "api", works("api", Answer("I look.", (LOOK,))), "task-1"),
        team_task("task-3", "Add frontend components", "frontend", works("frontend", Hang(key="frontend"))),
    )
    with root.daemon() as running:
        wait_until(lambda: hangs(root) == 2, what="two agents at work at once")
        told = {one["id"]: one for one in root.json("job", "show", "tasks")["tasks"]}
        running.kill()
    assert {key: one["status"] for key, one in told.items()} == {
        "task-1": "running",
        "task-2": "blocked",
        "task-3": "running",
    }
    assert "task-1" in told["task-2"]["waits_for"]
    wait_until(lambda: left_running(root.path) == [], what="the end of all that ran")
    with root.daemon() as running:
        root.wait("task-1", "task-2", "task-3")
        assert running.stop() == 0
    ended = {name: result(root.path, name) for name in ("task-1", "task-2", "task-3")}
    for name, found in ended.items():
        assert (found["status"], found["criteria"][0]["verdict"]) == ("succeeded", "proven"), name
        assert len([one for one in root.events("task_succeeded") if one["task_id"] == name]) == 1
    branches = {name: found["work"]["branch"] for name, found in ended.items()}
    assert branches == {"task-1": "feature/schema", "task-2": "feature/api", "task-3": "feature/frontend"}
    assert {"parts/schema", "parts/api"} <= root.files("feature/api")
    assert "parts/schema" not in root.files("feature/frontend")
    git(root.top, "merge-base", "--is-ancestor", "feature/schema", "feature/api")
    looked = root.said_by_tools(ended["task-2"]["task"]["uid"])
    assert "1\\tschema" in looked.replace("\\u2192", "\\t"), "the file of task-1 is in its clone"
    asked = next(one.prompt for one in root.model.requests() if "Build the api." in one.prompt)
    assert "Task task-1 (succeeded, branch feature/schema)" in asked
    assert "> The schema stands." in asked
    assert "task-3" not in asked
    job = root.json("job", "show", "tasks")
    assert (job["status"], job["completed_tasks"], job["total_tasks"]) == ("succeeded", 3, 3)
    root.assert_left_alone()


def paints(name: str, words: str, *after: str, before: tuple[Answer, ...] = ()) -> dict[str, Json]:
    """Return a task whose agent writes *words* into the second line of `notes`; first it ends its turn *before*."""
    look = ToolCall("Read", {"file_path": "$CWD/notes"})
    write = ToolCall("Write", {"file_path": "$CWD/notes", "content": f"a\n{words}\nc\n"})
    done = Answer(f"It is {words}.")
    task = team_task(
        name,
        f"Paint it {words}",
        name,
        Scenario((*before, Answer("I look.", (look,)), Answer("I paint.", (write,)), done), done),
        *after,
    )
    return task | {"criteria": [f"it is {words}: `grep -qx '{words}' notes`"]}


def test_results_that_contradict_each_other_go_to_an_agent_once_and_then_to_a_person(root: WholeRoot) -> None:
    sides = ("red", "blue")
    careless = (Answer("All is done, I think."),)
    drop(
        root,
        *(paints(name, name) for name in sides),
        paints("careful", "red and blue", *sides),
        paints("careless", "blue and red", *sides, before=careless),
    )
    question = root.path / "tasks" / "waiting" / "careless.question.md"
    with root.daemon() as running:
        root.wait("careful")
        wait_until(question.exists, what="the question to a person")
        text = question.read_text()
        root.call("answer", "careless", "Blue goes first.")
        root.wait("careless")
        assert running.stop() == 0
    for words in ("- notes", "feature/red", "feature/blue"):
        assert words in text
    for name, words in (("careful", "red and blue"), ("careless", "blue and red")):
        found = result(root.path, name)
        assert (found["status"], found["criteria"][0]["verdict"]) == ("succeeded", "proven")
        assert git(root.top, "show", f"feature/{name}:notes") == f"a\n{words}\nc"
        asked = next(one.prompt for one in root.model.requests() if f"Build the {name}." in one.prompt)
        assert "do not fit together" in asked
        assert [len(found["attempts"]) for found in (result(root.path, name),)] == [1 if name == "careful" else 2]
    root.assert_left_alone()


def hangs(root: WholeRoot) -> int:
    return sum(one.played == "Hang" for one in root.model.requests())
