"""The real Claude Code calls the worker's tool through the real server, at every level of confinement."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bridges.claude_orders import Said, order
from tests.worker_rig import MINE, NotingDesk, opened

from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_find import locate
from orchestrator.bridges.claude_levels import Level
from orchestrator.core.attempt import AgentMessage, Finished, MessageKind, WorkOrder
from orchestrator.core.worker_tool import TOKEN_PREFIX, ToolAccess
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Scenario, ToolCall

pytestmark = pytest.mark.real_cli
CANARY = "canary-3141592653"
FRESH = "11111111-2222-4333-8444-555555555555"
CONFINES = all(shutil.which(name) for name in ("bwrap", "socat", "unshare", "setpriv"))
LEVELS = [
    pytest.param(level, marks=pytest.mark.skipif(not CONFINES, reason="bwrap, socat, unshare or setpriv is missing"))
    for level in (Level.PROCESS, Level.SHELL)
]
TASKS: list[dict[str, str]] = [{"title": "One", "prompt": "Do one."}, {"title": "Two", "prompt": "Do two."}]
SPLIT = ToolCall("mcp__orchestrator__split_task", {"tasks": TASKS, "why": "two parts"})


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def agent(model: ScriptedModel, path: Path, level: Level, *calls: ToolCall, **changes: Any) -> ClaudeAgent:
    turns = tuple(Answer("Next.", (call,)) for call in calls)
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(path / "home"),
        "ANTHROPIC_BASE_URL": model.play(path.name, Scenario((*turns, Answer("Done.")), Answer("Done."))),
        "ANTHROPIC_API_KEY": "test-key",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    (path / "home").mkdir(exist_ok=True)
    plain: dict[str, Any] = {
        "command": locate((), os.defpath).command,
        "confinement": level,
        "sandbox_available": CONFINES,
        "max_retries": 0,
        "tmp_dir": str(path / "tmp"),
    }
    return ClaudeAgent(ClaudeConfig(environ=environ, **(plain | changes)), lambda: FRESH)


def results(asked: WorkOrder) -> str:
    """Return what the tools gave back, as the agent was told it."""
    lines = Path(asked.attempt_dir, "stdout.ndjson").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    return "\n".join(json.dumps(one["message"]["content"]) for one in told if one.get("type") == "user")


def look_in(path: Path) -> str:
    """Return a command that looks for a token where a shell can look, without naming it, and says `the-end`."""
    files = f"find {path}/attempt -name 'mc*.json' -exec cat {{}} +"
    seen = "env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'"
    return f"({files}; {seen}) 2>/dev/null | grep -a -e 'orch[-]worker' -e 'canar[y]'; echo the-end"


def bash(command: str) -> ToolCall:
    return ToolCall("Bash", {"command": command, "description": "Try it"})


def holding(path: Path, token: str) -> list[str]:
    """Return the files below *path* that hold *token*."""
    return [str(file) for file in path.rglob("*") if file.is_file() and token.encode() in file.read_bytes()]


@pytest.mark.parametrize("level", [LEVELS[0], Level.RULES, Level.CONTAINER])
async def test_the_real_agent_splits_its_task_through_the_door_and_its_shell_never_sees_the_token(
    model: ScriptedModel, tmp_path: Path, level: Level
) -> None:
    desk, said, held = NotingDesk(), Said(), list[str]()
    async with opened(desk) as door:
        access = await door.open(MINE)
        asked = order(tmp_path, tool=access)
        read = ToolCall("Read", {"file_path": f"{asked.attempt_dir}/tool/mcp.json"})

        async def say(message: AgentMessage) -> None:
            await said(message)
            held.extend(holding(tmp_path, access.token))

        ended = await agent(model, tmp_path, level, SPLIT, bash(look_in(tmp_path)), read).run(asked, say)
    assert isinstance(ended, Finished), ended
    assert [(caller, dict(request)) for caller, request in desk.asked] == [(MINE, {"tasks": TASKS, "why": "two parts"})]
    told = results(asked)
    assert "accepted: end your turn now" in told
    assert ("the-end" in told) is (level is not Level.RULES)
    assert TOKEN_PREFIX not in told
    assert said.of(MessageKind.NOTE) == []
    assert held + holding(tmp_path, access.token) == []
    assert not Path(asked.attempt_dir, "tool").exists()


@pytest.mark.parametrize("level", LEVELS)
async def test_a_file_with_the_token_that_lay_there_all_the_time_would_be_hidden_from_every_tool_of_the_agent(
    model: ScriptedModel, tmp_path: Path, level: Level
) -> None:
    """It is removed as soon as the program has read it; here it is put back, to see what else holds."""
    asked = order(tmp_path, tool=ToolAccess("http://127.0.0.1:9/mcp", TOKEN_PREFIX + "x" * 43))
    file = Path(asked.attempt_dir, "tool", "mcp.json")

    said = Said()

    async def put_back(message: AgentMessage) -> None:
        await said(message)
        if message.kind is MessageKind.SESSION:
            assert not file.exists()
            file.write_text(CANARY)

    calls = [bash(look_in(tmp_path)), bash(f"cat {file}"), ToolCall("Read", {"file_path": str(file)})]
    calls.append(ToolCall("Grep", {"pattern": "canary", "path": str(file.parent), "output_mode": "content"}))
    ended = await agent(model, tmp_path, level, *calls, skip_permissions=level is Level.PROCESS).run(asked, put_back)
    assert isinstance(ended, Finished), ended
    told = results(asked)
    assert ("the-end" in told) is (level is not Level.RULES)
    assert CANARY not in told
    assert said.of(MessageKind.NOTE) == ["it goes on without split_task: failed"]  # nobody listens there
