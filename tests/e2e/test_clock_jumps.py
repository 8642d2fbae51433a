"""The clock of a running daemon is set by a day, forward and back; a suspended machine looks like the first."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e.command_root import CommandRoot
from tests.harness import result, wait_until

DAY = 86_400


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    """A root whose daemon takes the time of day from a file; the monotonic clock is left alone."""
    if (faketime := shutil.which("faketime")) is None:
        pytest.skip("needs faketime to set the clock of one process")
    shown = subprocess.run([faketime, "-f", "+0", "env"], capture_output=True, text=True, check=True).stdout
    preload = next(line.partition("=")[2] for line in shown.splitlines() if line.startswith("LD_PRELOAD="))
    path = tmp_path / "root"
    path.mkdir()
    root = CommandRoot(path)
    root.env |= {"LD_PRELOAD": preload, "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "time"), "FAKETIME_NO_CACHE": "1"}
    root.env |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    root.env["ORCHESTRATOR_CLAUDE_COMMAND"] += f" --script {tmp_path / 'script'}"
    root.gate = tmp_path / "gate"
    (path / "config").mkdir()
    (path / "config" / "orchestrator.yaml").write_text(
        "intake: {scan_interval_s: 60, force_polling: false}\nretries: {crash: {first_delay_s: 20, cap_s: 20}}\n"
    )
    set_clock(root, 0)
    return root


def set_clock(root: CommandRoot, seconds: int) -> None:
    fresh = root.path.parent / "time.new"
    fresh.write_text(f"{seconds:+d}\n")
    fresh.rename(root.path.parent / "time")


def agent(root: CommandRoot, *steps: dict[str, object]) -> None:
    (root.path.parent / "script").write_text(json.dumps({"steps": [{"init": 0}, *steps]}))


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_day_changes_no_time_limit_and_no_retry(root: CommandRoot, jump: int) -> None:
    agent(root, {"say": "I wait."}, {"wait_for": str(root.gate)}, {"result": "Done."})
    with root.daemon() as running:
        root.drop("runs", more="timeout_sec: 600\n")
        root.wait_event("progress", 2)
        agent(root, {"exit": 3})
        root.drop("again", more="retries: 2\n")
        root.wait_event("retry")
        set_clock(root, jump)
        agent(root, {"say": "I wait."}, {"wait_for": str(root.gate)}, {"result": "Done."})
        root.wait_event("warning")
        root.wait_event("claude_started", 3)  # in seconds, not in a day
        root.open_gate()
        root.wait("again", "runs")
        assert running.stop() == 0
    (warning,) = root.events("warning")
    assert warning["data"]["reason"] == "clock_jumped"
    assert abs(warning["data"]["seconds"] - jump) < 5
    assert [result(root.path, name)["status"] for name in ("again", "runs")] == ["succeeded"] * 2
    assert [len(result(root.path, name)["attempts"]) for name in ("again", "runs")] == [2, 1]
    assert len(root.events("task_rescheduled")) == 1
    assert [event["seq"] for event in root.events()] == list(range(1, len(root.events()) + 1))


def test_after_a_suspension_the_folder_is_looked_at_at_once_and_nothing_has_timed_out(root: CommandRoot) -> None:
    agent(root, {"say": "I wait."}, {"wait_for": str(root.gate)}, {"result": "Done."})
    with root.daemon() as running:
        root.drop("runs", more="timeout_sec: 600\n")
        root.wait_event("progress", 2)
        os.kill(running.process.pid, signal.SIGSTOP)
        set_clock(root, 8 * 3600)
        root.drop("late")
        os.kill(running.process.pid, signal.SIGCONT)
        root.wait_event("warning")
        root.wait_event("parsed", 2)
        root.open_gate()
        root.wait("runs", "late")
        assert running.stop() == 0
    assert result(root.path, "runs")["status"] == "succeeded"


def test_a_clock_that_was_set_back_while_no_daemon_ran_keeps_nobody_waiting_for_a_day(root: CommandRoot) -> None:
    agent(root, {"exit": 3})
    set_clock(root, DAY)
    with root.daemon() as running:
        root.drop("again", more="retries: 2\n")
        root.wait_event("retry")
        assert running.stop() == 0
    set_clock(root, 0)
    agent(root, {"result": "Done."})
    with root.daemon() as running:
        wait_until(lambda: result_is_there(root), what="the second try")
        assert running.stop() == 0
    assert result(root.path, "again")["status"] == "succeeded"


def result_is_there(root: CommandRoot) -> bool:
    return (root.path / "results" / "again_result.json").exists()
