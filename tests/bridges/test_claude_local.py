"""Claude Code on a local model: nothing of the person's account reaches the server, and nothing of it costs money."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.agents import FakeAgent
from tests.bridges.claude_orders import Said, order

from orchestrator.bridges.claude_command import ClaudeConfig, environment
from orchestrator.bridges.claude_local import LocalAgent, local_config
from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Finished, Outcome, Usage
from orchestrator.core.ports import Agent

HOST = "http://127.0.0.1:11434"
GIVEN = {
    "PATH": "/usr/bin",
    "HOME": "/h",
    "ANTHROPIC_API_KEY": "sk-ant-secret",
    "ANTHROPIC_AUTH_TOKEN": "secret",
    "ANTHROPIC_CUSTOM_HEADERS": "X-Secret: secret",
    "ANTHROPIC_BASE_URL": "https://elsewhere",
    "CLAUDE_CODE_OAUTH_TOKEN": "secret",
    "CLAUDE_CODE_USE_BEDROCK": "1",
    "HTTPS_PROXY": "http://proxy:1",
    "NO_PROXY": "intern",
}


def test_the_server_gets_no_credential_and_every_request_goes_to_it_and_its_model() -> None:
    config = ClaudeConfig(environ=GIVEN, pass_env=("CLAUDE_CODE_USE_BEDROCK",), model="opus", fallback_model="sonnet")
    local = local_config(config, host=HOST, model="qwen3-coder")
    env = environment(local)
    assert "secret" not in repr(env).lower()
    assert (env["ANTHROPIC_BASE_URL"], env["ANTHROPIC_AUTH_TOKEN"], env["ANTHROPIC_API_KEY"]) == (HOST, "ollama", "")
    named = [value for name, value in env.items() if name.endswith("_MODEL")]
    assert named == ["qwen3-coder"] * 6
    assert env["NO_PROXY"] == "intern,localhost,127.0.0.1"
    assert "CLAUDE_CODE_USE_BEDROCK" not in env
    assert (local.model, local.fallback_model) == ("qwen3-coder", "")
    assert replace(local, environ={}, set_env={}, model="", fallback_model="", api_timeout_ms=0) == replace(
        config, environ={}, set_env={}, model="", fallback_model="", api_timeout_ms=0
    ), "what holds it is the same"


def agent(inner: Agent, *, failure: Failed | None = None, missing: str = "") -> LocalAgent:
    async def now() -> Agent:
        return inner

    async def untrusted() -> Failed | None:
        return failure

    return LocalAgent(now, untrusted, missing)


def outcomes() -> Sequence[Outcome]:
    report = AgentReport("Done.", 0, Usage(1, 9, 9, 0, 0, 0.25, 0.25))
    return (Finished(report), Failed(FailureKind.CRASH, "it crashed", replace(report, usage=Usage())))


@pytest.mark.parametrize("ended", outcomes())
async def test_what_the_program_reckons_is_nobodys_money(tmp_path: Path, ended: Outcome) -> None:
    inner = FakeAgent({"demo": [ended]})
    asked = order(tmp_path, budget_usd=0.01)
    found = await agent(inner).run(asked, Said())
    assert found.report.usage.cost_usd == 0.0
    assert (type(found), found.report.answer) == (type(ended), ended.report.answer)
    assert inner.starts[0].budget_usd == 0.0, "by prices of its own the program would end it"
    later = await agent(inner).collect(asked)
    assert later is not None
    assert later.report.usage.cost_usd == 0.0
    assert await agent(FakeAgent()).collect(asked) is None


async def test_without_a_model_or_on_settings_that_do_not_hold_nothing_is_started(tmp_path: Path) -> None:
    inner = FakeAgent()
    found = await agent(inner, missing="agents.local.model is not set").run(order(tmp_path), Said())
    assert isinstance(found, Failed)
    assert (found.kind, found.detail) == (FailureKind.START_REFUSED, "agents.local.model is not set")
    failure = Failed(FailureKind.AGENT_ERROR, "it does not hold")
    assert await agent(inner, failure=failure).run(order(tmp_path), Said()) is not None
    assert inner.starts == []
