"""Tasks that come after others: what they begin with, what their agents are told, and what becomes of a conflict."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bridges.git_rig import git, needs_git
from tests.engine.writing_rig import Writing, place
from tests.fakes import FakeClock, MemoryStore
from tests.ports.sample_tasks import K, event, go, new
from tests.ports.store_jobs_contract import waiting
from tests.rig import Engine, Open

from orchestrator.core.attempt import WorkOrder
from orchestrator.core.dependencies import Need
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask, Store
from orchestrator.core.task import Task
from orchestrator.core.work import Base
from orchestrator.engine.predecessors import Predecessors

DELIVERED: dict[str, Json] = {"isolation": "clone", "folder": "/p", "base": "b0", "branch": "o/x", "delivered": True}


def order_of(task: Task) -> WorkOrder:
    return WorkOrder(task.uid, 1, 1, task.spec.id, "claude", "Do it.", "/p", "s", "/a", ())


def hidden(value: Json) -> Json:
    return value.replace("hunter2hunter2", "[redacted]") if isinstance(value, str) else value


def asks(store: Store) -> Predecessors:
    return Predecessors(store, FakeClock(), hidden)


async def ended(store: Store, task: Task, *last: EventKind, head: str = "", answer: str = "", **more: Json) -> Task:
    """Let *task* run to its end with a result *head*."""
    (task,) = await store.commit([event(K.STARTED, task)])
    work = {**DELIVERED, "head": head, "files": [{"path": "a.py"}], "files_changed": 1, **more}
    outcome: Json = {"kind": "finished", "report": {"answer": answer}, "work": work}
    (task,) = await store.commit([event(K.FINISHED, task, outcome=outcome)])
    if last == (K.SPLIT,):
        return task
    (task,) = await store.commit([event(K.VALIDATED, task, work=work)])
    return await go(store, task, *(last or (K.SUCCEEDED,)))


async def test_a_task_without_any_before_it_is_ordered_as_ever() -> None:
    store = MemoryStore()
    (task,) = await store.accept([new(1)])
    assert await asks(store).given(order_of(task), task) == order_of(task)


async def test_a_dependent_begins_with_the_results_before_it_in_their_order_and_is_told_of_all() -> None:
    store = MemoryStore()
    stored = await store.accept([new(1), new(2), new(3), waiting(4, "id_3", "id_1", "id_2")])
    await ended(store, stored[0], head="h1", answer="The key is hunter2hunter2.")
    await ended(store, stored[1], K.FAILED, head="h2")
    await ended(store, stored[2], head="h3")
    order = await asks(store).given(order_of(stored[3]), stored[3])
    assert order.bases == (
        Base(stored[0].uid, "id_1", "A title", "/p", "h1", "o/x"),
        Base(stored[2].uid, "id_3", "A title", "/p", "h3", "o/x"),
    )
    assert order.merges == ()
    assert [f"Task id_{n}" in order.told for n in (1, 2, 3)] == [True] * 3
    assert "> The key is [redacted]." in order.told
    assert "Task id_2 (failed" in order.told


async def test_a_predecessor_that_changed_nothing_hands_on_what_it_began_with() -> None:
    store = MemoryStore()
    stored = await store.accept([new(1), waiting(2, "id_1"), waiting(3, "id_2")])
    await ended(store, stored[0], head="h1")
    (second,) = await store.commit([event(K.UNBLOCKED, stored[1])])
    await ended(store, second, head="")
    order = await asks(store).given(order_of(stored[2]), stored[2])
    assert [base.head for base in order.bases] == ["h1"]


async def test_one_that_worked_in_place_is_named_for_the_note_that_is_due() -> None:
    store = MemoryStore()
    stored = await store.accept([new(1), waiting(2, "id_1")])
    await ended(store, stored[0], isolation="in place", branch="", delivered=False)
    order = await asks(store).given(order_of(stored[1]), stored[1])
    assert order.bases == (Base(stored[0].uid, "id_1", "A title", "/p", "", ""),)


async def test_a_parent_gets_its_sub_tasks_results_and_they_begin_with_what_it_had_left() -> None:
    store = MemoryStore()
    (parent,) = await store.accept([new(1)])
    parent = await ended(store, parent, K.SPLIT, head="k1")
    child = new(2)
    child = replace(child, task=replace(child.task, parent=parent.uid, root=parent.uid, depth=1))
    parent, first = await store.split([event(K.SPLIT, parent)], [child])
    order = await asks(store).given(order_of(first), first)
    assert [(base.uid, base.head) for base in order.bases] == [(parent.uid, "k1")]
    await ended(store, first, head="c1", answer="It is done.")
    (parent,) = await store.commit([event(K.JOINED, parent)])
    order = await asks(store).given(order_of(parent), parent)
    assert (order.bases, [base.head for base in order.merges]) == ((), ["c1"])
    assert order.told == ""  # who joins them tells it


@needs_git
async def test_a_conflict_goes_to_the_agent_once_then_to_a_person_and_then_into_the_result(
    open_engine: Open, tmp_path: Path
) -> None:
    there = place(tmp_path)
    top = there.top
    lines = {name: {"t": f"a\n{name}\nc\n"} for name in ("auth", "data", "both")}
    agent = Writing({"auth": [lines["auth"]], "data": [lines["data"]], "pay": [{}, lines["both"]]})
    async with open_engine(agent, **there.given) as engine:
        given: dict[str, Any] = {"type": "fix", "cwd": str(top)}
        for name in ("auth", "data"):
            await engine.add(name, **given)
        await engine.run_until(lambda: engine.archived("auth") and engine.archived("data"), "both ends")
        pay = await after(engine, "pay", "auth", "data", **given)
        await engine.run_until(lambda: (engine.root / "tasks/waiting/pay.question.md").exists(), "the question")
        assert "Task auth (succeeded, branch orchestrator/auth): auth" in agent.starts[-1].prompt
        assert "are in your work area: auth, data" in agent.starts[-1].prompt
        assert agent.starts[-1].prompt.endswith("delete it when that is decided.\n- t")
        question = await engine.service.question(await engine.task(pay.uid))
        assert question is not None
        assert "the result of data (branch orchestrator/data)" in question.text
        assert "- t\n" in question.text
        assert git(top, "for-each-ref", "refs/heads/orchestrator/pay") == ""
        await engine.service.answer(pay.uid, "take both", door="test")
        await engine.run_until(lambda: engine.archived("pay"), "the end")
        assert (await engine.task(pay.uid)).state is State.SUCCEEDED
        assert agent.starts[-1].continue_prompt == "take both"
    assert git(top, "show", "orchestrator/pay:t") == "a\nboth\nc"
    merged = git(top, "branch", "--format=%(refname:short)", "--merged", "orchestrator/pay").split()
    assert merged == ["main", "orchestrator/auth", "orchestrator/data", "orchestrator/pay"]


async def after(engine: Engine, name: str, *on: str, **given: Any) -> Task:
    """Accept a task that comes after others which have ended, and let it go."""
    plain = await engine.add(f"{name}-pattern", cwd=str(engine.root / "nowhere"))
    await engine.service.cancel(plain.uid)
    uid = engine.clock.new_uid()
    task = replace(plain, uid=uid, name=name, spec=replace(plain.spec, id=name, title=name, **given), attempt=0)
    begun = [Event(EventKind.RECEIVED, 1.0, uid), Event(EventKind.PARSED, 1.0, uid), Event(K.BLOCKED, 1.0, uid)]
    (stored,) = await engine.store.accept([NewTask(task, b"body", begun, [Need(uid, one) for one in on])])
    return (await engine.store.commit([event(K.UNBLOCKED, stored)]))[0]
