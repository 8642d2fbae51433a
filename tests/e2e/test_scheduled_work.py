"""Schedules and deadlines on the real daemon, killed in between."""

import json
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.e2e.command_root import GOOD, CommandRoot
from tests.harness import result, wait_until

from orchestrator.core.schedule import next_time


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    path = tmp_path / "root"
    path.mkdir()
    return CommandRoot(path)


def machine_was_off_at(root: CommandRoot, moment: float) -> None:
    """Put the next time of every template back, as if nobody had been there for it."""
    with sqlite3.connect(root.path / ".orchestrator" / "orchestrator.db") as con:
        changed = con.execute("UPDATE task SET not_before = ? WHERE state = 'scheduled'", (moment,))
        assert changed.rowcount == 1
    con.close()


def test_a_missed_run_is_made_once_over_two_kills_and_a_deadline_ends_what_runs(root: CommandRoot) -> None:
    missed = (time.time() // 60 - 60) * 60  # an hour ago; it comes again in a year
    wall = datetime.fromtimestamp(missed, UTC)
    words = f"{wall.minute} {wall.hour} {wall.day} {wall.month} *"
    comes_again = next_time(words, UTC, time.time())
    times = f"schedule: {words}\ntimezone: UTC\n"
    with root.daemon() as running:
        root.drop("nightly", GOOD, more=times)
        root.drop("late", root.waiting_prompt(), more="deadline: in 3s\n")
        root.wait_event("task_scheduled")
        root.wait("late")
        told = root.call("status").stdout
        assert "scheduled 1" in told
        assert "scheduled  nightly  " in told
        assert f"next run: {datetime.fromtimestamp(comes_again):%Y-%m-%d}" in root.call("show", "nightly").stdout
        running.kill()
    assert result(root.path, "late")["reason"] == "deadline"
    machine_was_off_at(root, missed)
    with root.daemon() as running:
        root.wait_event("schedule_fired")
        running.kill()
    name = f"nightly.{wall:%Y%m%dT%H%M}"
    with root.daemon() as running:
        wait_until(lambda: (root.path / "results" / f"{name}_result.json").exists(), what="the result of the run")
        assert running.stop() == 0
    assert result(root.path, name)["status"] == "succeeded"
    (fired,) = root.events("schedule_fired")
    started = {event["uid"] for event in root.events("claude_started")}
    assert fired["data"]["runs"] == [fired["data"]["run"]]
    assert fired["data"]["run"] in started
    assert len(started) == 2
    assert (root.path / "tasks" / "nightly.task.md").exists()
    (template,) = json.loads(root.call("status", "--json").stdout)["scheduled"]
    assert template["not_before"] == comes_again
