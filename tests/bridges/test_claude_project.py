"""The real Claude Code in a project that brings settings, hooks and servers along: loaded only where allowed."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bridges.claude_orders import order

from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_find import locate
from orchestrator.bridges.claude_levels import Level
from orchestrator.core.attempt import AgentMessage, Finished
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Scenario, ToolCall

CONFINABLE = all(shutil.which(name) for name in ("bwrap", "socat", "unshare", "setpriv"))
pytestmark = pytest.mark.real_cli
LEVELS = [
    Level.RULES,
    pytest.param(
        Level.PROCESS,
        marks=pytest.mark.skipif(not CONFINABLE, reason="bwrap, socat, unshare or setpriv is missing"),
    ),
]


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


class Project:
    """A repository with a work area one folder down, both with notes; the work area also runs code when loaded."""

    def __init__(self, path: Path, model: ScriptedModel) -> None:
        self.path, self.model = path, model
        self.area = path / "cwd/area"
        self.area.mkdir(parents=True)
        (path / "home").mkdir()
        (path / "cwd/.git").mkdir()
        (path / "cwd/.git/HEAD").write_text("ref: refs/heads/main\n")
        (path / "cwd/CLAUDE.md").write_text("MARK-ABOVE\n")
        (self.area / "CLAUDE.md").write_text("MARK-AREA\n")
        (self.area / ".claude").mkdir()
        for name in ("settings", "settings.local"):
            hook = {"hooks": [{"type": "command", "command": f"env > {self.area}/ran-{name}"}]}
            (self.area / f".claude/{name}.json").write_text(json.dumps({"hooks": {"SessionStart": [hook]}}))
        server = {"command": "/bin/sh", "args": ["-c", "sleep 5"]}
        (self.area / ".mcp.json").write_text(json.dumps({"mcpServers": {"theirs": server}}))

    async def run(self, *calls: ToolCall, **changes: Any) -> dict[str, Any]:
        """Run the calls one after the other. Returns what the program says of itself at its start."""
        turns = tuple(Answer("Next.", (call,)) for call in calls)
        url = self.model.play(self.path.name, Scenario((*turns, Answer("Done.")), Answer("Done.")))
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.path / "home"),
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "not-a-real-key",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        config = ClaudeConfig(
            environ=environ,
            command=locate((), os.defpath).command,
            sandbox_available=CONFINABLE,
            max_retries=0,
            tmp_dir=str(self.path / "tmp"),
            **changes,
        )
        asked = order(self.path, cwd=str(self.area), session_id=str(uuid.uuid4()))
        ended = await ClaudeAgent(config, lambda: str(uuid.uuid4())).run(asked, silent)
        assert isinstance(ended, Finished), ended
        lines = map(json.loads, Path(asked.attempt_dir, "stdout.ndjson").read_text().splitlines())
        (said,) = [line for line in lines if line.get("subtype") == "init"]
        return dict(said)

    def count(self, mark: str) -> int:
        return json.dumps(self.model.last_body(self.path.name)).count(mark)


@pytest.fixture
def project(tmp_path: Path, model: ScriptedModel) -> Project:
    return Project(tmp_path, model)


async def silent(_: AgentMessage) -> None:
    """Take a message and do nothing."""


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("allowed", [False, True])
async def test_the_projects_hook_and_server_are_started_only_where_that_is_allowed(
    project: Project, level: Level, allowed: bool
) -> None:
    said = await project.run(confinement=level, project_settings=allowed)
    hooked = project.area / "ran-settings"
    assert hooked.exists() is allowed
    if allowed:  # what docs/confinement.md warns of: it is the CLI's child, with all that the CLI has
        assert "ANTHROPIC_API_KEY=not-a-real-key" in hooked.read_text()
    assert not (project.area / "ran-settings.local").exists()
    assert [server["name"] for server in said["mcp_servers"]] == (["theirs"] if allowed else [])
    assert said["permissionMode"] == "acceptEdits"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("allowed", [False, True])
async def test_the_program_reads_claude_md_itself_only_where_that_is_allowed_and_then_all_of_the_repository(
    project: Project, level: Level, allowed: bool
) -> None:
    """Also confined, where nothing else of the folders above is there."""
    await project.run(confinement=level, project_settings=allowed)
    assert (project.count("MARK-ABOVE"), project.count("MARK-AREA")) == ((1, 1) if allowed else (0, 0))


@pytest.mark.parametrize("level", LEVELS)
async def test_also_where_they_are_loaded_an_agent_cannot_change_what_the_next_run_would_load(
    project: Project, level: Level
) -> None:
    shutil.rmtree(project.area / ".claude")
    (project.area / ".mcp.json").unlink()
    names = [".claude/settings.json", ".claude/settings.local.json", ".mcp.json", ".git/hooks/pre-commit"]
    names += [".claude/agents/x.md", ".claude/commands/x.md", ".claude/skills/x/SKILL.md", ".claude/hooks/x.sh"]
    calls = [ToolCall("Write", {"file_path": str(project.area / name), "content": "planted"}) for name in names]
    shell = "; ".join(f"mkdir -p {Path(name).parent}; echo planted > {name}" for name in names)
    await project.run(*calls, ToolCall("Bash", {"command": shell}), confinement=level, project_settings=True)
    kept = [name for name in names if (project.area / name).is_file() and (project.area / name).read_text()]
    assert kept == []
