"""How the whole ends when one of its parts cannot go on."""

import asyncio

import pytest
from tests.agents import FakeAgent
from tests.harness import until
from tests.rig import Engine, Open

from orchestrator.core.attempt import Outcome, WorkOrder
from orchestrator.core.errors import StoreError
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Say
from orchestrator.engine.daemon import Signals


def _broken() -> StoreError:
    return StoreError("the disk refused", lasting=True)


async def test_an_error_that_ends_one_part_ends_the_daemon_by_that_error_and_every_attempt(open_engine: Open) -> None:
    async with open_engine() as engine:
        engine.agent.gates["t"] = asyncio.Event()
        task = await engine.add("t")

        async def intake(_: asyncio.Event) -> None:
            await until(lambda: engine.agent.alive, what="the start")
            raise _broken()

        with pytest.raises(StoreError, match="the disk refused"):
            await engine.daemon(intake).run(Signals(), {})
        assert not engine.agent.alive
        assert (await engine.task(task.uid)).state is State.QUEUED


async def test_a_bug_in_one_part_is_not_passed_off_as_an_expected_error(open_engine: Open) -> None:
    async with open_engine() as engine:

        async def intake(_: asyncio.Event) -> None:
            raise ZeroDivisionError

        with pytest.raises(ExceptionGroup):
            await engine.daemon(intake).run(Signals(), {})


class SlowToEnd(FakeAgent):
    """Ends only after a look of the pool has gone by; counts how often it is told to."""

    told = 0

    def __init__(self, looks: asyncio.Event) -> None:
        super().__init__()
        self.looked_on = looks

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        try:
            return await super().run(order, say)
        except asyncio.CancelledError:
            self.told += 1
            while not self.looked_on.is_set():
                try:
                    await self.looked_on.wait()
                except asyncio.CancelledError:
                    self.told += 1
            raise


async def test_a_cancelled_attempt_is_told_once_so_that_it_keeps_its_grace(open_engine: Open) -> None:
    looked_on = asyncio.Event()
    agent = SlowToEnd(looked_on)
    async with open_engine(agent) as engine:
        agent.gates["t"] = asyncio.Event()
        await engine.add("t")
        signals = Signals()
        running = asyncio.create_task(engine.daemon().run(signals, {}))
        await until(lambda: agent.alive, what="the start")
        await engine.service.cancel("t")
        await until(lambda: agent.told, what="the cancellation")
        for name in ("u", "v"):  # each makes the pool look again
            await _ended(engine, name)
        looked_on.set()
        await until(lambda: engine.archived("t"), what="the end")
        signals.stop()
        await running
        assert agent.told == 1


async def _ended(engine: Engine, name: str) -> None:
    await engine.add(name)
    await until(lambda: engine.archived(name), what=f"the end of {name}")
