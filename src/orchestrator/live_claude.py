"""The Claude agent of a running root: as configured at the start of each attempt, on what the machine offers."""

import asyncio
import logging
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_account import Account
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_levels import programs
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.container import Container, choose
from orchestrator.configuration import Configuration
from orchestrator.core.attempt import Failed, Outcome, WorkOrder, not_begun
from orchestrator.core.ports import Say
from orchestrator.settings_trial import RECORD, SettingsTrial

log = logging.getLogger(__name__)


async def choose_container(configuration: Configuration, *, settle: bool, now: float) -> Container:
    """Return what will hold the processes of an attempt together here."""
    environ = configuration.environ
    path = environ.get("PATH", os.defpath)
    which = partial(shutil.which, path=path)
    container = await choose(env={"PATH": path}, which=which, settle=settle, now=now)
    log.info("attempts are held by %s%s", container.in_force, f" ({container.without})" if container.without else "")
    return container


def claude_in(container: Container, configuration: Configuration) -> ClaudeConfig:
    """Return how the CLI is run where *container* is what the machine offers.

    Every door asks this, so that none tells of what is not in force. Installed is not enough: where the kernel
    lets bubblewrap make nothing, `auto` means no shell.
    """
    path = configuration.environ.get("PATH", "")
    installed = all(shutil.which(program, path=path) for program in programs(as_root=os.geteuid() == 0))
    config = configuration.claude(sandbox_available=installed and bool(container.words))
    return replace(config, container=container.words, cgroups=container.cgroups)


def _failed(done: "asyncio.Task[Container]") -> bool:
    """Whether the look at the machine met an error: what it lacked then it may have by now."""
    return done.done() and (done.cancelled() or done.exception() is not None)


class LiveClaude:
    """The Claude agent as configured at the start of each attempt: a changed setting counts from the next one on."""

    def __init__(self, configuration: Configuration, clock: SystemClock) -> None:
        self._configuration = configuration
        self._clock = clock
        self._agent: tuple[object, ClaudeConfig, ClaudeAgent] | None = None
        self._container: asyncio.Task[Container] | None = None
        self._account = Account()
        state = Path(configuration.settings.paths.state)
        self._trial = SettingsTrial(state / "trial", state / RECORD, clock.new_session_id)

    async def container(self) -> Container:
        """Return what the machine offers: tried once, by the first who needs it, and again where that met an error."""
        if self._container is None or _failed(self._container):
            self._container = asyncio.create_task(
                choose_container(self._configuration, settle=True, now=self._clock.now())
            )
        return await asyncio.shield(self._container)

    async def now(self) -> tuple[ClaudeConfig, ClaudeAgent]:
        """Return the configuration in force and its agent; built anew only when that changed."""
        container = await self.container()
        loaded = self._configuration.loaded
        if self._agent is None or self._agent[0] is not loaded:
            config = claude_in(container, self._configuration)
            self._agent = (loaded, config, ClaudeAgent(config, self._clock.new_session_id))
        return self._agent[1:]

    async def untrusted(self) -> Failed | None:
        """Return why nothing may be started: what should hold the agent was tried and did not."""
        config, _ = await self.now()
        return await self._trial.failure(config) if self._configuration.settings.agents.claude.self_test else None

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        if failure := await self.untrusted():
            return replace(failure, report=not_begun(order))
        return await (await self.now())[1].run(order, say)

    async def collect(self, order: WorkOrder) -> Outcome | None:
        return await (await self.now())[1].collect(order)

    def account(self) -> str:
        """Return a digest that tells whose allowance the next attempt would use, "" when nobody knows."""
        return self._account.digest(self._configuration.claude(sandbox_available=False))
