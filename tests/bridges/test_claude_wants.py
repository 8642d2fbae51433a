"""What Claude Code wants of a person, told by structure: a tool that asks, a structured result, what was denied."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.bridges.claude_orders import exited

from orchestrator.bridges.claude_messages import decode_line
from orchestrator.bridges.claude_outcome import Begun, Tally, outcome
from orchestrator.core.attempt import Finished
from orchestrator.core.question import Question, Source

ONE = {"question": "Which driver?", "header": "Driver", "options": [{"label": "a"}, {"label": "b"}]}
TWO = {"question": "Which port?", "options": [{"label": "80"}, {"label": "443"}]}


def use(name: str, **arguments: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": f"id-{name}", "name": name, "input": arguments}
    return {"type": "assistant", "message": {"content": [block]}}


def result(text: str = "So.", **more: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, "result": text, "num_turns": 2, **more}


def asked(*messages: Mapping[str, Any]) -> Question | None:
    tally = Tally()
    for message in messages:
        for one in decode_line(json.dumps(message).encode()):
            tally.add(one)
    ended = outcome(tally, exited(), Begun("s"))
    assert isinstance(ended, Finished)
    return ended.report.question


def test_a_tool_that_asks_gives_the_question_and_its_options() -> None:
    assert asked(use("AskUserQuestion", questions=[ONE]), result()) == Question(
        "Which driver?", ("a", "b"), Source.TOOL
    )


def test_several_questions_at_once_are_one_text() -> None:
    found = asked(use("AskUserQuestion", questions=[ONE, TWO]), result())
    assert found == Question("1. Which driver? (a, b)\n2. Which port? (80, 443)", (), Source.TOOL)


def test_a_tool_of_a_server_of_the_person_asks_as_well() -> None:
    found = asked(use("mcp__desk__ask_human", question="May I?", options=["yes", "no"]), result())
    assert found == Question("May I?", ("yes", "no"), Source.TOOL)


def test_who_goes_on_working_after_a_question_has_decided_by_itself() -> None:
    assert asked(use("AskUserQuestion", questions=[ONE]), use("Read", file_path="/a"), result()) is None


@pytest.mark.parametrize(
    "arguments", [{}, {"questions": []}, {"questions": "?"}, {"question": " "}, {"questions": [{"question": 7}]}]
)
def test_a_call_without_a_question_is_none(arguments: dict[str, Any]) -> None:
    assert asked(use("AskUserQuestion", **arguments), result()) is None


def test_a_structured_result_that_is_a_question_asks() -> None:
    structured = {"status": "needs_input", "question": "Which one?", "options": ["a", "b"], "files": []}
    assert asked(result(structured_output=structured)) == Question("Which one?", ("a", "b"), Source.SCHEMA)


@pytest.mark.parametrize(
    "structured", [{}, {"question": ""}, {"question": 3}, {"question": "Why?", "answer": "Because."}]
)
def test_a_structured_result_that_holds_something_else_does_not(structured: dict[str, Any]) -> None:
    assert asked(result(structured_output=structured)) is None


def test_what_was_denied_is_told_with_its_subject_and_the_reason_at_most_five_times() -> None:
    tally = Tally()
    messages: list[Mapping[str, Any]] = []
    for number in range(9):
        name = f"Write{number}"
        messages.append(use(name, file_path=f"/etc/{number}"))
        denied = {"type": "system", "subtype": "permission_denied", "tool_name": name, "tool_use_id": f"id-{name}"}
        messages.append({**denied, "decision_reason": "outside"})
    for message in messages:
        for one in decode_line(json.dumps(message).encode()):
            tally.add(one)
    assert list(tally.wants.denied_for) == [f"Write{number} /etc/{number}: outside" for number in range(5)]


def told(*messages: Mapping[str, Any]) -> str:
    """Return the structured result of a run that ended with *messages*."""
    tally = Tally()
    for message in messages:
        for decoded in decode_line(json.dumps(message).encode()):
            tally.add(decoded)
    ended = outcome(tally, exited(), Begun("s"))
    assert isinstance(ended, Finished)
    return ended.report.structured


def test_a_structured_result_is_handed_on_as_json_and_a_missing_one_as_nothing() -> None:
    plan = {"summary": "Two parts.", "tasks": [{"id": "a", "criteria": ["x: `y`"], "estimated_minutes": 2.5}]}
    assert json.loads(told(result(structured_output=plan))) == plan
    assert told(result("I refuse to call the tool")) == ""
    assert told(result(structured_output=None)) == ""
    assert told(result(structured_output=["no", "object"])) == ""
