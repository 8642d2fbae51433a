"""A daemon whose worker splits its own task through the daemon's tool, with the real Claude Code; then every byte."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git, repository
from tests.harness import daemon, drop, environment, events, orchestrator, result, task_text, wait_until

from orchestrator.bridges.claude_find import locate
from orchestrator.core.worker_tool import TOKEN_PREFIX
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Scenario, ToolCall, as_block

pytestmark = [pytest.mark.real_cli, pytest.mark.timeout(180), needs_git]
LEVEL = "process" if all(shutil.which(name) for name in ("bwrap", "socat", "unshare", "setpriv")) else "rules"


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def writes(name: str) -> str:
    """Return the prompt of a sub-task that writes the file *name*."""
    write = ToolCall("Write", {"file_path": f"$CWD/{name}", "content": f"{name}\n"})
    return as_block(Scenario((Answer("I write it.", (write,)), Answer("Done.")), Answer("Done.")), packed=True)


def test_a_worker_splits_its_task_and_its_token_is_in_no_byte_that_stays(tmp_path: Path, model: ScriptedModel) -> None:
    top = repository(tmp_path / "project", code="answer = 41\n")
    parts = [{"title": f"Write {name}", "prompt": writes(name)} for name in ("a.txt", "b.txt")]
    limits = ToolCall("mcp__orchestrator__my_limits", {})
    split = ToolCall("mcp__orchestrator__split_task", {"tasks": parts, "why": "two files"})
    turns = (Answer("What may I?", (limits,)), Answer("I split it.", (split,)), Answer("It is split."))
    command = locate((), "").command
    assert command, "the test set-up installs the claude extra"
    root = tmp_path / "root"
    (root / "config").mkdir(parents=True)
    (root / "config" / "orchestrator.yaml").write_text("orchestrate:\n  tool: true\nlogs:\n  level: DEBUG\n")
    env = environment(
        root,
        ORCHESTRATOR_CLAUDE_COMMAND=command[0],
        ORCHESTRATOR_CONFINEMENT=LEVEL,
        ANTHROPIC_BASE_URL=model.play("night", Scenario(turns, Answer("Both files are there."))),
        ANTHROPIC_API_KEY="not-a-real-key",
        CLAUDE_ALLOWED_ROOT=str(top),
        CLAUDE_BASE_CWD=str(top),
    )
    with daemon(root, env) as running:
        drop(root, "night", task_text("night", "Write a.txt and b.txt.", "fix", more="retries: 0\n"))
        wait_until(lambda: list((root / "tasks").glob("[pf]*/night.task.md")), what="the result", deadline_s=120)
        shown = "\n".join(orchestrator(root, *words, env=env).stdout for words in (("status",), ("show", "night")))
        assert running.stop() == 0
    told = events(root)
    (asked,) = [event for event in told if event["event"] == "split_requested"]
    assert [one["title"] for one in asked["data"]["tasks"]] == ["Write a.txt", "Write b.txt"]
    (born,) = [event for event in told if event["event"] == "task_split"]
    assert [one["title"] for one in born["data"]["children"]] == ["Write a.txt", "Write b.txt"]
    assert result(root, "night")["status"] == "succeeded"
    assert [git(top, "show", f"orchestrator/night:{name}") for name in ("a.txt", "b.txt")] == ["a.txt", "b.txt"]
    assert TOKEN_PREFIX not in shown + str(model.last_body("night"))
    bytes_of = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    assert [name for name, data in bytes_of.items() if TOKEN_PREFIX.encode() in data] == []
    assert list((root / ".orchestrator" / "attempts").glob("*/tool")) == []
