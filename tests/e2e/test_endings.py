"""Every way an agent's program can end, on one real daemon at once: each is told for what it is, nothing is left."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.command_root import script
from tests.harness import daemon, drop, environment, left_running, result, scripted_command, task_text, wait_until

PATIENT = {"ignore": ["TERM", "INT"]}
RETRIES = json.dumps(
    {
        "type": "system",
        "subtype": "api_retry",
        "attempt": 2,
        "max_retries": 4,
        "retry_delay_ms": 500,
        "error_status": 529,
    }
)
ENDINGS: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    # name: (status, reason, steps)
    "good": ("succeeded", "", [{"init": 0}, {"say": "Done."}, {"result": "Done."}]),
    "result_then_exit_1": ("failed", "agent_error", [{"init": 0}, {"result": "Done."}, {"exit": 1}]),
    "exit_0_without_result": ("failed", "no_result", [{"init": 0}, {"say": "Done."}, {"exit": 0}]),
    "nothing_at_all": ("failed", "no_result", [{"exit": 0}]),
    "error_result": ("failed", "agent_error", [{"init": 0}, {"error": "something broke"}]),
    "max_turns": ("failed", "max_turns", [{"init": 0}, {"error": {"subtype": "error_max_turns"}}]),
    "budget": ("failed", "budget", [{"init": 0}, {"error": {"subtype": "error_max_budget_usd"}}]),
    "cut_last_line": (
        "failed",
        "no_result",
        [{"init": 0}, {"raw": b'{"type":"result","subtype":"succ'.hex()}, {"exit": 0}],
    ),
    "broken_line_before": ("succeeded", "", [{"init": 0}, {"line": "{no json"}, {"say": "Done."}, {"result": "Done."}]),
    "invalid_utf8": ("succeeded", "", [{"init": 0}, {"raw": "ff fe 0a".replace(" ", "")}, {"result": "Done."}]),
    "five_megabyte_line": ("succeeded", "", [{"init": 0}, {"long_line": 5_000_000}, {"result": "Done."}]),
    "segfault": ("failed", "crash", [{"init": 0}, {"signal": "SEGV"}]),
    "killed": ("failed", "killed", [{"init": 0}, {"signal": "KILL"}]),
    "hangs": ("failed", "timeout", [{"init": 0}, {"hang": 0}]),
    "hangs_and_ignores": ("failed", "timeout", [PATIENT, {"init": 0}, {"hang": 0}]),
    "stops_itself": ("failed", "timeout", [{"init": 0}, {"signal": "STOP"}]),
    "leaves_an_orphan": ("succeeded", "", [{"init": 0}, {"orphan": {"ignore": True}}, {"result": "Done."}]),
    "leaves_a_child": ("succeeded", "", [{"init": 0}, {"child": 0}, {"result": "Done."}]),
    "silent_from_the_start": ("failed", "timeout", [{"hang": 0}]),
    "execution_error": (
        "failed",
        "agent_error",
        [{"init": 0}, {"error": {"subtype": "error_during_execution", "text": "it broke"}}],
    ),
    "result_then_hangs_and_ignores": ("succeeded", "", [PATIENT, {"init": 0}, {"result": "Done."}, {"hang": 2}]),
    "deletes_its_folder": ("succeeded", "", [{"init": 0}, {"delete_cwd": 0}, {"result": "Done."}]),
    "api_retry_storm": ("succeeded", "", [{"init": 0}, *[{"line": RETRIES}] * 300, {"result": "Done."}]),
    "empty_answer": ("failed", "empty_answer", [{"init": 0}, {"result": ""}]),
    "asks": ("failed", "asked_a_question", [{"init": 0}, {"result": "Which file do you mean?"}]),
    "gives_up": ("failed", "gave_up", [{"init": 0}, {"result": "I could not find the file."}]),
}
QUICK = "".join(
    f"  {kind}: {{first_delay_s: 0.01, cap_s: 0.01}}\n"
    for kind in ("agent_error", "no_result", "crash", "killed", "timeout", "empty_answer", "bad_output")
)


@pytest.mark.timeout(240)
def test_every_ending_is_told_for_what_it_is_and_nothing_is_left_running(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "orchestrator.yaml").write_text(f"questions: {{if_unanswered: skip}}\nretries:\n{QUICK}")
    env = environment(tmp_path, ORCHESTRATOR_CLAUDE_COMMAND=scripted_command(), MAX_CONCURRENT_TASKS="4")
    with daemon(tmp_path, env) as running:
        for name, (_, reason, steps) in ENDINGS.items():
            own = tmp_path / "workspace" / name  # one of them deletes it, which must not be the others' as well
            own.mkdir(parents=True)
            tries = 0 if PATIENT in steps else 1  # each of its ends takes ten seconds
            more = f"timeout_sec: {1 if reason == 'timeout' else 20}\nretries: {tries}\ncwd: {own}\n"
            drop(tmp_path, name, task_text(name, script(*steps), more=more))
        wait_until(
            lambda: len(list((tmp_path / "tasks").glob("[pf]*/*.task.md"))) == len(ENDINGS),
            what="all endings",
            deadline_s=200,
        )
        assert running.stop() == 0
    told = {name: (result(tmp_path, name)["status"], result(tmp_path, name)["reason"]) for name in ENDINGS}
    assert told == {name: (status, reason) for name, (status, reason, _) in ENDINGS.items()}
    assert result(tmp_path, "leaves_an_orphan")["attempts"][0]["survivors_killed"] >= 1
    assert left_running(tmp_path) == []
    for path in (tmp_path / "results").glob("*.json"):
        assert json.loads(path.read_text("ascii"))["complete"] is True
