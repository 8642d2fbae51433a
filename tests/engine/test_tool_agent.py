"""An attempt that may split its task gets the tool for exactly as long as it runs; any other runs as ever."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from types import ModuleType

import pytest
from tests.agents import DONE
from tests.engine.test_granting import POLICY, World, wish
from tests.worker_rig import ask, call, text_of

from orchestrator.api.worker_door import Door
from orchestrator.core.attempt import AgentMessage, MessageKind, Outcome, WorkOrder
from orchestrator.core.ports import Say
from orchestrator.core.split import SplitRules
from orchestrator.core.worker_tool import Caller
from orchestrator.engine.tool_agent import ToolAgent

SPLIT = call("split_task", wish("A", "B"))


class Worker:
    """An agent that keeps its order, splits its task if it can, and ends when it may."""

    def __init__(self) -> None:
        self.order: WorkOrder | None = None
        self.heard: list[tuple[str, bool]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.asked = asyncio.Event()

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        self.order = order
        if order.tool is not None:
            self.heard.append(text_of(await ask(order.tool, SPLIT)))
        self.asked.set()
        await self.may_end.wait()
        return DONE

    async def collect(self, order: WorkOrder) -> Outcome | None:
        return DONE


@dataclass
class Rig:
    world: World
    worker: Worker
    door: Door

    @property
    def agent(self) -> ToolAgent:
        return ToolAgent(self.worker, self.world.desk, self.door)

    async def order(self) -> WorkOrder:
        caller = await self.world.running()
        plain = WorkOrder(
            caller.uid, caller.attempt, caller.epoch, "parent", "claude", "Do it.", "/area", "s", "/a", ()
        )
        return replace(plain, continue_prompt="Go on.")


def caller_of(order: WorkOrder) -> Caller:
    return Caller(order.uid, order.attempt, order.epoch)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    world = World()
    door = Door(world.desk, chance=lambda: secrets.token_urlsafe(32), now=time.monotonic)
    yield Rig(world, Worker(), door)
    await door.stop()


class Notes:
    """A `say` that keeps the notes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def __call__(self, message: AgentMessage) -> None:
        if message.kind is MessageKind.NOTE:
            self.texts.append(message.text)


async def test_a_worker_splits_its_task_through_its_own_token_and_is_told_of_the_tool_once(rig: Rig) -> None:
    order, notes = await rig.order(), Notes()
    assert await rig.agent.run(order, notes) is DONE
    ((text, is_error),) = rig.worker.heard
    assert (text.partition(":")[0], is_error) == ("accepted", False)
    assert len(await rig.world.taken_down(caller_of(order))) == 1
    seen = rig.worker.order
    assert seen is not None
    assert seen.prompt.startswith("Do it.\n\n")
    assert "split_task" in seen.prompt
    assert "five or more" in seen.prompt
    assert seen.continue_prompt == "Go on."
    assert notes.texts == []


@pytest.mark.parametrize("cancelled", [False, True], ids=["ended", "cancelled"])
async def test_the_token_is_worth_nothing_once_the_run_is_over(rig: Rig, cancelled: bool) -> None:
    order = await rig.order()
    rig.worker.may_end.clear()
    running = asyncio.create_task(rig.agent.run(order, Notes()))
    await rig.worker.asked.wait()
    seen = rig.worker.order
    assert seen is not None
    assert seen.tool is not None
    assert (await ask(seen.tool, SPLIT)).status == 200
    if cancelled:
        running.cancel()
    rig.worker.may_end.set()
    await asyncio.wait([running])
    assert (await ask(seen.tool, SPLIT)).status == 401


async def test_where_it_is_switched_off_nothing_is_opened_and_nothing_is_said(rig: Rig) -> None:
    rig.world.policy = replace(POLICY, splits=SplitRules(tool=False))
    order, notes = await rig.order(), Notes()
    assert await rig.agent.run(order, notes) is DONE
    assert rig.worker.order is order
    assert notes.texts == []
    assert await rig.agent.collect(order) is DONE


async def test_where_the_library_is_missing_the_run_goes_on_and_a_note_says_so(rig: Rig) -> None:
    def absent() -> ModuleType:
        raise ImportError("No module named 'mcp'")

    door = Door(rig.world.desk, chance=str, now=float, load=absent)
    order, notes = await rig.order(), Notes()
    assert await ToolAgent(rig.worker, rig.world.desk, door).run(order, notes) is DONE
    assert rig.worker.order is order
    assert [text.partition(":")[0] for text in notes.texts] == ["it goes on without split_task"]
