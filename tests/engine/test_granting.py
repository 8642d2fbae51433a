"""What a running worker asks for is granted within its limits, taken down once, and refused in words."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from tests.fakes import FakeClock, MemoryStore

from orchestrator.core.agents import AgentProfile
from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import NewTask
from orchestrator.core.split import SplitRules
from orchestrator.core.task import Priority, Task, TaskSpec, TaskType
from orchestrator.core.worker_tool import Caller
from orchestrator.engine.granting import Granting
from orchestrator.engine.wishes import plan_of

K = EventKind
TYPES = MappingProxyType(
    {
        "fix": TaskType("fix", ("Read", "Edit"), expects_changes=True),
        "look": TaskType("look", ("Read",), expects_changes=False),
        "build": TaskType("build", ("Read", "Edit", "Bash"), expects_changes=True),
        "orchestrate": TaskType("orchestrate", ("Read",), expects_changes=False, plans=True),
    }
)
POLICY = RunPolicy(
    slots=2,
    agents={"claude": AgentProfile("claude")},
    default_agent="claude",
    types=TYPES,
    base_cwd="/area",
    allowed_root="/area",
    attempts_dir="/attempts",
    splits=SplitRules(tool=True),
)


class World:
    """A store with running tasks, and the desk that they ask."""

    def __init__(self, policy: RunPolicy = POLICY) -> None:
        self.policy, self.store, self.clock = policy, MemoryStore(), FakeClock()
        self.desk = self.granting(self.store)

    def granting(self, store: Any) -> Granting:
        return Granting(store=store, clock=self.clock, policy=lambda: self.policy, redact=_without_secrets)

    async def running(self, task_id: str = "parent", kind: str = "fix", cap_usd: float = 0.0, **given: Any) -> Caller:
        """Return the caller of a task that runs. What is given goes into the task where it has such a field."""
        own = {name: value for name, value in given.items() if name in ("parent", "root", "depth")}
        spec = TaskSpec(task_id, kind, Priority.MEDIUM, task_id, "Do it.")
        spec = replace(spec, **{name: value for name, value in given.items() if name not in own})
        task = replace(Task(self.clock.new_uid(), task_id, spec, "0" * 64, 1.0), **own)
        begin = [Event(K.RECEIVED, 1.0, task.uid), Event(K.PARSED, 1.0, task.uid)]
        (task,) = await self.store.accept([NewTask(task, b"", begin)])
        data: dict[str, Json] = {"agent": "claude", "session_id": "s", "cap_usd": cap_usd}
        (task,) = await self.store.commit([Event(K.STARTED, 2.0, task.uid, 1, task.epoch, data)])
        return Caller(task.uid, task.attempt, task.epoch)

    async def taken_down(self, caller: Caller) -> list[Event]:
        found = await self.store.events_of(caller.uid, limit=100)
        return [event for event in found if event.kind is K.SPLIT_REQUESTED]


def _without_secrets(value: Json) -> Json:
    if isinstance(value, str):
        return value.replace("s3cret", "[redacted]")
    if isinstance(value, Mapping):
        return {key: _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, Sequence) else value


def wish(*titles: str, why: str = "many parts", **more: Json) -> dict[str, Json]:
    return {"why": why, "tasks": [{"title": title, "prompt": f"Do {title}.", **more} for title in titles]}


async def test_a_request_within_the_limits_is_one_event_of_the_running_attempt() -> None:
    world = World()
    caller = await world.running()
    reply = await world.desk.split(caller, wish("Auth", "Data", "Pay"))
    assert (reply.refused, reply.text.partition(":")[0]) == (False, "accepted")
    for word in ("3 sub-tasks (Auth, Data, Pay)", "End your turn now", "resumed with their results"):
        assert word in reply.text
    (event,) = await world.taken_down(caller)
    assert (event.attempt, event.epoch) == (caller.attempt, caller.epoch)
    plan = plan_of(event)
    assert plan.summary == "many parts"
    assert [(one.key, one.title, one.type) for one in plan.tasks] == [
        ("auth", "Auth", "fix"),
        ("data", "Data", "fix"),
        ("pay", "Pay", "fix"),
    ]


async def test_the_same_request_twice_is_one_also_at_the_same_moment_and_another_one_comes_too_late() -> None:
    world = World()
    caller = await world.running()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(world.desk.split(caller, wish("A", "B"))) for _ in range(3)]
    replies = {task.result() for task in asked}
    assert len(replies) == 1
    assert not replies.pop().refused
    late = await world.desk.split(caller, wish("A", "C"))
    assert late.refused
    assert "split already" in late.text
    assert len(await world.taken_down(caller)) == 1
    assert "split already" in (await world.desk.limits(caller)).text


async def test_two_that_change_the_same_file_are_put_in_order_and_it_is_said() -> None:
    world = World()
    caller = await world.running()
    reply = await world.desk.split(caller, wish("A", "B", target_files=["src/a.py"]))
    assert "both name src/a.py: b waits for a" in reply.text
    plan = plan_of((await world.taken_down(caller))[0])
    assert plan.edges == {"a": (), "b": ("a",)}


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (wish("A"), "a split has 2 at least"),
        (wish(*"ABCDEFGH"), "8 sub-tasks are asked for, 7 may be"),
        (wish("A", "B", type="build"), "is of type build"),
        (wish("A", "B", type="orchestrate"), "is of type orchestrate"),
        (wish("A", "B", target_files=["../other/x"]), "does not lie under /area"),
        (wish("A", "B", target_files=["/etc/passwd"]), "does not lie under /area"),
        (wish("A", "B", criteria=["clean: `rm -rf x`"]), "a command that is none of your own"),
        (wish("A", "B", depends_on=["A"]), "circle"),
        (wish("A", "B", depends_on=["Z"]), "which is not in the plan"),
        (wish("A", "B", why=""), "'why' has to say"),
        (wish("A", "B", agent="other"), "'agent' means nothing"),
        ({}, "'tasks' has to be a list"),
    ],
)
async def test_what_is_refused_names_the_limit_and_what_is_left_and_leaves_no_trace(
    request_: dict[str, Json], word: str
) -> None:
    world = World()
    caller = await world.running()
    reply = await world.desk.split(caller, request_)
    assert reply.refused
    assert word in reply.text
    assert "What may be asked for: 2 to 7 sub-tasks of the types: fix, look." in reply.text
    assert await world.taken_down(caller) == []
    assert not (await world.desk.split(caller, wish("A", "B"))).refused


async def test_a_request_that_one_event_cannot_hold_is_refused_whole_instead_of_cut() -> None:
    world = World()
    caller = await world.running()
    rows: list[Json] = [{"title": f"Part {n}", "prompt": "words " * 3000} for n in range(5)]
    reply = await world.desk.split(caller, {"why": "x", "tasks": rows})
    assert reply.refused
    assert "may be: use fewer words" in reply.text
    assert await world.taken_down(caller) == []


async def test_depth_tree_and_budget_come_from_the_whole_lineage() -> None:
    world = World(replace(POLICY, splits=SplitRules(tool=True, max_depth=2, max_tree=6, tree_budget_usd=5.0)))
    root = await world.running("root", cap_usd=1.0)
    below = await world.running("below", parent=root.uid, root=root.uid, depth=1)
    deepest = await world.running("deepest", parent=below.uid, root=root.uid, depth=2)
    assert "decided before" in (await world.desk.limits(below)).text
    assert "depth" in (await world.desk.limits(deepest)).text
    assert (await world.desk.split(deepest, wish("A", "B"))).refused
    lone = await world.running("lone", parent=root.uid, root=root.uid, depth=1)
    assert "nothing is left" in (await world.desk.limits(lone)).text  # two others run without a cap
    capped = World(world.policy)
    root = await capped.running("root", cap_usd=1.0)
    lone = await capped.running("lone", parent=root.uid, root=root.uid, depth=1)
    assert "2 to 4 sub-tasks" in (await capped.desk.limits(lone)).text
    assert "$4.00" in (await capped.desk.limits(lone)).text
    assert "and the whole tree takes in 4 more" in (await capped.desk.split(lone, wish(*"ABCDE"))).text


@pytest.mark.parametrize("end", [K.FINISHED, K.INTERRUPTED, K.CANCEL_REQUESTED])
async def test_an_attempt_that_is_not_the_running_one_gets_nothing(end: EventKind) -> None:
    world = World()
    caller = await world.running()
    await world.store.commit([Event(end, 3.0, caller.uid, caller.attempt, caller.epoch)])
    for stale in (caller, replace(caller, attempt=7), replace(caller, epoch=9)):
        reply = await world.desk.split(stale, wish("A", "B"))
        assert reply.refused
        assert "has ended or is being ended" in reply.text
        assert (await world.desk.limits(stale)).refused
    assert await world.taken_down(caller) == []


async def test_an_attempt_that_ends_between_look_and_commit_gets_nothing() -> None:
    world = World()
    caller = await world.running()

    class Ending(MemoryStore):
        """Lets the attempt be cancelled at the last moment."""

        async def commit(self, events: Sequence[Event]) -> Sequence[Task]:
            await super().commit([Event(K.CANCEL_REQUESTED, 3.0, caller.uid)])
            return await super().commit(events)

    world.store.__class__ = Ending
    reply = await world.desk.split(caller, wish("A", "B"))
    assert reply.refused
    assert "has ended or is being ended" in reply.text


async def test_a_store_that_refuses_for_now_costs_the_worker_nothing_but_another_call() -> None:
    world = World()
    caller = await world.running()

    class Full(MemoryStore):
        """Refuses to write."""

        async def commit(self, events: Sequence[Event]) -> Sequence[Task]:
            raise StoreError("the disk is full")

    world.store.__class__ = Full
    reply = await world.desk.split(caller, wish("A", "B"))
    assert reply.refused
    assert "ask once more" in reply.text
    world.store.__class__ = MemoryStore
    assert not (await world.desk.split(caller, wish("A", "B"))).refused


async def test_no_secret_is_taken_down() -> None:
    world = World()
    caller = await world.running()
    assert not (await world.desk.split(caller, wish("A", "B", criteria=["s3cret"], why="s3cret"))).refused
    assert "s3cret" not in str(await world.taken_down(caller))


async def test_where_a_person_approves_plans_the_worker_is_told_so() -> None:
    world = World()
    caller = await world.running(approve="plan")
    assert "once a person has approved them" in (await world.desk.split(caller, wish("A", "B"))).text


async def test_a_task_whose_split_came_to_nothing_is_not_offered_another_one() -> None:
    """Else an agent that asks for the same again would be started again and again."""
    world = World()
    caller = await world.running()
    verdict: dict[str, Json] = {"passed": False, "plan": {"stage": "one", "why": "it was too large"}}
    data: dict[str, Json] = {"outcome": {}}
    finished = Event(K.FINISHED, 3.0, caller.uid, caller.attempt, caller.epoch, data)
    validated = Event(K.VALIDATED, 4.0, caller.uid, caller.attempt, caller.epoch, verdict)
    again = Event(K.RETRY, 4.0, caller.uid, caller.attempt, caller.epoch, {"reason": "plan_failed"})
    (task, *_) = await world.store.commit([finished, validated, again])
    (task,) = await world.store.commit([Event(K.STARTED, 5.0, task.uid, 2, task.epoch, {"session_id": "s"})])
    second = Caller(task.uid, task.attempt, task.epoch)
    assert await world.desk.offered(second) is False
    assert "decided before" in (await world.desk.split(second, wish("A", "B"))).text


async def test_the_tool_is_offered_only_where_it_is_switched_on_and_of_use() -> None:
    world = World()
    caller, planner = await world.running(), await world.running("planned", "orchestrate")
    bottom = await world.running("bottom", depth=3, parent=caller.uid, root=caller.uid)
    assert await world.desk.offered(planner) is False
    assert await world.desk.offered(bottom) is False
    assert await world.desk.offered(caller) is False  # it has split already: into the one at the bottom
    alone = await world.running("alone")
    assert await world.desk.offered(alone) is True
    world.policy = replace(POLICY, splits=SplitRules(tool=False))
    assert await world.desk.offered(alone) is False
    assert (await world.desk.split(alone, wish("A", "B"))).refused
