"""A request that becomes a tree two levels deep, with the real Claude Code, over a daemon that is killed three times.

Then everything that is left of it: store, branches, folder, reports, account.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git
from tests.e2e.whole_rig import WholeRoot, asked, planned, split, works
from tests.harness import left_running, result, wait_until

from orchestrator.core.account import spending_of
from orchestrator.core.budget import cost_of
from orchestrator.core.lifecycle import State
from orchestrator.kit import scenarios
from orchestrator.kit.failpoints import VARIABLE
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Hang, Scenario, ToolCall, as_block

pytestmark = [pytest.mark.real_cli, pytest.mark.timeout(180), needs_git]

SETTINGS = "pool:\n  max_concurrent_tasks: 4\norchestrate:\n  tool: true\n  commands: true\n"
SERVICES = ("auth", "data", "payment")
LAYERS = ("frontend", "backend", "database", "tests")
TOO_DEEP = split(asked("tokens", works("tokens")), asked("sessions", works("sessions")))
LOOK = ToolCall("Read", {"file_path": "$CWD/parts/payment"})
JOIN = ToolCall("Write", {"file_path": "$CWD/parts/backend", "content": "backend\n"})


def backend() -> Scenario:
    """Too complex: first it asks for more than it may have, then it is split; in the end it puts together what came."""
    services = [asked("auth", works("auth", Answer("Too much for me.", (TOO_DEEP,)))), asked("data", works("data"))]
    services.append(asked("payment", works("payment")))
    many = [asked(f"part-{n}", works(f"part-{n}")) for n in range(8)]
    turns = (Hang(key="backend"), Answer("Too complex!", (split(*many),)), Answer("Three then.", (split(*services),)))
    done = Answer("The backend is whole.")
    return Scenario((*turns, Answer("It is split."), Answer("I put it together.", (LOOK, JOIN)), done), done)


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
    name, top = told["task"]["id"], told["task"]["uid"]
    with root.daemon() as running:
        wait_until(lambda: hangs(root.model) == 2, what="two layers in the middle of their work")
        wait_until(lambda: len(root.events("task_succeeded")) == 2, what="the two other layers")
        running.kill()
    died(root, "unblock.decided:1:kill")  # the services have ended, and are not joined
    states = {task.spec.id: task.state.value for task in root.tree(top)[0]}
    assert states[f"{name}.backend"] == "split"
    assert {states[f"{name}.backend.the_{one}"] for one in SERVICES} == {"succeeded"}
    died(root, "area.merged:2:kill")  # the backend is joined, and the layers are about to be
    with root.daemon() as running:
        wait_until((root.path / "results" / f"{name}_result.json").exists, what="the end")
        assert running.stop() == 0
    tree = Tree(root, name, top, told["job_id"])
    tree.each_ran_once_to_its_success()
    tree.is_bounded_and_refused_in_words_what_is_beyond()
    tree.is_one_branch_of_proven_work()
    tree.cost_what_its_attempts_cost()
    tree.is_drawn_in_its_folder()
    root.assert_left_alone()


class Tree:
    """What is left of it all."""

    def __init__(self, root: WholeRoot, name: str, top: str, job: str) -> None:
        self.root, self.name, self.job = root, name, job
        self.tasks, self.attempts = root.tree(top)
        self.by_id = {task.spec.id.removeprefix(f"{name}.").replace("the_", ""): task for task in self.tasks}
        self.results = {key: result(root.path, task.spec.id) for key, task in self.by_id.items()}

    def branch(self, key: str) -> str:
        return str(self.results[key]["work"]["branch"])

    def count(self, event: str) -> dict[str, int]:
        found = Counter(one["uid"] for one in self.root.events(event))
        return {key: found[task.uid] for key, task in self.by_id.items() if found[task.uid]}

    def each_ran_once_to_its_success(self) -> None:
        parts = [*LAYERS, *(f"backend.{one}" for one in SERVICES)]
        assert set(self.by_id) == {self.name, *parts}
        assert {task.state for task in self.tasks} == {State.SUCCEEDED}
        once = dict.fromkeys(self.by_id, 1)
        assert self.count("task_succeeded") == once
        assert self.count("claude_finished") == once | {self.name: 2, "backend": 2}, "planned or split, then joined"
        assert self.count("interrupted") == {"backend": 1, "database": 1, self.name: 1}, "the three kills"
        assert self.count("task_split") == self.count("children_joined") == {self.name: 1, "backend": 1}

    def is_bounded_and_refused_in_words_what_is_beyond(self) -> None:
        assert {key: task.depth for key, task in self.by_id.items()} == {
            self.name: 0,
            **dict.fromkeys(LAYERS, 1),
            **{f"backend.{one}": 2 for one in SERVICES},
        }
        said = self.root.said_by_tools(self.by_id["backend"].uid)
        assert "refused: 8 sub-tasks are asked for, 7 may be" in said
        assert "accepted: 3 sub-tasks" in said
        assert "payment" in said.rpartition("accepted: 3 sub-tasks")[2], "in the end it has in its clone what they did"
        assert "No such tool available" in self.root.said_by_tools(self.by_id["backend.auth"].uid)
        assert len(self.root.events("split_requested")) == 1
        deeper = {"request": "Split the tokens", "config": {"max_recursion_depth": 2, "current_depth": 2}}
        (self.root.path / "deeper.json").write_text(json.dumps(deeper))
        refused = self.root.call("orchestrate", "--input", str(self.root.path / "deeper.json"), code=6)
        assert "the maximal depth is reached: max_recursion_depth is 2, and current_depth 2" in refused.stderr

    def is_one_branch_of_proven_work(self) -> None:
        top, whole = self.root.top, self.branch(self.name)
        parts = {f"parts/{one}" for one in (*LAYERS, *SERVICES)}
        assert self.root.files(whole) == {"checks/has.sh", "notes", *parts}
        assert {f"parts/{one}" for one in (*SERVICES, "backend")} <= self.root.files(self.branch("backend"))
        assert "parts/frontend" not in self.root.files(self.branch("backend"))
        for key, found in self.results.items():
            assert (found["status"], found["work"]["delivered"]) == ("succeeded", True)
            git(top, "merge-base", "--is-ancestor", self.branch(key), whole)
            ids = git(top, "log", "-1", "--format=%(trailers:key=Task-Id,valueonly)", self.branch(key))
            assert ids.strip() == self.by_id[key].spec.id
            verdicts = {one["verdict"] for one in found["criteria"]}
            assert verdicts == (set() if key == self.name else {"proven"}), key
        for key in (*LAYERS, *(f"backend.{one}" for one in SERVICES)):
            assert git(top, "rev-list", "--count", "--no-merges", f"main..{self.branch(key)}") == (
                "3" if key == "backend" else "1"
            )

    def cost_what_its_attempts_cost(self) -> None:
        known = [cost for record in self.attempts if (cost := cost_of(record.outcome)) is not None]
        caps = [record.cap_usd for record in self.attempts if cost_of(record.outcome) is None]
        assert len(caps) == 2, "what was cut off in the middle of a request counts as its cap"
        assert spending_of(self.attempts).spent_usd == pytest.approx(sum(known) + sum(caps))
        assert sum(known) + sum(caps) <= 100
        told = [one["usage"]["cost_usd"] for found in self.results.values() for one in found["attempts"]]
        assert sum(cost for cost in told if cost is not None) == pytest.approx(sum(known))
        assert self.results[self.name]["attempts"][-1]["usage"]["cost_usd"] == 0.0, "to join is free"

    def is_drawn_in_its_folder(self) -> None:
        folder = self.root.path / "workspace" / f"job_{self.job}"
        workers = {1: ("1_1", "1_2_recursive", "1_3", "1_4"), 2: ("1_2_1", "1_2_2", "1_2_3"), 0: ("1_recursive",)}
        for depth, names in workers.items():
            report = (folder / f"depth_{depth}" / f"LEVEL_{depth}_REPORT.md").read_text()
            for one in names:
                assert (folder / f"depth_{depth}" / f"worker_{one}" / "result.json").exists()
                assert (folder / "logs" / f"depth_{depth}_worker_{one}.log").exists()
                assert f"worker_{one}" in report.replace("\\", "")
        assert (folder / "logs" / "orchestrator.log").exists()
        final = (folder / "FINAL_RESULT.md").read_text().replace("\\", "")
        assert "8 of 8 tasks succeeded" in final
        for one in (*LAYERS, *SERVICES):
            assert f"parts/{one}" in final
        told = json.loads((folder / "result.json").read_text())
        assert (told["job_id"], told["status"]) == (self.job, "completed")
        (whole,) = told["results"]["tasks"]
        assert (whole["worker_id"], whole["status"]) == ("worker_1", "recursive_success")
        layers = {one["worker_id"]: one for one in whole["child_results"]}
        assert [one["status"] for one in layers.values()] == ["success", "recursive_success", "success", "success"]
        assert layers["worker_1_1"]["files_created"] == ["parts/frontend"]
        services = layers["worker_1_2"]["child_results"]
        assert [one["files_created"] for one in services] == [[f"parts/{one}"] for one in SERVICES]
        for key in ("workspace", "final_report"):
            assert (self.root.path / told["results"][key]).exists()


def died(root: WholeRoot, failpoint: str) -> None:
    """Run a daemon that is killed at *failpoint*."""
    with root.daemon(**{VARIABLE: failpoint}) as running:
        wait_until(lambda: running.process.poll() is not None, what=f"the death at {failpoint}")
    wait_until(lambda: left_running(root.path) == [], what="the end of all that ran")


def hangs(model: ScriptedModel) -> int:
    return sum(one.played == "Hang" for one in model.requests())
