"""The real Claude Code asked for a structured result: what it gives, and how it ends when there is none."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.bridges.claude_orders import order

from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_find import locate
from orchestrator.core.attempt import AgentMessage, Failed, FailureKind, Finished, Outcome
from orchestrator.core.events import Json
from orchestrator.core.subtask import plan_schema, read_plan
from orchestrator.kit import scenarios
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Scenario

pytestmark = pytest.mark.real_cli

SCHEMA = json.dumps(plan_schema(("code-generation", "analyze"), max_children=7))
READING = ("Read", "Glob", "Grep")


def sub_task(key: str, **changes: Json) -> Mapping[str, Json]:
    plain: dict[str, Json] = {
        "id": key,
        "title": f"Part {key}",
        "prompt": f"Write {key}.txt.",
        "type": "code-generation",
        "target_files": [f"{key}.txt"],
        "criteria": [f"exists: `{key}.txt`"],
        "depends_on": [],
        "complexity": "low",
    }
    return plain | changes


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


async def silent(_: AgentMessage) -> None:
    """Take a message and do nothing."""


async def ended(model: ScriptedModel, tmp_path: Path, scenario: Scenario) -> Outcome:
    command = locate((), os.defpath).command
    assert command, "Claude Code is missing: pip install -e '.[claude]'"
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "ANTHROPIC_BASE_URL": model.play(tmp_path.name, scenario),
        "ANTHROPIC_API_KEY": "test-key",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    config = ClaudeConfig(environ=environ, command=command, max_retries=0, tmp_dir=str(tmp_path / "tmp"), grace_s=2.0)
    wanted = order(tmp_path, tools=READING, schema=SCHEMA)
    return await ClaudeAgent(config, lambda: "11111111-2222-4333-8444-555555555555").run(wanted, silent)


async def test_a_plan_that_satisfies_its_schema_arrives_whole(model: ScriptedModel, tmp_path: Path) -> None:
    plan: dict[str, Json] = {
        "summary": "Three files.",
        "tasks": [sub_task("a"), sub_task("b", depends_on=["a"]), sub_task("c", estimated_minutes=4)],
    }
    outcome = await ended(model, tmp_path, scenarios.structured(plan, look=True))
    assert isinstance(outcome, Finished), outcome
    assert json.loads(outcome.report.structured) == plan
    read, faults = read_plan(json.loads(outcome.report.structured))
    assert (faults, [task.key for task in read.tasks]) == ((), ["a", "b", "c"])
    assert outcome.report.files_changed == ()


async def test_a_plan_that_never_satisfies_its_schema_is_bad_output(model: ScriptedModel, tmp_path: Path) -> None:
    outcome = await ended(model, tmp_path, scenarios.structured({"summary": "Two.", "tasks": [sub_task("a")]}))
    assert isinstance(outcome, Failed), outcome
    assert outcome.kind is FailureKind.BAD_OUTPUT
    assert outcome.report.structured == ""


async def test_an_agent_that_gives_no_plan_ends_well_and_without_one(model: ScriptedModel, tmp_path: Path) -> None:
    outcome = await ended(model, tmp_path, scenarios.lie())
    assert isinstance(outcome, Finished), outcome
    assert (outcome.report.exit_code, outcome.report.structured) == (0, "")
