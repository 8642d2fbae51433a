"""The whole way with the real Claude Code CLI: a dropped file becomes a true result, and a false one is caught."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import (
    DaemonProcess,
    daemon,
    drop,
    environment,
    events,
    orchestrator,
    result,
    results,
    task_text,
    wait_until,
)

from orchestrator.bridges.claude_find import locate
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.scenarios import costly, good_edit, good_work, lie, overloaded, question, usage_limit
from orchestrator.kit.script import Scenario
from orchestrator.validation.schema import file_problems

pytestmark = [pytest.mark.real_cli, pytest.mark.timeout(180)]


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def _environment(root: Path, model: ScriptedModel, scenario: Scenario, **more: str) -> dict[str, str]:
    located = locate((), "")
    assert located.command, "the test set-up installs the claude extra"
    return environment(
        root,
        ORCHESTRATOR_CLAUDE_COMMAND=located.command[0],
        ANTHROPIC_BASE_URL=model.play("night", scenario),
        **({"ANTHROPIC_API_KEY": "not-a-real-key"} | more),
    )


def _run_one(root: Path, env: dict[str, str], text: str) -> dict[str, Any]:
    """Drop one file on a running daemon and return its result."""
    with daemon(root, env) as running:
        return _drop_and_wait(root, running, text)


def _drop_and_wait(root: Path, running: DaemonProcess, text: str) -> dict[str, Any]:
    drop(root, "night", text)
    wait_until(lambda: list((root / "tasks").glob("[pf]*/night.task.md")), what="the result", deadline_s=90)
    assert running.stop() == 0
    assert file_problems((root / "results" / "night_result.json").read_bytes()) == []
    return result(root, "night")


def _fix(criteria: str = "- [ ] the file says hello", more: str = "") -> str:
    return task_text("night", "Write hello.txt", "fix", more) + f"\n**Success Criteria:**\n{criteria}\n"


def test_a_dropped_file_becomes_a_true_result(tmp_path: Path, model: ScriptedModel) -> None:
    found = _run_one(tmp_path, _environment(tmp_path, model, good_work()), _fix())
    assert found["status"] == "succeeded"
    assert (tmp_path / "workspace" / "hello.txt").read_text() == "hello\n"
    assert found["changes"]["created"] == ["hello.txt"]
    (row,) = found["criteria"]
    assert (row["text"], row["verdict"], row["check"]) == ("the file says hello", "unproven", None)
    assert found["usage"]["cost_usd"] > 0
    (attempt,) = found["attempts"]
    assert attempt["exit_code"] == 0
    assert attempt["agent_version"].startswith("2.")
    assert (tmp_path / "tasks" / "processed" / "night.task.md").read_text() == _fix()
    summary = (tmp_path / "summaries" / "night_summary.txt").read_text()
    assert summary.startswith("night: SUCCEEDED - 1 criterion is unproven, please look\n")
    wire = [line["event"] for line in events(tmp_path) if line.get("task_id") == "night"]
    expected = ["task_received", "parsed", "claude_started", "claude_finished", "validated", "task_succeeded"]
    assert [name for name in wire if name in expected] == expected
    assert {"summarized", "artifacts_written", "task_archived", "progress"} <= set(wire)


def test_a_lie_is_caught(tmp_path: Path, model: ScriptedModel) -> None:
    found = _run_one(tmp_path, _environment(tmp_path, model, lie()), _fix())
    assert (found["status"], found["reason"]) == ("failed", "no_changes")
    assert found["hint"]


def test_a_question_is_not_called_done(tmp_path: Path, model: ScriptedModel) -> None:
    found = _run_one(tmp_path, _environment(tmp_path, model, question()), _fix(more="if_unanswered: skip\n"))
    assert (found["status"], found["reason"]) == ("failed", "asked_a_question")


def test_an_edit_of_an_existing_file_is_seen(tmp_path: Path, model: ScriptedModel) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "app.py").write_text("answer = 41\n")
    found = _run_one(tmp_path, _environment(tmp_path, model, good_edit("$CWD/app.py", "41", "42")), _fix())
    assert found["status"] == "succeeded"
    assert (tmp_path / "workspace" / "app.py").read_text() == "answer = 42\n"
    assert found["changes"]["modified"] == ["app.py"]


def test_an_overloaded_provider_is_waited_for(tmp_path: Path, model: ScriptedModel) -> None:
    found = _run_one(tmp_path, _environment(tmp_path, model, overloaded(times=1)), task_text("night"))
    assert found["status"] == "succeeded"
    assert any(line["data"].get("what") == "waiting" for line in events(tmp_path) if line["event"] == "progress")


def test_a_budget_closes_and_is_not_tried_again(tmp_path: Path, model: ScriptedModel) -> None:
    env = _environment(tmp_path, model, costly())
    found = _run_one(tmp_path, env, task_text("night", more="budget_usd: 0.05\n"))
    assert (found["status"], found["reason"]) == ("failed", "budget")
    assert len(found["attempts"]) == 1


def test_a_usage_limit_holds_the_agent_and_costs_no_try(tmp_path: Path, model: ScriptedModel) -> None:
    token = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-made-up-for-this-test"}
    with daemon(tmp_path, _environment(tmp_path, model, good_work(), **token)) as running:
        wait_until(lambda: (tmp_path / "logs" / "events.ndjson").exists(), what="the start")
        resets_at = int(time.time()) + 14  # longer than a busy machine takes to start the CLI
        model.play("night", usage_limit(resets_at, times=1, key="account"))
        found = _drop_and_wait(tmp_path, running, task_text("night", more="retries: 0\n"))
    assert found["status"] == "succeeded"
    wire = [line["event"] for line in events(tmp_path)]
    for name in ("agent_held", "agent_limited", "agent_released"):
        assert name in wire
    held = next(line for line in events(tmp_path) if line["event"] == "agent_held")
    assert held["data"]["until"] == resets_at
    second = [line["ts"] for line in events(tmp_path) if line["event"] == "claude_started"][1]
    assert second >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(resets_at))


def test_run_shows_progress_and_ends_with_the_verdict(tmp_path: Path, model: ScriptedModel) -> None:
    (tmp_path / "mine.task.md").write_text(_fix())
    env = _environment(tmp_path, model, good_work())
    done = orchestrator(tmp_path, "run", str(tmp_path / "mine.task.md"), env=env)
    assert done.returncode == 0, done.stderr
    assert "tool: Write hello.txt" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("night: SUCCEEDED")
    assert (tmp_path / "mine.task.md").exists(), "a file that lies elsewhere stays where it is"


def test_the_demo_catches_the_liar_with_no_key_at_all(tmp_path: Path) -> None:
    located = locate((), "")
    env = environment(tmp_path, ORCHESTRATOR_CLAUDE_COMMAND=located.command[0], TMPDIR=str(tmp_path))
    done = orchestrator(tmp_path, "demo", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SCRIPTED" in done.stdout
    (folder,) = tmp_path.glob("orchestrator-demo-*")
    kept = {path.name: json.loads(path.read_text()) for path in results(folder)}
    assert {name: (found["status"], found["reason"]) for name, found in kept.items()} == {
        "fix_greeting_result.json": ("succeeded", ""),
        "add_tests_result.json": ("failed", "no_changes"),
        "choose_driver_result.json": ("succeeded", ""),
    }
    first, second = kept["choose_driver_result.json"]["attempts"]
    assert first["session_id"] == second["session_id"]
    assert "which of the two database drivers" in first["question"]["question"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_with_one_word_and_nothing_left(tmp_path: Path, number: signal.Signals) -> None:
    located = locate((), "")
    env = environment(tmp_path, ORCHESTRATOR_CLAUDE_COMMAND=located.command[0], TMPDIR=str(tmp_path))
    command = [sys.executable, "-m", "orchestrator", "demo"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        next(line for line in running.stdout if "started: attempt 1" in line)
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 130, stderr
    assert stderr.startswith("error[stopped]: the demo was interrupted")
    assert len(stderr.splitlines()) == 1
    assert "Traceback" not in stdout + stderr
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if _mentions(pid / "environ", str(tmp_path))]


def _mentions(path: Path, words: str) -> bool:
    try:
        return words.encode() in path.read_bytes()
    except OSError:  # gone meanwhile, or somebody else's
        return False
