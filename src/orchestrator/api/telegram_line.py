"""The connection to Telegram while the daemon runs: opened, polled, opened again, and never in anybody's way.

Whatever is wrong with it (no network, a refused token, somebody else who polls the bot) is logged once, and the tasks
go on. What is said meanwhile waits for the next connection.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from orchestrator.api.telegram import TelegramDoor
from orchestrator.api.telegram_words import COMMANDS
from orchestrator.core.chat import ChatError, ChatLine, Outgoing
from orchestrator.core.errors import StoreError
from orchestrator.core.ports import Clock

log = logging.getLogger(__name__)

POLL_S = 25.0
QUICK_S = 0.2
LOOK_S = 1.0  # how soon changed settings are seen
FIRST_AGAIN_S, LONGEST_AGAIN_S = 1.0, 60.0
REFUSED_AGAIN_S = 600.0
_NOT_THERE = "there is no connection to Telegram"


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection is made with; another one when the settings change."""

    token: str
    api_url: str


class TelegramLine:
    """Implements the port `Chat` by the connection that there is at the moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._line: ChatLine | None = None
        self.name = ""
        self.trouble = ""
        self._again_s = FIRST_AGAIN_S

    async def send(self, chat_id: int, message: Outgoing) -> int:
        return await self._there().send(chat_id, message)

    async def edit(self, chat_id: int, message_id: int, message: Outgoing) -> None:
        await self._there().edit(chat_id, message_id, message)

    async def unbutton(self, chat_id: int, message_id: int) -> None:
        await self._there().unbutton(chat_id, message_id)

    async def answer(self, query_id: str, text: str) -> None:
        await self._there().answer(query_id, text)

    def _there(self) -> ChatLine:
        if self._line is None:
            raise ChatError(self.trouble or _NOT_THERE)
        return self._line

    async def serve(
        self,
        access: Callable[[], Access | None],
        connect: Callable[[Access], AbstractAsyncContextManager[ChatLine]],
        door: TelegramDoor,
        stopping: asyncio.Event,
    ) -> None:
        """Keep a connection by *access* (None: nobody may use it); hand what comes in to *door*, until *stopping*."""
        while not stopping.is_set():
            wanted = access()
            if wanted is None:
                self.trouble = ""
                await self._pause(LOOK_S, stopping, lambda: access() is not None)
                continue
            try:
                async with connect(wanted) as line:
                    await line.prepare(COMMANDS)
                    self._line, self.name = line, line.username
                    await self._poll(line, door, stopping, lambda: access() != wanted)  # noqa: B023 - called within
            except ChatError as error:
                await self._pause(self._told(error), stopping, lambda: access() != wanted)  # noqa: B023 - called within
            finally:
                self._line = None

    def _told(self, error: ChatError) -> float:
        """Log a new trouble once. Returns when to try again, in seconds: later each time, until it works again."""
        again_s = max(error.retry_after_s, self._again_s)
        self._again_s = min(2 * self._again_s, LONGEST_AGAIN_S)
        if error.why != self.trouble:
            hint = "; correct TELEGRAM_BOT_TOKEN" if error.final else ""
            log.warning("Telegram: %s%s; everything else goes on", error.why, hint)
        self.trouble = error.why
        return REFUSED_AGAIN_S if error.final else again_s

    def _works(self) -> None:
        """Updates came, or none within the time: whatever was wrong is over."""
        if self.trouble:
            log.info("Telegram is there again")
        self.trouble, self._again_s = "", FIRST_AGAIN_S

    async def _poll(
        self, line: ChatLine, door: TelegramDoor, stopping: asyncio.Event, changed: Callable[[], bool]
    ) -> None:
        after, failed = 0, 0
        while not stopping.is_set() and not changed():
            began = self._clock.monotonic()
            asked = asyncio.ensure_future(line.updates(after, timeout_s=POLL_S))
            try:
                while not asked.done() and not stopping.is_set() and not changed():
                    await self._pause(LOOK_S, stopping, asked.done, asked)
                if not asked.done():
                    return
                after, arrived = asked.result()
                await door.take(arrived)  # only then are they confirmed, by the next call
                failed = 0
                self._works()
                if not arrived and self._clock.monotonic() - began < QUICK_S:
                    await self._pause(QUICK_S, stopping, changed)  # a far side that does not wait is not asked all day
            except StoreError as error:
                log.error("Telegram waits for the database: %s", error)  # noqa: TRY400 - expected, not a bug
                after = 0
                await self._pause(LOOK_S, stopping, lambda: False)
            except ChatError as error:
                failed += 1
                if error.final or error.gone or failed > 1:  # one long poll that breaks off is no trouble
                    raise
                await self._pause(max(error.retry_after_s, FIRST_AGAIN_S), stopping, changed)
            finally:
                asked.cancel()
                await asyncio.wait([asked])

    @staticmethod
    async def _pause(
        seconds: float, stopping: asyncio.Event, over: Callable[[], bool], *others: "asyncio.Future[Any]"
    ) -> None:
        """Return after *seconds*, when *stopping*, when *over* says so, or when one of *others* is done."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        stopped: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
        try:
            while not stopping.is_set() and not over() and (left := end - loop.time()) > 0:
                await asyncio.wait([stopped, *others], timeout=min(left, LOOK_S), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
