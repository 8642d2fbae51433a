"""Which folder a command works on: never made by looking, and named in every command to type."""

from pathlib import Path

import pytest
from tests.e2e.command_root import GOOD, CommandRoot
from tests.harness import orchestrator, result, wait_until

LOOKS = ("status", "doctor", "tail-events", "validate-artifacts", "show x", "cancel x", "retry x", "clean artifacts")


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


@pytest.mark.parametrize("words", [*LOOKS, "clean tasks", "clean tasks --dry-run"])
def test_a_mistyped_root_is_an_error_and_is_not_made(root: CommandRoot, words: str) -> None:
    there = root.path / "no" / "such"
    done = orchestrator(there, *words.split(), env=root.env)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"error[root]: {there}: there is no such folder")
    assert not there.parent.exists()


def test_a_folder_that_is_no_root_is_left_as_it_is(root: CommandRoot) -> None:
    for words in (["status"], ["clean", "tasks"], ["validate-artifacts"]):
        assert "it has no tasks/ in it" in root.call(*words, code=3).stderr
    assert [path.name for path in root.path.iterdir()] == ["home"]


def test_a_look_at_a_root_on_which_nothing_has_run_leaves_nothing_there(root: CommandRoot) -> None:
    root.call("create-sample")
    assert "queued 0" in root.call("status").stdout
    assert "No events yet" in root.call("tail-events").stderr
    assert root.call("validate-artifacts").stdout.startswith("0 result files")
    assert "would archive without running: tasks/sample" in root.call("clean", "tasks", "--dry-run").stdout
    root.call("show", "x", code=4)
    root.call("doctor", code=None)
    assert sorted(path.name for path in root.path.iterdir()) == ["home", "tasks"]


def test_every_command_that_is_printed_reaches_this_root(root: CommandRoot) -> None:
    root.call("create-sample")
    root.run_to_end(one=GOOD)
    root.call("retry", "one")
    said = [
        root.call("status").stdout,
        root.call("show", "one.task.md").stdout,
        root.call("show", "nothing", code=4).stderr,
        (root.path / "summaries" / "one_summary.txt").read_text("utf-8"),
    ]
    for text in said:
        assert text.count("python main.py") == text.count(root.command)
    assert root.command in said[0]
    assert root.command in said[2]
    assert f"{root.command} show one" in said[3]
    assert "--root" not in (root.path / "results" / "one_result.json").read_text("utf-8")


def test_a_usage_error_is_a_json_document_where_one_is_wanted(root: CommandRoot) -> None:
    for words in (["statsu"], ["help", "statsu"], ["tail-events", "--lines", "abc"]):
        told = root.json(*words, code=2)["error"]
        assert told["code"] == "usage"
        assert told["hint"]
    assert "create-sample" in root.json("check", "nowhere.md", code=4)["error"]["hint"]


def test_run_of_a_file_in_tasks_follows_what_the_daemon_makes_of_it(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.wait_event("daemon_started")
        for name in ("r0", "r1"):
            root.drop(name)
            assert root.json("run", str(root.path / "tasks" / f"{name}.task.md"))["status"] == "succeeded"
        root.drop("held", root.waiting_prompt())
        wait_until(lambda: root.archived("held", "running/*"), what="the claim of held")
        root.open_gate()
        assert root.json("run", str(root.path / "tasks" / "held.task.md"))["status"] == "succeeded"
        refused = root.path / "tasks" / "bad.task.md"
        refused.write_text("---\ntype: [\n---\n")
        assert root.call("run", str(refused), code=None).returncode in (1, 6)
        assert "there is no file" in root.call("run", str(root.path / "tasks" / "no.task.md"), code=4).stderr
        assert running.stop() == 0
    assert len(root.events("task_received")) == 4, "no file was taken twice"
    assert result(root.path, "held")["status"] == "succeeded"


def test_only_what_looks_like_a_task_file_is_run(root: CommandRoot) -> None:
    other = root.path / "main.py"
    other.write_text("print('hello')\n")
    assert "does not look like a task file" in root.call("run", str(other), code=2).stderr
    assert not (root.path / "results" / "main.py_result.json").exists()
