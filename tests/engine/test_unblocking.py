"""What depends on others goes on when they have ended: once, by its policy, over a crash. Sub-tasks and parents."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from tests.engine.world import POLICY
from tests.fakes import FakeClock, MemoryStore

from orchestrator.core.dependencies import DependencyPolicy, Need
from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask
from orchestrator.core.task import Priority, Task, TaskSpec, id_key
from orchestrator.engine.bell import Bell
from orchestrator.engine.service import Orchestrator
from orchestrator.engine.unblocking import ALL_EVERY_S, Unblocking

E = EventKind


class Waiting:
    """A store with tasks that wait for each other, and the part that lets them go."""

    def __init__(self, policy: DependencyPolicy = DependencyPolicy.BLOCK) -> None:
        self.store, self.clock, self.bell = MemoryStore(), FakeClock(), Bell()
        self.policy = replace(POLICY, on_dependency=policy)
        given: dict[str, Any] = {"store": self.store, "clock": self.clock, "bell": self.bell}
        self.service = Orchestrator(**given, policy=lambda: self.policy, redact=lambda value: value)
        self.part = self.restarted()

    def restarted(self) -> Unblocking:
        self.part = Unblocking(
            store=self.store,
            clock=self.clock,
            bell=self.bell,
            policy=lambda: self.policy,
            cancel=self.service.cancel,
        )
        return self.part

    def new(self, task_id: str, *on: str, job: str = "", **spec: Any) -> NewTask:
        uid = self.clock.new_uid()
        asked = TaskSpec(task_id, "analyze", Priority.MEDIUM, task_id, "Do it.", depends_on=on, **spec)
        events = [Event(E.RECEIVED, 1.0, uid), Event(E.PARSED, 1.0, uid)]
        if on:
            events.append(Event(E.BLOCKED, 1.0, uid, data={"on": list(on)}))
        return NewTask(
            Task(uid, task_id, asked, "0" * 64, 1.0, job=job), b"x", events, [Need(uid, id_key(x)) for x in on]
        )

    async def add(self, task_id: str, *on: str, job: str = "", **spec: Any) -> Task:
        (stored,) = await self.store.accept([self.new(task_id, *on, job=job, **spec)])
        return stored

    async def commit(self, task: Task, *kinds: EventKind, **data: Json) -> Task:
        for kind in kinds:
            attempt = task.attempt + (kind is E.STARTED)
            event = Event(kind, self.clock.now(), task.uid, attempt, task.epoch + (kind is E.STARTED), data)
            (task,) = await self.store.commit([event])
        return task

    async def done(self, task: Task) -> Task:
        return await self.commit(task, E.STARTED, E.FINISHED, E.VALIDATED, E.SUCCEEDED)

    async def failed(self, task: Task) -> Task:
        return await self.commit(task, E.STARTED, E.FINISHED, E.VALIDATED, E.FAILED, reason="unproven")

    async def state(self, task: Task) -> State:
        found = await self.store.task(task.uid)
        assert found is not None
        return found.state

    async def events(self, task: Task, kind: EventKind) -> Sequence[Event]:
        return [event for event in await self.store.events_of(task.uid, limit=1000) if event.kind is kind]

    async def split(self, parent: Task, *ids: str, after: Mapping[str, str] = MappingProxyType({})) -> tuple[Task, ...]:
        parent = await self.commit(parent, E.STARTED, E.FINISHED)
        made = [self.new(one, *(after[one],) if one in after else ()) for one in ids]
        made = [replace(one, task=replace(one.task, parent=parent.uid, root=parent.lineage, depth=1)) for one in made]
        event = Event(E.SPLIT, self.clock.now(), parent.uid, parent.attempt, parent.epoch)
        return tuple(await self.store.split([event], made))


async def test_a_task_goes_on_when_all_that_it_depends_on_has_succeeded_and_says_which() -> None:
    world = Waiting()
    a, b = await world.add("a"), await world.add("b")
    c = await world.add("c", "a", "B")
    assert await world.part.look() == 0
    await world.done(a)
    assert (await world.part.look(), await world.state(c)) == (0, State.BLOCKED)
    await world.done(b)
    assert (await world.part.look(), await world.state(c)) == (1, State.QUEUED)
    (event,) = await world.events(c, E.UNBLOCKED)
    assert event.data == {"met": ["a", "b"], "passed_over": []}
    assert await world.part.look() == 0


async def test_what_came_before_its_dependency_and_what_came_after_it_both_go_on() -> None:
    world = Waiting()
    await world.part.look()
    early = await world.add("early", "a")
    assert (await world.part.look(), await world.state(early)) == (0, State.BLOCKED)
    await world.done(await world.add("a"))
    late = await world.add("late", "a")
    assert await world.part.look() == 2
    assert [await world.state(one) for one in (early, late)] == [State.QUEUED, State.QUEUED]


async def test_a_failure_blocks_until_a_retry_succeeds_or_a_person_accepts() -> None:
    world = Waiting()
    a = await world.failed(await world.add("a"))
    b, c = await world.add("b", "a"), await world.add("c", "b")
    assert (await world.part.look(), await world.state(b)) == (0, State.BLOCKED)
    again = await world.service.retry("a")
    assert (await world.part.look(), again.rerun_of) == (0, a.uid)
    await world.done(again)
    assert (await world.part.look(), await world.state(b), await world.state(c)) == (1, State.QUEUED, State.BLOCKED)
    failed = await world.failed(b)
    await world.part.look()
    await world.commit(failed, E.ACCEPTED)
    assert (await world.part.look(), await world.state(c)) == (1, State.QUEUED)


async def test_a_failure_skips_all_that_depends_on_it_where_that_is_the_policy() -> None:
    world = Waiting(DependencyPolicy.SKIP)
    a = await world.add("a")
    b, c, d = await world.add("b", "a"), await world.add("c", "b"), await world.add("d", "a", on_dependency="block")
    await world.part.look()
    await world.failed(a)
    assert await world.part.look() == 2
    assert [await world.state(one) for one in (b, c, d)] == [State.CANCELLED, State.CANCELLED, State.BLOCKED]
    (event,) = await world.events(b, E.CANCELLED)
    assert (event.data["reason"], event.data["detail"]) == ("dependency_failed", "it depends on a: no success")


async def test_a_task_runs_without_what_failed_or_waits_for_a_person_where_it_says_so() -> None:
    world = Waiting()
    a, b = await world.add("a"), await world.add("b")
    c = await world.add("c", "a", "b", on_dependency="run_anyway")
    await world.part.look()
    await world.commit(a, E.HELD)
    assert await world.part.look() == 0
    await world.failed(b)
    assert (await world.part.look(), await world.state(c)) == (1, State.QUEUED)
    assert (await world.events(c, E.UNBLOCKED))[0].data == {"met": [], "passed_over": ["a", "b"]}


async def test_the_policy_of_its_job_counts_before_the_configured_one() -> None:
    world = Waiting()
    job = Job("f" * 32, "night", 1.0, "test", on_dependency="skip")
    new = [world.new("a", job=job.uid), world.new("b", "a", job=job.uid), world.new("c", "a")]
    a, b, c = await world.store.accept(new, [job])
    await world.failed(a)
    await world.part.look()
    assert [await world.state(one) for one in (b, c)] == [State.CANCELLED, State.BLOCKED]


async def test_what_was_cut_off_by_a_crash_is_done_by_the_next_daemon_and_nothing_twice() -> None:
    world = Waiting()
    a = await world.add("a")
    b, c = await world.add("b", "a"), await world.add("c", "missing")
    await world.part.look()
    await world.done(a)
    assert (await world.restarted().look(), await world.state(b)) == (1, State.QUEUED)
    assert await world.restarted().look() == 0
    assert await world.state(c) == State.BLOCKED
    assert len(await world.events(b, E.UNBLOCKED)) == 1


async def test_a_changed_policy_counts_for_what_waits_already() -> None:
    world = Waiting()
    await world.failed(await world.add("a"))
    b = await world.add("b", "a")
    await world.part.look()
    world.policy = replace(world.policy, on_dependency=DependencyPolicy.RUN_ANYWAY)
    await world.store.commit([Event(E.CONFIG_RELOADED, 1.0)])
    assert (await world.part.look(), await world.state(b)) == (1, State.QUEUED)


async def test_everything_is_looked_at_now_and_then_though_no_event_told_of_it() -> None:
    world = Waiting()
    await world.failed(await world.add("a"))
    b = await world.add("b", "a")
    await world.part.look()
    world.policy = replace(world.policy, on_dependency=DependencyPolicy.SKIP)
    assert await world.part.look() == 0
    world.clock.advance(ALL_EVERY_S)
    assert (await world.part.look(), await world.state(b)) == (1, State.CANCELLED)


async def test_a_task_that_is_held_while_it_waits_goes_on_when_it_is_released() -> None:
    world = Waiting()
    a = await world.add("a")
    b = await world.add("b", "a")
    await world.service.hold("b")
    await world.done(a)
    assert (await world.part.look(), await world.state(b)) == (0, State.HELD)
    await world.service.resume("b")
    assert (await world.part.look(), await world.state(b)) == (1, State.QUEUED)


async def test_a_parent_joins_when_its_sub_tasks_have_ended_however() -> None:
    world = Waiting(DependencyPolicy.SKIP)
    parent, one, two = await world.split(await world.add("p"), "one", "two")
    await world.part.look()
    await world.done(one)
    assert (await world.part.look(), await world.state(parent)) == (0, State.SPLIT)
    await world.service.cancel("two")
    assert (await world.part.look(), await world.state(parent)) == (1, State.QUEUED)
    (event,) = await world.events(parent, E.JOINED)
    told = [{"uid": one.uid, "id": "one", "state": "succeeded"}, {"uid": two.uid, "id": "two", "state": "cancelled"}]
    assert event.data == {"children": told}


async def test_a_sub_task_does_not_wait_for_a_person_to_mend_its_sibling_while_its_parent_waits_for_it() -> None:
    world = Waiting()
    parent, one, two = await world.split(await world.add("p"), "one", "two", after={"two": "one"})
    await world.part.look()
    await world.failed(one)
    assert await world.part.look() == 2
    assert [await world.state(task) for task in (two, parent)] == [State.CANCELLED, State.QUEUED]
    (event,) = await world.events(two, E.CANCELLED)
    assert event.data["detail"] == "it depends on one: no success"
    alone = await world.service.retry("two")
    assert (await world.part.look(), await world.state(alone)) == (0, State.BLOCKED), "now nobody waits for it"


@pytest.mark.parametrize("by_service", [True, False])
async def test_sub_tasks_of_a_parent_that_ends_before_it_joined_them_are_cancelled(by_service: bool) -> None:
    world = Waiting()
    parent, one, two = await world.split(await world.add("p"), "one", "two")
    one, deep, _ = await world.split(one, "deep", "deeper")
    await world.part.look()
    if by_service:
        await world.service.cancel("p")
    else:  # by its deadline, or a command that was killed in between
        await world.commit(parent, E.FAILED, reason="deadline")
        while await world.part.look():
            continue
    assert [await world.state(task) for task in (one, two, deep)] == [State.CANCELLED] * 3


async def test_a_store_that_is_busy_costs_a_look_and_nothing_else() -> None:
    class Busy(MemoryStore):
        busy = True

        async def commit(self, events: Sequence[Event]) -> Sequence[Task]:
            if self.busy:
                raise StoreError("the database is busy")
            return await super().commit(events)

    world = Waiting()
    a = await world.add("a")
    b = await world.add("b", "a")
    await world.part.look()
    await world.done(a)
    store = Busy()
    store._held = world.store._held
    world.store = world.part._store = store
    with pytest.raises(StoreError):
        await world.part.look()
    store.busy = False
    assert (await world.part.look(), await world.state(b)) == (1, State.QUEUED)


async def test_one_that_was_cancelled_this_very_moment_does_not_keep_the_others() -> None:
    class Racing(MemoryStore):
        def __init__(self, victim: TaskUid) -> None:
            super().__init__()
            self.victim = victim

        async def standing(self, uids: Sequence[TaskUid]) -> Any:
            found = await super().standing(uids)
            if self.victim in uids:
                victim, self.victim = self.victim, TaskUid("")
                await self.commit([Event(E.CANCELLED, 1.0, victim)])
            return found

    world = Waiting()
    a = await world.add("a")
    b, c = await world.add("b", "a"), await world.add("c", "a")
    await world.part.look()
    await world.done(a)
    store = Racing(b.uid)
    store._held = world.store._held
    world.part._store = world.store = store
    assert await world.part.look() == 1
    assert [await world.state(one) for one in (b, c)] == [State.CANCELLED, State.QUEUED]


async def test_a_parent_whose_sub_tasks_were_lost_goes_on_without_them() -> None:
    world = Waiting()
    parent = await world.commit(await world.add("p"), E.STARTED, E.FINISHED, E.SPLIT)
    assert (await world.part.look(), await world.state(parent)) == (1, State.QUEUED)
    assert (await world.store.task(parent.uid) or parent).reason == "joined"
