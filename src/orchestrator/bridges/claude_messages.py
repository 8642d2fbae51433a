"""What Claude Code prints: one line of `--output-format stream-json` becomes typed messages.

The program may be newer than this module, and a line may be torn: nothing here raises. A type that is not known is
`Other`, a line that is no JSON object is `Malformed`, a key that is missing or of another type is its empty value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.events import Json

_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Init:
    """The agent is up. Printed before every turn. *servers* tells by name where each of its MCP servers stands."""

    session_id: str
    model: str
    version: str
    tools: tuple[str, ...]
    servers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AssistantText:
    """A text block. *error* names what kept the provider from answering; *sub* is true within a subagent."""

    text: str
    error: str = ""
    sub: bool = False


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The agent wants to use a tool."""

    id: str
    name: str
    input: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of the tool use with the same id. *text* is an excerpt."""

    id: str
    is_error: bool
    text: str


@dataclass(frozen=True, slots=True)
class ApiRetry:
    """The agent waits *delay_s* seconds before it asks its provider again. *status* 0: there was no HTTP status."""

    attempt: int
    max_retries: int
    delay_s: float
    status: int
    error: str


@dataclass(frozen=True, slots=True)
class PermissionDenied:
    """A tool use was not allowed."""

    tool: str
    tool_use_id: str
    text: str


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A word on the account's allowance: allowed, allowed_warning, rejected. *resets_at* is epoch seconds or 0."""

    status: str
    window: str
    resets_at: float
    utilization: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token numbers of one result; None where they were not given."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A turn's end. *cost_usd* is cumulative over the session; *turns* and *tokens* are this result's own.

    *is_error* is true unless the message says false: a result that does not speak is not believed.
    *local_command* names a command that the program answered by itself, without the model. *structured* is {} where no
    schema was asked for.
    """

    subtype: str
    is_error: bool
    text: str
    errors: tuple[str, ...]
    session_id: str
    turns: int | None
    cost_usd: float | None
    tokens: Tokens
    terminal_reason: str
    api_error: str
    api_status: int
    startup_failure: str
    local_command: str
    denials: tuple[str, ...]
    structured: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Other:
    """A message of no interest here, or of a type younger than this module."""

    type: str
    subtype: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no message."""

    excerpt: str


Message = (
    Init | AssistantText | ToolUse | ToolResult | ApiRetry | PermissionDenied | RateLimit | Result | Other | Malformed
)


def decode_line(line: bytes) -> tuple[Message, ...]:
    """Return the messages in one line: none for a blank line, several for a message of several blocks."""
    text = line.decode("utf-8", "replace").strip()
    if not text:
        return ()
    try:
        raw: Json = json.loads(text)
    except (ValueError, RecursionError):  # also numbers of too many digits, and nesting without end
        return (Malformed(text[:_EXCERPT]),)
    if not isinstance(raw, Mapping):
        return (Malformed(text[:_EXCERPT]),)
    return tuple(_decode(raw))


def _decode(raw: Mapping[str, Json]) -> Iterator[Message]:
    kind, subtype = _str(raw, "type"), _str(raw, "subtype")
    match kind, subtype:
        case "assistant", _:
            yield from _assistant(raw)
        case "user", _:
            yield from _user(raw)
        case "result", _:
            yield _result(raw)
        case "rate_limit_event", _:
            yield _rate_limit(_map(raw, "rate_limit_info"))
        case "system", "init":
            tools = tuple(name for name in _seq(raw, "tools") if isinstance(name, str))
            version = _str(raw, "claude_code_version")
            yield Init(_str(raw, "session_id"), _str(raw, "model"), version, tools, _servers(raw))
        case "system", "api_retry":
            yield ApiRetry(
                attempt=_int(raw, "attempt") or 0,
                max_retries=_int(raw, "max_retries") or 0,
                delay_s=(_float(raw, "retry_delay_ms") or 0.0) / 1000,
                status=_int(raw, "error_status") or 0,
                error=_str(raw, "error"),
            )
        case "system", "permission_denied":
            reason = _str(raw, "decision_reason") or _str(raw, "message")
            yield PermissionDenied(_str(raw, "tool_name"), _str(raw, "tool_use_id"), reason)
        case _:
            yield Other(kind, subtype)


def _servers(raw: Mapping[str, Json]) -> Mapping[str, str]:
    found = [entry for entry in _seq(raw, "mcp_servers") if isinstance(entry, Mapping)]
    return {_str(entry, "name"): _str(entry, "status") for entry in found}


def _assistant(raw: Mapping[str, Json]) -> Iterator[Message]:
    error, sub = _str(raw, "error"), bool(_str(raw, "parent_tool_use_id"))
    content = [block for block in _seq(_map(raw, "message"), "content") if isinstance(block, Mapping)]
    for block in content:
        if block.get("type") == "text":
            yield AssistantText(_str(block, "text"), error, sub)
        elif block.get("type") == "tool_use":
            yield ToolUse(_str(block, "id"), _str(block, "name"), _map(block, "input"))
        else:
            yield Other("assistant", _str(block, "type"))
    if not content:
        yield AssistantText("", error, sub) if error else Other("assistant")


def _user(raw: Mapping[str, Json]) -> Iterator[Message]:
    for block in _seq(_map(raw, "message"), "content"):
        if isinstance(block, Mapping) and block.get("type") == "tool_result":
            yield ToolResult(_str(block, "tool_use_id"), block.get("is_error") is True, _excerpt(block.get("content")))
        else:
            yield Other("user", "text")


def _excerpt(content: Json) -> str:
    if isinstance(content, str):
        return _clean(content[:_EXCERPT])
    if isinstance(content, list):
        texts = (_str(block, "text") for block in content if isinstance(block, Mapping))
        return next((text[:_EXCERPT] for text in texts if text), "")
    return ""


def _rate_limit(info: Mapping[str, Json]) -> RateLimit:
    return RateLimit(
        status=_str(info, "status"),
        window=_str(info, "rateLimitType"),
        resets_at=_float(info, "resetsAt") or 0.0,
        utilization=_float(info, "utilization") or 0.0,
    )


def _result(raw: Mapping[str, Json]) -> Result:
    denials = (_str(entry, "tool_name") for entry in _seq(raw, "permission_denials") if isinstance(entry, Mapping))
    return Result(
        subtype=_str(raw, "subtype"),
        is_error=raw.get("is_error") is not False,
        text=_str(raw, "result"),
        errors=tuple(_clean(error) for error in _seq(raw, "errors") if isinstance(error, str)),
        session_id=_str(raw, "session_id"),
        turns=_int(raw, "num_turns"),
        cost_usd=_float(raw, "total_cost_usd"),
        tokens=_tokens(raw),
        terminal_reason=_str(raw, "terminal_reason"),
        api_error=_str(raw, "api_error"),
        api_status=_int(raw, "api_error_status") or 0,
        startup_failure=_str(raw, "startup_failure_reason"),
        local_command=_str(raw, "local_command"),
        denials=tuple(name for name in denials if name),
        structured=_map(raw, "structured_output"),
    )


def _tokens(raw: Mapping[str, Json]) -> Tokens:
    """Return what this result used: by model, with what its subagents used, where the program counts that.

    An error result may carry a `usage` of zeros beside a cost: such zeros are no numbers.
    """
    models = [each for each in _map(raw, "model_usage_since_last_result").values() if isinstance(each, Mapping)]
    if models:
        return Tokens(
            input=_total(models, "inputTokens"),
            output=_total(models, "outputTokens"),
            cache_read=_total(models, "cacheReadInputTokens"),
            cache_write=_total(models, "cacheCreationInputTokens"),
        )
    usage = _map(raw, "usage")
    told = Tokens(
        input=_int(usage, "input_tokens"),
        output=_int(usage, "output_tokens"),
        cache_read=_int(usage, "cache_read_input_tokens"),
        cache_write=_int(usage, "cache_creation_input_tokens"),
    )
    counted_elsewhere = "model_usage_since_last_result" in raw  # and empty: then the cost is that of earlier turns
    nothing = not (told.input or told.output or told.cache_read or told.cache_write)
    return Tokens() if nothing and not counted_elsewhere and _float(raw, "total_cost_usd") else told


def _total(models: Sequence[Mapping[str, Json]], key: str) -> int | None:
    known = [number for each in models if (number := _int(each, key)) is not None]
    return sum(known) if known else None


def _map(raw: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _seq(raw: Mapping[str, Json], key: str) -> Sequence[Json]:
    value = raw.get(key)
    return value if isinstance(value, list) else []


def _str(raw: Mapping[str, Json], key: str) -> str:
    value = raw.get(key)
    return _clean(value) if isinstance(value, str) else ""


def _clean(text: str) -> str:
    """Return *text* without lone surrogates, which JSON can spell and no file can take."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _int(raw: Mapping[str, Json], key: str) -> int | None:
    number = _float(raw, key)
    return None if number is None else int(number)


def _float(raw: Mapping[str, Json], key: str) -> float | None:
    """Return a finite number, at least 0; everything counted here is."""
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < 1e15 else None
