"""The Messages API on the wire, as far as a scripted model needs it. Pure: requests in, bytes and bodies out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from orchestrator.core.events import Json
from orchestrator.kit.script import Answer, Scenario, ScriptError, block_in

ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_STATUS_OF = {"overloaded_error": 529, "rate_limit_error": 429, "authentication_error": 401}
_CWD = re.compile(r"working directory: (.+)")
# What Claude Code adds by itself when an answer was empty or cut short: the same turn goes on, nobody asked anew.
_NUDGES = ("[Your previous response", "Output token limit", "[structured-output-enforce]")


@dataclass(frozen=True, slots=True)
class Asked:
    """One decoded request for a message.

    *answered* counts the assistant messages since the last fresh user message (with a *scenario* of the prompt's
    own: since the message that holds it). *session* is equal for all requests of one conversation.
    """

    model: str
    stream: bool
    n_messages: int
    tools: tuple[str, ...]
    prompt: str
    answered: int
    session: str
    cwd: str
    scenario: Scenario | None


def read_request(body: Mapping[str, Json]) -> Asked:
    """Read a request body. Raises ScriptError when a script block in it cannot be played."""
    messages = [message for message in _list(body.get("messages")) if isinstance(message, Mapping)]
    start, scenario = _beginning(messages)
    metadata = body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    tools = (tool.get("name") for tool in _list(body.get("tools")) if isinstance(tool, Mapping))
    return Asked(
        model=str(body.get("model", "")),
        stream=body.get("stream") is True,
        n_messages=len(messages),
        tools=tuple(str(name) for name in tools if name),
        prompt=_text(messages[start].get("content")) if messages else "",
        answered=sum(message.get("role") == "assistant" for message in messages[start:]),
        session=str(user) if user else json.dumps(messages[:1]),
        cwd=_cwd(body),
        scenario=scenario,
    )


def _beginning(messages: Sequence[Mapping[str, Json]]) -> tuple[int, Scenario | None]:
    fresh = 0
    for index in range(len(messages) - 1, -1, -1):
        if not _is_fresh(messages[index]):
            continue
        scenario = block_in(_text(messages[index].get("content")))
        if scenario is not None:
            return index, scenario
        fresh = fresh or index
    return fresh, None


def _is_fresh(message: Mapping[str, Json]) -> bool:
    if message.get("role") != "user":
        return False
    content = message.get("content")
    blocks = [] if isinstance(content, str) else _list(content)
    if any(isinstance(block, Mapping) and block.get("type") == "tool_result" for block in blocks):
        return False
    return not _text(content).startswith(_NUDGES)


def _text(content: Json) -> str:
    if isinstance(content, str):
        return content
    blocks = (block.get("text", "") for block in _list(content) if isinstance(block, Mapping))
    return "\n".join(str(text) for text in blocks if text)


def _cwd(body: Mapping[str, Json]) -> str:
    """Return the working directory the caller describes itself to be in, "" when it does not say."""
    messages = (message for message in _list(body.get("messages")) if isinstance(message, Mapping))
    notes = [_text(body.get("system")), *(_text(message.get("content")) for message in messages)]
    found = (_CWD.search(note) for note in notes)
    return next((match.group(1).strip() for match in found if match), "")


def _list(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list) else []


def blocks_of(answer: Answer, asked: Asked) -> list[dict[str, Json]]:
    """Return the content blocks of *answer*. Raises ScriptError for `$CWD` where the caller named no directory.

    A request that offers no tools (a title, a summary) is never given a tool call.
    """
    blocks: list[dict[str, Json]] = []
    if answer.text:
        blocks.append({"type": "text", "text": str(_filled(answer.text, asked.cwd))})
    for call in answer.tools if asked.tools else ():
        entry: dict[str, Json] = {"type": "tool_use", "id": f"toolu_{uuid4().hex[:20]}", "name": call.name}
        blocks.append({**entry, "input": _filled(dict(call.input), asked.cwd)})
    return blocks


def _filled(value: Json, cwd: str) -> Json:
    if isinstance(value, str):
        if "$CWD" in value and not cwd:
            raise ScriptError("$CWD is used, but the request names no working directory")
        return value.replace("$CWD", cwd)
    if isinstance(value, Mapping):
        return {key: _filled(entry, cwd) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [_filled(entry, cwd) for entry in value]
    return value


def message(answer: Answer, asked: Asked, blocks: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Return the whole message, as a request without streaming gets it."""
    uses_tools = any(block["type"] == "tool_use" for block in blocks)
    return {
        "id": f"msg_{uuid4().hex[:20]}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": list(blocks),
        "stop_reason": answer.stop_reason or ("tool_use" if uses_tools else "end_turn"),
        "stop_sequence": None,
        "usage": {**_USAGE, **answer.usage},
    }


_USAGE = {"input_tokens": 100, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 20}


def opening(whole: Mapping[str, Json]) -> list[bytes]:
    """Return the events that announce the message *whole*."""
    usage = whole["usage"]
    counted = {**usage, "output_tokens": 1} if isinstance(usage, Mapping) else usage
    head: dict[str, Json] = {**whole, "content": [], "stop_reason": None, "usage": counted}
    return [_event({"type": "message_start", "message": head}), _event({"type": "ping"})]


def block_events(index: int, block: Mapping[str, Json], chunk_chars: int) -> Iterator[bytes]:
    """Yield the events of one content block, its text or input split every *chunk_chars* characters (0: in halves)."""
    empty: dict[str, Json]
    if block["type"] == "text":
        full, empty = str(block["text"]), {**block, "text": ""}
        kind, key = "text_delta", "text"
    else:
        full, empty = json.dumps(block["input"]), {**block, "input": {}}
        kind, key = "input_json_delta", "partial_json"
    yield _event({"type": "content_block_start", "index": index, "content_block": empty})
    size = chunk_chars or max(1, (len(full) + 1) // 2)
    for start in range(0, len(full), size):
        delta: dict[str, Json] = {"type": kind, key: full[start : start + size]}
        yield _event({"type": "content_block_delta", "index": index, "delta": delta})
    yield _event({"type": "content_block_stop", "index": index})


def closing(whole: Mapping[str, Json]) -> list[bytes]:
    """Return the events that end the message *whole*."""
    delta: Json = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    return [
        _event({"type": "message_delta", "delta": delta, "usage": whole["usage"]}),
        _event({"type": "message_stop"}),
    ]


def error_event(error_type: str, text: str) -> bytes:
    """Return the event that breaks a stream."""
    return _event({"type": "error", "error": {"type": error_type, "message": text}})


def error_body(status: int, text: str, error_type: str = "") -> dict[str, Json]:
    """Return the JSON body of an HTTP error."""
    kind = error_type or ERROR_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": text or f"scripted error {status}"}}


def status_of(error_type: str) -> int:
    """Return the HTTP status that a request without streaming gets for *error_type*."""
    return _STATUS_OF.get(error_type, 500)


def _event(data: Mapping[str, Json]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()
