"""pause, resume and hold, as a person types them: beside a running daemon, and without one."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from tests.e2e.command_root import GOOD, CommandRoot, script
from tests.harness import left_running, result, wait_until


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


def test_the_queue_is_paused_and_goes_on_by_commands_beside_the_daemon(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("runs", root.waiting_prompt())
        root.wait_event("claude_started")
        said = root.call("pause").stdout
        assert said == (
            "The queue is paused: nothing more is started.\nWhat runs goes on: 1 task.\n"
            f"Go on: python main.py --root {root.path} resume\n"
        )
        assert root.call("pause").stdout.startswith("The queue is paused already: nothing more is started.\n")
        root.drop("late")
        root.open_gate()
        root.wait("runs")
        root.wait_event("task_received", 2)
        status = root.call("status").stdout
        command = f"python main.py --root {root.path} resume"
        assert f"held: the queue until released (paused by request); release: {command}\n" in status
        assert "the queue is held\n" in status
        assert len(root.events("claude_started")) == 1
        assert root.call("resume").stdout == "The queue goes on.\n"
        root.wait("late")
        assert root.call("resume").stdout == "The queue is not held.\n"
        assert running.stop() == 0
    assert [event["data"]["agent"] for event in root.events("agent_held")] == ["*"]


def test_a_task_is_held_shown_edited_and_released(root: CommandRoot) -> None:
    (root.path / "tasks").mkdir()
    root.call("pause", "claude")
    with root.daemon() as running:
        root.drop("one")
        root.wait_event("parsed")
        said = root.call("hold", "one").stdout
        assert said.startswith("one is held: it is not started. Release it: python main.py --root ")
        told = root.json("resume", "claude")
        assert (told["scope"], told["changed"], told["pause"]["reason"]) == ("claude", True, "paused")
        root.drop("one", GOOD.replace("All is done.", "All is done as edited."))
        root.wait_event("task_updated")
        assert (root.path / "tasks" / "one.task.md").exists()
        look = root.json("status")
        assert [(task["id"], task["state"]) for task in look["held"]] == [("one", "held")]
        assert (look["counts"]["held"], look["holds"], root.events("claude_started")) == (1, [], [])
        uid = look["held"][0]["uid"][-8:]
        status = root.call("status").stdout
        assert "    queued 0    held 1" in status
        assert f"release: python main.py --root {root.path} resume {uid}\n" in status
        assert root.call("resume", uid).stdout == "one is queued: it waits for a slot only.\n"
        root.wait("one")
        assert running.stop() == 0
    assert "All is done as edited." in (root.path / "results" / "one_result.json").read_text()


def test_without_a_daemon_a_pause_is_kept_for_the_next_one(root: CommandRoot) -> None:
    (root.path / "tasks").mkdir()
    root.call("pause", "claude")
    done = root.call("pause", "nobody", code=4)
    assert done.stderr.startswith("error[not_found]: no agent and no task is called 'nobody'\n  Agents: claude, local.")
    root.drop("t")
    with root.daemon() as running:
        root.wait_event("parsed")
        wait_until(lambda: root.json("status")["counts"]["queued"] == 1, what="the queued task")
        assert running.stop() == 0
    assert root.events("claude_started") == []
    done = root.call("resume", "claude")
    assert done.stdout == "Claude goes on.\n"
    assert done.stderr == f"No daemon runs: start it with python main.py --root {root.path}\n"


def test_an_agent_that_is_switched_off_says_so_and_starts_when_the_setting_changes(root: CommandRoot) -> None:
    settings = root.path / "config" / "orchestrator.yaml"
    settings.parent.mkdir()
    settings.write_text("agents: {claude: {enabled: false}}\n")
    with root.daemon() as running:
        root.drop("t")
        root.wait_event("parsed")
        assert "\noff: claude (agents.claude.enabled is false); on again: set " in root.call("status").stdout
        assert [hold["reason"] for hold in root.json("resume", "claude")["still"]] == ["switched_off"]
        assert root.events("claude_started") == []
        settings.write_text("agents: {claude: {enabled: true}}\n")
        root.wait("t")
        assert running.stop() == 0


def test_a_run_in_the_foreground_says_what_it_waits_for(root: CommandRoot) -> None:
    (root.path / "tasks").mkdir()
    root.call("pause")
    root.drop("t")
    from subprocess import PIPE, Popen
    from sys import executable

    argv = [executable, "-m", "orchestrator", "--root", str(root.path), "run", str(root.path / "tasks/t.task.md")]
    running = Popen(argv, env=root.env, stdout=PIPE, stderr=PIPE, text=True)
    try:
        assert running.stderr is not None
        assert running.stderr.readline().startswith("held: the queue until released (paused by request)")
        root.call("resume")
        out, _ = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
    assert running.returncode == 0
    assert "t: SUCCEEDED" in out
    assert json.loads((root.path / "results" / "t_result.json").read_text())["status"] == "succeeded"


def test_a_running_task_is_cancelled_with_all_it_started_and_its_partial_work_is_kept(root: CommandRoot) -> None:
    half = root.path / "half.txt"
    prompt = script(
        {"init": 0},
        {"write": {"path": str(half), "text": "half of it"}},
        {"orphan": {"ignore": True, "empty_env": True}},
        {"ignore": ["INT", "TERM"]},
        {"say": "I go on."},
        {"hang": 0},
    )
    with root.daemon() as running:
        root.drop("stubborn", prompt)
        root.wait_event("progress", 2)
        root.call("cancel", "stubborn")
        root.wait("stubborn")
        assert left_running(root.path) == []
        assert running.stop() == 0
    asked, gone = (root.events(kind)[0]["ts"] for kind in ("cancel_requested", "task_cancelled"))
    assert (datetime.fromisoformat(gone) - datetime.fromisoformat(asked)).total_seconds() < 15
    assert half.read_text() == "half of it"
    assert result(root.path, "stubborn")["status"] == "cancelled"


def test_a_queued_task_is_cancelled_at_once_and_one_that_waits_for_its_retry_too(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("retries", script({"init": 0}, {"exit": 3}), more="retries: 3\n")
        root.wait_event("retry")
        root.call("pause", "retries")
        assert root.json("show", "retries")["task"]["state"] == "held"
        root.call("pause")
        root.drop("queued")
        root.wait_event("parsed", 2)
        assert root.json("show", "queued")["task"]["waits_for"] == "the queue is held: paused by request"
        for name in ("queued", "retries"):
            assert root.json("cancel", name)["task"]["state"] == "cancelled"
        root.wait("queued", "retries")
        assert running.stop() == 0
    assert len(root.events("claude_started")) == 1
