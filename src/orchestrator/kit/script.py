"""What a scripted model says: scenarios made of turns, as values and as JSON.

A scenario is a list of turns. An answer is visible to the caller, so it is counted by the conversation itself: the
n-th answer follows n-1 assistant messages. A fault leaves no trace in the conversation, so the server counts how often
it was served. This is what lets runs share a scenario without disturbing each other, and a retry find its place.

As JSON, one of these keys tells what a turn is; a plain string is an answer:

    {"turns": [{"text": "On it", "tools": [{"name": "Write", "input": {"file_path": "$CWD/a.txt", "content": "x"}}]},
               {"status": 529, "times": 2}, {"cut": "half"}, {"hang": true}, {"sse_error": "overloaded_error"}, "Done"],
     "after": "Done"}

The same JSON between `<<<SCRIPT` and `SCRIPT>>>` in a prompt is that prompt's own scenario; it may stand there in
base64, behind `base64:`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from orchestrator.core.events import Json

_BLOCK = re.compile(r"<<<SCRIPT\s(.*?)\sSCRIPT>>>", re.DOTALL)
_T = TypeVar("_T")
_PACKED = "base64:"


class ScriptError(ValueError):
    """A script that cannot be played; the message says which key of which turn is wrong."""


class CutAt(StrEnum):
    """Where a connection is closed."""

    HEADERS = "headers"  # before any byte of the response
    START = "start"  # after the message was announced
    HALF = "half"  # in the middle of the first block
    BEFORE_STOP = "before_stop"  # all blocks sent, the end is missing


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool_use block. `$CWD` in any string of *input* becomes the caller's working directory."""

    name: str
    input: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete message: text (none when empty), then tool calls.

    *stop_reason* "" means the one that fits. *usage* replaces single numbers of the usual 100 in, 20 out.
    *delay_s* is waited before the headers, *stall_s* after half of the first block; text goes out *chunk_chars*
    characters at a time (0: halves) with *pause_s* between. The answer is given *times* times in a row, 0 for ever.
    """

    text: str = ""
    tools: tuple[ToolCall, ...] = ()
    stop_reason: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    delay_s: float = 0.0
    stall_s: float = 0.0
    chunk_chars: int = 0
    pause_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error *status*. Served *times* times (0: for ever), then the script goes on.

    *key* "" counts per conversation; any other value is one counter shared by all callers of the scenario.
    """

    status: int
    message: str = ""
    error_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    key: str = ""


@dataclass(frozen=True, slots=True)
class StreamError:
    """An error event within a stream that began well. *times* and *key* as for Refusal."""

    error_type: str = "overloaded_error"
    message: str = "Overloaded"
    times: int = 1
    key: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is closed *at* some point of an answer saying *text*. *times* and *key* as for Refusal."""

    at: CutAt
    text: str = "This sentence is never"
    times: int = 1
    key: str = ""


@dataclass(frozen=True, slots=True)
class Hang:
    """The request is read and never answered. *times* and *key* as for Refusal."""

    times: int = 1
    key: str = ""


Fault = Refusal | StreamError | Cut | Hang
Turn = Answer | Fault


@dataclass(frozen=True, slots=True)
class Scenario:
    """Turns in order, and what is answered when they have run out."""

    turns: tuple[Turn, ...] = ()
    after: Answer = field(default_factory=lambda: Answer("Done."))


def choose(scenario: Scenario, answered: int, spent: Callable[[int, Fault], bool]) -> tuple[int, Turn]:
    """Return (index, turn) for a conversation that holds *answered* assistant messages already.

    *spent* is asked about a fault in the way, by index, whether it was served as often as it may; asking counts
    as serving when it says no. The index is len(turns) for the `after` answer.
    """
    left = answered
    for index, turn in enumerate(scenario.turns):
        if isinstance(turn, Answer):
            if turn.times == 0 or left < turn.times:
                return index, turn
            left -= turn.times
        elif left == 0 and not spent(index, turn):
            return index, turn
    return len(scenario.turns), scenario.after


def block_in(text: str) -> Scenario | None:
    """Return the scenario of the last script block in *text*, None without one. Raises ScriptError."""
    blocks = _BLOCK.findall(text)
    if not blocks:
        return None
    try:
        raw: Json = json.loads(_unpacked(blocks[-1]))
    except ValueError as error:
        raise ScriptError(f"the script block is not JSON: {error}") from None
    return from_json(raw)


def _unpacked(block: str) -> str:
    return base64.b64decode(block.removeprefix(_PACKED), validate=True).decode() if block.startswith(_PACKED) else block


def as_block(scenario: Scenario, *, packed: bool = False) -> str:
    """Return *scenario* as a block to put into a prompt, on one line.

    One that is put into another block, or holds one, has to be *packed*: nobody on the way sees into it then.
    """
    told = json.dumps(to_json(scenario))
    told = f"{_PACKED}{base64.b64encode(told.encode()).decode()}" if packed else told
    return f"<<<SCRIPT {told} SCRIPT>>>"


def from_json(raw: Json) -> Scenario:
    """Read a scenario. Unknown keys are refused. Raises ScriptError."""
    script = _mapping(raw, "the script")
    _known(script, {"turns", "after"}, "the script")
    turns = script.get("turns", ())
    if isinstance(turns, str) or not isinstance(turns, Sequence):
        raise ScriptError("turns must be a list")
    after = _turn(script.get("after", "Done."), "after")
    if not isinstance(after, Answer):
        raise ScriptError("after must be an answer")
    return Scenario(tuple(_turn(turn, f"turns[{n}]") for n, turn in enumerate(turns)), after)


def to_json(scenario: Scenario) -> dict[str, Json]:
    """Return what `from_json` reads back as an equal scenario."""
    return {"turns": [_turn_json(turn) for turn in scenario.turns], "after": _turn_json(scenario.after)}


def _turn_json(turn: Turn) -> dict[str, Json]:
    match turn:
        case Answer():
            tools: list[Json] = [{"name": call.name, "input": dict(call.input)} for call in turn.tools]
            numbers = ("delay_s", "stall_s", "chunk_chars", "pause_s")
            return {
                "text": turn.text,
                "tools": tools,
                "stop_reason": turn.stop_reason,
                "usage": dict(turn.usage),
                "headers": dict(turn.headers),
                "times": turn.times,
                **{name: getattr(turn, name) for name in numbers},
            }
        case Refusal():
            extra: dict[str, Json] = {
                "message": turn.message,
                "error_type": turn.error_type,
                "headers": dict(turn.headers),
            }
            return {"status": turn.status, **extra, "times": turn.times, "key": turn.key}
        case StreamError():
            return {"sse_error": turn.error_type, "message": turn.message, "times": turn.times, "key": turn.key}
        case Cut():
            return {"cut": turn.at.value, "text": turn.text, "times": turn.times, "key": turn.key}
        case Hang():
            return {"hang": True, "times": turn.times, "key": turn.key}


def _turn(raw: Json, where: str) -> Turn:
    if isinstance(raw, str):
        return Answer(raw)
    turn = _mapping(raw, where)
    times, key = _value(turn, "times", int, 1, where), _value(turn, "key", str, "", where)
    message = _value(turn, "message", str, "", where)
    if "status" in turn:
        _known(turn, {"status", "message", "error_type", "headers", "times", "key"}, where)
        error_type = _value(turn, "error_type", str, "", where)
        status = _value(turn, "status", int, 0, where)
        return Refusal(status, message, error_type, _strings(turn, where), times, key)
    if "sse_error" in turn:
        _known(turn, {"sse_error", "message", "times", "key"}, where)
        return StreamError(_value(turn, "sse_error", str, "", where), message or "Overloaded", times, key)
    if "cut" in turn:
        _known(turn, {"cut", "text", "times", "key"}, where)
        text = _value(turn, "text", str, "This sentence is never", where)
        return Cut(_cut_at(turn, where), text, times, key)
    if "hang" in turn:
        _known(turn, {"hang", "times", "key"}, where)
        return Hang(times, key)
    return _answer(turn, where)


def _answer(turn: Mapping[str, Json], where: str) -> Answer:
    names = {
        "text",
        "tools",
        "stop_reason",
        "usage",
        "delay_s",
        "stall_s",
        "chunk_chars",
        "pause_s",
        "headers",
        "times",
    }
    _known(turn, names, where)
    tools = turn.get("tools", ())
    if isinstance(tools, str) or not isinstance(tools, Sequence):
        raise ScriptError(f"{where}: tools must be a list")
    usage = _mapping(turn.get("usage", {}), f"{where}.usage")
    return Answer(
        text=_value(turn, "text", str, "", where),
        tools=tuple(_tool(call, f"{where}.tools[{n}]") for n, call in enumerate(tools)),
        stop_reason=_value(turn, "stop_reason", str, "", where),
        usage={name: _value(usage, name, int, 0, f"{where}.usage") for name in usage},
        delay_s=_value(turn, "delay_s", float, 0.0, where),
        stall_s=_value(turn, "stall_s", float, 0.0, where),
        chunk_chars=_value(turn, "chunk_chars", int, 0, where),
        pause_s=_value(turn, "pause_s", float, 0.0, where),
        headers=_strings(turn, where),
        times=_value(turn, "times", int, 1, where),
    )


def _tool(raw: Json, where: str) -> ToolCall:
    call = _mapping(raw, where)
    _known(call, {"name", "input"}, where)
    return ToolCall(_value(call, "name", str, "", where), _mapping(call.get("input", {}), f"{where}.input"))


def _cut_at(turn: Mapping[str, Json], where: str) -> CutAt:
    try:
        return CutAt(_value(turn, "cut", str, "", where))
    except ValueError:
        raise ScriptError(f"{where}: cut must be one of {', '.join(CutAt)}") from None


def _mapping(raw: Json, where: str) -> Mapping[str, Json]:
    if not isinstance(raw, Mapping):
        raise ScriptError(f"{where} must be an object")
    return raw


def _known(raw: Mapping[str, Json], names: set[str], where: str) -> None:
    if unknown := sorted(set(raw) - names):
        raise ScriptError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(names))}")


def _value(raw: Mapping[str, Json], name: str, kind: type[_T], default: _T, where: str) -> _T:
    value = raw.get(name, default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ScriptError(f"{where}: {name} must be {kind.__name__}, not {type(value).__name__}")
    return value


def _strings(raw: Mapping[str, Json], where: str) -> dict[str, str]:
    headers = _mapping(raw.get("headers", {}), f"{where}.headers")
    return {name: str(value) for name, value in headers.items()}
