"""A request that becomes a tree two levels deep, with the real Claude Code, over a daemon that is killed three times.

Then everything that is left of it: store, branches, folder, reports, account.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.git_rig import needs_git
from tests.e2e.whole_rig import WholeRoot, asked, by_id, planned, split, works
from tests.harness import left_running, result, wait_until

from orchestrator.kit import scenarios
from orchestrator.kit.failpoints import VARIABLE
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Hang, Scenario, ToolCall, as_block

pytestmark = [pytest.mark.real_cli, pytest.mark.timeout(180), needs_git]

SETTINGS = "pool:\n  max_concurrent_tasks: 4\norchestrate:\n  tool: true\n  commands: true\n"
SERVICES = ("auth", "data", "payment")
LAYERS = ("frontend", "backend", "database", "tests")
TOO_DEEP = split(asked("tokens", works("tokens")), asked("sessions", works("sessions")))
JOIN = ToolCall("Bash", {"command": "cd parts && cat auth data payment > backend && echo backend >> backend"})


def backend() -> Scenario:
    """Too complex: first it asks for more than it may have, then it is split; in the end it puts together what came."""
    services = [asked("auth", works("auth", Answer("Too much for me.", (TOO_DEEP,)))), asked("data", works("data"))]
    services.append(asked("payment", works("payment")))
    many = [asked(f"part-{n}", works(f"part-{n}")) for n in range(8)]
    turns = (Hang(key="backend"), Answer("Too complex!", (split(*many),)), Answer("Three then.", (split(*services),)))
    done = Answer("The backend is whole.")
    return Scenario((*turns, Answer("It is split."), Answer("I put it together.", (JOIN,)), done), done)


def request() -> str:
    parts = [planned("frontend", works("frontend")), planned("backend", backend(), *SERVICES, "backend")]
    parts += [planned("database", works("database", Hang(key="database"))), planned("tests", works("tests"))]
    plan = scenarios.structured({"summary": "Four layers.", "tasks": parts})
    return f"Build a full-stack application. {as_block(plan, packed=True)}"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[WholeRoot]:
    with ScriptedModel() as model:
        yield WholeRoot(tmp_path, model, SETTINGS)


def test_a_request_becomes_a_tree_two_levels_deep_and_one_proven_branch_over_a_daemon_killed_three_times(
    root: WholeRoot,
) -> None:
    told = root.json("orchestrate", request(), "--max-depth", "2", "--budget", "100")
    name, top, job = told["task"]["id"], told["task"]["uid"], told["job_id"]
    with root.daemon() as running:
        wait_until(lambda: hangs(root.model) == 2, what="two layers in the middle of their work")
        wait_until(lambda: len(root.events("task_succeeded")) == 2, what="the two other layers")
        running.kill()
    died(root, "unblock.decided:1:kill")  # the services have ended, and are not joined
    assert states(root, top)[f"{name}.backend"] == "split"
    assert {states(root, top)[f"{name}.backend.the_{one}"] for one in SERVICES} == {"succeeded"}
    died(root, "area.merged:2:kill")  # the backend is joined, and the layers are about to be
    with root.daemon() as running:
        wait_until((root.path / "results" / f"{name}_result.json").exists, what="the end")
        assert running.stop() == 0
    print(json.dumps(result(root.path, name), indent=1))
    for task in root.tree(top)[0]:
        print(task.spec.id, task.depth, task.state, task.attempt)
    for one in root.tree(top)[1]:
        print(one.uid, one.number, one.cap_usd, one.outcome.get("kind"), one.outcome.get("report", {}).get("usage"))
    print(root.said_by_tools(by_id(root.tree(top)[0])[f"{name}.backend"].uid))
    print(root.said_by_tools(by_id(root.tree(top)[0])[f"{name}.backend.the_auth"].uid))
    root.assert_left_alone()
    assert 0


def died(root: WholeRoot, failpoint: str) -> None:
    """Run a daemon that is killed at *failpoint*."""
    with root.daemon(**{VARIABLE: failpoint}) as running:
        wait_until(lambda: running.process.poll() is not None, what=f"the death at {failpoint}")
    wait_until(lambda: left_running(root.path) == [], what="the end of all that ran")


def hangs(model: ScriptedModel) -> int:
    return sum(one.played == "Hang" for one in model.requests())


def states(root: WholeRoot, top: str) -> dict[str, str]:
    return {task.spec.id: task.state.value for task in root.tree(top)[0]}
