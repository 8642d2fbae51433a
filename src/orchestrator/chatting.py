"""Builds the Telegram door of a running root. The library is loaded when a bot is configured, and not before."""

import asyncio
import importlib.util
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from orchestrator.api.telegram import Allowed, TelegramDoor
from orchestrator.api.telegram_desk import Desk
from orchestrator.api.telegram_line import Access, TelegramLine
from orchestrator.api.telegram_live import EDIT_EVERY_S
from orchestrator.api.telegram_notices import TelegramNotifier
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.sqlite import SqliteStore
from orchestrator.configuration import Configuration
from orchestrator.core.chat import ChatError, ChatLine
from orchestrator.core.finding import Finding, failed, passed, warned
from orchestrator.core.notice import Delivery, Notice, NotSent
from orchestrator.core.task import Task, TaskSpec
from orchestrator.core.text import SUFFIX
from orchestrator.engine.bell import Bell
from orchestrator.engine.service import Orchestrator
from orchestrator.engine.submission import submit
from orchestrator.engine.words import read_request
from orchestrator.language import reader
from orchestrator.settings import Door, task_rules

log = logging.getLogger(__name__)

DOOR: Door = "telegram"
DOCTOR_WAITS_S = 5.0
MISSING = "python-telegram-bot is not installed; type `python3 main.py setup telegram`"


def installed() -> bool:
    """Return whether the extra `telegram` is there."""
    return importlib.util.find_spec("telegram") is not None


class Telegram:
    """The door and its connection; *service_on* builds the application service on a store."""

    def __init__(
        self,
        configuration: Configuration,
        store: SqliteStore,
        clock: SystemClock,
        bell: Bell,
        service_on: Callable[[SqliteStore], Orchestrator],
        *,
        edit_every_s: float = EDIT_EVERY_S,
    ) -> None:
        self._configuration = configuration
        self._store = store
        self._clock = clock
        self._bell = bell
        self._words = reader(configuration)
        self.line = TelegramLine(clock)
        self.notifier = TelegramNotifier(self.line, lambda: configuration.settings.telegram.chat_id)
        desk = Desk(
            chat=self.line,
            memory=store,
            clock=clock,
            service=service_on(store),
            once=lambda key: service_on(store.once(key, ts=clock.now())),
            submit=self._submit,
            read=self._read,
            told_as=self._told_as,
        )
        self._door = TelegramDoor(desk, self._allowed, lambda: self.line.name, edit_every_s=edit_every_s)

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until *stopping*. Without a token or without people who may use it nothing is connected."""
        if self._configuration.settings.telegram.token is not None and not installed():
            log.error("Telegram: %s; everything else goes on", MISSING)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._door.run(stopping), name="telegram door")
            group.create_task(self.line.serve(self._access, connected, self._door, stopping), name="telegram line")

    def _access(self) -> Access | None:
        return access_of(self._configuration)

    def _allowed(self) -> Allowed:
        chosen = self._configuration.settings.telegram
        return Allowed(frozenset(chosen.allowed_users), frozenset(chosen.allowed_chats))

    async def _submit(self, key: str, spec: TaskSpec, words: str, by: str) -> Task:
        store = self._store.once(key, ts=self._clock.now())
        return await submit(store, self._clock, self._bell, spec, words=words, door=DOOR, by=by)

    async def _read(self, text: str, name: str) -> TaskSpec:
        rules = task_rules(self._configuration.settings, DOOR)
        return await read_request(text, file_name=f"{name}{SUFFIX}", rules=rules, reader=self._words)

    async def _told_as(self, reference: str) -> Notice | None:
        for sink in self._sinks():
            if (notice := await self._store.outbox.told_as(sink, reference)) is not None:
                return notice
        return None

    def _sinks(self) -> Sequence[str]:
        """Return the names of the places that are told by the bot."""
        named = [one.called for one in self._configuration.settings.notify if one.to == DOOR]
        return named or [DOOR]


class OneShot:
    """Tells by a connection made for it, and closed again: for a process without a bot. Implements `Notifier`."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    async def send(self, delivery: Delivery) -> str:
        chosen = self._configuration.settings.telegram
        if (access := access_of(self._configuration)) is None:
            raise NotSent("no bot is configured" if installed() else MISSING)
        try:
            async with connected(access) as line:
                return await TelegramNotifier(line, lambda: chosen.chat_id).send(delivery)
        except ChatError as error:
            raise NotSent(error.why, retry_after_s=error.retry_after_s, final=error.final) from None


async def findings(configuration: Configuration) -> Sequence[Finding]:
    """Return what doctor says of the bot beside its settings: whether it answers. Without one nobody is asked."""
    if configuration.settings.telegram.token is None:
        return ()
    if not installed():
        return (failed(DOOR, "library", "python-telegram-bot is not installed", "python3 main.py setup telegram"),)
    if (access := access_of(configuration)) is None:
        return ()
    try:
        async with asyncio.timeout(DOCTOR_WAITS_S), connected(access) as line:
            return (passed(DOOR, "bot", f"@{line.username} answers"),)
    except ChatError as error:
        fix = "Copy the token again from @BotFather into .env." if error.final else "The daemon tries again by itself."
        return (warned(DOOR, "bot", error.why, fix),)
    except TimeoutError:
        return (warned(DOOR, "bot", "Telegram does not answer", "The daemon tries again by itself."),)


def access_of(configuration: Configuration) -> Access | None:
    """Return what the bot is reached by; None where there is none, or nobody may use it."""
    chosen = configuration.settings.telegram
    if chosen.token is None or not chosen.allowed_users or not installed():
        return None
    return Access(chosen.token.get_secret_value(), chosen.api_url)


@asynccontextmanager
async def connected(access: Access) -> AsyncIterator[ChatLine]:
    """Open a connection. Raises ChatError."""
    from orchestrator.bridges.telegram_bot import open_bot

    async with open_bot(access.token, api_url=access.api_url) as bot:
        yield bot
