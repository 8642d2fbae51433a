"""Notices as signed HTTP requests. Implements the port `Notifier`; the standard library does it all.

A request is a POST of JSON. It carries, for receivers that verify by hand and for those that use a library of
https://www.standardwebhooks.com:

    Webhook-Id                 the same in every try of a message: a receiver that keeps it takes no message twice
    Webhook-Timestamp          seconds since the epoch, of this try
    Webhook-Signature          v1,<base64 of HMAC-SHA256 over "id.timestamp.body">
    X-Orchestrator-Signature   sha256=<hex of HMAC-SHA256 over "timestamp.body">

The key is the secret's own bytes; of a secret that begins with `whsec_`, what the rest is in base64.
Any 2xx takes it. Redirections are not followed: what is signed for one place goes to no other.
"""

import asyncio
import hashlib
import hmac
import http.client
import json
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from orchestrator.bridges.aside import aside
from orchestrator.core.notice import Delivery, NotSent, notice_json
from orchestrator.core.text import printable

CONNECT_S = 10.0
ANSWER_S = 20.0
_SAID_BYTES = 500  # of an answer that refuses
_NEVER = frozenset({400, 413, 415, 422})  # this message will not be taken; others may be
_LATER = frozenset({408, 425, 429})
_STANDARD = "whsec_"
AGENT = "ai-task-orchestrator"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the far side said: the status, how long it asks us to wait (seconds, 0: it does not), its first words."""

    status: int
    retry_after_s: float
    words: str


class Webhook:
    """Posts to *url* (http or https), signed with *secret*. *now* is the time in seconds since the epoch."""

    def __init__(self, url: str, secret: str, now: Callable[[], float]) -> None:
        self._url = urlsplit(url)
        self._key = key_of(secret)
        self._now = now

    async def send(self, delivery: Delivery) -> str:
        body = json.dumps(message(delivery), ensure_ascii=True, allow_nan=False).encode("ascii")
        headers = signed(body, delivery.id, int(self._now()), self._key)
        post = _Post(self._connection())
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            answer = await aside(lambda: post.run(path, body, headers, self._now), "webhook")
        except asyncio.CancelledError:
            post.abandon()
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotSent(f"{_where(self._url.hostname)}: {_what(error)}", unsure=post.asked) from None
        if not 200 <= answer.status < 300:
            raise _refusal(answer)
        return ""

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=CONNECT_S)


class _Post:
    """One request. *asked*: it was sent, so it may have been taken. Another thread may `abandon` it at any time."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self.asked = False

    def run(self, path: str, body: bytes, headers: Mapping[str, str], now: Callable[[], float]) -> Answer:
        try:
            self._connection.connect()
            self._connection.sock.settimeout(ANSWER_S)
            self.asked = True
            self._connection.request("POST", path, body, dict(headers))
            with self._connection.getresponse() as response:
                status, wish = response.status, response.headers.get("Retry-After", "")
                words = b"" if 200 <= status < 300 else response.read(_SAID_BYTES)
            said = printable(words.decode("utf-8", "replace").split("\n")[0])
            return Answer(status, _retry_after_s(wish, now()), said[:200])
        finally:
            self._connection.close()

    def abandon(self) -> None:
        found: socket.socket | None = self._connection.sock
        if found is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)


def message(delivery: Delivery) -> Mapping[str, object]:
    """Return what is posted: the notice, with the id of the message and whether it may have come before."""
    return {"id": delivery.id, "again": delivery.again, "try": delivery.tries, **notice_json(delivery.notice)}


def key_of(secret: str) -> bytes:
    """Return the key that *secret* means. Raises ValueError where it begins like base64 and is none."""
    prefix, rest = secret[: len(_STANDARD)], secret[len(_STANDARD) :]
    if prefix != _STANDARD:
        return secret.encode("utf-8", "surrogateescape")
    return b64decode(rest, validate=True)


def signed(body: bytes, message_id: str, timestamp: int, key: bytes) -> dict[str, str]:
    """Return the headers that go with *body*."""
    stamped = f"{timestamp}.".encode() + body
    standard = hmac.digest(key, f"{message_id}.".encode() + stamped, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": f"v1,{b64encode(standard).decode()}",
        "X-Orchestrator-Signature": f"sha256={hmac.digest(key, stamped, hashlib.sha256).hex()}",
    }


def _refusal(answer: Answer) -> NotSent:
    said = f": {answer.words}" if answer.words else ""
    why = f"the far side answered {answer.status}{said}"
    if 300 <= answer.status < 400:
        why = f"the far side answered {answer.status}: it has moved, correct the url (redirections are not followed)"
    final = answer.status in _NEVER
    unsure = answer.status >= 500  # it may have come to grief after it had taken it
    wish_s = answer.retry_after_s if answer.status in _LATER or answer.status == 503 else 0.0
    return NotSent(why, retry_after_s=wish_s, final=final, unsure=unsure)


def _retry_after_s(value: str, now: float) -> float:
    """Return the seconds that a Retry-After header means: a number, or a date. What is neither means nothing."""
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return 0.0
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now)


def _where(host: str | None) -> str:
    return printable(host or "no host")


def _what(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"no HTTP answer ({type(error).__name__})"
