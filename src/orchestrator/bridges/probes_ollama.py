"""What `doctor` says of a local Ollama: server, version, models, the chosen one, its context, and who depends on it.

Asked with the standard library: the package is an extra, and its absence is one of the things to tell.
"""

import asyncio
import http.client
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from orchestrator.core.finding import Finding, Level, passed, warned

GROUP = "ollama"
AGENT_TOKENS = 32_768  # the first request of Claude Code alone takes a third of it
MAX_BYTES = 4 << 20
_NO_CHAT = ("bert", "embed")
_NAMED = 8


@dataclass(frozen=True, slots=True)
class OllamaUse:
    """How the server is to be used. *needs* are the settings that depend on it; *agent_model* is that of agents.local,
    "" where it is off. *model* "" is the server's newest."""

    host: str
    model: str = ""
    context_tokens: int = 16_384
    needs: Sequence[str] = ()
    agent_model: str = ""


async def ollama_findings(use: OllamaUse, *, timeout_s: float = 2.0) -> Sequence[Finding]:
    """Report on the server of *use*. Nobody there is no fault where nothing depends on it."""
    try:
        version = str((await _get(use.host, "/api/version", timeout_s))["version"])[:40]
    except (OSError, http.client.HTTPException):
        return (*_absent(use), *_package(use))
    except (ValueError, KeyError, TypeError):
        return (warned(GROUP, "service", f"what answers at {use.host} is not Ollama", "Correct ollama.host."),)
    findings = [passed(GROUP, "service", f"version {version} at {use.host}{_for(use)}"), *_package(use)]
    try:
        models = _rows(await _get(use.host, "/api/tags", timeout_s))
        running = _rows(await _get(use.host, "/api/ps", timeout_s))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return (*findings, warned(GROUP, "models", "the server does not list its models", "Look at its log."))
    names = [str(row.get("name")) for row in models]
    told = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    findings.append(passed(GROUP, "models", f"{len(names)}: {told}") if names else _none(use))
    wanted = [("model", use.model or _newest(models), _chosen(use))]
    wanted += [("agent model", use.agent_model, " (agents.local.model)")] if use.agent_model else []
    for name, model, why in wanted:
        if model:
            findings += await _model(use, name, model, why, running, names, timeout_s)
    return findings


async def _model(
    use: OllamaUse,
    name: str,
    model: str,
    why: str,
    running: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    timeout_s: float,
) -> list[Finding]:
    """Report on one model: whether it is there, and how much it can be told at once."""
    full = model if ":" in model else f"{model}:latest"
    if full not in names:
        return [warned(GROUP, name, f"{model}{why} is not on the server", f"ollama pull {model}")]
    least = AGENT_TOKENS if name == "agent model" else use.context_tokens
    try:
        shown = await _ask(use.host, "/api/show", timeout_s, {"model": model})
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        shown = {}
    can = _trained(shown)
    served = next((row.get("context_length") for row in running if row.get("name") == full), None)
    said = f"{model}{why}; context {can or 'of unknown length'}"
    said += f", served with {served} now" if isinstance(served, int) else ""
    if can and can < least:
        return [warned(GROUP, name, f"{said}: {least} tokens are needed", "Choose another model.")]
    if name == "agent model" and "tools" not in shown.get("capabilities", ["tools"]):
        return [warned(GROUP, name, f"{said}: it cannot use tools", "Choose another model.")]
    if name == "agent model" and isinstance(served, int) and served < least:
        fix = f"OLLAMA_CONTEXT_LENGTH={2 * AGENT_TOKENS} ollama serve"
        return [warned(GROUP, name, f"{said}: too short, what does not fit is dropped without a word", fix)]
    return [passed(GROUP, name, said)]


def _absent(use: OllamaUse) -> list[Finding]:
    if use.needs:
        message = f"nothing answers at {use.host}, and {', '.join(use.needs)} would use it"
        return [warned(GROUP, "service", message, "ollama serve")]
    message = f"not configured or not running ({use.host}); the deterministic reader is in use"
    return [passed(GROUP, "service", message)]


def _package(use: OllamaUse) -> list[Finding]:
    """The agent needs none: it speaks to the server by itself."""
    asking = [need for need in use.needs if not need.startswith("agents.")]
    if not asking or importlib.util.find_spec("ollama") is not None:
        return []
    fix = "python3 main.py setup llama"
    return [warned(GROUP, "package", f"the package `ollama` is missing: {', '.join(asking)} do nothing", fix)]


def _for(use: OllamaUse) -> str:
    return f", used by {', '.join(use.needs)}" if use.needs else ", used by nothing (docs/reading.md)"


def _none(use: OllamaUse) -> Finding:
    level = Level.WARN if use.needs else Level.PASS
    return Finding(GROUP, "models", level, "none on the server", "ollama pull qwen3:8b" if use.needs else "")


def _chosen(use: OllamaUse) -> str:
    return " (ollama.model)" if use.model else " (the newest that can chat)"


def _newest(models: Sequence[Mapping[str, Any]]) -> str:
    """As bridges/ollama.py chooses, by the same facts."""
    found = []
    for row in models:
        details = row.get("details")
        family = str(details.get("family", "")) if isinstance(details, dict) else ""
        if not any(word in f"{family} {row.get('name')}".lower() for word in _NO_CHAT):
            found.append((str(row.get("modified_at", "")), str(row.get("name"))))
    return max(found)[1] if found else ""


def _trained(shown: Mapping[str, Any]) -> int:
    info = shown.get("model_info")
    lengths = (
        [value for key, value in info.items() if key.endswith(".context_length")] if isinstance(info, dict) else []
    )
    return next((value for value in lengths if isinstance(value, int)), 0)


def _rows(value: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    rows = value["models"]
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


async def _get(host: str, path: str, timeout_s: float) -> Mapping[str, Any]:
    return await _ask(host, path, timeout_s, None)


async def _ask(host: str, path: str, timeout_s: float, body: object) -> Mapping[str, Any]:
    return await asyncio.to_thread(_answer, host, path, timeout_s, body)


def _answer(host: str, path: str, timeout_s: float, body: object) -> Mapping[str, Any]:
    parts = urlsplit(host)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request("GET" if data is None else "POST", path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = json.loads(answer.read(MAX_BYTES))
        if answer.status != HTTPStatus.OK or not isinstance(said, dict):
            raise ValueError(f"status {answer.status}")
        return said
    finally:
        connection.close()
