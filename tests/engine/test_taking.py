"""A result whose base moved on is merged only when it is proven again on top: real repositories, a real store."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.chain_rig import UIDS, Tasks
from tests.bridges.git_rig import ENV, WORDS, Rig, git, needs_git, repository
from tests.fakes import FakeClock, MemoryStore

from orchestrator.bridges.git_person import PersonsPrograms
from orchestrator.bridges.git_taking import GitTaking
from orchestrator.core.errors import ConflictError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask
from orchestrator.core.proof import CriterionProof, Proof
from orchestrator.core.taking import Merging, Pushed
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


async def test_two_merges_of_a_result_at_once_are_one(tmp_path: Path) -> None:
    _, task, results = await moved(tmp_path, Proving(Proof.HOLDS))
    async with asyncio.TaskGroup() as group:
        for by in ("one", "other"):
            group.create_task(results.merge(task, unproven=False, by=by))
    events = await results._store.events_of(task.uid, limit=99)
    assert [event.data["by"] for event in events if event.kind is EventKind.TAKEN] == ["one"]


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


async def test_who_takes_what_cannot_be_taken_is_told_what_can_and_of_nothing_that_is_not_there(tmp_path: Path) -> None:
    _, task, results = await moved(tmp_path, Proving(Proof.HOLDS))
    waiting = replace(task, state=State.BLOCKED, attempt=0)
    with pytest.raises(ConflictError, match="it is blocked") as told:
        await results.merge(waiting, unproven=False, by="me")
    assert told.value.hint == "It has done nothing yet; `show` says why."
    with pytest.raises(ConflictError) as told:
        await results.accept(waiting, "me")
    assert told.value.hint == "Only a task that failed as check_failed or children_failed or unproven can be accepted."


async def built_on(place: Path, prove: Proving, *, before: dict[str, Json]) -> tuple[Tasks, MemoryStore, Results]:
    """Return two results in a store, `pay` built on `auth`, which is proven by *before*."""
    tasks, store = Tasks(place), MemoryStore()
    auth = await tasks.does("auth", {"auth": "1\n"})
    await tasks.does("pay", {"pay": "1\n"}, [auth])
    for name, row in (("auth", before), ("pay", PROVEN)):
        task = replace(tasks.done(name), state=State.QUEUED, attempt=0)
        await store.accept([NewTask(task, b"body", [Event(EventKind.RECEIVED, 1.0, task.uid)])])
        for kind in (EventKind.STARTED, EventKind.FINISHED, EventKind.VALIDATED, EventKind.SUCCEEDED):
            verdict: dict[str, Json] = {"criteria": [row], "work": {"merged": ["auth"] if name == "pay" else []}}
            data = verdict if kind is EventKind.VALIDATED else {}
            await store.commit([Event(kind, 2.0, task.uid, 1, int(kind is not EventKind.STARTED), data)])
    return tasks, store, Results(store, FakeClock(), tasks.taking, str(tasks.state / "attempts"), prove)


async def task_of(store: MemoryStore, name: str) -> Task:
    found = await store.task(UIDS[name])
    assert found is not None
    return found


async def test_what_comes_along_is_told_as_taken_too_and_proven_again_where_the_base_moved(tmp_path: Path) -> None:
    prove = Proving(Proof.HOLDS)
    tasks, store, results = await built_on(tmp_path, prove, before=PROVEN)
    head = tasks.person_commits("theirs", "t\n")
    done = await results.merge(await task_of(store, "pay"), unproven=False, by="me")
    auth, pay = prove.asked
    assert (auth.head, auth.commit, pay.commit) == (head, pay.head, done.merging.commit)
    for name in ("auth", "pay"):
        (taken,) = [one for one in await store.events_of(UIDS[name], limit=99) if one.kind is EventKind.TAKEN]
        assert (taken.data["how"], taken.data["commit"]) == ("merge", done.merging.commit)
    assert (await results.merge(await task_of(store, "auth"), unproven=False, by="me")).merging.is_there


@pytest.mark.parametrize("moved_on", [False, True])
async def test_what_would_come_along_unproven_is_refused_unless_meant(tmp_path: Path, *, moved_on: bool) -> None:
    tasks, store, results = await built_on(tmp_path, Proving(Proof.HOLDS), before={**PROVEN, "verdict": "unproven"})
    head = tasks.person_commits("theirs", "t\n") if moved_on else git(tasks.top, "rev-parse", "HEAD")
    with pytest.raises(ConflictError, match="pay brings along auth, which it was built on and which is not proven"):
        await results.merge(await task_of(store, "pay"), unproven=False, by="me")
    assert git(tasks.top, "rev-parse", "HEAD") == head
    await results.merge(await task_of(store, "pay"), unproven=True, by="me")
    assert (tasks.top / "auth").exists()
    assert (tasks.top / "pay").exists()


class Proposing(GitTaking):
    """Remembers the text of the pull request instead of opening one."""

    body = ""

    async def open_request(self, task: Task, remote: str, *, title: str, body: str) -> Pushed:
        self.body = body
        return Pushed("", "", remote, "")


async def test_a_pull_request_says_what_else_is_in_its_branch(tmp_path: Path) -> None:
    tasks, store, results = await built_on(tmp_path, Proving(Proof.HOLDS), before=PROVEN)
    proposing = Proposing(tasks.state, tasks.git, rules=lambda: tasks.rules, person=PersonsPrograms(ENV))
    results._taking = proposing
    await results.open_request(await task_of(store, "auth"), "origin", by="me")
    assert proposing.body == "- [proven] it adds"
    await results.open_request(await task_of(store, "pay"), "origin", by="me")
    assert proposing.body == "- [proven] it adds\n\nBuilt on the results of auth, which are in its branch."
