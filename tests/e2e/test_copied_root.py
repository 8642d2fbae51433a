"""A root and its copy: each has its own lock and its own agents, and nothing is run by both unasked."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.e2e.command_root import GOOD, CommandRoot, script
from tests.harness import left_running, results, wait_until


def marks(root: CommandRoot) -> set[str]:
    """The marks of all living attempts of the tasks of *root*, in whatever root they run."""
    uids = {path.name.partition(".")[0] for path in (root.path / ".orchestrator" / "attempts").iterdir()}
    found = set()
    for process in Path("/proc").iterdir():
        try:
            words = (process / "environ").read_bytes().split(b"\0") if process.name.isdigit() else []
        except OSError:
            continue
        found |= {word.partition(b"=")[2].decode() for word in words if word.startswith(b"ORCHESTRATOR_ATTEMPT=")}
    return {mark for mark in found if mark.partition(".")[0] in uids}


def copied(root: CommandRoot, to: Path) -> CommandRoot:
    subprocess.run(["cp", "-a", str(root.path), str(to)], check=True)
    copy = CommandRoot(to)
    copy.gate = root.gate
    return copy


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    (tmp_path / "original").mkdir()
    return CommandRoot(tmp_path / "original")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="agents are found by /proc")
@pytest.mark.timeout(240)
def test_a_copy_of_a_living_root_leaves_its_agents_alone_and_starts_nothing_unasked(
    root: CommandRoot, tmp_path: Path
) -> None:
    second = script({"init": 0}, {"say": "I wait."}, {"wait_for": str(tmp_path / "second")}, {"result": "Done."})
    with root.daemon() as running:
        root.drop("runs", root.waiting_prompt())
        root.drop("two", second)
        root.wait_event("progress", 4)
        alive = marks(root)
        assert len(alive) == 2
        copy = copied(root, tmp_path / "copy")
        assert "copied: it lies elsewhere" in copy.call("doctor", code=None).stdout
        with copy.daemon() as other:
            copy.wait_event("agent_held")
            (told,) = [one for one in copy.events("warning") if one["data"]["reason"] == "root_copied"]
            assert told["data"]["from"] == str(root.path)
            assert "nothing is started until `resume`" in copy.call("status").stdout
            assert [one["state"] for one in copy.json("status")["waiting"]] == ["queued", "queued"]
            assert alive <= marks(root)
            assert running.process.poll() is None
            copy.call("resume")
            wait_until(lambda: len(marks(root) - alive) == 2, what="the agents of the copy")
            assert all(len(mark.split(".")) == 3 for mark in marks(root) - alive)
            other.kill()
            wait_until(lambda: marks(root) == alive, what="the end of the copy's agents, and of nobody else's")
        with copy.daemon() as other:
            copy.wait_event("claude_started", 6)  # two of the original, two, and two again: it is no new copy
            (tmp_path / "second").touch()
            root.open_gate()
            copy.wait("runs", "two")
            root.wait("runs", "two")
            assert other.stop() == 0
        assert running.stop() == 0
    for one in (root, copy):
        assert {json.loads(path.read_text())["status"] for path in results(one.path)} == {"succeeded"}
        assert left_running(one.path) == []
        seqs = [event["seq"] for event in one.events()]
        assert seqs == list(range(1, len(seqs) + 1))
    assert len(root.events("claude_started")) == 2


def test_a_root_that_was_moved_goes_on(root: CommandRoot, tmp_path: Path) -> None:
    root.run_to_end(one=GOOD)
    root.path.rename(tmp_path / "elsewhere")
    moved = CommandRoot(tmp_path / "elsewhere")
    moved.run_to_end(two=GOOD)
    assert [one["data"]["reason"] for one in moved.events("warning")] == ["root_moved"]
    assert moved.json("status")["holds"] == []


def test_a_state_put_back_from_a_backup_is_told_and_goes_on(root: CommandRoot, tmp_path: Path) -> None:
    root.run_to_end(one=GOOD)
    shutil.copytree(root.path / ".orchestrator", tmp_path / "backup")
    root.run_to_end(two=GOOD)
    state = root.path / ".orchestrator"
    state.rename(tmp_path / "away")
    shutil.copytree(tmp_path / "backup", state)
    assert state.stat().st_ino != os.stat(tmp_path / "away").st_ino
    root.run_to_end(three=GOOD)
    told = [one["data"]["reason"] for one in root.events("warning")]
    assert "root_restored" in told
    assert "event_log_set_aside" in told
    seqs = [event["seq"] for event in root.events()]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(results(root.path)) == 3
