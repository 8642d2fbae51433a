"""Telegram by python-telegram-bot, in the event loop of its caller. Implements the port `Chat`, and polls.

The library's own poller confirms updates to the server before anybody has handled them; so it is not used: `updates`
confirms only what the caller says it has kept.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Any

from telegram import (
    BotCommand,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputFile,
    LinkPreviewOptions,
    MessageEntity,
    ReplyParameters,
)
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)
from telegram.ext import AIORateLimiter, Defaults, ExtBot
from telegram.request import HTTPXRequest

from orchestrator.bridges.telegram_updates import WANTED, UpdateRequest, incoming
from orchestrator.core.chat import ChatError, Incoming, Outgoing
from orchestrator.core.chat_text import fitted, units

log = logging.getLogger(__name__)

CONNECT_S, ANSWER_S, FILE_S = 5.0, 20.0, 60.0
SLACK_S = 10.0  # how much later than asked the answer to a long poll may come
_CONNECTIONS = 16
_TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{20,}")


class Bot:
    """An open connection to the Bot API; made by `open_bot`. *username* is without the @."""

    def __init__(self, bot: "ExtBot[None]", username: str) -> None:
        self._bot = bot
        self.username = username

    async def updates(self, after: int, *, timeout_s: float) -> tuple[int, Sequence[Incoming]]:
        """Confirm all up to the number *after*, wait for more, and return the last number with what people did.

        Raises ChatError; *final* where the token is refused, *gone* where somebody else polls the same bot.
        """
        with _told():
            found = await self._bot.get_updates(
                offset=after + 1 if after else None,
                timeout=timedelta(seconds=timeout_s),
                allowed_updates=list(WANTED),
                read_timeout=SLACK_S,
                connect_timeout=CONNECT_S,
            )
        done = [one for update in found if (one := incoming(update)) is not None]
        return max((update.update_id for update in found), default=after), done

    async def send(self, chat_id: int, message: Outgoing) -> int:
        last = 0
        for part in fitted(message):
            last = await self._one(chat_id, part)
        return last

    async def _one(self, chat_id: int, part: Outgoing) -> int:
        given: dict[str, Any] = {
            "disable_notification": part.quiet,
            "reply_markup": _markup(part),
            "reply_parameters": ReplyParameters(part.reply_to, allow_sending_without_reply=True)
            if part.reply_to
            else None,
        }
        entities = _entities(part)
        with _told():
            try:
                return await self._put(chat_id, part, entities, given)
            except BadRequest as refused:
                if not entities or "can't parse entities" not in refused.message.lower():
                    raise
            return await self._put(chat_id, part, (), given)  # better without bold than not at all

    async def _put(self, chat_id: int, part: Outgoing, entities: Sequence[MessageEntity], given: dict[str, Any]) -> int:
        if part.attachment is None:
            sent = await self._bot.send_message(chat_id, part.text, entities=entities, **given)
            return sent.message_id
        text, caption = part.text, ""
        if units(text) <= 1024:
            text, caption = "", text
        else:
            lead = {**given, "reply_markup": None}
            await self._bot.send_message(chat_id, text, entities=entities, **lead)
        file = InputFile(part.attachment.data, filename=part.attachment.name)
        sent = await self._bot.send_document(
            chat_id, file, caption=caption or None, caption_entities=entities if caption else None, **given
        )
        return sent.message_id

    async def edit(self, chat_id: int, message_id: int, message: Outgoing) -> None:
        part = fitted(message)[0]
        given: dict[str, Any] = {"chat_id": chat_id, "message_id": message_id, "reply_markup": _inline(message)}
        with _told():
            try:
                await self._bot.edit_message_text(part.text, entities=_entities(part), **given)
            except BadRequest as refused:
                said = refused.message.lower()
                if "message is not modified" in said:
                    return
                if "can't parse entities" not in said:
                    raise
                with suppress(BadRequest):
                    await self._bot.edit_message_text(part.text, **given)

    async def unbutton(self, chat_id: int, message_id: int) -> None:
        with _told():
            try:
                await self._bot.edit_message_reply_markup(chat_id, message_id, reply_markup=None)
            except BadRequest as refused:
                if "message is not modified" not in refused.message.lower():
                    raise

    async def answer(self, query_id: str, text: str) -> None:
        with _told():
            try:
                await self._bot.answer_callback_query(query_id, text[:200] or None)
            except BadRequest as refused:  # it was pressed long ago
                log.debug("a button is not answered: %s", refused.message)

    async def prepare(self, commands: Sequence[tuple[str, str]]) -> None:
        """Take updates by polling, and tell the far side which *commands* there are. Raises ChatError."""
        with _told():
            await self._bot.delete_webhook(drop_pending_updates=False)
            await self._bot.set_my_commands([BotCommand(name, about) for name, about in commands])


@asynccontextmanager
async def open_bot(token: str, *, api_url: str) -> AsyncIterator[Bot]:
    """Connect, and be known by name. Raises ChatError: *final* where the token is refused."""
    base = api_url.rstrip("/")
    if not _TOKEN.fullmatch(token):
        raise ChatError("the token has not the form of a bot's token", final=True)
    bot: ExtBot[None] = ExtBot(
        token,
        base_url=f"{base}/bot",
        base_file_url=f"{base}/file/bot",
        defaults=Defaults(link_preview_options=LinkPreviewOptions(is_disabled=True)),
        request=HTTPXRequest(_CONNECTIONS, ANSWER_S, ANSWER_S, CONNECT_S, 5.0, media_write_timeout=FILE_S),
        get_updates_request=UpdateRequest(1, SLACK_S, ANSWER_S, CONNECT_S, 5.0),
        rate_limiter=AIORateLimiter(max_retries=0),  # type: ignore[arg-type] # it takes more than it is asked to
    )
    try:
        with _told():
            await bot.initialize()
        yield Bot(bot, bot.username)
    finally:
        await _closed(bot)


async def _closed(bot: "ExtBot[None]") -> None:
    """Close every connection, also when cancelled meanwhile; the cancellation then goes on."""
    closing, cancelled = asyncio.ensure_future(bot.shutdown()), False
    while not closing.done():
        try:
            await asyncio.wait([closing])
        except asyncio.CancelledError:
            cancelled = True
    if not closing.cancelled() and (error := closing.exception()) is not None:
        log.debug("closing the connection to Telegram: %s", type(error).__name__)
    if cancelled:
        raise asyncio.CancelledError


def _markup(message: Outgoing) -> InlineKeyboardMarkup | ForceReply | None:
    return _inline(message) or (ForceReply(selective=True) if message.asks else None)


def _inline(message: Outgoing) -> InlineKeyboardMarkup | None:
    rows = [[InlineKeyboardButton(one.label, callback_data=one.data) for one in row] for row in message.buttons]
    return InlineKeyboardMarkup(rows) if any(rows) else None


def _entities(message: Outgoing) -> Sequence[MessageEntity]:
    return [
        MessageEntity(
            mark.style.value,
            units(message.text[: mark.start]),
            units(message.text[mark.start : mark.start + mark.length]),
        )
        for mark in message.marks
    ]


@contextmanager
def _told() -> Iterator[None]:
    """Turn every refusal of the far side, and every fault on the way, into a ChatError without the token in it."""
    try:
        yield
    except TelegramError as error:
        raise chat_error(error) from None


def chat_error(error: TelegramError) -> ChatError:
    """Return *error* in the words of the port."""
    said = error.message
    match error:
        case RetryAfter():
            wait = error.retry_after
            wait_s = wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
            return ChatError(f"Telegram asks to wait {wait_s:g} s", retry_after_s=wait_s)
        case InvalidToken():
            return ChatError("Telegram refuses the token", final=True)
        case Conflict():
            return ChatError("another process polls this bot, or a webhook is set", gone=True)
        case Forbidden() | ChatMigrated():
            return ChatError(f"nothing can be said in this chat: {said}", final=True, gone=True)
        case BadRequest():
            gone = "chat not found" in said.lower()
            return ChatError(f"Telegram refuses it: {said}", final=True, gone=gone)
        case TimedOut():
            return ChatError("Telegram did not answer in time", unsure=True)
        case NetworkError():
            before = "ConnectError" in said or "ConnectTimeout" in said  # it never reached anybody
            return ChatError(f"Telegram cannot be reached: {_bare(said)}", unsure=not before)
    return ChatError(f"Telegram: {_bare(said)}", unsure=True)


def _bare(said: str) -> str:
    """Return the words of an error without addresses: the address of a bot holds its token."""
    return re.sub(r"https?://\S+|/?bot\d+:\S+", "…", said)[:200]
