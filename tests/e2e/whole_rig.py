"""A root beside a person's repository, with the real Claude Code on a scripted model; and agents that build parts."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from tests.bridges.git_rig import git, picture, repository
from tests.e2e.command_root import CommandRoot
from tests.harness import environment, left_running

from orchestrator.bridges.claude_find import locate
from orchestrator.bridges.sqlite import open_store
from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.task import Task
from orchestrator.kit import scenarios
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Scenario, ToolCall, Turn, as_block

# What others are told of a task is its first 500 characters: they must not hold the script of another one.
LONG = "It is a part of the whole, and others build the rest of it. " * 10
HAS = 'grep -q "$1" "parts/$1"\n'  # checks/has.sh: whether a part is there
OURS = ".git/refs/heads"


class WholeRoot(CommandRoot):
    """One root, its repository `top` and its model; *settings* are the text of its configuration."""

    def __init__(self, path: Path, model: ScriptedModel, settings: str = "") -> None:
        super().__init__(path)
        self.model = model
        self.top = repository(path / "project", **{"checks/has.sh": HAS, "notes": "a\nb\nc\n"})
        self.before = picture(self.top, but=[OURS])
        self.main = git(self.top, "rev-parse", "main")
        (path / "config").mkdir()
        (path / "config" / "orchestrator.yaml").write_text(settings)
        command = locate((), os.defpath).command
        assert command, "Claude Code is missing: pip install -e '.[claude]'"
        self.env = environment(
            path,
            ORCHESTRATOR_CLAUDE_COMMAND=command[0],
            ORCHESTRATOR_CONFINEMENT="rules",
            ANTHROPIC_BASE_URL=model.play("whole", scenarios.lie()),
            ANTHROPIC_API_KEY="not-a-real-key",
            CLAUDE_ALLOWED_ROOT=str(self.top),
            CLAUDE_BASE_CWD=str(self.top),
            PATH=os.environ["PATH"],
        )

    def tree(self, root: str) -> tuple[Sequence[Task], Sequence[AttemptRecord]]:
        """Return the tasks below the task *root* and itself, and all their attempts, as the store has them."""

        async def read() -> tuple[Sequence[Task], Sequence[AttemptRecord]]:
            async with open_store(self.path / ".orchestrator" / "orchestrator.db", read_only=True) as store:
                return await store.tree(TaskUid(root)), await store.tree_attempts(TaskUid(root))

        return asyncio.run(read())

    def files(self, branch: str) -> set[str]:
        return set(git(self.top, "ls-tree", "-r", "--name-only", branch).split())

    def said_by_tools(self, uid: str) -> str:
        """Return what tools answered in all attempts of a task."""
        found = []
        for output in (self.path / ".orchestrator" / "attempts").glob(f"{uid}.*/stdout.ndjson"):
            messages = [json.loads(line) for line in output.read_text().splitlines()]
            found += [json.dumps(one["message"]["content"]) for one in messages if one.get("type") == "user"]
        return "\n".join(found)

    def assert_left_alone(self) -> None:
        """The person's files, index, HEAD and own branch are what they were, and nothing of ours runs."""
        assert picture(self.top, but=[OURS]) == self.before
        assert git(self.top, "rev-parse", "main") == self.main
        assert git(self.top, "status", "--porcelain", "--ignored") == ""
        assert left_running(self.path) == []


def works(name: str, *before: Turn) -> Scenario:
    """Return an agent that meets the turns *before* and then builds the part *name*."""
    write = ToolCall("Write", {"file_path": f"$CWD/parts/{name}", "content": f"{name}\n"})
    done = Answer(f"The {name} stands.")
    return Scenario((*before, Answer("I build it.", (write,)), done), done)


def prompt(name: str, scenario: Scenario) -> str:
    return f"Build the {name}. {LONG}\n\n{as_block(scenario, packed=True)}"


def criteria(*names: str) -> list[Json]:
    return [f"the {name} is there: `sh checks/has.sh {name}`" for name in names]


def planned(name: str, scenario: Scenario, *checked: str) -> dict[str, Json]:
    """Return one sub-task of a plan, whose checks are that the parts *checked* are there; itself where none is said."""
    return {
        "id": name,
        "title": f"The {name}",
        "prompt": prompt(name, scenario),
        "type": "code-generation",
        "target_files": [f"parts/{name}"],
        "criteria": criteria(*(checked or (name,))),
        "depends_on": [],
        "complexity": "low",
    }


def asked(name: str, scenario: Scenario) -> dict[str, Json]:
    """Return one sub-task as a worker asks for it by its tool."""
    keys = ("title", "prompt", "target_files", "criteria")
    whole = planned(name, scenario)
    return {key: whole[key] for key in keys}


def split(*tasks: Json) -> ToolCall:
    return ToolCall("mcp__orchestrator__split_task", {"tasks": list(tasks), "why": "These are parts of their own."})
