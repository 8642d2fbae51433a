"""A damaged result is named with the place of the damage."""

import json
from typing import Any

import pytest

from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.validation.result import build_result, result_bytes
from orchestrator.validation.schema import file_problems, result_problems


def good() -> dict[str, Any]:
    spec = TaskSpec("t", "fix", Priority.HIGH, "T", "P")
    task = Task(TaskUid("0" * 32), "t", spec, "0" * 64, 1.0, state=State.CANCELLED, ended_ts=2.0)
    found: dict[str, Any] = json.loads(result_bytes(build_result(task, [])))
    return found


def test_a_good_result_has_no_problem_and_keys_of_a_later_release_are_none() -> None:
    assert result_problems(good()) == []
    assert result_problems({**good(), "new_in_a_later_release": 1}) == []


# The results of earlier releases have none of these.
@pytest.mark.parametrize("key", sorted(good().keys() - {"accepted", "digest", "findings", "opinion", "work"}))
def test_a_key_that_is_missing_is_named(key: str) -> None:
    damaged = good()
    del damaged[key]
    (problem,) = result_problems(damaged)
    assert problem.startswith("the whole: ")
    assert f"'{key}'" in problem


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 2),
        ("complete", False),
        ("status", "done"),
        ("status", "rejected"),
        ("answer", None),
        ("task.uid", "short"),
        ("task.priority", "urgent"),
        ("task.sha256", "G" * 64),
        ("task.created", "yesterday"),
        ("timing.ended", "2026-01-01"),
        ("usage.cost_usd", -1),
        ("usage.turns", 1.5),
        ("criteria", [{"text": "x", "verdict": "sure", "why": ""}]),
        ("attempts", [{}]),
        ("changes.created", "a.py"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(path: str, value: object) -> None:
    damaged = good()
    *groups, key = path.split(".")
    part = damaged
    for group in groups:
        part = part[group]
    part[key] = value
    assert [problem for problem in result_problems(damaged) if problem.startswith(path)]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"a": 1} trailing'])
def test_what_is_no_json_is_said_to_be_none(data: bytes) -> None:
    (problem,) = file_problems(data)
    assert problem.startswith("it is not JSON: ")
    assert len(problem) < 200


@pytest.mark.parametrize("data", [b"null", b"[]", b'"text"', b"1", b"NaN"])
def test_json_that_is_no_object_is_no_result(data: bytes) -> None:
    assert file_problems(data)


def test_half_a_result_is_no_result() -> None:
    whole = json.dumps(good()).encode()
    for end in range(1, len(whole), 97):
        assert file_problems(whole[:end])
