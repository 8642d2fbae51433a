"""A Bot API server on loopback that behaves like the real one, as far as a bot that polls can see it.

Effects, limits and error texts are those of the real server: an offset confirms and deletes, a second poller ends the
first one's wait with 409, a text is counted in UTF-16 units, an edit that changes nothing is refused, a button carries
at most 64 bytes. What a person does is called from the test (`say`, `press`); what goes wrong is asked for by `fail`.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.telegram_http import Handler, RefusalError, Server, keyboard, readable

TOKEN = "123456789:AAHk7x-TESTTOKENTESTTOKENTESTTOKEN1"  # of the form of a real one, valid nowhere
ME = {"id": 123456789, "is_bot": True, "first_name": "Orchestrator", "username": "orchestrator_bot"}
OWNER = 4711
NOT_MODIFIED = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same"
    " as a current content and reply markup of the message"
)
OTHER_POLLER = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
_SAID = {401: "Unauthorized", 403: "Forbidden: bot was blocked by the user", 409: OTHER_POLLER, 502: "Bad Gateway"}
TOO_OLD = "Bad Request: query is too old and response timeout expired or query ID is invalid"


@dataclass
class Fault:
    """What is to go wrong with calls of *method* ("" is any), *times* in all.

    *hang_s*: the answer comes late. *done*: the call has its effect, only its answer is lost. *drop*: the connection
    is closed without an answer.
    """

    method: str
    code: int = 0
    description: str = ""
    times: int = 1
    retry_after: int = 0
    hang_s: float = 0.0
    done: bool = False
    drop: bool = False


@dataclass
class Chat:
    """A chat and what stands in it, by message id."""

    id: int
    kind: str = "private"
    blocked: bool = False
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)


class TelegramServer:
    """Serves while the `with` block runs. Everything a test asks of it may be called from the test's thread."""

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.username = ME["username"]
        self.chats: dict[int, Chat] = {OWNER: Chat(OWNER)}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.commands: list[dict[str, str]] = []
        self.documents: dict[int, bytes] = {}
        self.answered: dict[str, str] = {}  # callback queries, with what was shown
        self.webhook = ""
        self._asked: set[str] = set()
        self._updates: list[dict[str, Any]] = []
        self._next_update = 700_000_001
        self._next_message = 1
        self._poll = 0
        self._faults: list[Fault] = []
        self._change = threading.Condition()
        self._http: Server | None = None
        self._port = 0
        self._stopped = False

    # --- life ---------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serve, on the same port as before when it was stopped."""
        answer = self.answer

        class Here(Handler):
            def answer(self, token: str, method: str, given: dict[str, Any]) -> Any:
                return answer(token, method, given)

        self._stopped = False
        self._http = Server(("127.0.0.1", self._port), Here)
        self._port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Be gone from the network; what is in the chats stays."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http.drop_all()
            self._http = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- what people do -----------------------------------------------------------------------------------------

    def say(self, text: str, *, user: int = OWNER, chat: int = 0, reply_to: int = 0, **more: Any) -> int:
        """A person writes a message; returns its id. A negative *chat* is a group."""
        with self._change:
            place = self._chat(chat or user)
            message = self._new_message(place, self._user(user), text=text)
            if reply_to and reply_to in place.messages:
                message["reply_to_message"] = place.messages[reply_to]
            if command := re.match(r"/\w+(@\w+)?", text):
                message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(command[0])}]
            message.update(more)
            self._update({"message": message})
            return int(message["message_id"])

    def press(self, message_id: int, label: str = "", *, user: int = OWNER, chat: int = 0, data: str = "") -> str:
        """A person presses the button *label* under a message, or a forged one with *data*; returns the query's id."""
        with self._change:
            place = self._chat(chat or user)
            message = place.messages[message_id]
            if label:
                rows = message.get("reply_markup", {}).get("inline_keyboard", [])
                data = next(b["callback_data"] for row in rows for b in row if label.lower() in b["text"].lower())
            query_id = str(9_000_000_000 + self._next_update)
            self._asked.add(query_id)
            query = {"id": query_id, "from": self._user(user), "chat_instance": "42", "data": data}
            self._update({"callback_query": {**query, "message": message}})
            return query_id

    def update(self, content: dict[str, Any]) -> int:
        """Put any update into the queue."""
        with self._change:
            return self._update(content)

    # --- what goes wrong ----------------------------------------------------------------------------------------

    def fail(self, method: str, code: int = 0, description: str = "", **given: Any) -> None:
        with self._change:
            self._faults.append(Fault(method, code, description, **given))
            self._change.notify_all()

    # --- what a test looks at -----------------------------------------------------------------------------------

    def sent(self, chat: int = OWNER) -> list[dict[str, Any]]:
        """Return what the bot has written in *chat*, as it stands now, oldest first."""
        with self._change:
            return [dict(m) for m in self._chat(chat).messages.values() if m["from"]["id"] == ME["id"]]

    def texts(self, chat: int = OWNER) -> list[str]:
        return [str(message.get("text", message.get("caption", ""))) for message in self.sent(chat)]

    def buttons(self, message_id: int, chat: int = OWNER) -> list[str]:
        with self._change:
            rows = self._chat(chat).messages[message_id].get("reply_markup", {}).get("inline_keyboard", [])
            return [button["text"] for row in rows for button in row]

    def count(self, method: str) -> int:
        with self._change:
            return sum(1 for name, _ in self.calls if name == method)

    @property
    def pending(self) -> int:
        """How many updates no offset has confirmed."""
        with self._change:
            return len(self._updates)

    def wait(self, fact: Callable[[], object], what: str, deadline_s: float = 20.0) -> Any:
        """Return the first true value of *fact*; fail, naming *what*, when there is none in time."""
        end = time.monotonic() + deadline_s
        while not (found := fact()):
            with self._change:
                self._change.wait(0.02)
            assert time.monotonic() < end, f"waited in vain for {what}; the chat: {self.texts()}"
        return found

    def wait_text(self, piece: str, chat: int = OWNER, deadline_s: float = 20.0) -> dict[str, Any]:
        """Return the newest message of the bot with *piece* in it, once there is one."""

        def found() -> dict[str, Any] | None:
            return next((m for m in reversed(self.sent(chat)) if piece in str(m.get("text", m.get("caption")))), None)

        message: dict[str, Any] = self.wait(found, f"a message with {piece!r}", deadline_s)
        return message

    # --- inside -------------------------------------------------------------------------------------------------

    def _chat(self, chat_id: int) -> Chat:
        kind = "private" if chat_id > 0 else "supergroup"
        return self.chats.setdefault(chat_id, Chat(chat_id, kind))

    @staticmethod
    def _user(user_id: int) -> dict[str, Any]:
        return {"id": user_id, "is_bot": False, "first_name": f"Person {user_id}", "language_code": "en"}

    def _new_message(self, chat: Chat, sender: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        about: dict[str, Any] = {"id": chat.id, "type": chat.kind}
        about |= {"first_name": f"Person {chat.id}"} if chat.kind == "private" else {"title": "A group"}
        message = {
            "message_id": self._next_message, "date": int(time.time()), "chat": about, "from": dict(sender), **more,
        }  # fmt: skip
        chat.messages[self._next_message] = message
        self._next_message += 1
        return message

    def _update(self, content: dict[str, Any]) -> int:
        number = self._next_update
        self._next_update += 1
        self._updates.append({"update_id": number, **content})
        self._change.notify_all()
        return number

    def answer(self, token: str, method: str, given: dict[str, Any]) -> Any:
        """Carry out one call. Raises RefusalError, or ConnectionAbortedError where no answer is to be given."""
        with self._change:
            self.calls.append((method, given))
            fault = next((one for one in self._faults if one.method in ("", method) and one.times > 0), None)
            if fault is not None:
                fault.times -= 1
            self._change.notify_all()
        if fault is not None and fault.hang_s:
            with self._change:
                self._change.wait_for(lambda: self._stopped, fault.hang_s)
        if fault is not None and not fault.done and (fault.code or fault.drop):
            raise _refusal(fault)
        act: Callable[[dict[str, Any]], Any] | None = getattr(self, f"_do_{method.lower()}", None)
        if not re.fullmatch(r"\d+:[\w-]{35}", token) or act is None:
            raise RefusalError(404, "Not Found")
        if token != self.token:
            raise RefusalError(401, "Unauthorized")
        result = act(given)
        if fault is not None and (fault.code or fault.drop):
            raise _refusal(fault)
        return result

    # --- the methods --------------------------------------------------------------------------------------------

    def _do_getme(self, given: dict[str, Any]) -> Any:
        return {**ME, "username": self.username, "can_join_groups": True, "can_read_all_group_messages": False}

    def _do_getupdates(self, given: dict[str, Any]) -> Any:
        if self.webhook:
            text = "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
            raise RefusalError(409, f"Conflict: {text}")
        offset, limit = int(given.get("offset") or 0), int(given.get("limit") or 100)
        end = time.monotonic() + float(given.get("timeout") or 0)
        with self._change:
            self._poll += 1
            mine = self._poll
            self._change.notify_all()
            self._updates = [one for one in self._updates if one["update_id"] >= offset]
            kinds = json.loads(given["allowed_updates"]) if given.get("allowed_updates") else []

            def wanted() -> list[dict[str, Any]]:
                return [one for one in self._updates if not kinds or kinds_of(one) & set(kinds)]

            def something() -> bool:
                return bool(wanted()) or mine != self._poll or self._stopped or bool(self._faults_of("getUpdates"))

            self._change.wait_for(something, max(0.0, end - time.monotonic()))
            if self._stopped:
                raise ConnectionAbortedError
            if mine != self._poll:
                raise RefusalError(409, OTHER_POLLER)
            return wanted()[:limit]

    def _faults_of(self, method: str) -> list[Fault]:
        return [one for one in self._faults if one.method == method and one.times > 0]

    def _do_sendmessage(self, given: dict[str, Any]) -> Any:
        with self._change:
            chat = self._to(given)
            message = self._message_of(chat, given, "text")
            if given.get("reply_parameters"):
                wanted = json.loads(given["reply_parameters"])
                if wanted["message_id"] in chat.messages:
                    message["reply_to_message"] = chat.messages[wanted["message_id"]]
                elif not wanted.get("allow_sending_without_reply"):
                    chat.messages.pop(message["message_id"])
                    raise RefusalError(400, "Bad Request: message to be replied not found")
            self._change.notify_all()
            return message

    def _message_of(self, chat: Chat, given: dict[str, Any], key: str) -> dict[str, Any]:
        text, entities = readable(given, key)
        markup = keyboard(given)
        message = self._new_message(chat, ME, **{key: text}, **({"entities": entities} if entities else {}))
        if markup:
            message["reply_markup"] = markup
        return message

    def _do_editmessagetext(self, given: dict[str, Any]) -> Any:
        with self._change:
            chat = self._to(given)
            message = chat.messages.get(int(given["message_id"]))
            if message is None:
                raise RefusalError(400, "Bad Request: message to edit not found")
            if message["from"]["id"] != ME["id"] or "text" not in message:
                raise RefusalError(400, "Bad Request: message can't be edited")
            text, entities = readable(given, "text")
            markup = keyboard(given)
            before = message["text"], message.get("entities", []), message.get("reply_markup", {})
            if before == (text, entities, markup):
                raise RefusalError(400, NOT_MODIFIED)
            for key, value in (("text", text), ("entities", entities), ("reply_markup", markup)):
                message.pop(key, None)
                if value:
                    message[key] = value
            message["edit_date"] = int(time.time())
            self._change.notify_all()
            return message

    def _do_editmessagereplymarkup(self, given: dict[str, Any]) -> Any:
        with self._change:
            message = self._to(given).messages.get(int(given["message_id"]))
            if message is None:
                raise RefusalError(400, "Bad Request: message to edit not found")
            markup = keyboard(given)
            if message.get("reply_markup", {}) == markup:
                raise RefusalError(400, NOT_MODIFIED)
            message.pop("reply_markup", None)
            if markup:
                message["reply_markup"] = markup
            self._change.notify_all()
            return message

    def _do_answercallbackquery(self, given: dict[str, Any]) -> Any:
        with self._change:
            if given["callback_query_id"] not in self._asked:
                raise RefusalError(400, TOO_OLD)
            self._asked.remove(given["callback_query_id"])
            self.answered[given["callback_query_id"]] = given.get("text", "")
            self._change.notify_all()
            return True

    def _do_senddocument(self, given: dict[str, Any]) -> Any:
        with self._change:
            chat = self._to(given)
            file = given["document"]
            if isinstance(file, str) and file.startswith("attach://"):
                file = given[file.removeprefix("attach://")]
            name, data = file
            message = self._message_of(chat, {"caption": "", **given}, "caption")
            message["document"] = {"file_id": "f", "file_unique_id": "f", "file_name": name, "file_size": len(data)}
            self.documents[message["message_id"]] = data
            self._change.notify_all()
            return message

    def _do_setmycommands(self, given: dict[str, Any]) -> Any:
        self.commands = json.loads(given["commands"])
        return True

    def _do_deletewebhook(self, given: dict[str, Any]) -> Any:
        self.webhook = ""
        return True

    def _do_getwebhookinfo(self, given: dict[str, Any]) -> Any:
        return {"url": self.webhook, "has_custom_certificate": False, "pending_update_count": self.pending}

    def _to(self, given: dict[str, Any]) -> Chat:
        chat = self.chats.get(int(given["chat_id"]))
        if chat is None:
            raise RefusalError(400, "Bad Request: chat not found")
        if chat.blocked:
            raise RefusalError(403, "Forbidden: bot was blocked by the user")
        return chat


def kinds_of(update: dict[str, Any]) -> set[str]:
    return update.keys() - {"update_id"}


def _refusal(fault: Fault) -> Exception:
    if fault.drop:
        return ConnectionAbortedError()
    described = fault.description or {429: f"Too Many Requests: retry after {fault.retry_after}"}.get(
        fault.code,
        {401: "Unauthorized", 409: OTHER_POLLER, 502: "Bad Gateway"}.get(fault.code, "Internal Server Error"),
    )
    return RefusalError(fault.code, described, fault.retry_after)
