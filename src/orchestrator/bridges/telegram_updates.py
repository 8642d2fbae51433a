"""What the Bot API delivers, as what somebody did in a chat."""

import json
import logging
from typing import Any

from telegram import Message, Update
from telegram.request import HTTPXRequest

from orchestrator.core.chat import Incoming

log = logging.getLogger(__name__)
WANTED = ("message", "callback_query")  # nothing else is delivered: edits, channels, reactions


class UpdateRequest(HTTPXRequest):
    """Asks for updates. One that the library cannot read keeps its number only, so that it does not stop the others."""

    def parse_json_payload(self, payload: bytes) -> Any:  # type: ignore[override] # here with a self
        answer: Any = json.loads(payload.decode("utf-8", "replace"))
        result = answer.get("result") if isinstance(answer, dict) else None
        if isinstance(result, list):
            answer["result"] = [_readable(one) for one in result if isinstance(one, dict)]
        return answer


def _readable(update: dict[str, Any]) -> dict[str, Any]:
    try:
        Update.de_json(dict(update), None)
    except Exception:  # noqa: BLE001 - whatever a far side may send
        log.warning("an update that cannot be read is passed over: %s", update.get("update_id"))
        return {"update_id": update.get("update_id", 0)}
    return update


def incoming(update: Update) -> Incoming | None:
    """Return what was done; None for what no person did, and for what is no message or button."""
    if (query := update.callback_query) is not None:
        message = query.message
        if message is None or not query.data or query.from_user.is_bot:
            return None
        return Incoming(
            update.update_id,
            message.chat.id,
            query.from_user.id,
            private=message.chat.type == "private",
            message_id=message.message_id,
            button=query.data,
            query_id=query.id,
        )
    message = update.message
    if message is None or message.from_user is None or message.from_user.is_bot or message.sender_chat is not None:
        return None
    return Incoming(
        update.update_id,
        message.chat.id,
        message.from_user.id,
        private=message.chat.type == "private",
        message_id=message.message_id,
        text=message.text or message.caption or "",
        reply_to=message.reply_to_message.message_id if message.reply_to_message else 0,
        forwarded=message.forward_origin is not None,
        file=_has_file(message),
    )


def _has_file(message: Message) -> bool:
    return message.effective_attachment is not None
