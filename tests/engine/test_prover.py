"""Proving with real folders: which commit is run when, what is remembered, what becomes of trouble."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.fakes_of_proof import FolderCheckouts, ScriptedChecks

from orchestrator.core.attempt import WorkOrder
from orchestrator.core.events import TaskUid
from orchestrator.core.proof import CheckKind, CheckSpec, Finding, Proof, Suspicion
from orchestrator.core.task import Criterion, Priority, TaskSpec
from orchestrator.core.work import Area, Isolation
from orchestrator.engine import proof
from orchestrator.engine.proof import Prover

UID, OTHER = TaskUid("a" * 32), TaskUid("b" * 32)
TESTS = CheckSpec(CheckKind.COMMAND, argv=("check",))
GUIDE = CheckSpec(CheckKind.FILE_EXISTS, path="guide.md")
LOST = CheckSpec(CheckKind.COMMAND, argv=("no-such-program",))


def spec(*checks: CheckSpec | None) -> TaskSpec:
    criteria = tuple(Criterion(f"c{n}", check=check) for n, check in enumerate(checks))
    return TaskSpec("t", "fix", Priority.HIGH, "T", "P", criteria=criteria)


def order(uid: TaskUid = UID) -> WorkOrder:
    return WorkOrder(uid, 1, 1, "t", "claude", "P", "/w", "s", "/a", ())


class World:
    """A prover over commits that are folders; `check` passes where fixed.txt is in the folder it runs in."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.checkouts = FolderCheckouts(top)
        self.runner = ScriptedChecks({TESTS: lambda folder: (folder / "fixed.txt").exists()})
        self.prover = Prover(runner=self.runner, checkouts=self.checkouts)
        self.checkouts.add("base", {"a.txt": "", "tests/t.txt": "strict"})
        self.checkouts.add("good", {"fixed.txt": "", "guide.md": "", "tests/t.txt": "strict"})

    def area(self, base: str = "base", inside: str = "") -> Area:
        root = self.top / "work"
        (root / inside).mkdir(parents=True, exist_ok=True)
        return Area(str(root / inside), str(root), "/home/you/project", Isolation.CLONE, base, git_dir="/own.git")

    def ran(self) -> Sequence[str]:
        return [commit for commit, _ in self.runner.ran]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_what_fails_on_the_base_and_passes_on_the_result_is_proven(world: World) -> None:
    proofs = await world.prover.prove(order(), spec(TESTS, GUIDE, None), world.area(), result="good")
    assert [one.verdict for one in proofs] == [Proof.PROVEN, Proof.PROVEN, Proof.UNPROVEN]
    assert proofs[0].base is not None
    assert proofs[0].result is not None
    assert (proofs[0].base.commit, proofs[0].result.commit) == ("base", "good")
    assert world.checkouts.made == [("/own.git", "base"), ("/own.git", "good")]
    assert world.checkouts.open == set()


async def test_the_base_is_run_once_for_a_task_however_many_rounds_it_takes(world: World) -> None:
    world.checkouts.add("bad", {})
    for result, verdict in (("bad", Proof.FAILED), ("bad", Proof.FAILED), ("good", Proof.PROVEN)):
        (one,) = await world.prover.prove(order(), spec(TESTS), world.area(), result=result)
        assert one.verdict is verdict
    assert world.ran() == ["base", "bad", "bad", "good"]
    await world.prover.prove(order(OTHER), spec(TESTS), world.area(), result="good")
    assert world.ran()[4:] == ["base", "good"], "another task has its own"
    await world.prover.prove(order(), spec(TESTS), world.area("good"), result="bad")
    assert world.ran()[6:] == ["good", "bad"], "and so has another base"
    world.prover.forget(UID)
    await world.prover.prove(order(), spec(TESTS), world.area(), result="good")
    assert world.ran()[8:] == ["base", "good"]


async def test_two_who_ask_for_the_base_at_once_get_one_run(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        early = group.create_task(world.prover.base_runs(UID, spec(TESTS), world.area()))
        proved = group.create_task(world.prover.prove(order(), spec(TESTS), world.area(), result="good"))
    assert sorted(world.ran()) == ["base", "good"]
    assert early.result()[TESTS] == proved.result()[0].base


async def test_the_same_check_of_two_criteria_is_run_once(world: World) -> None:
    proofs = await world.prover.prove(order(), spec(TESTS, TESTS), world.area(), result="good")
    assert [one.verdict for one in proofs] == [Proof.PROVEN] * 2
    assert world.ran() == ["base", "good"]


@pytest.mark.parametrize("result", ["", "base"])
async def test_where_nothing_was_changed_the_base_speaks_for_the_result(world: World, result: str) -> None:
    proofs = await world.prover.prove(order(), spec(TESTS), world.area(), result=result)
    assert (proofs[0].verdict, world.ran()) == (Proof.FAILED, ["base"])
    proofs = await world.prover.prove(order(), spec(TESTS), world.area("good"), result=result.replace("base", "good"))
    assert proofs[0].verdict is Proof.HOLDS


async def test_a_task_in_words_costs_no_checkout(world: World) -> None:
    proofs = await world.prover.prove(order(), spec(None, CheckSpec(CheckKind.HUMAN)), world.area(), result="good")
    assert [one.verdict for one in proofs] == [Proof.UNPROVEN, Proof.HUMAN]
    assert world.checkouts.made == []


async def test_checks_run_in_the_folder_that_the_agent_started_in(world: World) -> None:
    world.checkouts.add("deep", {"sub/fixed.txt": "", "sub/guide.md": ""})
    proofs = await world.prover.prove(order(), spec(TESTS, GUIDE), world.area(inside="sub"), result="deep")
    assert [one.verdict for one in proofs] == [Proof.PROVEN] * 2
    proofs = await world.prover.prove(order(), spec(TESTS, GUIDE), world.area(inside="sub"), result="good")
    assert [one.verdict for one in proofs] == [Proof.FAILED] * 2


async def test_protected_paths_are_checked_as_they_are_on_the_base(world: World) -> None:
    world.runner.answers[TESTS] = lambda folder: (folder / "tests/t.txt").read_text() == "lax"
    world.checkouts.add("lax", {"tests/t.txt": "lax", "tests/new.txt": ""})
    (one,) = await world.prover.prove(order(), spec(TESTS), world.area(), result="lax")
    assert one.verdict is Proof.PROVEN
    (one,) = await world.prover.prove(order(), spec(TESTS), world.area(), result="lax", restored=["tests/t.txt"])
    assert one.verdict is Proof.FAILED


async def test_what_was_found_taints_what_passes(world: World) -> None:
    found = [Finding(Suspicion.TEST_SKIPPED, "tests/t.py", "a skip was added", 3)]
    (one,) = await world.prover.prove(order(), spec(TESTS), world.area(), result="good", findings=found)
    assert one.verdict is Proof.UNPROVEN
    assert "tests/t.py:3" in one.why


async def test_a_commit_that_cannot_be_had_gives_no_answer_and_is_asked_for_again(world: World) -> None:
    (one,) = await world.prover.prove(order(), spec(TESTS), world.area(), result="gone")
    assert one.verdict is Proof.UNPROVEN
    assert "no commit gone" in one.why
    (one,) = await world.prover.prove(order(OTHER), spec(TESTS), world.area("later"), result="good")
    assert one.verdict is Proof.HOLDS
    assert "no answer on the base" in one.why
    world.checkouts.add("later", {})
    (one,) = await world.prover.prove(order(OTHER), spec(TESTS), world.area("later"), result="good")
    assert one.verdict is Proof.PROVEN, "what gave no answer is not remembered"


async def test_a_program_that_is_not_here_proves_nothing(world: World) -> None:
    (one,) = await world.prover.prove(order(), spec(LOST), world.area(), result="good")
    assert one.verdict is Proof.UNPROVEN
    assert "no such program" in one.why


async def test_without_a_base_the_work_area_itself_is_checked_and_nothing_is_proven(world: World) -> None:
    area = world.area(base="")
    (Path(area.root) / "fixed.txt").touch()
    (one,) = await world.prover.prove(order(), spec(TESTS), area, result="")
    assert (one.verdict, one.base) == (Proof.HOLDS, None)
    assert one.result is not None
    assert one.result.confinement.endswith("in the work area itself")
    assert world.checkouts.made == []


async def test_a_disk_that_refuses_gives_no_answer(world: World) -> None:
    class Full(FolderCheckouts):
        def checkout(self, *_: object, **__: object) -> AbstractAsyncContextManager[str]:
            raise OSError(28, "No space left on device")

    prover = Prover(runner=world.runner, checkouts=Full(world.top))
    (one,) = await prover.prove(order(), spec(TESTS), world.area(), result="good")
    assert one.verdict is Proof.UNPROVEN
    assert "No space left on device" in one.why


async def test_only_so_many_tasks_are_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "REMEMBERED", 2)
    for number in (1, 2, 1, 3, 1, 2):
        await world.prover.base_runs(TaskUid(f"{number:032x}"), spec(TESTS), world.area())
    assert len(world.ran()) == 4, "the one that was asked for longest ago is forgotten first"
