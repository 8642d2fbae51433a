"""Limits of the account and of money, on the real daemon and over its restarts."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.command_root import CommandRoot
from tests.harness import DaemonProcess, wait_until

RESULT: dict[str, Any] = {"type": "result", "subtype": "success", "num_turns": 1, "session_id": "", "usage": {}}


class LimitedRoot(CommandRoot):
    """A root whose agent does what a file says, which the test exchanges."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.script = path.parent / f"{path.name}-script.json"
        self.env["ORCHESTRATOR_CLAUDE_COMMAND"] += f" --script {self.script}"
        (path / "config").mkdir()
        self.configure("retries: {usage_limit: {first_delay_s: 1, cap_s: 1}}\n")

    def configure(self, yaml: str) -> None:
        (self.path / "config" / "orchestrator.yaml").write_text(yaml)

    def agent(self, *steps: dict[str, Any]) -> None:
        fresh = self.script.with_suffix(".new")
        fresh.write_text(json.dumps({"steps": [{"init": 0}, *steps]}))
        fresh.rename(self.script)

    def is_limited(self, until: float, text: str = "You've hit your 5-hour limit · resets 1:14pm (UTC)") -> None:
        info = {"status": "rejected", "resetsAt": until, "rateLimitType": "five_hour", "utilization": 1.0}
        word = {"type": "rate_limit_event", "rate_limit_info": info}
        refusal = {**RESULT, "is_error": True, "result": text, "api_error_status": 429, "total_cost_usd": 0}
        self.agent({"line": json.dumps(word)}, {"line": json.dumps(refusal)}, {"exit": 1})

    def costs(self, usd: float | None) -> None:
        final = {**RESULT, "is_error": False, "result": "Done.", "total_cost_usd": usd}
        self.agent({"line": json.dumps(final)})


@pytest.fixture
def root(tmp_path: Path) -> LimitedRoot:
    path = tmp_path / "root"
    path.mkdir()
    return LimitedRoot(path)


def test_one_limit_is_told_once_outlives_the_daemon_costs_nobody_a_try_and_is_probed_by_one(root: LimitedRoot) -> None:
    names = ("a", "b", "c")
    with root.daemon() as running:
        root.call("pause")
        for name in names:
            root.drop(name)
        root.wait_event("parsed", 3)
        until = time.time() + 15  # a busy machine takes that long to start three, hold, ask and kill
        root.is_limited(until)
        root.call("resume")
        root.wait_event("agent_limited", 3)
        said = root.call("status").stdout
        assert "held: claude, resumes " in said
        assert f" ({'usage_limit'}: You've hit your 5-hour limit" in said
        running.kill()
    root.agent({"wait_for": str(root.gate)}, {"say": "I work."}, {"result": "Done."})
    with root.daemon() as running:
        root.wait_event("claude_started", 4)
        assert time.time() >= until
        wait_until(lambda: _waits_for_the_probe(root), what="that the others wait for the probe")
        assert len(root.events("claude_started")) == 4
        root.open_gate()
        root.wait(*names)
        assert running.stop() == 0
    assert [event["data"]["agent"] for event in root.events("agent_held")] == ["*", "claude"]
    assert [event["data"]["agent"] for event in root.events("agent_released")] == ["*", "claude"]
    assert {task["tries"] for task in root.json("status")["ended"]} == {1}


def _waits_for_the_probe(root: LimitedRoot) -> bool:
    waiting = [task["waits_for"] for task in root.json("status")["waiting"]]
    return len(waiting) == 2 and all("is being probed after: usage_limit" in why for why in waiting)


def test_another_credential_is_not_held_for_the_limit_of_the_first(root: LimitedRoot) -> None:
    dotenv = root.path / ".env"
    dotenv.write_text("ANTHROPIC_API_KEY=sk-ant-api03-the-first-account\n")
    root.is_limited(time.time() + 3600)
    with root.daemon() as running:
        root.drop("t")
        root.wait_event("agent_limited")
        root.agent({"result": "Done."})
        dotenv.write_text("ANTHROPIC_API_KEY=sk-ant-api03-the-second-account\n")
        root.wait_event("agent_released")
        root.drop("next")
        root.wait("next")
        assert running.stop() == 0
    assert root.events("agent_released")[0]["data"]["by"] == "another account"
    database = (root.path / ".orchestrator" / "orchestrator.db").read_bytes()
    assert b"the-first-account" not in database + (root.path / "logs" / "events.ndjson").read_bytes()


def closed(root: LimitedRoot, running: DaemonProcess, spent: float | None) -> None:
    """Run one task that costs *spent*, then see the day closed."""
    root.costs(spent)
    root.drop("first")
    root.wait("first")
    wait_until(lambda: root.json("status")["holds"], what="the closed day")
    root.drop("late")
    root.wait_event("parsed", 2)
    assert running.process.poll() is None


@pytest.mark.parametrize("opened", ["resume", "setting"])
def test_a_paid_up_day_starts_nothing_over_restarts_until_it_is_opened(root: LimitedRoot, opened: str) -> None:
    root.configure("budget: {per_day_usd: 0.5}\npool: {max_concurrent_tasks: 1}\n")
    with root.daemon() as running:
        closed(root, running, 0.75)
        running.kill()
    with root.daemon() as running:
        wait_until(lambda: root.json("status")["waiting"], what="the waiting task")
        look = root.json("status")
        assert (look["budget"]["spent_usd"], look["budget"]["limit_usd"]) == (0.75, 0.5)
        assert look["waiting"][0]["waits_for"].startswith("the budget of the day is held: $0.75 is spent")
        said = root.call("status").stdout
        assert "budget    spent today $0.75 of $0.50; the day ends at 00:00 " in said
        assert "held: the budget of the day, resumes " in said
        assert f"earlier: python main.py --root {root.path} resume budget" in said
        assert len(root.events("claude_started")) == 1
        if opened == "resume":
            root.call("resume", "budget")
        else:
            root.configure("budget: {per_day_usd: 5}\npool: {max_concurrent_tasks: 1}\n")
        root.wait("late")
        assert running.stop() == 0
    assert {task["tries"] for task in root.json("status")["ended"]} == {1}
    told = [event["data"]["agent"] for event in root.events("agent_held")]
    assert told.count("budget") == (2 if opened == "resume" else 1)  # the second one paid the day up once more
