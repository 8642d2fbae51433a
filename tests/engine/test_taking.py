"""A result whose base moved on is merged only when it is proven again on top: real repositories, a real store."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.git_rig import ENV, WORDS, Rig, git, needs_git, repository
from tests.fakes import FakeClock, MemoryStore

from orchestrator.bridges.git_person import PersonsPrograms
from orchestrator.bridges.git_taking import GitTaking
from orchestrator.core.errors import ConflictError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask
from orchestrator.core.proof import CriterionProof, Proof
from orchestrator.core.taking import Merging
from orchestrator.core.task import Task
from orchestrator.engine.taking import Results

pytestmark = needs_git
PROVEN: dict[str, Json] = {"text": "it adds", "verdict": "proven", "why": "", "mandatory": True}


class Proving:
    """Gives one verdict on every result, and remembers what it was asked about."""

    def __init__(self, verdict: Proof) -> None:
        self.verdict = verdict
        self.asked: list[Merging] = []

    async def __call__(self, task: Task, merging: Merging) -> Sequence[CriterionProof]:
        self.asked.append(merging)
        return [CriterionProof("it adds", self.verdict, "so it was seen")]


async def moved(place: Path, prove: Proving, take: Sequence[str] = ()) -> tuple[Path, Task, Results]:
    """Return a repository whose branch has moved on since a task began, whose result was proven."""
    top = repository(place / "project")
    rig = Rig(place)
    order, area = await rig.begin(top)
    (area / "hello.txt").write_text("hello\n")
    await rig.space.keep(order)
    await rig.space.deliver(order, WORDS)
    (top / "new.txt").write_text("new\n")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "second")
    clock = FakeClock()
    store = MemoryStore()
    task = replace(rig.task(order, State.QUEUED), attempt=0)
    await store.accept([NewTask(task, b"body", [Event(EventKind.RECEIVED, 1.0, task.uid)])])
    kinds = (EventKind.STARTED, EventKind.FINISHED, EventKind.VALIDATED, EventKind.SUCCEEDED)
    for kind in kinds:
        told: dict[EventKind, dict[str, Json]] = {EventKind.VALIDATED: {"criteria": [PROVEN]}}
        told[EventKind.SUCCEEDED] = {"take": list(take)}
        data = told.get(kind, {})
        await store.commit([Event(kind, 2.0, task.uid, 1, 1 if kind is not EventKind.STARTED else 0, data)])
    done = await store.task(task.uid)
    assert done is not None
    taking = GitTaking(rig.state, rig.git, rules=lambda: rig.rules, person=PersonsPrograms(ENV))
    return top, done, Results(store, clock, taking, str(rig.state / "attempts"), prove)


async def test_what_is_proven_again_on_top_of_a_moved_base_is_merged(tmp_path: Path) -> None:
    prove = Proving(Proof.HOLDS)
    top, task, results = await moved(tmp_path, prove)
    head = git(top, "rev-parse", "HEAD")
    done = await results.merge(task, unproven=False, by="me")
    (asked,) = prove.asked
    assert (asked.head, asked.rebased) == (head, True)
    assert git(top, "rev-parse", "HEAD") == asked.commit == done.merging.commit
    assert git(top, "rev-parse", "HEAD^") == head
    assert (done.files, len(done.proofs)) == (1, 1)


@pytest.mark.parametrize("verdict", [Proof.FAILED, Proof.UNPROVEN, Proof.HUMAN])
async def test_what_is_not_proven_on_top_of_a_moved_base_changes_nothing(tmp_path: Path, verdict: Proof) -> None:
    top, task, results = await moved(tmp_path, Proving(verdict))
    head = git(top, "rev-parse", "HEAD")
    with pytest.raises(ConflictError, match="on top of it is not proven: it adds: so it was seen"):
        await results.merge(task, unproven=False, by="me")
    assert git(top, "rev-parse", "HEAD") == head
    assert not (top / "hello.txt").exists()
    await results.merge(task, unproven=True, by="me")
    assert (top / "hello.txt").read_text() == "hello\n"
