"""Whatever happens in whatever order, a time of a schedule makes at most one run, and none that is due is lost."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_scheduling import World
from tests.engine.world import Life, Mortal
from tests.fakes import FakeClock
from tests.ports.sample_tasks import go

from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.schedule import Missed, times_between
from orchestrator.engine.times import released

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
BERLIN = ZoneInfo("Europe/Berlin")
BEGINNINGS = [datetime(2026, *day, tzinfo=BERLIN).timestamp() for day in ((3, 28, 12), (10, 24, 12), (11, 27, 12))]
STEPS = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([MINUTE, 20 * MINUTE, HOUR, 7 * HOUR, DAY])),
    st.tuples(st.just("off"), st.sampled_from([HOUR, 12 * HOUR, 3 * DAY])),
    st.tuples(st.just("set"), st.sampled_from([-2 * DAY, -DAY, -HOUR, HOUR, DAY])),
    st.tuples(st.just("die"), st.integers(1, 30).map(float)),
    st.tuples(st.sampled_from(["hold", "release", "busy"]), st.just(0.0)),
)


async def act(world: World, what: str, size: float) -> None:
    (template,) = await world.store.tasks([State.SCHEDULED, State.HELD], limit=2)
    match what:
        case "pass":
            world.clock.advance(size)
        case "off":
            world.clock.advance(size)
            world.part = world.begun(world.store)
        case "set":
            world.clock.wall += size
        case "die":
            world.clock.advance(5 * HOUR)
            life = Life()
            life.dies_in = int(size)
            with suppress(asyncio.CancelledError):
                await world.begun(Mortal(world.store, life)).look()
        case "hold" if template.state is State.SCHEDULED:
            await go(world.store, template, EventKind.HELD)
        case "release" if template.state is State.HELD:
            await world.store.commit(released(template, world.clock.now(), "by request"))
    await world.part.look()
    if what != "busy":  # then the runs that were made wait still
        await world.run_ends()


async def times_run(world: World, steps: list[tuple[str, float]]) -> Counter[float]:
    template = await world.add(schedule="30 2,14 * * *")
    for step in steps:
        await act(world, *step)
    runs: Counter[float] = Counter()
    for task in await world.store.tasks([state for state in State if state is not State.SCHEDULED], limit=1000):
        if task.uid != template.uid:
            (born,) = [one for one in await world.store.events_of(task.uid, limit=9) if one.kind is EventKind.RECEIVED]
            runs[float(str(born.data["time"]))] += 1
    assert await world.store.due(world.clock.now(), limit=9) == []  # what is due was acted on
    (now_as,) = await world.store.tasks([State.SCHEDULED, State.HELD], limit=2)
    assert now_as.state is State.HELD or now_as.not_before > world.clock.now()
    return runs


@settings(deadline=None, max_examples=120)
@given(st.sampled_from(BEGINNINGS), st.lists(STEPS, min_size=3, max_size=14), st.sampled_from(Missed))
def test_no_order_of_kills_clocks_and_people_makes_a_run_twice(
    begins: float, steps: list[tuple[str, float]], missed: Missed
) -> None:
    world = World(clock=FakeClock(begins))
    world.missed(missed, 5 * DAY)
    runs = asyncio.run(times_run(world, steps))
    assert set(runs.values()) <= {1}
    assert set(runs) <= set(times_between("30 2,14 * * *", BERLIN, begins - 30 * DAY, begins + 60 * DAY))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(BEGINNINGS),
    st.lists(STEPS.filter(lambda step: step[0] in ("pass", "off", "die", "busy")), max_size=14),
)
def test_with_run_all_every_time_has_its_run_whenever_the_daemon_was_off(
    begins: float, steps: list[tuple[str, float]]
) -> None:
    world = World(clock=FakeClock(begins))
    world.missed(Missed.RUN_ALL, 20 * DAY)
    runs = asyncio.run(times_run(world, steps))
    assert sorted(runs) == list(times_between("30 2,14 * * *", BERLIN, begins + 1, world.clock.now()))
