"""Commands where something beside the matter is wrong: they do what they can, and say what they cannot."""

import os
import shutil
from pathlib import Path

import pytest
from tests.e2e.command_root import CommandRoot
from tests.harness import DEADLINE_S, task_text


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


def test_retry_of_a_file_that_came_again_means_the_task_that_ran(root: CommandRoot) -> None:
    with root.daemon():
        root.drop("one")
        root.wait("one")
        root.drop("one")
        root.wait_event("task_rejected")
        root.call("retry", "one")
        root.wait_event("task_succeeded", 2)


def test_check_takes_what_the_daemon_takes_and_looks_at_every_file(root: CommandRoot) -> None:
    good, link, pipe, none = (root.path / f"{name}.task.md" for name in ("good", "link", "pipe", "none"))
    good.write_text(task_text("good"))
    link.symlink_to(good)
    os.mkfifo(pipe)
    paths = [str(path) for path in (none, link, pipe, good)]
    told = root.json("check", *paths, code=1)["files"]
    assert [row["error"]["code"] if "error" in row else "ok" for row in told] == [
        "not_found",
        "not_regular",
        "not_regular",
        "ok",
    ]
    said = root.call("check", *paths, code=1).stdout
    assert f"{link}: " in said
    assert "1 of 4 files are tasks." in said
    assert "error[not_regular]" in root.call("run", str(pipe), code=1).stderr
    linted = root.json("check", str(root.path), *paths, "--no-run", code=1)
    assert {one["code"] for one in linted["remarks"] if one["file"] == str(none)} == {"not_found"}


def test_an_invalid_configuration_hinders_nobody_from_looking_and_cancelling(root: CommandRoot) -> None:
    root.drop("slow", root.waiting_prompt())
    with root.daemon():
        root.wait_event("claude_started")
        (root.path / ".env").write_text("MAX_CONCURRENT_TASKS=many\nANTHROPIC_API_KEY=sk-ant-canary-0123456789\n")
        for words in (("status",), ("show", "slow"), ("tail-events",), ("validate-artifacts",)):
            said = root.call(*words).stderr
            assert "warning: error[config_invalid]: 1 setting is not valid" in said
            assert said.endswith(f"warning: `{words[0]}` goes on with the defaults\n")
        finding = root.json("doctor", code=1)["findings"][0]
        assert (finding["name"], finding["level"]) == ("settings", "fail")
        assert "MAX_CONCURRENT_TASKS" in finding["message"] or "max_concurrent_tasks" in finding["message"]
        root.call("cancel", "slow")
        root.wait_event("task_cancelled")


def test_a_daemon_whose_state_is_taken_away_says_so_and_ends_with_an_error(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.wait_event("daemon_started")
        shutil.move(root.path / ".orchestrator", root.path / "moved")
        assert running.process.wait(DEADLINE_S) == 74
    said = (root.path / "daemon.out").read_text("utf-8")
    assert "the lock file of this root was replaced or taken away" in said
