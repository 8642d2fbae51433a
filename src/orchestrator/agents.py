"""Puts the agents together by name: Claude Code on the person's account, and on a local model."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_local import LocalAgent, local_config
from orchestrator.configuration import Configuration
from orchestrator.core.attempt import Failed, Outcome, WorkOrder
from orchestrator.core.ports import Agent, Say

CLAUDE, LOCAL = "claude", "local"


class Live(Agent, Protocol):
    """Claude Code as configured now."""

    async def now(self) -> tuple[ClaudeConfig, ClaudeAgent]: ...

    async def untrusted(self) -> Failed | None: ...


def by_name(
    configuration: Configuration, claude: Live, new_session_id: Callable[[], str], stands_in: Agent | None = None
) -> dict[str, Agent]:
    """Return the agents that tasks may name. *stands_in* replaces each of them (tests)."""
    if stands_in is not None:
        return {CLAUDE: stands_in, LOCAL: stands_in}
    return {CLAUDE: claude, LOCAL: LiveLocal(configuration, claude, new_session_id)}


class LiveLocal:
    """Claude Code on the local model that is configured at the start of each attempt."""

    def __init__(self, configuration: Configuration, claude: Live, new_session_id: Callable[[], str]) -> None:
        self._configuration = configuration
        self._claude = claude
        self._new_session_id = new_session_id

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        return await self._agent().run(order, say)

    async def collect(self, order: WorkOrder) -> Outcome | None:
        return await self._agent().collect(order)

    def _agent(self) -> LocalAgent:
        """The program is tried with the person's own settings: those of this one differ in addresses only."""
        model = self._configuration.settings.agents.local.model
        missing = "" if model else "agents.local.model is not set: name a model of the Ollama server"
        return LocalAgent(self._program(model), self._claude.untrusted, missing)

    def _program(self, model: str) -> Callable[[], Awaitable[Agent]]:
        async def now() -> Agent:
            config, _ = await self._claude.now()
            host = self._configuration.settings.ollama.host
            return ClaudeAgent(local_config(config, host=host, model=model), self._new_session_id)

        return now
