"""The clock is set or the machine was asleep: nothing waits wrongly for it."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.fakes import FakeClock, MemoryStore
from tests.ports.sample_tasks import event, new

from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Pause
from orchestrator.core.retry import POLICIES
from orchestrator.engine.clockwatch import ClockWatch

NOW, DAY = 1_800_000_000.0, 86_400.0


class Policy:
    retries = POLICIES


class World:
    """A store with one task that waits for a retry and one that waits for its agent, and the watch over it."""

    def __init__(self) -> None:
        self.clock, self.store, self.jumps = FakeClock(NOW), MemoryStore(), 0
        policy: Any = Policy()
        self.watch = ClockWatch(store=self.store, clock=self.clock, policy=lambda: policy)
        self.watch.on_jump.append(self._count)

    def _count(self) -> None:
        self.jumps += 1

    async def wait(self, n: int, reason: str, seconds: float) -> None:
        (task,) = await self.store.accept([new(n)])
        ts = self.clock.now()
        (running,) = await self.store.commit([event(EventKind.STARTED, task, ts=ts)])
        data: dict[str, Json] = {"reason": reason, "not_before": ts + seconds}
        await self.store.commit([Event(EventKind.LIMITED, ts, running.uid, 1, running.epoch, data)])

    async def waits(self) -> list[float]:
        tasks = await self.store.tasks([State.RETRY_WAIT], limit=9)
        return [task.not_before - self.clock.now() for task in tasks]

    async def warnings(self) -> Sequence[Event]:
        return [one for one in await self.store.events_after(0, limit=99) if one.kind is EventKind.WARNING]


@pytest.mark.parametrize("jump", [DAY, -DAY, 31.0, -31.0])
async def test_a_retry_waits_as_long_as_before_whatever_the_clock_says(jump: float) -> None:
    world = World()
    await world.wait(1, "transient", 60.0)
    world.clock.wall += jump
    await world.watch.look()
    assert await world.waits() == [60.0]
    (warning,) = await world.warnings()
    assert (warning.data["reason"], warning.data["seconds"]) == ("clock_jumped", jump)
    assert world.jumps == 1
    world.clock.advance(5.0)
    await world.watch.look()
    assert (await world.waits(), world.jumps) == ([55.0], 1)


@pytest.mark.parametrize(("deadline_s", "left_s"), [(60.0, 60.0), (0.0, 0.0)])
async def test_a_question_can_be_answered_as_long_as_before_and_one_without_end_gets_none(
    deadline_s: float, left_s: float
) -> None:
    world = World()
    (task,) = await world.store.accept([new(1)])
    (task,) = await world.store.commit([event(EventKind.STARTED, task, ts=NOW)])
    (task,) = await world.store.commit([event(EventKind.FINISHED, task, ts=NOW)])
    deadline = NOW + deadline_s if deadline_s else 0.0
    await world.store.commit([event(EventKind.QUESTION_ASKED, task, ts=NOW, deadline=deadline)])
    world.clock.wall += DAY
    await world.watch.look()
    (waiting,) = await world.store.tasks([State.NEEDS_INPUT], limit=2)
    assert waiting.not_before - (world.clock.now() if deadline_s else 0.0) == left_s


async def test_time_that_passes_and_a_clock_that_is_trimmed_are_no_jump() -> None:
    world = World()
    for _ in range(50):
        world.clock.advance(2.0)
        world.clock.wall += 0.5
        await world.watch.look()
    assert (world.jumps, await world.warnings()) == (0, [])


async def test_after_a_step_forward_a_reset_of_the_provider_stays_where_it_is() -> None:
    world = World()
    hold = Pause("claude", NOW + 2 * DAY, "usage_limit", "")
    await world.store.pause(hold, Event(EventKind.AGENT_HELD, NOW))
    await world.wait(1, "usage_limit", 2 * DAY + 1)
    world.clock.wall += DAY
    await world.watch.look()
    assert await world.store.pauses() == [hold]
    assert await world.waits() == [DAY + 1]


async def test_after_a_step_back_a_hold_is_tried_at_once_and_what_a_person_put_stays() -> None:
    world = World()
    for scope, until, reason in (
        ("claude", NOW + 900, "usage_limit"),
        ("*", 0.0, "paused"),
        ("other", NOW + 900, "headroom"),
    ):
        await world.store.pause(Pause(scope, until, reason, ""), Event(EventKind.AGENT_HELD, NOW))
    await world.wait(1, "usage_limit", 901)
    world.clock.wall -= DAY
    await world.watch.look()
    assert {pause.scope: pause.until - world.clock.now() for pause in await world.store.pauses() if pause.until} == {
        "claude": 0.0,
        "other": DAY + 900,
    }
    assert await world.waits() == [1.0]


async def test_a_clock_that_was_set_back_while_nobody_watched_is_noticed_at_the_start_and_once() -> None:
    world = World()
    await world.wait(1, "transient", 60.0)
    world.clock.wall -= DAY
    again = ClockWatch(store=world.store, clock=world.clock, policy=world.watch._policy)
    again.on_jump.append(world._count)
    await again.look()
    assert (await world.waits(), world.jumps) == ([60.0], 1)
    await again.look()
    assert (await world.waits(), world.jumps) == ([60.0], 1)
    third = ClockWatch(store=world.store, clock=world.clock, policy=world.watch._policy)
    await third.look()
    assert await world.waits() == [60.0]
