"""The fake clock is a clock."""

import asyncio

from tests.fakes import FakeClock

from orchestrator.core.ports import Clock


async def test_sleepers_wake_in_order_when_their_time_has_come() -> None:
    clock = FakeClock(now=100.0)
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (3.0, 1.0, 2.0):
            group.create_task(sleep(seconds))
        while clock.sleepers < 3:
            await asyncio.sleep(0)
        clock.advance(2.0)
        while clock.sleepers > 1 or len(woken) < 2:
            await asyncio.sleep(0)
        assert woken == [1.0, 2.0]
        clock.advance(1.0)
    assert woken == [1.0, 2.0, 3.0]
    assert (clock.now(), clock.monotonic()) == (103.0, 3.0)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    sleeping = asyncio.create_task(clock.sleep(1.0))
    while not clock.sleepers:
        await asyncio.sleep(0)
    sleeping.cancel()
    await asyncio.wait([sleeping])
    assert clock.sleepers == 0
    clock.advance(5.0)


def test_uids_are_sortable_and_of_the_form_of_the_real_ones() -> None:
    clock: Clock = FakeClock()
    uids = [clock.new_uid() for _ in range(20)]
    assert uids == sorted(set(uids))
    assert {len(uid) for uid in uids} == {32}
    assert all(set(uid) <= set("0123456789abcdef") for uid in uids)
