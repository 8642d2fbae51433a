"""A fake agent for engine tests: small, named, and held to the same contract as the real one."""

import asyncio
from collections.abc import Mapping, Sequence

from orchestrator.core.attempt import (
    AgentMessage,
    AgentReport,
    Finished,
    Interrupted,
    MessageKind,
    Outcome,
    Usage,
    WorkOrder,
)
from orchestrator.core.ports import Say

DONE = Finished(
    AgentReport(answer="All is done.", exit_code=0, usage=Usage(1, 100, 20, 0, 0, 0.01, 0.01), tool_calls={"Read": 1})
)


class FakeAgent:
    """Answers with prepared outcomes: *script* by task id, one after the other, then DONE.

    Tasks named in *gates* wait for their event first. *starts* are the orders as they came, *alive* the marks of
    those that run now. *says* by task id is what it reports after its session. What *left* has for a mark is what
    `collect` finds: how that attempt ended.
    """

    def __init__(self, script: Mapping[str, Sequence[Outcome]] | None = None) -> None:
        self._script = {task: list(outcomes) for task, outcomes in (script or {}).items()}
        self.gates: dict[str, asyncio.Event] = {}
        self.starts: list[WorkOrder] = []
        self.alive: set[str] = set()
        self.most_at_once = 0
        self.left: dict[str, Outcome] = {}
        self.says: dict[str, Sequence[AgentMessage]] = {}

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        self.starts.append(order)
        self.alive.add(order.mark)
        self.most_at_once = max(self.most_at_once, len(self.alive))
        try:
            await say(AgentMessage(MessageKind.SESSION, "session begun", {"session_id": order.session_id}))
            for message in self.says.get(order.task_id, ()):
                await say(message)
            if order.task_id in self.gates:
                await self.gates[order.task_id].wait()
            prepared = self._script.get(order.task_id, [])
            outcome = prepared.pop(0) if prepared else DONE
            self.left[order.mark] = outcome
        except asyncio.CancelledError:
            self.left.setdefault(order.mark, Interrupted("stopped"))
            raise
        else:
            return outcome
        finally:
            self.alive.discard(order.mark)

    async def collect(self, order: WorkOrder) -> Outcome | None:
        self.alive.discard(order.mark)
        return self.left.get(order.mark)
