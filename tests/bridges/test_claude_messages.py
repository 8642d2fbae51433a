"""Decoding stream-json: whatever is printed, something typed comes out."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bridges.claude_orders import TRANSCRIPTS

from orchestrator.bridges.claude_messages import (
    ApiRetry,
    AssistantText,
    Init,
    Malformed,
    Other,
    PermissionDenied,
    RateLimit,
    Result,
    ToolResult,
    ToolUse,
    decode_line,
)

FILES = sorted(path for path in TRANSCRIPTS.glob("*.jsonl") if not path.name.startswith("92_"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["message", "content", "usage", "is_error", "errors", "permission_denials", "rate_limit_info", "tools", "error"]
TYPES = ["assistant", "user", "result", "system", "rate_limit_event", "young"]
SUBTYPES = ["init", "api_retry", "permission_denied", "success", "other"]


@given(st.binary())
def test_no_bytes_make_it_raise(line: bytes) -> None:
    decode_line(line)


@given(
    st.sampled_from(TYPES),
    st.sampled_from(SUBTYPES),
    st.dictionaries(st.sampled_from(KEYS), json_values),
)
def test_no_shape_of_a_known_type_makes_it_raise(kind: str, subtype: str, rest: dict[str, object]) -> None:
    messages = decode_line(json.dumps({**rest, "type": kind, "subtype": subtype}).encode())
    assert not any(isinstance(message, Malformed) for message in messages)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_line_of_every_transcript_is_a_message(path: Path) -> None:
    lines = path.read_bytes().splitlines()
    messages = [message for line in lines for message in decode_line(line)]
    assert not [message for message in messages if isinstance(message, Malformed)]
    assert len([m for m in messages if isinstance(m, Result)]) == sum(b'"type":"result"' in line for line in lines)


def test_no_transcript_names_a_folder_of_the_machine_it_was_made_on() -> None:
    for path in FILES:
        found = [word for word in (b"/ro" + b"ot/", b"/wo" + b"rk/", b"/Users/") if word in path.read_bytes()]
        assert not found, path.name


def test_the_two_way_markers_of_a_conversation_are_noise() -> None:
    lines = (TRANSCRIPTS / "92_control_interrupt.jsonl").read_bytes().splitlines()
    assert all(isinstance(message, Malformed) for line in lines for message in decode_line(line))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            {"type": "system", "subtype": "init", "session_id": "s", "model": "m", "claude_code_version": "2.1.1"},
            Init("s", "m", "2.1.1", ()),
        ),
        ({"type": "system", "subtype": "status", "status": "requesting"}, Other("system", "status")),
        ({"type": "system"}, Other("system")),
        ({"type": "hologram", "subtype": "blue"}, Other("hologram", "blue")),
        ({}, Other("")),
        (
            {"type": "assistant", "message": {"content": [{"type": "text", "text": "hi"}]}, "error": "rate_limit"},
            AssistantText("hi", "rate_limit"),
        ),
        ({"type": "assistant", "error": "server_error"}, AssistantText("", "server_error")),
        (
            {"type": "assistant", "message": {"content": [{"type": "text", "text": "x"}]}, "parent_tool_use_id": "t"},
            AssistantText("x", sub=True),
        ),
        (
            {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "Edit"}]}},
            ToolUse("t", "Edit", {}),
        ),
        (
            {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t", "content": "no"}]}},
            ToolResult("t", False, "no"),
        ),
        (
            {"type": "system", "subtype": "api_retry", "attempt": 2, "max_retries": 4, "retry_delay_ms": 500},
            ApiRetry(2, 4, 0.5, 0, ""),
        ),
        (
            {"type": "system", "subtype": "permission_denied", "tool_name": "Write", "message": "no"},
            PermissionDenied("Write", "", "no"),
        ),
        (
            {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1795270161}},
            RateLimit("rejected", "", 1795270161.0, 0.0),
        ),
    ],
)
def test_a_message_with_missing_keys_is_still_that_message(line: dict[str, object], message: object) -> None:
    assert decode_line(json.dumps(line).encode()) == (message,)


def test_several_blocks_are_several_messages() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "Read"}]
    line = json.dumps({"type": "assistant", "message": {"content": content}}).encode()
    assert decode_line(line) == (AssistantText("a"), ToolUse("t", "Read", {}))


def test_a_result_that_does_not_say_that_all_is_well_is_an_error() -> None:
    (result,) = decode_line(b'{"type":"result","subtype":"success"}')
    assert isinstance(result, Result)
    assert result.is_error
    assert result.cost_usd is None


def test_a_number_that_was_not_given_is_unknown_and_not_zero() -> None:
    (result,) = decode_line(b'{"type":"result","usage":{"input_tokens":-4,"output_tokens":"7"},"total_cost_usd":true}')
    assert isinstance(result, Result)
    assert (result.tokens.input, result.tokens.output, result.cost_usd, result.turns) == (None, None, None, None)


def test_a_line_of_three_megabytes_is_one_message() -> None:
    block = {"type": "tool_use", "id": "t", "name": "Write", "input": {"file_path": "a", "content": "é" * 1_500_000}}
    (use,) = decode_line(
        json.dumps({"type": "assistant", "message": {"content": [block]}}, ensure_ascii=False).encode()
    )
    assert isinstance(use, ToolUse)
    assert len(str(use.input["content"])) == 1_500_000


@pytest.mark.parametrize(
    "line",
    [b'{"type":"result"', b"[1]", b"null", b"Warning: something", b"[" * 100_000, b'{"n":' + b"9" * 5000 + b"}"],
    ids=["torn", "list", "null", "words", "nested", "digits"],
)
def test_a_line_that_is_no_object_is_malformed(line: bytes) -> None:
    (message,) = decode_line(line)
    assert isinstance(message, Malformed)
    assert len(message.excerpt) <= 200


@pytest.mark.parametrize("line", [b"", b"   ", b"\r"])
def test_a_blank_line_says_nothing(line: bytes) -> None:
    assert decode_line(line) == ()


def test_invalid_utf8_becomes_replacement_characters() -> None:
    (text,) = decode_line(b'{"type":"assistant","message":{"content":[{"type":"text","text":"a\xffb"}]}}')
    assert text == AssistantText("a\ufffdb")


def test_a_lone_surrogate_does_not_reach_a_file() -> None:
    (text,) = decode_line(b'{"type":"assistant","message":{"content":[{"type":"text","text":"a\\ud800b"}]}}')
    assert isinstance(text, AssistantText)
    assert text.text.encode() == b"a?b"
