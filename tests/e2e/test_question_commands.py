"""Questions by the commands of a person, on real daemons with the scripted program as agent."""

import json
from pathlib import Path

import pytest
from tests.e2e.command_root import CommandRoot, script
from tests.harness import task_text, wait_until

ASKS = script(
    {"init": 0}, {"first_time": [{"result": "Which of the two do you mean?"}, {"exit": 0}]}, {"result": "Done."}
)


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


def test_in_the_foreground_a_question_ends_the_run_and_the_next_daemon_goes_on(root: CommandRoot) -> None:
    mine = root.path / "mine.task.md"
    mine.write_text(task_text("mine", ASKS))
    done = root.call("run", str(mine), code=1)
    assert "it asks:\n  Which of the two do you mean?" in done.stdout
    assert (root.path / "tasks" / "waiting" / "mine.question.md").exists()
    again = root.call("run", str(mine), code=6)
    assert "has not ended: it is needs_input" in again.stderr
    assert "answer" in again.stderr
    assert root.json("answer", "mine", "the second")["task"]["state"] == "queued"
    with root.daemon() as running:
        root.wait("mine")
        assert running.stop() == 0
    found = json.loads((root.path / "results" / "mine_result.json").read_text())
    assert (found["status"], len(found["attempts"])) == ("succeeded", 2)


def test_a_task_that_waits_is_not_cleaned_away(root: CommandRoot) -> None:
    waiting = root.path / "tasks" / "waiting" / "asks.question.md"
    with root.daemon() as running:
        root.drop("asks", ASKS)
        wait_until(waiting.exists, what="the question")
        assert running.stop() == 0
    assert "asks" not in root.call("clean", "tasks").stdout
    root.call("clean", "artifacts", "--days", "1")
    root.call("clean", "work", "--days", "0")
    assert root.json("show", "asks")["task"]["state"] == "needs_input"
    assert root.json("cancel", "asks")["task"]["state"] == "cancelled"
    with root.daemon() as running:
        root.wait("asks")
        wait_until(lambda: not waiting.exists(), what="the file to go")
        assert running.stop() == 0
