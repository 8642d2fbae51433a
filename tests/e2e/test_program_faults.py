"""The agent's program, the database and the system's limits fail under a running daemon."""

import json
import os
import resource
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.command_root import TRACE, CommandRoot, script
from tests.harness import DEADLINE_S, PROGRAM, SOURCE, result, wait_until


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


def program(path: Path, version: str = "") -> None:
    """Put the scripted program at *path*; its file is exchanged at once, as an update does it."""
    text = PROGRAM.read_text().replace('VERSION = "2.1.329"', f'VERSION = "{version or "2.1.329"}"')
    fresh = path.with_suffix(".new")
    fresh.write_text(f"#!{sys.executable} -IS\n{text}")
    fresh.chmod(0o755)
    fresh.rename(path)


@contextmanager
def impatient_daemon(root: CommandRoot) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the daemon as it is, but for how long it waits for a locked database."""
    argv = [sys.executable, "-m", "tests.e2e.impatient_daemon", "--root", str(root.path)]
    env = root.env | {"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}
    with (root.path / "daemon.out").open("wb") as out:
        running = subprocess.Popen(argv, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
    assert TRACE not in root.log() + (root.path / "daemon.out").read_text("utf-8")


def versions(root: CommandRoot, name: str) -> list[str]:
    return [attempt["agent_version"] for attempt in result(root.path, name)["attempts"]]


def test_a_program_that_is_missing_holds_and_one_that_comes_is_used(root: CommandRoot) -> None:
    path = root.path / "claude"
    (root.path / "config").mkdir()
    (root.path / "config" / "orchestrator.yaml").write_text("retries: {agent_missing: {first_delay_s: 1, cap_s: 1}}\n")
    with root.daemon(ORCHESTRATOR_CLAUDE_COMMAND=str(path)) as running:
        root.drop("t")
        root.wait_event("agent_limited")
        assert root.events("agent_limited")[0]["data"]["reason"] == "agent_missing"
        program(path)
        root.wait("t")
        assert running.stop() == 0
    (task,) = root.json("status")["ended"]
    assert (task["state"], task["tries"]) == ("succeeded", 1)


def test_a_program_that_is_updated_in_mid_run_ends_that_run_and_serves_the_next(root: CommandRoot) -> None:
    path = root.path / "claude"
    program(path)
    with root.daemon(ORCHESTRATOR_CLAUDE_COMMAND=str(path)) as running:
        root.drop("old", root.waiting_prompt())
        root.wait_event("progress", 2)
        program(path, "2.2.0")
        root.drop("new")
        root.wait("new")
        root.open_gate()
        root.wait("old")
        assert running.stop() == 0
    assert (versions(root, "old"), versions(root, "new")) == (["2.1.329"], ["2.2.0"])


def test_a_program_that_is_too_old_holds_until_it_is_updated(root: CommandRoot) -> None:
    path = root.path / "claude"
    program(path, "2.1.1")
    (root.path / "config").mkdir()
    (root.path / "config" / "orchestrator.yaml").write_text("retries: {agent_outdated: {first_delay_s: 1, cap_s: 1}}\n")
    with root.daemon(ORCHESTRATOR_CLAUDE_COMMAND=str(path)) as running:
        root.drop("t")
        root.wait_event("agent_limited")
        limited = root.events("agent_limited")[0]["data"]
        assert limited["reason"] == "agent_outdated"
        assert "at least 2.1.214 is needed" in limited["detail"]
        program(path, "2.1.500")
        root.wait("t")
        assert running.stop() == 0
    assert versions(root, "t")[-1] == "2.1.500"


def test_an_agent_that_is_killed_from_outside_is_told_as_killed_with_what_to_do(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("t", script({"init": 0}, {"signal": "KILL"}))
        root.wait("t")
        assert running.stop() == 0
    found = result(root.path, "t")
    assert (found["status"], found["reason"]) == ("failed", "killed")
    assert "out of memory" in found["detail"]
    assert "run fewer at once" in (root.path / "summaries" / "t_summary.txt").read_text() + json.dumps(found)


def test_a_database_that_somebody_else_keeps_locked_for_longer_than_is_waited_costs_nothing(root: CommandRoot) -> None:
    """The shipped daemon waits for thirty seconds, this one for two; what happens then is the same."""
    with impatient_daemon(root) as running:
        root.drop("runs", root.waiting_prompt())
        root.wait_event("progress", 2)
        other = sqlite3.connect(root.path / ".orchestrator" / "orchestrator.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        root.open_gate()
        root.drop("late")
        wait_until(lambda: "has kept the database locked" in root.log(), what="that the daemon has lost patience")
        other.execute("ROLLBACK")
        other.close()
        root.wait("runs", "late")
        running.send_signal(signal.SIGTERM)
        assert running.wait(DEADLINE_S) == 0
    assert [len(result(root.path, name)["attempts"]) for name in ("runs", "late")] == [1, 1]


def test_without_descriptors_the_daemon_waits_and_goes_on_when_they_are_back(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.wait_event("daemon_started")
        pid = running.process.pid
        old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), old[1]))
        root.drop("t")
        wait_until(
            lambda: (
                "Too many open files" in root.log() or "looked at again" in root.log() or root.events("intake_paused")
            ),
            what="that it has noticed",
        )
        assert running.process.poll() is None
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
        root.wait("t")
        assert running.stop() == 0
    (task,) = root.json("status")["ended"]
    assert (task["state"], task["tries"]) == ("succeeded", 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run the daemon as a user who may have no watches")
def test_a_user_without_any_watch_left_is_served_by_looking(root: CommandRoot) -> None:
    """A user namespace has a limit of its own, so the machine's is left alone."""
    unshare = shutil.which("unshare")
    limit = "/proc/sys/user/max_inotify_instances"
    if unshare is None or not Path(limit).exists():
        pytest.skip("needs unshare and a kernel with limits of notifications by user namespace")
    (root.path / "config").mkdir()
    (root.path / "config" / "orchestrator.yaml").write_text("intake: {scan_interval_s: 1}\n")
    # The limit is that of the outer namespace for the inner one: it is written inside, then a further one is made.
    line = f"echo 0 > {limit} && exec {unshare} --user --map-root-user {shlex.quote(sys.executable)} -m orchestrator"
    argv = [unshare, "--user", "--map-root-user", "sh", "-c", f"{line} --root {shlex.quote(str(root.path))}"]
    with (root.path / "daemon.out").open("wb") as out:
        running = subprocess.Popen(argv, env=root.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: root.events("daemon_started") or running.poll() is not None, what="the start")
        if running.poll() is not None:
            pytest.skip(f"no user namespaces here: {(root.path / 'daemon.out').read_text()[-200:]}")
        root.drop("t")
        root.wait("t")
        assert [event["data"]["reason"] for event in root.events("warning")] == ["watch_polling"]
        running.send_signal(signal.SIGTERM)
        assert running.wait(DEADLINE_S) == 0
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
    assert result(root.path, "t")["status"] == "succeeded"
