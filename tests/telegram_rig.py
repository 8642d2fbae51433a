"""A daemon with its Telegram door in this process: real store, folders and bridge; only the agent is a fake."""

import asyncio
import gc
import os
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents import FakeAgent
from tests.telegram_server import OWNER, TOKEN, TelegramServer

from orchestrator.chatting import Telegram
from orchestrator.compose import Parts, opened
from orchestrator.configuration import Configuration
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task
from orchestrator.engine.daemon import Signals

EDIT_S = 0.05


@dataclass
class Phone:
    """A person with a phone, and what they reach. *root* and *parts* are for a look behind the scene."""

    server: TelegramServer
    parts: Parts
    agent: FakeAgent
    telegram: Telegram

    def say(self, text: str, **given: Any) -> int:
        return self.server.say(text, **given)

    def press(self, message: dict[str, Any], label: str, **given: Any) -> str:
        return self.server.press(int(message["message_id"]), label, **given)

    async def reads(self, piece: str, chat: int = OWNER) -> dict[str, Any]:
        """Return the newest message with *piece* in it, once it is there."""
        return await asyncio.to_thread(self.server.wait_text, piece, chat)

    async def sees(self, fact: Any, what: str) -> Any:
        return await asyncio.to_thread(self.server.wait, fact, what)

    async def all_read(self) -> None:
        """Return when everything that was said has been confirmed and handled."""
        await self.sees(lambda: not self.server.pending, "every update to be confirmed")
        while await self.parts.store.recall("telegram:in:"):
            await asyncio.sleep(0.01)

    async def task(self, key: str) -> Task:
        return await self.parts.service.task(key)

    async def names(self) -> list[str]:
        """Return the ids of all tasks, oldest first."""
        tasks = [*await self.parts.store.tasks(list(State), limit=1000)]
        return [task.spec.id for task in sorted(tasks, key=lambda task: task.order)]


def configuration(root: Path, server: TelegramServer, **more: str) -> Configuration:
    """Return the configuration of *root* with the bot of *server*; *more* are environment variables."""
    (root / "config").mkdir(parents=True, exist_ok=True)
    (root / "work" / "backend").mkdir(parents=True, exist_ok=True)
    file = root / "config" / "orchestrator.yaml"
    if not file.exists():
        file.write_text(f"telegram:\n  api_url: {server.url}\nisolation:\n  mode: in_place\n", "utf-8")
    environ = {
        "PATH": os.defpath,
        "HOME": str(root),
        "TELEGRAM_BOT_TOKEN": TOKEN,
        "TELEGRAM_ALLOWED_USERS": str(OWNER),
        "CLAUDE_BASE_CWD": str(root / "work"),
        "ORCHESTRATOR_SELF_TEST": "0",
        **more,
    }
    return Configuration(root, environ)


@asynccontextmanager
async def phone(
    root: Path, server: TelegramServer, agent: FakeAgent | None = None, *, works: bool = True, **more: str
) -> AsyncIterator[Phone]:
    """Run a daemon on *root* while the block runs; without *works* nothing is started."""
    agent = agent or FakeAgent()
    async with opened(configuration(root, server, **more), daemon=True, agent=agent) as parts:
        telegram = Telegram(
            parts.configuration, parts.store, parts.clock, parts.bell, parts.service_on, edit_every_s=EDIT_S
        )
        parts.notices.sinks.telegram = telegram.notifier
        signals, stopping = Signals(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(telegram.run(stopping))
            if works:
                daemon = parts.daemon(_no_intake, pool=parts.pool(), still_owner=lambda: True)
                group.create_task(daemon.run(signals, {}))
            try:
                yield Phone(server, parts, agent, telegram)
            finally:
                signals.stop()
                signals.stop()
                stopping.set()
    _forget_what_was_in_flight()


def _forget_what_was_in_flight() -> None:
    """What a stop has cut ends with its process; here that goes on, and its sockets are not those of another test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def _no_intake(stopping: asyncio.Event) -> None:
    await stopping.wait()
