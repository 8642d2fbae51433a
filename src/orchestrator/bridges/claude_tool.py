"""How Claude Code is told of the worker's tool: by a file for the owner alone, which is gone once it has been read.

Its token is in no argument and no variable: every process of the machine can read the former, the agent's shell the
latter. The file lies in the attempt's folder, which no shell of an agent may read where its shell is held; its own file
tools are denied it everywhere.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.core.attempt import WorkOrder
from orchestrator.core.events import Json
from orchestrator.core.worker_tool import MY_LIMITS, SERVER, SPLIT_TASK, ToolAccess

ALLOWED = tuple(f"mcp__{SERVER}__{name}" for name in (SPLIT_TASK, MY_LIMITS))
CONNECTED = "connected"
_FOLDER, _FILE = "tool", "mcp.json"
_HERE = "localhost,127.0.0.1"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def folder(order: WorkOrder) -> str:
    """Return where the file lies: a folder of its own, so that a confined agent can be shown it and lose it again."""
    return f"{order.attempt_dir}/{_FOLDER}"


def prepare(order: WorkOrder) -> None:
    """Write the file, if the order has a tool. Raises OSError; FileExistsError for what is not ours in its place."""
    if order.tool is None:
        return
    shutil.rmtree(folder(order), ignore_errors=True)
    Path(folder(order)).mkdir(mode=0o700)
    handle = os.open(_path(order), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(_servers(order.tool), file)


def forget(order: WorkOrder) -> None:
    """Remove the file, if there is one. Emptied first: somebody may have it open."""
    with suppress(OSError):
        os.truncate(_path(order), 0)
    with suppress(OSError):
        Path(_path(order)).unlink()


def tidy(order: WorkOrder) -> None:
    """Remove the file and its folder. Nobody reads there any more."""
    forget(order)
    shutil.rmtree(folder(order), ignore_errors=True)


def arguments(order: WorkOrder) -> tuple[str, ...]:
    """Return the words of the command line that name the file."""
    return () if order.tool is None else (f"--mcp-config={_path(order)}",)


def environment(env: Mapping[str, str]) -> Mapping[str, str]:
    """Return *env* so that the program waits for the tool, and reaches it past any proxy."""
    found = {**env, "MCP_CONNECTION_NONBLOCKING": "0", "MCP_CONNECT_TIMEOUT_MS": "20000"}
    if any(env.get(name) for name in _PROXIES):
        given = env.get("NO_PROXY") or env.get("no_proxy") or ""
        found["NO_PROXY"] = found["no_proxy"] = f"{given},{_HERE}" if given else _HERE
    return found


def missing(servers: Mapping[str, str]) -> str:
    """Return what stands in the way of the tool by the program's own word on its servers, "" when it is there."""
    status = servers.get(SERVER, "not loaded")
    return "" if status == CONNECTED else status


def _path(order: WorkOrder) -> str:
    return f"{folder(order)}/{_FILE}"


def _servers(tool: ToolAccess) -> Json:
    headers: Json = {"Authorization": f"Bearer {tool.token}"}
    return {"mcpServers": {SERVER: {"type": "http", "url": tool.url, "headers": headers, "alwaysLoad": True}}}
