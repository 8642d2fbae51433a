"""Agents that write files, in a real repository: how work goes from task to task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.agents import DONE, FakeAgent
from tests.bridges.git_rig import Rig, repository
from tests.fakes_of_proof import ScriptedChecks

from orchestrator.bridges.git_commits import GitCommits
from orchestrator.core.attempt import Outcome, WorkOrder
from orchestrator.core.ports import Say
from orchestrator.engine.examiner import Examiner
from orchestrator.engine.proof import Prover

WROTE = replace(DONE, report=replace(DONE.report, tool_calls={"Edit": 1}, files_changed=("t",)))
Files = Mapping[str, str]


class Writing(FakeAgent):
    """Writes files before it ends: for each task the next of its prepared sets. Then it ends as *script* says."""

    def __init__(
        self, writes: Mapping[str, Sequence[Files]], script: Mapping[str, Sequence[Outcome]] | None = None
    ) -> None:
        super().__init__({**dict.fromkeys(writes, [WROTE] * 5), **(script or {})})
        self.writes = {task: list(sets) for task, sets in writes.items()}

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        if prepared := self.writes.get(order.task_id):
            for path, text in prepared.pop(0).items():
                Path(order.work_root, path).write_text(text)
        return await super().run(order, say)


@dataclass
class Place:
    """A person's repository within the allowed root of an engine, and how an engine works in it."""

    top: Path
    given: dict[str, Any]


def place(tmp_path: Path) -> Place:
    rig = Rig(tmp_path / "rig")
    commits = GitCommits(rig.git, tmp_path / "checkouts")
    examiner = Examiner(prover=Prover(runner=ScriptedChecks({}), checkouts=commits), commits=commits)
    top = repository(tmp_path / "work" / "project", t="a\nb\nc\n")
    return Place(top, {"workspace": rig.space, "examiner": examiner})
