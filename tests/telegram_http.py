"""What a Bot API server needs of HTTP, and how it reads texts, entities and keyboards: limits and error texts as the
real server has them."""

import json
import re
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

TEXT_UNITS, CAPTION_UNITS, BUTTON_BYTES = 4096, 1024, 64
_TAG = re.compile(r"<(/?)([a-zA-Z-]+)[^>]*>")
_TAGS = frozenset({"b", "strong", "i", "em", "u", "s", "code", "pre", "a", "blockquote", "tg-spoiler"})
_ENTITIES = frozenset({"bold", "italic", "underline", "strikethrough", "code", "pre", "blockquote", "text_link"})
_MARKUP = "Bad Request: can't parse entities"


class RefusalError(Exception):
    """An answer that is not ok."""

    def __init__(self, code: int, description: str, retry_after: int = 0) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.retry_after = retry_after


def units(text: str) -> int:
    """Return the length of *text* as Telegram counts it."""
    return len(text.encode("utf-16-le")) // 2


def readable(given: dict[str, Any], key: str) -> tuple[str, list[dict[str, Any]]]:
    """Return text and entities as the real server would keep them."""
    text = str(given.get(key, ""))
    if given.get("parse_mode") == "HTML":
        text = _without_tags(text)
    if key == "text" and not text.strip():
        raise RefusalError(400, "Bad Request: message text is empty")
    if units(text) > (TEXT_UNITS if key == "text" else CAPTION_UNITS):
        raise RefusalError(
            400, "Bad Request: message is too long" if key == "text" else "Bad Request: message caption is too long"
        )
    entities = json.loads(given.get("entities" if key == "text" else "caption_entities") or "[]")
    for one in entities:
        if one["type"] not in _ENTITIES or one["offset"] < 0 or one["offset"] + one["length"] > units(text):
            raise RefusalError(400, "Bad Request: can't parse entities: ENTITY_BOUNDS_INVALID")
    return text, entities


def _without_tags(text: str) -> str:
    open_tags: list[str] = []
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        place = len(text[: tag.start()].encode())
        if name not in _TAGS:
            raise RefusalError(
                400, f'Bad Request: can\'t parse entities: Unsupported start tag "{name}" at byte offset {place}'
            )
        if not tag[1]:
            open_tags.append(name)
        elif not open_tags or open_tags.pop() != name:
            raise RefusalError(400, f"{_MARKUP}: Unexpected end tag at byte offset {place}")
    if open_tags:
        raise RefusalError(
            400, f"Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"{open_tags[-1]}\""
        )
    bare = _TAG.sub("", text)
    return bare.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")


def keyboard(given: dict[str, Any]) -> dict[str, Any]:
    markup: dict[str, Any] = json.loads(given.get("reply_markup") or "{}")
    rows = markup.get("inline_keyboard", [])
    for button in (one for row in rows for one in row):
        if not 1 <= len(button.get("callback_data", "").encode()) <= BUTTON_BYTES:
            raise RefusalError(400, "Bad Request: BUTTON_DATA_INVALID")
    return {"inline_keyboard": rows} if any(rows) else {}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *given: Any) -> None:
        self._open: set[Any] = set()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def drop_all(self) -> None:
        """Close what is open, as a machine does that goes down."""
        for connection in list(self._open):
            self.shutdown_request(connection)
        self._open.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of ours."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, token: str, method: str, given: dict[str, Any]) -> Any:
        """Return the result of a call. Raises RefusalError; ConnectionAbortedError where no answer is to be given."""
        raise NotImplementedError

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix("/bot").split("/")
        try:
            given = _parameters(self.headers.get("Content-Type", ""), body)
            result = self.answer(path[0], path[1] if len(path) == 2 else "", given)
            self._reply(200, {"ok": True, "result": result})
        except RefusalError as refused:
            answer: dict[str, Any] = {"ok": False, "error_code": refused.code, "description": refused.description}
            if refused.retry_after:
                answer["parameters"] = {"retry_after": refused.retry_after}
            self._reply(refused.code, answer)
        except ConnectionAbortedError:
            self.close_connection = True

    do_GET = do_POST  # noqa: N815 - the name is http.server's

    def _reply(self, code: int, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """The test says what went wrong."""


def _parameters(kind: str, body: bytes) -> dict[str, Any]:
    if kind.startswith("application/json"):
        return dict(json.loads(body or b"{}"))
    if not kind.startswith("multipart/"):
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    parsed = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    found: dict[str, Any] = {}
    for part in parsed.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        file_name = part.get_filename()
        found[str(name)] = (file_name, data) if file_name else data.decode()
    return found
