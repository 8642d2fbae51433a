"""The worker's tool as an MCP server on 127.0.0.1: stateless, every answer one JSON. Loaded where it is used only.

The library speaks the protocol. What may be split, and who asks, is decided elsewhere: by the desk, and by the guard
in front of this.
"""

import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any

import uvicorn
from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)

from orchestrator.api.worker_guard import CALLER, MAX_BODY_BYTES, PATH, Guard, Tokens
from orchestrator.api.worker_words import LIMITS_SCHEMA, LIMITS_WORDS, SPLIT_SCHEMA, SPLIT_WORDS
from orchestrator.core.worker_tool import MY_LIMITS, SERVER, SPLIT_TASK, Caller, Reply, WorkerDesk

HOST = "127.0.0.1"
MAX_CONNECTIONS = 64
STOP_WITHIN_S = 1
TOOLS = (
    Tool(name=SPLIT_TASK, description=SPLIT_WORDS, input_schema=SPLIT_SCHEMA),
    Tool(name=MY_LIMITS, description=LIMITS_WORDS, input_schema=LIMITS_SCHEMA),
)
Context = ServerRequestContext[dict[str, Any], Any]


@asynccontextmanager
async def serving(desk: WorkerDesk, tokens: Tokens, *, now: Callable[[], float]) -> AsyncIterator[str]:
    """Serve within the running event loop while the block runs. Yields the address. Raises OSError.

    The libraries take no signals and configure no log here, and say nothing below an error.
    """
    for name in ("mcp", "uvicorn"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as listener:
        listener.bind((HOST, 0))
        host = f"{HOST}:{listener.getsockname()[1]}"
        manager = StreamableHTTPSessionManager(
            _server(desk),
            json_response=True,
            stateless=True,
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=True, allowed_hosts=[host]),
            max_request_body_size=MAX_BODY_BYTES,
        )
        guard = Guard(manager.handle_request, tokens, host=host, now=now)
        async with manager.run(), _listening(guard, listener):
            yield f"http://{host}{PATH}"


@asynccontextmanager
async def _listening(guard: Guard, listener: socket.socket) -> AsyncIterator[None]:
    """What `uvicorn.Server.serve` does, without its signal handlers and its tick of 0.1 s."""
    config = uvicorn.Config(
        guard,
        http="h11",
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield
    finally:
        await server.shutdown(sockets=[listener])


def _server(desk: WorkerDesk) -> Server[dict[str, Any]]:
    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=list(TOOLS))

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        request: Any = context.request
        reply = await _reply(desk, request.scope[CALLER], params.name, params.arguments or {})
        return CallToolResult(content=[TextContent(type="text", text=reply.text)], is_error=reply.refused)

    return Server(SERVER, on_list_tools=list_tools, on_call_tool=call_tool)


async def _reply(desk: WorkerDesk, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Reply:
    if name == SPLIT_TASK:
        return await desk.split(caller, arguments)
    if name == MY_LIMITS:
        return await desk.limits(caller)
    return Reply(f"refused: there is no tool of that name; there are {SPLIT_TASK} and {MY_LIMITS}.", refused=True)
