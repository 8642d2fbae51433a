"""Folders that are taken away, exchanged, emptied or made read-only under a running daemon."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.command_root import CommandRoot, script
from tests.e2e.mounts import mounted
from tests.harness import drop, result, task_text, wait_until


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    (tmp_path / "root").mkdir()
    root = CommandRoot(tmp_path / "root")
    root.gate = tmp_path / "gate"
    (root.path / "config").mkdir()
    (root.path / "config" / "orchestrator.yaml").write_text("intake: {scan_interval_s: 1}\n")
    return root


def renamed_away(tasks: Path) -> None:
    tasks.rename(tasks.with_name("tasks.away"))


def made_again(tasks: Path) -> None:
    renamed_away(tasks)
    tasks.mkdir()


def replaced_by_a_link(tasks: Path) -> None:
    renamed_away(tasks)
    (tasks.parent / "elsewhere").mkdir()
    tasks.symlink_to(tasks.parent / "elsewhere")


@pytest.mark.parametrize("taken", [renamed_away, made_again, replaced_by_a_link])
def test_a_folder_of_tasks_that_is_taken_away_cancels_nothing(root: CommandRoot, taken: Callable[[Path], None]) -> None:
    tasks = root.path / "tasks"
    with root.daemon() as running:
        root.drop("runs", root.waiting_prompt())
        root.wait_event("claude_started")
        root.call("pause")
        for name in ("a", "b"):
            root.drop(name)
        root.wait_event("parsed", 3)
        taken(tasks)
        root.wait_event("intake_paused")
        if tasks.is_symlink():
            tasks.unlink()
        elif tasks.exists():
            shutil.rmtree(tasks)
        tasks.with_name("tasks.away").rename(tasks)
        root.wait_event("intake_resumed")
        drop(root.path, "c", task_text("c"))
        root.wait_event("parsed", 4)
        root.call("resume")
        root.open_gate()
        root.wait("runs", "a", "b", "c")
        assert running.stop() == 0
    assert root.events("task_cancelled") == []
    assert [result(root.path, name)["status"] for name in ("runs", "a", "b", "c")] == ["succeeded"] * 4
    assert len(root.events("claude_started")) == 4


@pytest.mark.parametrize("folder", ["results", "summaries", "tasks", "logs"])
def test_a_folder_that_is_read_only_for_a_while_loses_nothing(root: CommandRoot, folder: str) -> None:
    """A mount, as the permissions of a folder do not bind root."""
    with root.daemon() as running:
        root.drop("runs", root.waiting_prompt())
        root.wait_event("progress", 2)
        place = root.path / folder
        with mounted(place, "--bind", str(place)) as path:
            subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
            root.open_gate()
            wait_until(lambda: "cannot be written for now" in root.log(), what="the refusal")
            assert running.process.poll() is None
        root.wait("runs")
        drop(root.path, "after", task_text("after"))
        root.wait("after")
        assert running.stop() == 0
    assert [result(root.path, name)["status"] for name in ("runs", "after")] == ["succeeded"] * 2
    lines = [json.loads(line) for line in (root.path / "logs" / "events.ndjson").read_bytes().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


def test_results_that_were_deleted_are_there_again_after_the_next_start(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("one")
        root.wait("one")
        first = (root.path / "results" / "one_result.json").read_bytes()
        shutil.rmtree(root.path / "results")
        root.drop("two")
        root.wait("two")
        assert running.stop() == 0
    assert result(root.path, "two")["status"] == "succeeded"
    with root.daemon() as running:
        wait_until((root.path / "results" / "one_result.json").exists, what="the old result")
        assert running.stop() == 0
    assert (root.path / "results" / "one_result.json").read_bytes() == first


@pytest.mark.parametrize("spoiled", ["deleted", "a folder"])
def test_an_event_log_that_is_taken_away_is_written_again(root: CommandRoot, spoiled: str) -> None:
    log = root.path / "logs" / "events.ndjson"
    with root.daemon() as running:
        root.drop("one")
        root.wait("one")
        log.rename(log.with_name("kept"))
        if spoiled == "a folder":
            log.mkdir()
        root.drop("two")
        wait_until(lambda: any((root.path / "tasks").glob("processed/two.task.md")), what="the end of two")
        if spoiled == "a folder":
            log.rmdir()
        root.drop("three")
        root.wait("three")
        assert running.stop() == 0
    with root.daemon() as running:
        root.wait_event("daemon_started", 1)
        assert running.stop() == 0
    seqs = [json.loads(line)["seq"] for line in log.read_bytes().splitlines()]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_a_work_area_that_is_removed_in_mid_run_is_told_and_costs_only_its_task(root: CommandRoot) -> None:
    area = root.path / "area"
    area.mkdir()
    config = root.path / "config" / "orchestrator.yaml"
    config.write_text(f"intake: {{scan_interval_s: 1}}\npaths: {{base_cwd: {area}, allowed_root: {root.path}}}\n")
    with root.daemon() as running:
        root.drop("runs", root.waiting_prompt())
        root.wait_event("progress", 2)
        shutil.rmtree(area)
        root.open_gate()
        root.wait("runs")
        root.drop("next")
        root.wait("next")
        assert running.stop() == 0
    assert result(root.path, "next")["status"] == "succeeded"


def test_files_that_come_while_the_daemon_stands_still_are_all_taken_whatever_notices_are_lost(
    root: CommandRoot,
) -> None:
    """More names than the system queues notices for a reader that does not read."""
    limit = Path("/proc/sys/fs/inotify/max_queued_events")
    if not limit.exists() or (most := int(limit.read_text())) > 40_000:
        pytest.skip("this system queues too many notices to overflow its queue")
    with root.daemon() as running:
        root.wait_event("daemon_started")
        root.call("pause")
        os.kill(running.process.pid, signal.SIGSTOP)
        churn = root.path / "tasks"
        for number in range(most // 2 + 500):  # two notices each: created, removed
            path = churn / f".{number}.tmp"
            path.touch()
            path.unlink()
        for number in range(50):
            root.drop(f"t{number}")
        os.kill(running.process.pid, signal.SIGCONT)
        wait_until(lambda: root.json("status")["counts"]["queued"] == 50, what="all fifty")
        drop(root.path, "late", task_text("late"))
        wait_until(lambda: root.json("status")["counts"]["queued"] == 51, what="the one after the overflow")
        assert running.stop() == 0


def test_an_agent_that_deletes_its_own_folder_ends_alone(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("deletes", script({"init": 0}, {"delete_cwd": 0}, {"result": "Done."}))
        root.wait("deletes")
        root.drop("next")
        root.wait("next")
        assert running.stop() == 0
