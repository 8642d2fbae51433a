"""The daemon as a process: one per root, two ways to stop it, settings that change while it runs."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.command_root import GOOD, TRACE, CommandRoot, script
from tests.harness import DEADLINE_S, orchestrator, result, wait_until

CANARY = "sk-canary-0123456789abcdef-never-to-be-seen"


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


def test_a_second_daemon_is_turned_away_and_told_who_was_first(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.wait_event("daemon_started")
        done = root.call(code=75)
        assert f"another daemon owns this root: pid {running.process.pid} on " in done.stderr
        assert f"python main.py --root {root.path} status" in done.stderr
        assert running.process.poll() is None
        assert running.stop() == 0
    assert root.json("status")["daemon"] is None


def test_the_first_signal_lets_work_finish(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("slow", root.waiting_prompt())
        root.wait_event("claude_started")
        root.drop("late")
        running.process.send_signal(signal.SIGTERM)
        root.open_gate()
        assert running.process.wait(DEADLINE_S) == 0
    assert result(root.path, "slow")["status"] == "succeeded"
    assert root.events()[-1]["event"] in ("daemon_stopped", "task_archived", "summarized", "artifacts_written")
    assert len(root.events("daemon_stopped")) == 1


def test_the_second_signal_interrupts_and_costs_no_try(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.drop("slow", root.waiting_prompt())
        root.wait_event("progress", 2)
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: running.process.poll() is None and not root.events("daemon_stopped"), what="the drain")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(DEADLINE_S) == 0
    (interrupted,) = root.events("interrupted")
    assert interrupted["task_id"] == "slow"
    task = root.json("status")["waiting"][0]
    assert (task["id"], task["state"], task["tries"], task["attempt"]) == ("slow", "queued", 0, 1)
    assert "interrupted tasks are queued again and cost no try" in (root.path / "daemon.out").read_text()
    root.open_gate()
    with root.daemon() as running:
        root.wait("slow")
        assert running.stop() == 0
    found = result(root.path, "slow")
    assert found["status"] == "succeeded"
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["interrupted", "finished"]


def test_settings_change_while_it_runs_and_an_invalid_change_changes_nothing(root: CommandRoot) -> None:
    dotenv = root.path / ".env"
    dotenv.write_text("MAX_CONCURRENT_TASKS=1\n")
    with root.daemon() as running:
        root.drop("a", root.waiting_prompt())
        root.drop("b", root.waiting_prompt())
        root.wait_event("claude_started", 1)
        dotenv.write_text("MAX_CONCURRENT_TASKS=2\n# more\n")
        running.process.send_signal(signal.SIGHUP)
        root.wait_event("config_reloaded")
        root.wait_event("claude_started", 2)  # the second slot is used at once
        dotenv.write_text("MAX_CONCURRENT_TASKS=none at all\n")
        root.wait_event("config_invalid")  # noticed without any signal
        assert "MAX_CONCURRENT_TASKS" in root.events("config_invalid")[0]["data"]["message"]
        root.open_gate()
        root.wait("a", "b")
        dotenv.write_text("MAX_CONCURRENT_TASKS=1\n")
        root.wait_event("config_reloaded", 2)
        assert running.stop() == 0
    assert [event["data"]["changed"] for event in root.events("config_reloaded")] == [["pool.max_concurrent_tasks"]] * 2
    assert "The old configuration stays in force." in root.log()


def test_a_reload_applies_what_it_can_and_names_what_only_a_start_reads(root: CommandRoot) -> None:
    config = root.path / "config" / "orchestrator.yaml"
    config.parent.mkdir()
    config.write_text("logs: {level: ERROR}\n")
    with root.daemon() as running:
        root.wait_event("daemon_started")
        config.write_text(
            f"paths: {{base_cwd: {root.path}/elsewhere, allowed_root: {root.path}}}\n"
            "logs: {level: INFO, file_count: 7}\nintake: {min_free_bytes: 999999999999999999, settle_s: 2}\n"
        )
        root.wait_event("config_reloaded")
        root.drop("held")
        root.wait_event("intake_paused")  # the new floor of free space holds at once
        config.write_text(config.read_text().replace("999999999999999999", "0"))
        root.wait_event("intake_resumed")
        root.wait("held")
        assert running.stop() == 0
    assert (root.path / "elsewhere").is_dir(), "a new base folder is made"
    told = root.events("config_reloaded")[0]["data"]
    assert told["needs_restart"] == ["intake.settle_s", "logs.file_count"]
    assert {"logs.level", "intake.min_free_bytes", "paths.base_cwd"} <= set(told["changed"])
    assert "daemon started" not in root.log()
    assert " INFO orchestrator.events: held " in root.log()


def test_a_credential_the_agent_repeats_is_in_no_file_under_the_root(root: CommandRoot) -> None:
    said = f"my key is {CANARY}, in parts {json.dumps(CANARY)}"
    steps = ({"init": 0}, {"say": said}, {"stderr": said}, {"result": f"Done with {CANARY}."})
    # The program is told what to say by a file outside, as the task file itself would hold the credential.
    told = root.path.parent / f"{root.path.name}-script.json"
    told.write_text(json.dumps({"steps": steps}))
    root.env["ORCHESTRATOR_CLAUDE_COMMAND"] += f" --script {told}"
    root.env["ANTHROPIC_API_KEY"] = CANARY
    with root.daemon() as running:
        root.drop("leak", "Say hello.")
        root.wait("leak")
        assert root.call("show", "leak").stdout.count("[redacted]") >= 1
        assert running.stop() == 0
    assert result(root.path, "leak")["answer"] == "Done with [redacted]."
    attempts = root.path / ".orchestrator" / "attempts"
    leaks = [
        path.relative_to(root.path).as_posix()
        for path in root.path.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes() and attempts not in path.parents
    ]
    assert leaks == []


def test_a_terminal_that_goes_away_does_not_end_the_daemon(root: CommandRoot) -> None:
    """Its standard output is a pipe whose reader has gone: work goes on."""
    reader, writer = os.pipe()
    from subprocess import Popen

    argv = [sys.executable, "-m", "orchestrator", "--root", str(root.path)]
    with open(root.path / "stderr", "wb") as stderr:
        running = Popen(argv, env=root.env, stdout=writer, stderr=stderr)
    os.close(writer)
    try:
        root.wait_event("daemon_started")
        os.close(reader)
        root.drop("one", GOOD)
        root.wait("one")
        running.terminate()
        assert running.wait(DEADLINE_S) == 0
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
    assert "Traceback" not in (root.path / "stderr").read_text() + root.log()


def test_an_interrupted_foreground_run_is_queued_and_says_so(root: CommandRoot) -> None:
    from subprocess import PIPE, Popen

    path = root.path / "slow.task.md"
    path.write_text(f"---\nid: slow\ntype: analyze\n---\n\n**Prompt:**\n{script({'init': 0}, {'hang': 0})}\n")
    argv = [sys.executable, "-m", "orchestrator", "--root", str(root.path), "run", str(path)]
    running = Popen(argv, env=root.env, stdout=PIPE, stderr=PIPE, text=True)
    try:
        root.wait_event("progress")
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGTERM)
        _, error = running.communicate(timeout=DEADLINE_S)
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
    assert running.returncode == 130
    assert "slow was interrupted; it is queued" in error
    assert json.loads(orchestrator(root.path, "status", "--json", env=root.env).stdout)["counts"]["queued"] == 1


@pytest.mark.parametrize("redirected", [">/dev/full", ">&-", ">&- 2>&-", "| head -1"])
def test_a_daemon_that_can_tell_nobody_works_on(root: CommandRoot, redirected: str) -> None:
    root.drop("one")
    line = f"{shlex.quote(sys.executable)} -m orchestrator --root {shlex.quote(str(root.path))} {redirected}"
    with subprocess.Popen(
        ["sh", "-c", line], env=root.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shell:
        try:
            wait_until(lambda: (root.path / "results" / "one_result.json").exists(), what="the result")
        finally:
            os.kill(root.json("status")["daemon"]["pid"], signal.SIGTERM)
        _, stderr = shell.communicate(timeout=60)
    assert TRACE not in stderr + root.log()
    assert shell.returncode == 0
