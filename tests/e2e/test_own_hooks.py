"""Hooks, strategies and the workflow view under a real daemon that is killed in between."""

import json
import os
from pathlib import Path

import pytest
from tests.e2e.command_root import BROKEN, GOOD, CommandRoot
from tests.harness import left_running, wait_until
from tests.plugin_kit import install

from orchestrator.kit.failpoints import VARIABLE

SOURCE = """
import json, os
from orchestrator.core.remedies import Act, Choice

def before_task(task):
    if "freeze" in task["id"]:
        raise RuntimeError("the freeze is on")

def after_task(task, result):
    with open("told.ndjson", "a") as told:
        told.write(json.dumps([task["id"], result["status"], sorted(os.environ)]) + "\\n")

def own(facts):
    return Choice(Act.GIVE_UP, why="a person looks at " + facts.kind)
"""
BEGIN = "echo begun $ORCHESTRATOR_TASK_ID >> begun; cat > $ORCHESTRATOR_TASK_ID.json"


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    made = CommandRoot(tmp_path)
    site = install(
        tmp_path / "site",
        "shop_plugin",
        SOURCE,
        {"orchestrator.hooks": {"shop": "shop_plugin"}, "orchestrator.recovery": {"careful": "shop_plugin:own"}},
    )
    made.env["PYTHONPATH"] += f"{os.pathsep}{site}"
    made.env["ANTHROPIC_API_KEY"] = "sk-a-secret-that-stays"
    config = {
        "hooks": {"before_task": [["sh", "-c", BEGIN]], "plugins": ["shop"]},
        "recovery": {"strategies": {"agent": ["careful"]}},
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "orchestrator.yaml").write_text(json.dumps(config))
    return made


def told(root: CommandRoot) -> list[tuple[str, str]]:
    path = root.path / "told.ndjson"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    assert not any("ANTHROPIC_API_KEY" in row[2] for row in rows)
    return [(row[0], row[1]) for row in rows]


def test_hooks_and_strategies_of_ones_own_keep_their_promises_over_a_kill(root: CommandRoot) -> None:
    root.drop("good", GOOD)
    root.drop("bad", BROKEN, more="")
    root.drop("freeze", GOOD)
    with root.daemon(**{VARIABLE: "hook.after:1:kill"}) as dying:
        wait_until(lambda: dying.process.poll() is not None, what="its death between a hook and the note of it")
    assert len(told(root)) == 1
    with root.daemon() as running:
        wait_until(lambda: len(told(root)) == 3, what="the hooks of both, one of them a second time")
        wait_until(lambda: root.events("task_held"), what="the refusal")
        held = root.json("show", "freeze")["task"]
        assert running.stop() == 0
    assert set(told(root)) == {("good", "succeeded"), ("bad", "failed")}
    assert told(root)[0] == told(root)[1], "what was not noted is run again"
    assert held["state"] == "held"
    assert "the freeze is on" in root.call("show", "freeze").stdout
    assert {"begun good", "begun bad", "begun freeze"} <= set((root.path / "begun").read_text().splitlines())
    assert json.loads((root.path / "freeze.json").read_text())["hook"] == "before_task"
    (failure,) = root.events("task_failed")
    assert failure["data"]["strategy"] == "careful"
    assert failure["data"]["why"] == "a person looks at agent_error"
    assert "then: careful - a person looks at agent_error" in root.call("show", "bad").stdout
    flow = root.json("show", "good", "--workflow")["workflow"]
    assert (flow["status"], flow["progress"]) == ("validation_passed", 100)
    assert [row["to_state"] for row in flow["history"]][-3:] == [
        "processing",
        "validation_running",
        "validation_passed",
    ]
    assert left_running(root.path) == []
