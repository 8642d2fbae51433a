"""One daemon for a root, as processes see it: who comes second changes nothing, who was killed is in nobody's way."""

import time
from pathlib import Path

import pytest
from tests.e2e.command_root import GOOD, CommandRoot
from tests.harness import DEADLINE_S, results, wait_until

QUICK_S = 1.0


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


def content(path: Path) -> dict[str, bytes]:
    """Every file a daemon could have touched; its own standard output and SQLite's index of its log left out."""
    left_out = ("daemon.out", "orchestrator.db-shm")
    return {str(one): one.read_bytes() for one in path.rglob("*") if one.is_file() and one.name not in left_out}


def test_a_second_daemon_is_turned_away_at_once_and_changes_nothing(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("one", GOOD)
        root.wait("one")
        wal = root.path / ".orchestrator" / "orchestrator.db-wal"
        wait_until(lambda: "one task file:" in root.log() and wal.stat().st_size == 0, what="the daemon to be idle")
        before = content(root.path)
        began = time.monotonic()
        root.call("--version")
        bare_s, began = time.monotonic() - began, time.monotonic()
        told = root.call(code=75).stderr
        took_s = time.monotonic() - began
        assert f"pid {running.process.pid} on " in told
        assert ", started 20" in told
        assert content(root.path) == before
        assert took_s < QUICK_S + 3 * bare_s, f"{took_s:.2f} s, of which Python alone takes {bare_s:.2f} s"
        assert running.stop() == 0


def test_after_kill_9_the_next_one_starts_at_once_without_any_cleaning_up(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.wait_event("daemon_started")
        running.kill()
    assert (root.path / ".orchestrator" / "daemon.json").exists()
    with root.daemon() as running:
        root.wait_event("daemon_started", 2)
        assert running.stop() == 0


def test_a_daemon_whose_lock_file_was_deleted_ends_and_the_next_one_goes_on(root: CommandRoot) -> None:
    with root.daemon() as first:
        root.drop("slow", root.waiting_prompt())
        root.wait_event("progress", 2)
        (root.path / ".orchestrator" / "daemon.lock").unlink()
        with root.daemon() as second:
            assert first.process.wait(DEADLINE_S) == 74
            root.open_gate()
            root.wait("slow")
            assert second.stop() == 0
    assert [path.name for path in results(root.path)] == ["slow_result.json"]
