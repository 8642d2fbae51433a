"""No order of events starts a task before what it depends on, twice at once, or beyond what its job may run."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.engine.test_unblocking import Waiting

from orchestrator.core.dependencies import DependencyPolicy, NeedKind
from orchestrator.core.errors import ConflictError, IllegalEventError
from orchestrator.core.events import EventKind, TaskUid
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import ACTIVE, TERMINAL, State
from orchestrator.core.plan import Capacity, plan
from orchestrator.core.task import Task
from orchestrator.engine.job_places import JobPlaces

E = EventKind
T = TypeVar("T")
TASKS, SLOTS = 6, 3
PICK = st.integers(0, 1000)
_ENDS = {True: E.SUCCEEDED, False: E.FAILED}


class Jobs(RuleBasedStateMachine):
    """One job of tasks that depend on earlier ones, in a store with the real unblocking, service and choice."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = Waiting()
        self.job = Job("a" * 32, "night", 1.0, "test")
        self.policies: dict[str, str] = {}
        self.started: list[TaskUid] = []

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(act)

    def teardown(self) -> None:
        self.loop.close()

    @initialize(
        edges=st.lists(st.lists(st.integers(0, TASKS), max_size=3), min_size=TASKS, max_size=TASKS),
        policies=st.lists(st.sampled_from(["", *DependencyPolicy]), min_size=TASKS, max_size=TASKS),
        of_job=st.sampled_from(["", *DependencyPolicy]),
        workers=st.integers(0, 2),
    )
    def given_a_job(self, edges: list[list[int]], policies: list[str], of_job: str, workers: int) -> None:
        self.job = Job("a" * 32, "night", 1.0, "test", on_dependency=str(of_job), max_workers=workers)
        new = []
        for number, on in enumerate(edges):
            names = sorted({f"t{one}" for one in on if one < number})
            policy = str(policies[number])
            self.policies[f"t{number}"] = policy or str(of_job) or "block"
            new.append(self.world.new(f"t{number}", *names, job=self.job.uid, on_dependency=policy))
        self.do(self.world.store.accept(new, [self.job]))

    def tasks(self, *states: State) -> list[Task]:
        return list(self.do(self.world.store.tasks(states or tuple(State), limit=1000)))

    def picked(self, pick: int, *states: State) -> Task | None:
        found = self.tasks(*states)
        return found[pick % len(found)] if found else None

    @rule()
    def unblocking_looks(self) -> None:
        self.do(self.world.part.look())

    @rule()
    def the_daemon_is_another_one(self) -> None:
        self.world.restarted()

    @rule()
    def time_passes(self) -> None:
        self.world.clock.advance(61.0)

    @rule()
    def the_pool_starts_what_it_may(self) -> None:
        running = self.tasks(*ACTIVE)
        places = JobPlaces(self.world.store)
        full = self.do(places.full(running))
        ready = self.do(self.world.store.ready(self.world.clock.now(), limit=10, jobs=full))
        capacity = Capacity(
            SLOTS,
            [(task.uid, "claude", task.id_key) for task in running],
            {},
            per_job=self.do(places.left(running, ready)),
        )
        now = self.world.clock.now()
        for task in plan(ready, now=now, capacity=capacity, pauses=(), agent_of=lambda _: "claude").start:
            self.begins(task)

    @rule(pick=PICK)
    def somebody_tries_to_start_anything(self, pick: int) -> None:
        """The last line of defence: whatever a program believes, the store refuses."""
        task = self.picked(pick, State.QUEUED, State.BLOCKED, State.HELD)
        full = bool(self.job.max_workers) and len(self.tasks(*ACTIVE)) >= self.job.max_workers
        if task is not None and not full:
            try:
                self.begins(task)
            except IllegalEventError:
                assert self.do(self.world.store.task(task.uid)) == task

    def begins(self, task: Task) -> None:
        standing = self.do(self.world.store.needs([task.uid])).get(task.uid, ())
        self.do(self.world.commit(task, E.STARTED))
        self.started.append(task.uid)
        assert all(need.met for need in standing)
        if self.policies[task.spec.id] != "run_anyway":
            succeeded = {one.id_key for one in self.tasks(State.SUCCEEDED)}
            assert {need.on_key for need in standing if need.kind is NeedKind.AFTER} <= succeeded

    @rule(pick=PICK, well=st.booleans())
    def a_running_task_ends(self, pick: int, well: bool) -> None:
        if (task := self.picked(pick, State.RUNNING)) is not None:
            self.do(self.world.commit(task, E.FINISHED, E.VALIDATED, _ENDS[well], reason="" if well else "unproven"))

    @rule(pick=PICK)
    def a_person_accepts_what_failed(self, pick: int) -> None:
        if (task := self.picked(pick, State.FAILED)) is not None:
            self.do(self.world.commit(task, E.ACCEPTED))

    @rule(pick=PICK)
    def a_person_holds_or_releases_a_task(self, pick: int) -> None:
        if (task := self.picked(pick, State.QUEUED, State.BLOCKED)) is not None:
            self.do(self.world.service.hold(task.uid))
        elif (task := self.picked(pick, State.HELD)) is not None:
            self.do(self.world.service.resume(task.uid))

    @rule(pick=PICK)
    def a_person_releases_a_task(self, pick: int) -> None:
        if (task := self.picked(pick, State.HELD)) is not None:
            self.do(self.world.service.resume(task.uid))

    @rule(pick=PICK)
    def a_person_cancels_a_task(self, pick: int) -> None:
        if (task := self.picked(pick, State.QUEUED, State.BLOCKED, State.HELD)) is not None:
            self.do(self.world.service.cancel(task.uid))

    @rule(pick=PICK)
    def a_person_retries_a_task(self, pick: int) -> None:
        if (task := self.picked(pick, *TERMINAL)) is not None and len(self.tasks()) < 20:
            self.do(self.world.service.retry(task.uid))

    @rule()
    def a_person_retries_the_job(self) -> None:
        if len(self.tasks()) < 20:
            try:
                self.do(self.world.service.jobs.retry("night"))
            except ConflictError:
                return

    @invariant()
    def nothing_runs_twice_or_beyond_its_bounds(self) -> None:
        running = self.tasks(*ACTIVE)
        keys = [task.id_key for task in running]
        assert len(keys) == len(set(keys))
        assert not self.job.max_workers or len(running) <= self.job.max_workers
        assert len(self.started) == len(set(self.started))


class Ends(Jobs):
    """The same, and in the end: let alone, everything that can go on does."""

    def teardown(self) -> None:
        for task in self.tasks(State.HELD):
            self.do(self.world.service.resume(task.uid))
        for _ in range(4 * TASKS):
            self.unblocking_looks()
            self.the_pool_starts_what_it_may()
            for task in self.tasks(State.RUNNING):
                self.do(self.world.commit(task, E.FINISHED, E.VALIDATED, E.SUCCEEDED))
        left = self.tasks(State.QUEUED, State.BLOCKED, *ACTIVE)
        waits = self.do(self.world.store.standing([task.uid for task in left]))
        for task in left:  # only what waits for something without success may still be there
            states = {state for _, state in waits.get(task.uid, ())}
            assert task.state is State.BLOCKED
            assert states & {State.FAILED, State.CANCELLED, State.BLOCKED}
        super().teardown()


TestEnds = Ends.TestCase
TestEnds.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
