"""Notices as messages of the bot: with buttons, and a long text as a file. Implements the port `Notifier`."""

from collections.abc import Callable

from orchestrator.api.telegram_words import button_data
from orchestrator.core.chat import Attachment, Chat, ChatButton, ChatError, Outgoing, Words
from orchestrator.core.notice import Act, Delivery, Notice, NotSent

IN_A_ROW = 3


class TelegramNotifier:
    """Sends to the chat that *chat_id* names at the time; None: nobody is to be told."""

    def __init__(self, chat: Chat, chat_id: Callable[[], int | None]) -> None:
        self._chat = chat
        self._chat_id = chat_id

    async def send(self, delivery: Delivery) -> str:
        """Send it as one message. Returns "chat:message", by which a reply or a button finds its notice."""
        if (chat_id := self._chat_id()) is None:
            raise NotSent("no chat is configured: set TELEGRAM_CHAT_ID", final=True)
        try:
            message_id = await self._chat.send(chat_id, notice_message(delivery.notice, again=delivery.again))
        except ChatError as error:
            raise NotSent(
                error.why, retry_after_s=error.retry_after_s, final=error.final, unsure=error.unsure
            ) from None
        return f"{chat_id}:{message_id}"


def notice_message(notice: Notice, *, again: bool = False) -> Outgoing:
    """Return *notice* as a message; *again*: it may be there already, and says so."""
    words = Words().plain("(perhaps once more) " if again else "").bold(notice.title).plain(f"\n{notice.text}".rstrip())
    if not notice.buttons:
        for command in notice.commands:
            words = words.plain("\n").code(command)
    document = notice.document
    file = Attachment(document.name, document.text.encode("utf-8", "replace")) if document else None
    return Outgoing(words.text, words.marks, _buttons(notice), attachment=file)


def _buttons(notice: Notice) -> tuple[tuple[ChatButton, ...], ...]:
    """Answers stand one in a row, they may be long; what is done to a task stands side by side."""
    rows: list[tuple[ChatButton, ...]] = []
    acts: list[ChatButton] = []
    for n, one in enumerate(notice.buttons):
        if one.act is Act.ANSWER:
            rows.append((ChatButton(one.label, button_data(one.act, notice.uid, n if one.text else -1)),))
        else:
            acts.append(ChatButton(one.label, button_data(one.act, notice.uid, n if one.text else -1)))
    rows += [tuple(acts[n : n + IN_A_ROW]) for n in range(0, len(acts), IN_A_ROW)]
    return tuple(rows)
