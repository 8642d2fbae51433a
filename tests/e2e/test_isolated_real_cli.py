"""The real Claude Code, confined as a whole, in a clone of its own: git works for it, and the guards hold."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git, picture, repository
from tests.harness import DaemonProcess, daemon, drop, environment, result, task_text, wait_until

from orchestrator.bridges.claude_find import locate
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Scenario, ToolCall

pytestmark = [
    pytest.mark.real_cli,
    pytest.mark.timeout(180),
    needs_git,
    pytest.mark.skipif(
        not all(shutil.which(name) for name in ("bwrap", "socat", "unshare", "setpriv")),
        reason="bwrap, socat, unshare or setpriv is missing: nothing can be confined here",
    ),
]


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def bash(command: str) -> ToolCall:
    return ToolCall("Bash", {"command": command, "description": "Try it"})


def said_by_tools(root: Path) -> str:
    (output,) = (root / ".orchestrator" / "attempts").glob("*/stdout.ndjson")
    messages = [json.loads(line) for line in output.read_text().splitlines()]
    return "\n".join(json.dumps(one["message"]["content"]) for one in messages if one.get("type") == "user")


@contextmanager
def real_cli(root: Path, model: ScriptedModel, top: Path, scenario: Scenario) -> Iterator[DaemonProcess]:
    """A daemon with the real CLI, confined as a whole, on a repository; tasks start in its folder app."""
    command = locate((), "").command
    assert command, "the test set-up installs the claude extra"
    env = environment(
        root,
        ORCHESTRATOR_CLAUDE_COMMAND=command[0],
        ORCHESTRATOR_CONFINEMENT="process",
        ANTHROPIC_BASE_URL=model.play("night", scenario),
        ANTHROPIC_API_KEY="not-a-real-key",
        CLAUDE_ALLOWED_ROOT=str(top),
        CLAUDE_BASE_CWD=str(top / "app"),
        PATH=os.environ["PATH"],
    )
    with daemon(root, env) as running:
        yield running


def test_a_confined_agent_works_with_git_in_its_whole_clone_and_cannot_plant_anything(
    tmp_path: Path, model: ScriptedModel
) -> None:
    top = repository(tmp_path / "project", app__code="answer = 41\n")
    before = picture(top)
    calls = (
        bash("git log --format=subject-%s && git status --porcelain"),
        bash("echo hello > ../top.txt && git add -A .. && git commit -q -m 'say hello' && echo committed-$?"),
        bash("git config core.fsmonitor /tmp/x || echo config-refused"),
        bash("echo x > ../.git/hooks/pre-commit || echo hook-refused"),
        bash(f"cat {top}/app/code || echo checkout-unseen; echo x > {top}/.git/objects/x || echo objects-refused"),
    )
    turns = (*(Answer("Next.", (call,)) for call in calls), Answer("All is done."))
    with real_cli(tmp_path, model, top, Scenario(turns, Answer("Done."))) as running:
        drop(tmp_path, "night", task_text("night", "Say hello.", "fix", more="retries: 0\n"))
        wait_until(lambda: list((tmp_path / "tasks").glob("[pf]*/night.task.md")), what="the result", deadline_s=120)
        assert running.stop() == 0
    found, said = result(tmp_path, "night"), said_by_tools(tmp_path)
    for word in (
        "subject-first",
        "committed-0",
        "config-refused",
        "hook-refused",
        "checkout-unseen",
        "objects-refused",
    ):
        assert word in said, word
    assert (found["status"], found["work"]["isolation"]) == ("succeeded", "clone")
    assert [one["path"] for one in found["work"]["files"]] == ["top.txt"]
    assert git(top, "show", "orchestrator/night:top.txt") == "hello"
    assert "say hello" in git(top, "log", "-1", "--format=%B", "orchestrator/night")
    assert picture(top, but=[".git/refs/heads/orchestrator"]) == before
