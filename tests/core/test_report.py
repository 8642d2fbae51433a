"""The summary says what is known, and its commands reach the task from where they are pasted."""

import pytest

from orchestrator.core.events import Json
from orchestrator.core.report import summary_text


def _result(**given: Json) -> dict[str, Json]:
    task: dict[str, Json] = {"uid": "0" * 24 + "12345678", "id": "fix", "name": "fix.12345678", "title": "Fix it"}
    return {"status": "failed", "task": task, **given}


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        ({}, "usage unknown"),
        ({"turns": 3, "cost_usd": 0.5}, "3 turns, cost $0.5000 (tokens in, tokens out unknown)"),
        (
            {"turns": 1, "input_tokens": 2, "output_tokens": 0, "cost_usd": 0},
            "1 turn, 2 tokens in, 0 tokens out, cost $0.0000",
        ),
    ],
)
def test_what_was_used_is_said_as_far_as_it_is_known(usage: Json, words: str) -> None:
    assert f"Used     {words}\n" in summary_text(_result(usage=usage))


def test_every_command_to_type_names_the_root_and_the_task() -> None:
    text = summary_text(_result(hint="`python main.py doctor` tells more."), "python main.py --root /srv/x")
    assert text.count("python main.py") == text.count("python main.py --root /srv/x") == 4
    assert "show fix.12345678" in text
    assert "tail-events --task fix.12345678" in text
    assert "retry 12345678" in text
