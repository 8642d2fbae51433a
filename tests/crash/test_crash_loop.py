"""A daemon that dies again and again starts nothing more, until a person says so; and what it left torn is mended."""

from pathlib import Path

import pytest
from tests.e2e.command_root import GOOD, CommandRoot
from tests.harness import wait_until

from orchestrator.bridges.root_lock import holder


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    found = CommandRoot(tmp_path)
    found.env["ORCHESTRATOR_MAX_STARTS"] = "3"
    return found


def killed(root: CommandRoot) -> None:
    """Start a daemon and kill it as soon as it owns the root and works."""
    before = len(root.events("daemon_started"))
    with root.daemon() as running:
        root.wait_event("daemon_started", before + 1)
        running.kill()


def test_after_too_many_killed_daemons_nothing_is_started_until_resume(root: CommandRoot) -> None:
    for _ in range(3):
        killed(root)
    assert root.events("agent_held") == []
    root.drop("one", GOOD)
    with root.daemon() as running:
        root.wait_event("agent_held")
        root.wait_event("task_received")  # intake and doors work
        (hold,) = root.json("status")["holds"]
        assert (hold["scope"], hold["reason"]) == ("*", "crash_loop")
        assert "4 starts within 60 s and no clean stop" in root.call("status").stdout
        said = root.call("doctor", code=None).stdout
        assert "held: crash_loop: " in said
        assert f"{root.command} resume" in said
        running.kill()
    assert root.events("claude_started") == []
    with root.daemon() as running:
        root.wait_event("daemon_started", 5)
        assert len(root.events("agent_held")) == 1, "told once"
        root.call("resume")
        root.wait("one")
        assert running.stop() == 0
    with root.daemon() as running:  # a clean stop makes it forgotten
        root.wait_event("daemon_started", 6)
        root.drop("two", GOOD)
        root.wait("two")
        assert running.stop() == 0
    assert "held: crash_loop" not in root.call("doctor", code=None).stdout


def test_a_result_left_empty_by_a_crash_is_whole_after_the_next_start_and_not_after_a_clean_stop(
    root: CommandRoot,
) -> None:
    result, archived = root.path / "results" / "one_result.json", root.path / "tasks" / "processed" / "one.task.md"
    with root.daemon() as running:
        root.drop("one", GOOD)
        root.wait("one")
        wait_until(lambda: root.events("task_archived"), what="the last event")
        running.kill()
    whole = result.read_bytes(), archived.read_bytes()
    result.write_bytes(b"")
    archived.write_bytes(whole[1][:20])
    (root.path / "results" / ".tmp-0123456789abcdef").write_text("half")
    with root.daemon() as running:
        root.wait_event("daemon_started", 2)
        assert (result.read_bytes(), archived.read_bytes()) == whole
        assert not (root.path / "results" / ".tmp-0123456789abcdef").exists()
        assert running.stop() == 0
    assert root.events("warning")[0]["data"]["files"] == ["results/one_result.json", "tasks/processed/one.task.md"]
    result.write_bytes(b"")  # a person empties it: nobody's crash
    with root.daemon() as running:
        wait_until(lambda: holder(root.path / ".orchestrator") is not None, what="the lock")
        root.wait_event("daemon_started", 3)
        assert running.stop() == 0
    assert result.read_bytes() == b""
