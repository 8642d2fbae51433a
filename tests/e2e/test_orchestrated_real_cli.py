"""A request split by the real Claude Code, two levels deep, and one result of it all, over a killed daemon."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git, repository
from tests.harness import daemon, environment, events, orchestrator, result, wait_until

from orchestrator.bridges.claude_find import locate
from orchestrator.core.events import Json
from orchestrator.kit import scenarios
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import as_block

pytestmark = [pytest.mark.real_cli, pytest.mark.timeout(180), needs_git]

# What others are told of a task is its first 500 characters: they must not hold the script of another one.
LONG = "It belongs to the shop, and others build the rest of it. " * 10


def part(key: str, *after: str) -> dict[str, Json]:
    """Return a sub-task whose agent writes one file."""
    script = as_block(scenarios.good_work(f"$CWD/{key}.txt", f"{key}\n"), packed=True)
    return planned(key, "code-generation", script, *after) | {
        "target_files": [f"{key}.txt"],
        "criteria": [f"contains: `{key}.txt` `{key}`"],
    }


def planned(key: str, kind: str, script: str, *after: str) -> dict[str, Json]:
    return {
        "id": key,
        "title": f"The {key}",
        "prompt": f"Build the {key}. {LONG}\n\n{script}",
        "type": kind,
        "target_files": [],
        "criteria": [],
        "depends_on": list(after),
        "complexity": "low",
    }


def plan(summary: str, *tasks: Json) -> str:
    return as_block(scenarios.structured({"summary": summary, "tasks": list(tasks)}), packed=True)


BACKEND = plan("Three services.", part("auth"), part("data"), part("payment", "auth", "data"))
SHOP = plan("Three layers.", part("frontend"), planned("backend", "orchestrate", BACKEND), part("checks", "backend"))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def test_a_backend_that_is_split_again_ends_in_one_branch_with_the_work_of_all(
    tmp_path: Path, model: ScriptedModel
) -> None:
    top = repository(tmp_path / "project")
    command = locate((), os.defpath).command
    assert command, "Claude Code is missing: pip install -e '.[claude]'"
    env = environment(
        tmp_path,
        ORCHESTRATOR_CLAUDE_COMMAND=command[0],
        ORCHESTRATOR_CONFINEMENT="rules",
        ANTHROPIC_BASE_URL=model.play("shop", scenarios.lie()),
        ANTHROPIC_API_KEY="not-a-real-key",
        CLAUDE_ALLOWED_ROOT=str(top),
        CLAUDE_BASE_CWD=str(top),
        PATH=os.environ["PATH"],
    )
    (tmp_path / "tasks").mkdir()
    said = orchestrator(tmp_path, "orchestrate", f"Build the shop. {SHOP}", "--max-depth", "2", "--json", env=env)
    name = json.loads(said.stdout)["task"]["id"]
    with daemon(tmp_path, env) as running:
        wait_until(lambda: splits(tmp_path) == {name, f"{name}.backend"}, what="the second split", deadline_s=15)
        running.kill()
    with daemon(tmp_path, env) as running:
        done = tmp_path / "results" / f"{name}_result.json"
        wait_until(done.exists, what="the end", deadline_s=120)
        assert running.stop() == 0
    found = result(tmp_path, name)
    assert (found["status"], found["detail"]) == ("succeeded", "")
    assert "3 of 3 sub-tasks" in found["answer"]
    files = git(top, "ls-tree", "-r", "--name-only", found["work"]["branch"]).split()
    assert {"frontend.txt", "auth.txt", "data.txt", "payment.txt", "checks.txt"} <= set(files)
    below = result(tmp_path, f"{name}.backend")
    assert (below["status"], below["attempts"][-1]["usage"]["cost_usd"]) == ("succeeded", 0.0)
    made = git(top, "ls-tree", "-r", "--name-only", below["work"]["branch"]).split()
    assert {"auth.txt", "data.txt", "payment.txt"} <= set(made)
    assert "frontend.txt" not in made
    leaf = result(tmp_path, f"{name}.backend.payment")
    assert [row["verdict"] for row in leaf["criteria"]] == ["proven"]


def splits(root: Path) -> set[str]:
    """Return the ids of all tasks that were split so far."""
    log = root / "logs" / "events.ndjson"
    if not log.exists():
        return set()
    return {str(event.get("task_id")) for event in events(root) if event["event"] == "task_split"}
