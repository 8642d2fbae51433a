"""A full disk: intake waits, what runs goes on, nothing is torn, and all of it ends once there is room again."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.command_root import CommandRoot
from tests.e2e.mounts import fill, mounted
from tests.harness import result, task_text, wait_until


@pytest.fixture
def root(tmp_path: Path) -> Iterator[CommandRoot]:
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=12m,nr_inodes=300", "tmpfs") as path:
        root = CommandRoot(path)
        root.gate = tmp_path / "gate"  # outside of what is full
        (path / "config").mkdir()
        (path / "config" / "orchestrator.yaml").write_text("intake: {min_free_bytes: 1000000}\n")
        (path / "tasks").mkdir()
        yield root


def whole_events(root: CommandRoot) -> None:
    """Every line of the event log is whole, and none is missing."""
    lines = [json.loads(line) for line in (root.path / "logs" / "events.ndjson").read_bytes().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


def prepared(root: CommandRoot, name: str) -> Path:
    """Write a task file beforehand: on a full disk it can still be renamed."""
    hidden = root.path / "tasks" / f".{name}.new"
    hidden.write_text(task_text(name))
    return hidden


def test_intake_waits_while_the_disk_is_nearly_full_and_what_runs_goes_on(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("runs", root.waiting_prompt())
        root.wait_event("claude_started")
        late = prepared(root, "late")
        ballast = fill(root.path, leave=600_000)
        late.rename(late.with_name("late.task.md"))
        root.wait_event("intake_paused")
        assert root.events("intake_paused")[0]["data"]["reason"] == "disk"
        root.open_gate()
        root.wait("runs")
        assert result(root.path, "runs")["status"] == "succeeded"
        assert (root.path / "tasks" / "late.task.md").exists()
        ballast.unlink()
        root.wait("late")
        root.wait_event("intake_resumed")
        assert running.stop() == 0
    whole_events(root)


def test_without_a_single_byte_left_nothing_is_torn_or_lost_and_all_ends_when_there_is_room(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("before")
        root.wait("before")
        old = (root.path / "results" / "before_result.json").read_bytes()
        root.drop("runs", root.waiting_prompt())
        root.wait_event("progress", 2)
        late = prepared(root, "late")
        ballast = fill(root.path)
        late.rename(late.with_name("late.task.md"))
        root.open_gate()
        wait_until(lambda: "the disk is full" in root.log() or running.process.poll() is not None, what="the refusal")
        assert running.process.poll() is None
        assert (root.path / "results" / "before_result.json").read_bytes() == old
        ballast.unlink()
        root.wait("runs", "late")
        assert running.stop() == 0
    assert [result(root.path, name)["status"] for name in ("before", "runs", "late")] == ["succeeded"] * 3
    assert [task["tries"] for task in root.json("status")["ended"]] == [1, 1, 1]
    whole_events(root)


def test_nothing_is_started_on_a_full_disk_and_status_says_so(root: CommandRoot) -> None:
    with root.daemon(MAX_CONCURRENT_TASKS="1") as running:
        root.call("pause")
        root.drop("queued")
        root.wait_event("parsed")
        ballast = fill(root.path, leave=600_000)
        root.call("resume")
        wait_until(
            lambda: (
                [task["waits_for"] for task in root.json("status")["waiting"]]
                == ["the disk is full: less than 1000000 bytes are free"]
            ),
            what="the reason",
        )
        assert "not started yet: the disk is full" in root.call("show", "queued").stdout
        assert root.events("claude_started") == []
        ballast.unlink()
        root.wait("queued")
        assert running.stop() == 0
    assert len(root.events("claude_started")) == 1
    whole_events(root)


def test_without_inodes_a_start_that_fails_costs_no_try(root: CommandRoot) -> None:
    soon = "retries: {shortage: {first_delay_s: 1, cap_s: 1}}\n"
    (root.path / "config" / "orchestrator.yaml").write_text(f"intake: {{min_free_bytes: 1000000}}\n{soon}")
    with root.daemon() as running:
        root.call("pause")
        root.drop("queued")
        root.wait_event("parsed")
        many = root.path / "many"
        many.mkdir()
        while os.statvfs(many).f_favail:
            (many / str(os.statvfs(many).f_favail)).touch()
        root.call("resume")
        root.wait_event("agent_limited")
        for path in many.iterdir():
            path.unlink()
        root.wait("queued")
        assert running.stop() == 0
    limited = root.events("agent_limited")[0]["data"]
    assert limited["reason"] == "shortage"
    assert "No space left on device" in limited["detail"]
    (task,) = root.json("status")["ended"]
    assert (task["state"], task["tries"]) == ("succeeded", 1)
    whole_events(root)
