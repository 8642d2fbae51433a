"""The examination from commits to the verdict: edited checks are not believed, the subject of a task can be proven."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.fakes_of_proof import Answer, FolderCheckouts, ScriptedChecks

from orchestrator.core.attempt import AgentReport, Finished, WorkOrder
from orchestrator.core.events import TaskUid
from orchestrator.core.evidence import Changes
from orchestrator.core.proof import CheckKind, CheckSpec, Proof, Suspicion
from orchestrator.core.task import Criterion, Priority, TaskSpec, TaskType
from orchestrator.core.work import Area, Isolation
from orchestrator.engine.examiner import Examiner
from orchestrator.engine.proof import Prover
from orchestrator.validation.checks import Verdict
from orchestrator.validation.integrity import ChangedFile

WRONG, RIGHT = "def add(a, b): return a-b\n", "def add(a, b): return a+b\n"
ASSERTS = "import calc\nassert calc.add(1, 1) == 2\n"


class FolderCommits:
    """Implements the port `Commits` on the folders of `FolderCheckouts`."""

    def __init__(self, commits: Path) -> None:
        self._commits = commits

    def _files(self, commit: str) -> dict[str, str]:
        top = self._commits / commit
        return {file.relative_to(top).as_posix(): file.read_text() for file in top.rglob("*") if file.is_file()}

    async def paths(self, git_dir: str, commit: str) -> Sequence[str]:
        return sorted(self._files(commit))

    async def changed(self, git_dir: str, base: str, result: str) -> Sequence[ChangedFile]:
        old, new = self._files(base), self._files(result)
        status = {path: "A" if path not in old else "D" if path not in new else "M" for path in {*old, *new}}
        changed = sorted(path for path in status if old.get(path) != new.get(path))
        return [ChangedFile(path, status[path], old.get(path), new.get(path)) for path in changed]


async def examined(
    top: Path, command: str, answer: Answer, base: Mapping[str, str], result: Mapping[str, str], cwd: str = ""
) -> Verdict:
    check = CheckSpec(CheckKind.COMMAND, tuple(shlex.split(command)))
    checkouts = FolderCheckouts(top / "commits")
    checkouts.add("base", base)
    checkouts.add("result", {**base, **result})
    examiner = Examiner(
        prover=Prover(runner=ScriptedChecks({check: answer}), checkouts=checkouts),
        commits=FolderCommits(top / "commits"),
    )
    spec = TaskSpec("t", "fix", Priority.MEDIUM, "T", "P", criteria=(Criterion("it holds", check=check),))
    area = Area(str(top / cwd), str(top), "/source", Isolation.CLONE, "base")
    order = WorkOrder(TaskUid("a" * 32), 1, 1, "t", "claude", "P", area.cwd, "s", "/a", ())
    report = AgentReport("It is done.", 0, tool_calls={"Edit": 1}, files_changed=tuple(result))
    changes, fix = Changes(modified=tuple(result)), TaskType("fix", ("Edit",), expects_changes=True)
    return await examiner.verdict(spec, fix, order, Finished(report), changes, area=area, head="result") or Verdict(
        None, (), (), changes
    )


def adds(folder: Path) -> bool:
    return "assert" not in (folder / "tests/run.py").read_text() or "a+b" in (folder / "calc.py").read_text()


async def test_an_edited_program_of_the_tests_is_not_believed_though_the_work_was_done(tmp_path: Path) -> None:
    base = {"calc.py": WRONG, "tests/run.py": ASSERTS}
    command = "sh -c 'cd tests && python3 run.py'"
    verdict = await examined(tmp_path, command, adds, base, {"calc.py": RIGHT, "tests/run.py": "print(1)\n"})
    assert [one.verdict for one in verdict.criteria] == [Proof.UNPROVEN]
    assert {(one.kind, one.path) for one in verdict.findings} >= {(Suspicion.CHECK_EDITED, "tests/run.py")}
    assert verdict.failure is not None


async def test_the_file_that_a_task_is_about_can_be_proven(tmp_path: Path) -> None:
    def has(folder: Path) -> bool:
        return "TWO" in (folder / "a.txt").read_text()

    verdict = await examined(tmp_path, "grep -q TWO a.txt", has, {"a.txt": "1\n"}, {"a.txt": "TWO\n"})
    assert [one.verdict for one in verdict.criteria] == [Proof.PROVEN]
    assert (verdict.failure, verdict.findings) == (None, ())


async def test_a_program_that_passed_before_and_was_changed_vouches_for_nothing(tmp_path: Path) -> None:
    verdict = await examined(tmp_path, "python3 app.py", lambda _: True, {"app.py": "1\n"}, {"app.py": "2\n"})
    assert [one.verdict for one in verdict.criteria] == [Proof.UNPROVEN]
    assert verdict.failure is not None
    assert "app.py" in verdict.failure.detail


async def test_the_paths_of_a_check_count_from_the_folder_of_the_task(tmp_path: Path) -> None:
    base = {"sub/verify.sh": "exit 1\n"}
    verdict = await examined(tmp_path, "./verify.sh", lambda _: True, base, {"sub/verify.sh": "exit 0\n"}, cwd="sub")
    assert (Suspicion.CHECK_EDITED, "sub/verify.sh") in [(one.kind, one.path) for one in verdict.findings]
