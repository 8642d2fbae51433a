"""Proving from end to end but for git: a task file, real programs, real folders, the result and what is said of it."""

import json
import shutil
from pathlib import Path

import pytest
from tests.data.bad_inputs import RULES
from tests.fakes_of_proof import FolderCheckouts

from orchestrator.bridges.check_runner import CheckConfig, ConfinedChecks
from orchestrator.core.attempt import AgentReport, AttemptRecord, FailureKind, Finished, WorkOrder
from orchestrator.core.codec import to_json
from orchestrator.core.events import TaskUid
from orchestrator.core.evidence import Changes
from orchestrator.core.lifecycle import State
from orchestrator.core.prompt import sent_back_prompt_of
from orchestrator.core.proof import Proof
from orchestrator.core.report import summary_text
from orchestrator.core.task import Task, TaskSpec, TaskType
from orchestrator.core.taskfile import parse_task_file
from orchestrator.core.work import Area, Isolation
from orchestrator.engine.proof import Prover
from orchestrator.validation.checks import Verdict, judge
from orchestrator.validation.result import build_result, result_bytes
from orchestrator.validation.schema import file_problems

UID = TaskUid("a" * 32)
FIX = TaskType("fix", ("Edit",), expects_changes=True)
FILE = b"""---
id: fix_greeting
type: fix
priority: high
---
# Fix the greeting

**Prompt:**
Say hello instead of bye.

**Success Criteria:**
- [ ] it greets: `sh greet.sh`
- [ ] output: `sh greet.sh` matches `^hello`
- [ ] exists: `guide.md`
- [ ] json: `about.json` `/version` equals `"2.0"`
- [ ] the old file stays: `test -f old.txt`
- [ ] (optional) no tabs: `sh -c '! grep -q z greet.sh'`
- [ ] it is friendly
"""
BASE = {"greet.sh": "echo bye; exit 1\n", "about.json": '{"version": "1.0"}', "old.txt": ""}
HONEST = {"greet.sh": "echo hello\n", "about.json": '{"version": "2.0"}', "old.txt": "", "guide.md": "# Guide"}
LIAR = {**BASE, "notes.txt": "done"}


class World:
    """A prover with real programs over commits that are plain folders."""

    def __init__(self, top: Path, bwrap: str) -> None:
        (top / "tmp").mkdir()
        self.checkouts = FolderCheckouts(top / "commits")
        (top / "work").mkdir()
        self.area = Area(str(top / "work"), str(top / "work"), "/source", Isolation.CLONE, "base")
        config = CheckConfig({"PATH": "/usr/bin:/bin"}, str(top / "tmp"), timeout_s=20, bwrap=bwrap)
        self.prover = Prover(runner=ConfinedChecks(lambda: config), checkouts=self.checkouts)
        self.spec: TaskSpec = parse_task_file(FILE, file_name="fix_greeting.task.md", rules=RULES)
        self.checkouts.add("base", BASE)

    async def verdict(self, files: dict[str, str]) -> Verdict:
        self.checkouts.add("result", files)
        order = WorkOrder(UID, 1, 1, "fix_greeting", "claude", "P", self.area.cwd, "s", "/a", ())
        proofs = await self.prover.prove(order, self.spec, self.area, result="result")
        report = AgentReport("All done, it greets now.", 0, tool_calls={"Edit": 1}, files_changed=("greet.sh",))
        return judge(self.spec, FIX, Finished(report), Changes(modified=("greet.sh",)), proofs)

    def summary(self, verdict: Verdict) -> str:
        data = json.loads(json.dumps(to_json(verdict)))
        state = State.FAILED if verdict.failure else State.SUCCEEDED
        reason = verdict.failure.kind.value if verdict.failure else ""
        task = Task(UID, "fix_greeting", self.spec, "0" * 64, 1.0, state=state, reason=reason, ended_ts=3.0)
        built = build_result(task, [AttemptRecord(UID, 1, 1, "claude", "s", 1.0, 2.0, {}, data)])
        assert file_problems(result_bytes(built)) == []
        return summary_text(built)


@pytest.fixture(params=["confined", "not confined"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    bwrap = shutil.which("bwrap") if request.param == "confined" else ""
    if bwrap is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    (tmp_path / "commits").mkdir()
    return World(tmp_path, bwrap)


async def test_honest_work_is_proven_criterion_by_criterion(world: World) -> None:
    verdict = await world.verdict(HONEST)
    assert verdict.failure is None
    assert [one.verdict for one in verdict.criteria] == [*[Proof.PROVEN] * 4, Proof.HOLDS, Proof.HOLDS, Proof.UNPROVEN]
    summary = world.summary(verdict)
    assert summary.startswith("fix_greeting: SUCCEEDED - 4 proven, 2 held, 1 unproven: please look\n")
    assert "      it fails on the base (exit code 1) and passes on the result\n" in summary
    assert "What could not be verified\n  it is friendly: in words only" in summary


async def test_a_liar_is_told_which_checks_fail_and_what_they_printed(world: World) -> None:
    verdict = await world.verdict(LIAR)
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.CHECK_FAILED
    assert verdict.failure.detail.startswith(
        "4 checks fail: it greets: `sh greet.sh` (it fails on the result: exit code 1"
    )
    told = sent_back_prompt_of(json.loads(json.dumps({"criteria": to_json(verdict.criteria)})))
    assert "- it greets: `sh greet.sh`\n" in told
    assert "```\nbye\n```" in told
    assert "about.json /version is '1.0'" in told
    assert "guide.md is not there" in told
    summary = world.summary(verdict)
    assert summary.startswith("fix_greeting: FAILED - check_failed\n")
    assert "  [failed] it greets: `sh greet.sh`\n" in summary
    assert "      | bye\n" in summary


async def test_work_that_breaks_what_held_is_caught(world: World) -> None:
    verdict = await world.verdict({key: text for key, text in HONEST.items() if key != "old.txt"})
    assert verdict.failure is not None
    assert "this work broke it" in verdict.failure.detail
