"""Schedules make their runs, each once; what passes its deadline ends."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.engine.world import POLICY, Life, Mortal
from tests.fakes import FakeClock, MemoryStore
from tests.ports.sample_tasks import event, go

from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import NewTask
from orchestrator.core.schedule import Missed, ScheduleRules
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.engine.bell import Bell
from orchestrator.engine.clockwatch import ClockWatch
from orchestrator.engine.scheduling import LOOK_AT_LEAST_EVERY_S, Scheduling
from orchestrator.engine.times import timed

K = EventKind
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
BERLIN = ZoneInfo("Europe/Berlin")


def berlin(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


T = berlin("2026-11-28T02:30")


@dataclass
class World:
    """A store and a clock that outlive the part that is tested."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(T - HOUR))
    store: MemoryStore = field(default_factory=MemoryStore)
    policy: RunPolicy = POLICY

    def __post_init__(self) -> None:
        self.bell = Bell()
        self.watch = ClockWatch(store=self.store, clock=self.clock, policy=lambda: self.policy)
        self.part = self.begun(self.store)

    def begun(self, store: Any) -> Scheduling:
        """Return the part of another daemon."""
        given: dict[str, Any] = {"clock": self.clock, "bell": self.bell, "policy": lambda: self.policy}
        return Scheduling(store=store, clockwatch=self.watch, **given)

    def missed(self, policy: Missed, max_late_s: float = DAY) -> None:
        self.policy = replace(self.policy, schedules=ScheduleRules(policy, max_late_s))

    async def add(self, name: str = "nightly", **fields: Any) -> Task:
        spec = TaskSpec(name, "analyze", Priority.MEDIUM, "A title", "Look", timezone="Europe/Berlin", **fields)
        uid, now = self.clock.new_uid(), self.clock.now()
        new = NewTask(Task(uid, name, spec, "0" * 64, now), b"body", [Event(K.RECEIVED, now, uid)])
        (task,) = await self.store.accept([timed(new, now)])
        return task

    async def look(self, after_s: float = 0.0) -> float:
        self.clock.advance(after_s)
        return await self.part.look()

    async def runs(self) -> list[str]:
        """Return the names of all tasks that are no templates, oldest first."""
        states = [state for state in State if state is not State.SCHEDULED]
        return [task.name for task in await self.store.tasks(states, limit=1000) if "T" in task.name]

    async def times(self) -> list[float]:
        """Return the times that have had a run, once for each."""
        events = await self.store.events_after(0, limit=100_000)
        return [float(str(one.data["time"])) for one in events if one.kind is K.RECEIVED and "time" in one.data]

    async def now_as(self, task: Task) -> Task:
        found = await self.store.task(task.uid)
        assert found is not None
        return found

    async def told(self, task: Task, kind: EventKind = K.FIRED) -> list[dict[str, Json]]:
        return [dict(one.data) for one in await self.store.events_of(task.uid, limit=1000) if one.kind is kind]

    async def run_ends(self) -> None:
        for task in await self.store.tasks([State.QUEUED], limit=10):
            await go(self.store, task, K.STARTED, K.FINISHED, K.VALIDATED, K.SUCCEEDED)


async def test_a_template_makes_a_run_when_its_time_comes_and_waits_for_the_next() -> None:
    world = World()
    template = await world.add(schedule="30 2 * * *", deadline="06:00")
    assert (template.state, template.not_before, template.deadline_ts) == (State.SCHEDULED, T, 0.0)
    assert await world.look(59 * MINUTE) == LOOK_AT_LEAST_EVERY_S
    assert await world.look(58) == 2.0
    assert await world.runs() == []
    await world.look(2.0)
    (run,) = await world.store.ready(world.clock.now(), limit=9)
    assert (run.name, run.spec.id, run.file_name) == ("nightly.20261128T0230", "nightly", "")
    assert (run.spec.schedule, run.spec.rerun, run.not_before) == ("", True, 0.0)
    assert run.deadline_ts == berlin("2026-11-28T06:00")
    assert await world.store.body(run.uid) == b"body"
    assert (await world.now_as(template)).not_before == T + DAY
    (told,) = await world.told(template)
    assert (told["run"], told["times"], told["not_before"]) == (run.uid, [T], T + DAY)


async def test_each_time_makes_one_run_however_often_it_is_looked() -> None:
    world = World()
    await world.add(schedule="30 2 * * *")
    for _ in range(3 * 24 * 6):
        await world.look(10 * MINUTE)
        await world.run_ends()
    assert await world.runs() == [f"nightly.202611{day}T0230" for day in (28, 29, 30)]


async def test_on_the_nights_when_clocks_are_set_there_is_one_run_each() -> None:
    world = World(clock=FakeClock(berlin("2026-10-24T12:00")))
    await world.add(schedule="30 2 * * *")
    for _ in range(2 * 24 * 4):
        await world.look(15 * MINUTE)
        await world.run_ends()
    assert await world.runs() == ["nightly.20261025T0230", "nightly.20261026T0230"]
    world = World(clock=FakeClock(berlin("2026-03-28T12:00")))
    await world.add(schedule="30 2 * * *")
    for _ in range(2 * 24 * 4):
        await world.look(15 * MINUTE)
        await world.run_ends()
    assert await world.runs() == ["nightly.20260329T0300", "nightly.20260330T0230"]


async def test_an_hourly_schedule_runs_twice_in_the_hour_that_comes_twice() -> None:
    world = World(clock=FakeClock(berlin("2026-10-25T01:45")))
    await world.add(schedule="30 * * * *")
    for _ in range(12):
        await world.look(15 * MINUTE)
        await world.run_ends()
    names = await world.runs()
    assert [name[:21] for name in names] == ["nightly.20261025T0230", "nightly.20261025T0230", "nightly.20261025T0330"]
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    ("policy", "max_late_s", "names", "passed_over"),
    [
        (Missed.RUN_ONCE, DAY, ["20261130T0230"], 2),
        (Missed.SKIP, DAY, [], 3),
        (Missed.RUN_ALL, 9 * DAY, ["20261128T0230", "20261129T0230", "20261130T0230"], 0),
        (Missed.RUN_ALL, 2 * DAY, ["20261129T0230", "20261130T0230"], 1),
        (Missed.RUN_ONCE, HOUR, [], 3),
    ],
)
async def test_what_was_missed_while_the_daemon_was_off_follows_the_policy(
    policy: Missed, max_late_s: float, names: Sequence[str], passed_over: int
) -> None:
    world = World()
    world.missed(policy, max_late_s)
    template = await world.add(schedule="30 2 * * *")
    world.clock.advance(2 * DAY + 6 * HOUR)
    await world.begun(world.store).look()
    assert await world.runs() == [f"nightly.{name}" for name in names]
    (told,) = await world.told(template)
    assert told["passed_over"] == passed_over
    assert told.get("reason") == (None if names else "missed")
    assert (await world.now_as(template)).not_before == T + 3 * DAY


async def test_while_the_run_before_waits_no_second_one_is_made_and_it_is_said() -> None:
    world = World()
    template = await world.add(schedule="30 2 * * *")
    await world.look(HOUR)
    await world.look(DAY)
    await world.look(DAY)
    assert len(await world.runs()) == 1
    first, second, third = await world.told(template)
    assert second["reason"] == third["reason"] == "coalesced"
    assert (second["runs"], third["run"]) == ([], first["run"])
    assert str(first["run"])[-8:] in str(third["detail"])
    await world.run_ends()
    await world.look(DAY)
    assert await world.runs() == ["nightly.20261128T0230", "nightly.20261201T0230"]


async def test_a_run_that_is_at_work_lets_the_next_one_wait_behind_it() -> None:
    world = World()
    await world.add(schedule="30 2 * * *")
    await world.look(HOUR)
    (run,) = await world.store.ready(world.clock.now(), limit=9)
    await go(world.store, run, K.STARTED)
    await world.look(DAY)
    assert len(await world.runs()) == 2
    assert await world.store.ready(world.clock.now(), limit=9) == []


async def test_a_held_template_makes_no_run_and_one_that_was_removed_never_again() -> None:
    world = World()
    held, gone = await world.add("held", schedule="30 2 * * *"), await world.add("gone", schedule="30 2 * * *")
    await go(world.store, held, K.HELD)
    await go(world.store, gone, K.CANCELLED)
    await world.look(2 * DAY)
    assert await world.runs() == []


@pytest.mark.parametrize("dies_in", range(1, 21))
async def test_a_crash_at_any_step_neither_loses_nor_doubles_a_run(dies_in: int) -> None:
    world, life = World(), Life()
    await world.add(schedule="30 2 * * *")
    await world.add("other", schedule="30 2 * * *")
    world.clock.advance(HOUR)
    life.dies_in = dies_in
    with pytest.raises(asyncio.CancelledError):
        await world.begun(Mortal(world.store, life)).look()
    await world.begun(world.store).look()
    assert sorted(await world.runs()) == ["nightly.20261128T0230", "other.20261128T0230"]


@pytest.mark.parametrize("back_s", [HOUR + 1, 3 * DAY, 400 * DAY])
async def test_a_clock_that_is_set_back_makes_no_time_come_twice_and_loses_none(back_s: float) -> None:
    world = World()
    await world.add(schedule="30 2 * * *")
    await world.look(HOUR)
    await world.run_ends()
    world.clock.wall -= back_s
    for _ in range(5 * 24):
        await world.look(HOUR)
        await world.run_ends()
    now = world.clock.now()
    times = await world.times()
    assert len(times) == len(set(times))
    expected = {T}
    expected |= {T - n * DAY for n in range(-6, 405) if now - 5 * DAY < T - n * DAY <= now}
    wanted = {f"nightly.{datetime.fromtimestamp(time, BERLIN):%Y%m%d}" for time in expected}
    assert {f"nightly.{datetime.fromtimestamp(time, BERLIN):%Y%m%d}" for time in times} == wanted


async def test_a_clock_that_is_set_forward_by_mistake_and_back_again_silences_no_template() -> None:
    world = World()
    template = await world.add(schedule="30 2 * * *")
    await world.look()
    world.clock.wall += 400 * DAY
    await world.look()
    await world.run_ends()
    world.clock.wall -= 400 * DAY
    await world.look(MINUTE)
    assert (await world.now_as(template)).not_before == T
    await world.look(HOUR)
    assert "nightly.20261128T0230" in await world.runs()


async def test_a_run_waits_for_what_its_template_depends_on() -> None:
    world = World()
    await world.add(schedule="30 2 * * *", depends_on=("build",))
    await world.look(HOUR)
    (run,) = await world.store.tasks([State.BLOCKED], limit=9)
    ((need,),) = (await world.store.needs([run.uid])).values()
    assert (need.on_key, need.met) == ("build", False)


async def test_what_waits_beyond_its_deadline_fails_and_says_so() -> None:
    world = World()
    task = await world.add("late", deadline="in 2h")
    blocked, asking = await world.add("blocked", deadline="in 2h"), await world.add("asking", deadline="in 2h")
    await go(world.store, blocked, K.BLOCKED)
    asking = await go(world.store, asking, K.STARTED, K.FINISHED)
    await world.store.commit([event(K.QUESTION_ASKED, asking, question="?")])
    assert await world.look(2 * HOUR - 3) == 3.0
    assert (await world.now_as(task)).state is State.QUEUED
    await world.look(3)
    for one in (task, blocked, asking):
        ended = await world.now_as(one)
        assert (ended.state, ended.reason) == (State.FAILED, "deadline")
        assert "2026-11-28 03:30 CET" in ended.detail
    assert "before it was started" in (await world.now_as(task)).detail
    assert "before it was done" in (await world.now_as(asking)).detail


async def test_what_runs_at_its_deadline_is_left_to_its_attempt() -> None:
    world = World()
    task = await go(world.store, await world.add("busy", deadline="in 2h"), K.STARTED)
    assert await world.look(3 * HOUR) == LOOK_AT_LEAST_EVERY_S
    assert (await world.now_as(task)).state is State.RUNNING


async def test_it_waits_for_a_store_that_refuses_for_now() -> None:
    class Full(MemoryStore):
        refusals = 2

        async def next_due(self) -> float:
            if Full.refusals:
                Full.refusals -= 1
                raise StoreError("the disk is full", lasting=False)
            return await super().next_due()

    world = World(store=Full())
    await world.add(schedule="30 2 * * *")
    world.clock.advance(HOUR)
    stopping = asyncio.Event()
    running = asyncio.create_task(world.part.run(stopping))
    async with asyncio.timeout(5):
        while not await world.runs():
            world.clock.advance(1.0)
            await asyncio.sleep(0)
    stopping.set()
    await running


async def test_a_command_wakes_it_at_once() -> None:
    world = World()
    stopping = asyncio.Event()
    running = asyncio.create_task(world.part.run(stopping))
    await asyncio.sleep(0.01)
    await world.add(schedule="30 2 * * *")
    world.clock.advance(HOUR)
    world.bell.ring()
    async with asyncio.timeout(2):
        while not await world.runs():
            await asyncio.sleep(0.005)
        stopping.set()
        await running
