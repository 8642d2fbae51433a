"""An agent whose attempts may split their own tasks: given the tool where that is of use, else run as ever."""

from dataclasses import replace

from orchestrator.core.attempt import AgentMessage, MessageKind, Outcome, WorkOrder
from orchestrator.core.ports import Agent, Say
from orchestrator.core.prompt import with_tool
from orchestrator.core.worker_tool import SPLIT_TASK, Caller, ToolMissingError, WorkerDoor
from orchestrator.engine.granting import Granting


class ToolAgent:
    """Implements the port `Agent` around another one. The token lives exactly as long as the run."""

    def __init__(self, agent: Agent, granting: Granting, door: WorkerDoor) -> None:
        self._agent = agent
        self._granting = granting
        self._door = door

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        caller = Caller(order.uid, order.attempt, order.epoch)
        if not await self._granting.offered(caller):
            return await self._agent.run(order, say)
        try:
            access = await self._door.open(caller)
        except ToolMissingError as error:
            await say(AgentMessage(MessageKind.NOTE, f"it goes on without {SPLIT_TASK}: {error}", {"tool": SPLIT_TASK}))
            return await self._agent.run(order, say)
        try:
            return await self._agent.run(replace(order, tool=access, prompt=with_tool(order.prompt)), say)
        finally:
            self._door.close(caller)
            self._granting.over(caller)

    async def collect(self, order: WorkOrder) -> Outcome | None:
        return await self._agent.collect(order)
