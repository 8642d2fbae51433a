"""Who may speak to the worker's tool: everything that is decided before a byte of a request is understood.

An ASGI application around another one. A request that is not let through is answered by a status and nothing else: no
word tells a stranger what was wrong.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.worker_tool import TOKEN_PREFIX, Caller

PATH = "/mcp"
CALLER = "orchestrator.caller"  # the key of the Caller in the scope of a request that was let through
MAX_BODY_BYTES = 256 * 1024
BODY_WITHIN_S = 10.0
BURST, PER_S = 40.0, 5.0  # of one attempt; a start of the agent takes about six
STRANGERS_BURST, STRANGERS_PER_S = 20.0, 1.0  # of all that know no token, together

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class Bucket:
    """So many requests at once, and so many a second in the long run."""

    burst: float
    per_s: float
    left: float
    filled_at: float

    def take(self, now: float) -> bool:
        """Return whether one more is allowed at *now* (monotonic seconds)."""
        self.left = min(self.burst, self.left + (now - self.filled_at) * self.per_s)
        self.filled_at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Tokens:
    """The tokens of the attempts that run. They are nowhere else; one that is gone stays gone."""

    def __init__(self, chance: Callable[[], str], now: Callable[[], float]) -> None:
        """*chance* returns 32 random bytes or more as letters that need no quoting anywhere."""
        self._chance = chance
        self._now = now
        self._known: dict[Caller, tuple[bytes, Bucket]] = {}

    def issue(self, caller: Caller) -> str:
        """Return a token for *caller*, whose earlier one counts no more."""
        token = TOKEN_PREFIX + self._chance()
        self._known[caller] = (token.encode(), Bucket(BURST, PER_S, BURST, self._now()))
        return token

    def revoke(self, caller: Caller) -> None:
        self._known.pop(caller, None)

    def holder(self, token: bytes) -> tuple[Caller, Bucket] | None:
        """Return whose *token* is. All are compared, each in a time that tells nothing of how far it was right."""
        found = None
        for caller, (known, bucket) in self._known.items():
            if hmac.compare_digest(known, token):
                found = caller, bucket
        return found


class Guard:
    """Lets through POST requests with JSON of one of the running attempts, each with its Caller in the scope."""

    def __init__(self, app: App, tokens: Tokens, *, host: str, now: Callable[[], float]) -> None:
        """*host* is the only name, with its port, by which it may be called; *now* returns monotonic seconds."""
        self._app = app
        self._tokens = tokens
        self._host = host.encode()
        self._now = now
        self._strangers = Bucket(STRANGERS_BURST, STRANGERS_PER_S, STRANGERS_BURST, now())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        caller = self._admitted(scope)
        if isinstance(caller, int):
            await _answer(send, caller)
            return
        if refusal := _unfit(scope):
            await _answer(send, refusal)
            return
        body = await _body(receive)
        if isinstance(body, int):
            await _answer(send, body)
            return
        await self._app({**scope, CALLER: caller}, _again(body, receive), _uncached(send))

    def _admitted(self, scope: Scope) -> Caller | int:
        """Return who asks, or the status for who may not. Browsers name an Origin, and agents are none."""
        if _all(scope, b"host") != [self._host]:
            return 421
        if _all(scope, b"origin"):
            return 403
        given = _all(scope, b"authorization")
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        holder = self._tokens.holder(token) if scheme.lower() == b"bearer" else None
        if holder is None:
            return 401 if self._strangers.take(self._now()) else 429
        caller, bucket = holder
        return caller if bucket.take(self._now()) else 429


def _all(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key.lower() == name]


def _unfit(scope: Scope) -> int:
    """Return the status for a request that cannot be one to the tool, 0 for one that may be."""
    if scope["path"] != PATH or scope.get("query_string"):
        return 404
    if scope["method"] != "POST":
        return 405
    if [value.partition(b";")[0].strip().lower() for value in _all(scope, b"content-type")] != [b"application/json"]:
        return 415
    lengths = _all(scope, b"content-length")
    if any(not length.isdigit() or len(length) > 9 or int(length) > MAX_BODY_BYTES for length in lengths):
        return 413
    return 0


async def _body(receive: Receive) -> bytes | int:
    """Return the whole body, or the status for one that is too large, too slow, or not sent to its end."""
    body = b""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return 400
                body += bytes(message.get("body", b""))
                if len(body) > MAX_BODY_BYTES:
                    return 413
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        return 408


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives *body* first."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


def _uncached(send: Send) -> Send:
    async def uncached(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"cache-control", b"no-store")]}
        await send(message)

    return uncached


async def _answer(send: Send, status: int) -> None:
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store"), (b"connection", b"close")]
    headers += [(b"retry-after", b"1")] if status == 429 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
