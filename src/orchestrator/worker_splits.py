"""Puts together the tool by which running workers may split their tasks: the desk, the door, and agents that use them.

Nothing of it costs a root anything where the tool is off: no library is loaded, no port is opened.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from orchestrator.api.worker_door import MISSING, Door, installed
from orchestrator.configuration import Configuration
from orchestrator.core.finding import Finding, warned
from orchestrator.core.ports import Agent, Clock, Store
from orchestrator.core.worker_tool import SPLIT_TASK
from orchestrator.engine.granting import Granting
from orchestrator.engine.tool_agent import ToolAgent

TOKEN_BYTES = 32


class WorkerSplits:
    """The tool of one root. To be ended with `stop`."""

    def __init__(self, configuration: Configuration, store: Store, clock: Clock) -> None:
        policy, redact = configuration.policy, configuration.redacted
        self._granting = Granting(store=store, clock=clock, policy=policy, redact=redact)
        chance = partial(secrets.token_urlsafe, TOKEN_BYTES)
        self._door = Door(self._granting, chance=chance, now=clock.monotonic)

    def offered_to(self, agents: Mapping[str, Agent]) -> dict[str, Agent]:
        """Return *agents* so that each attempt of theirs has the tool where it may split its task."""
        return {name: ToolAgent(agent, self._granting, self._door) for name, agent in agents.items()}

    async def stop(self) -> None:
        """Let nobody in any more."""
        await self._door.stop()


def findings(configuration: Configuration, *, there: Callable[[], bool] = installed) -> Sequence[Finding]:
    """Return what doctor says: that the tool is switched on and its library is not *there*."""
    if not configuration.policy().splits.tool or there():
        return ()
    what = f"orchestrate.tool is on and workers do not get {SPLIT_TASK}: {MISSING.partition(';')[0]}"
    return (warned("orchestrate", "tool", what, "python3 main.py setup mcp"),)
