"""The Telegram door: takes what people do in chats, keeps it until it is handled, and handles it once.

What is delivered is stored before the far side is told that it arrived. So a daemon that is killed anywhere finds it
again: an update that was not stored is delivered again, one that was stored is handled by the next daemon, and what it
asked for is done together with the key of the request, so that it is never done twice.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.api import telegram_words as words
from orchestrator.api.telegram_answers import Answers
from orchestrator.api.telegram_buttons import Buttons
from orchestrator.api.telegram_desk import (
    FORGOTTEN,
    REMEMBER_S,
    Desk,
    handled_key,
    incoming_of,
    incoming_text,
    received_key,
)
from orchestrator.api.telegram_live import EDIT_EVERY_S, LiveMessages
from orchestrator.api.telegram_talk import Talk
from orchestrator.core.chat import ChatError, Incoming, Outgoing
from orchestrator.core.errors import OrchestratorError, StoreError
from orchestrator.core.flood import Allowance, Buckets

log = logging.getLogger(__name__)

MESSAGES = (Allowance(30, 60.0),)
MOST_WAITING = 500  # updates that are stored and not handled
MOST_STRANGERS = 50  # that the log names
AGAIN_S, LONGEST_AGAIN_S = 1.0, 60.0
FORGET_EVERY_S = 3600.0
LONG = "merge:"  # it may prove the result again: the others do not wait for it


@dataclass(frozen=True, slots=True)
class Allowed:
    """Who may use the bot, by number; and in which *chats* beside their own."""

    users: frozenset[int]
    chats: frozenset[int]

    def lets(self, one: Incoming) -> bool:
        """Return whether *one* is somebody's who may, in a chat where he may."""
        return one.user_id in self.users and (one.private or one.chat_id in self.chats)


class TelegramDoor:
    """Takes and handles updates. *allowed* is asked each time: a changed list counts at once."""

    def __init__(
        self, desk: Desk, allowed: Callable[[], Allowed], name: Callable[[], str], *, edit_every_s: float = EDIT_EVERY_S
    ) -> None:
        self._desk = desk
        self._allowed = allowed
        self.live = LiveMessages(desk, every_s=edit_every_s)
        answers = Answers(desk)
        self._talk = Talk(desk, self.live, answers, name)
        self._buttons = Buttons(desk, self.live, answers, self._talk)
        self._messages = Buckets(MESSAGES)
        self._arrived = asyncio.Event()
        self._strangers: set[int] = set()
        self._flooding: set[int] = set()
        self._apart: dict[str, asyncio.Task[None]] = {}
        self._waiting = 0

    async def take(self, arrived: Sequence[Incoming]) -> None:
        """Store what is new and somebody's who may ask. Returns when it is on the disk. Raises StoreError."""
        kept: dict[str, str | None] = {}
        for one in arrived:
            if not self._allowed().lets(one):
                self._stranger(one)
            elif not await self._is_known(one.number) and self._has_room(one):
                kept[received_key(one.number)] = incoming_text(one)
        if kept:
            await self._desk.remember(kept)
            self._waiting += len(kept)
            self._arrived.set()

    async def _is_known(self, number: int) -> bool:
        memory = self._desk.memory
        return bool(await memory.recall(handled_key(number)) or await memory.recall(received_key(number)))

    def _has_room(self, one: Incoming) -> bool:
        """A flood is passed over: its beginning is answered, the rest is not even stored."""
        wait_s = self._messages.wait_s(one.user_id, self._desk.clock.monotonic())
        if not wait_s and self._waiting < MOST_WAITING:
            self._flooding.discard(one.user_id)
            return True
        if one.user_id not in self._flooding:
            self._flooding.add(one.user_id)
            log.warning("user %s writes too much: updates are passed over", one.user_id)
        return False

    def _stranger(self, one: Incoming) -> None:
        """Silence: nobody is told that there is anything here. The log says whom to allow, a few times."""
        if one.user_id not in self._strangers and len(self._strangers) < MOST_STRANGERS:
            self._strangers.add(one.user_id)
            where = "" if one.private else f" in the chat {one.chat_id}"
            log.info("Telegram user %s%s is not allowed here and gets no answer", one.user_id, where)

    async def run(self, stopping: asyncio.Event) -> None:
        """Handle what was taken, oldest first, and keep messages of progress true, until *stopping*."""
        async with asyncio.TaskGroup() as group:
            live = group.create_task(self.live.run(stopping))
            forgetting = group.create_task(self._forget())
            working = group.create_task(self._work())
            await stopping.wait()
            for task in (working, forgetting, *self._apart.values()):
                task.cancel()
            await asyncio.wait([live])

    async def _work(self) -> None:
        again_s = AGAIN_S
        while True:
            self._arrived.clear()
            try:
                waiting = await self._desk.memory.recall(received_key())
                self._waiting = len(waiting)
                for key, text in waiting.items():
                    one = incoming_of(text)
                    if one is not None and one.button.startswith(LONG):
                        self._begin_apart(key, one)
                    else:
                        await self._handled(key, one)
                        self._waiting -= 1
                again_s = AGAIN_S
                await self._arrived.wait()
            except ChatError as error:  # it stays where it is and is handled again
                log.log(logging.INFO if again_s < 5 else logging.WARNING, "an answer waits: %s", error.why)
                await self._desk.clock.sleep(max(error.retry_after_s, again_s))
                again_s = min(2 * again_s, LONGEST_AGAIN_S)
            except StoreError as error:
                log.error("Telegram waits for the database: %s", error)  # noqa: TRY400 - expected, not a bug
                await self._desk.clock.sleep(again_s)
                again_s = min(2 * again_s, LONGEST_AGAIN_S)

    def _begin_apart(self, key: str, one: Incoming) -> None:
        """Handle beside the others what may take minutes. It is stored until it is done."""
        if key not in self._apart:
            self._apart[key] = asyncio.create_task(self._handled_apart(key, one))

    async def _handled_apart(self, key: str, one: Incoming) -> None:
        try:
            await self._handled(key, one)
        except (ChatError, StoreError) as error:
            log.warning("an answer waits: %s", error)
            await self._desk.clock.sleep(LONGEST_AGAIN_S)
        finally:
            del self._apart[key]
            self._arrived.set()

    async def _handled(self, key: str, one: Incoming | None) -> None:
        if one is not None and self._allowed().lets(one):
            try:
                await self._handle(one)
            except ChatError as error:
                if not error.final:
                    raise
                log.warning("an answer cannot be given: %s", error.why)
        done = {key: None} if one is None else {key: None, handled_key(one.number): ""}
        await self._desk.remember(done)

    async def _handle(self, one: Incoming) -> None:
        try:
            await (self._buttons.press(one) if one.button else self._talk.hear(one))
        except (ChatError, StoreError):
            raise
        except OrchestratorError as error:
            await self._desk.chat.send(one.chat_id, words.refusal(error))
        except Exception:
            log.exception("a bug of ours: an update could not be handled")
            await self._desk.chat.send(one.chat_id, Outgoing("That went wrong, and it is our fault: see the log."))

    async def _forget(self) -> None:
        while True:
            before = self._desk.clock.now() - REMEMBER_S
            try:
                await self._desk.memory.forget(FORGOTTEN, before_ts=before)
            except StoreError as error:
                log.error("nothing is forgotten for now: %s", error)  # noqa: TRY400 - expected, not a bug
            await self._desk.clock.sleep(FORGET_EVERY_S)
