"""A door for workers over real sockets, with a desk that writes down what it is asked."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from orchestrator.api.worker_door import Door
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.worker_tool import Caller, Reply, ToolAccess

MINE, OTHER = Caller(TaskUid("a" * 32), 1, 1), Caller(TaskUid("b" * 32), 2, 3)


@dataclass
class NotingDesk:
    """Implements the port `WorkerDesk`: says yes to everything, and remembers it."""

    asked: list[tuple[Caller, Mapping[str, Json]]] = field(default_factory=list)

    async def split(self, caller: Caller, request: Mapping[str, Json]) -> Reply:
        self.asked.append((caller, request))
        return Reply("accepted: end your turn now")

    async def limits(self, caller: Caller) -> Reply:
        return Reply(f"attempt {caller.attempt}")


@asynccontextmanager
async def opened(desk: NotingDesk) -> AsyncIterator[Door]:
    """Yield a door; its server ends with the block."""
    door = Door(desk, chance=lambda: secrets.token_urlsafe(32), now=time.monotonic)
    try:
        yield door
    finally:
        await door.stop()


@dataclass(frozen=True)
class Answer:
    """What came back over the socket."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def host_of(access: ToolAccess) -> str:
    return access.url.split("/")[2]


def message(method: str, params: Mapping[str, Json] | None = None) -> bytes:
    """Return one JSON-RPC request."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode()


def call(tool: str, arguments: Mapping[str, Json] | None = None) -> bytes:
    """Return the request to call *tool*."""
    return message("tools/call", {"name": tool, "arguments": arguments or {}})


def headers_of(access: ToolAccess, **changes: str | None) -> dict[str, str]:
    """Return the headers of a good request. *changes* replace one, or with None leave it out; `_` stands for `-`."""
    plain: dict[str, str | None] = {
        "host": host_of(access),
        "authorization": f"Bearer {access.token}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
    }
    changed = plain | {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in changed.items() if value is not None}


async def ask(
    access: ToolAccess,
    body: bytes,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
    *,
    method: str = "POST",
    path: str = "/mcp",
) -> Answer:
    """Send one request as it is, on a connection of its own, and return what comes back."""
    given = headers_of(access) if headers is None else headers
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given)
    if not any(name in ("content-length", "transfer-encoding") for name, _ in pairs):
        pairs.append(("content-length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in [*pairs, ("connection", "close")])
    host, _, port = host_of(access).partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        async with asyncio.timeout(20):
            raw = await _whole(reader)
    finally:
        writer.close()
    top, _, rest = raw.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    told = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return Answer(int(lines[0].split()[1]), told, rest)


async def _whole(reader: asyncio.StreamReader) -> bytes:
    """A server that has refused closes at once, and may reset what was still being sent."""
    raw = b""
    try:
        while piece := await reader.read(65536):
            raw += piece
    except ConnectionResetError:
        pass
    return raw


def text_of(answer: Answer) -> tuple[str, bool]:
    """Return what a tool said, and whether it was an error."""
    result = json.loads(answer.body)["result"]
    return result["content"][0]["text"], result["isError"]
