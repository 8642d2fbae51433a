"""Facts survive the way through JSON, also to a release that knows more or fewer keys."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core import codec
from orchestrator.core.attempt import (
    AgentReport,
    AttemptRecord,
    Failed,
    FailureKind,
    Finished,
    Interrupted,
    Outcome,
    Usage,
    WorkOrder,
)
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.proof import CheckKind, CheckSpec
from orchestrator.core.task import Criterion, Priority, TaskSpec

numbers = st.floats(allow_nan=False, allow_infinity=False)
anything = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates too
leaves = st.none() | st.booleans() | st.integers() | numbers | anything
trees: st.SearchStrategy[Json] = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4), max_leaves=12
)
zones = st.none() | st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
texts = {str: anything, float: numbers, datetime: st.datetimes(timezones=zones)}


def _any(kind: type[Any]) -> st.SearchStrategy[Any]:
    for each, strategy in texts.items():
        st.register_type_strategy(each, strategy)
    return st.from_type(kind)


def _through(value: object) -> Any:
    return json.loads(codec.text(value))


@given(spec=_any(TaskSpec))
def test_a_spec_comes_back_as_it_was(spec: TaskSpec) -> None:
    assert codec.spec_from_json(_through(spec)) == spec


@given(order=_any(WorkOrder))
def test_an_order_comes_back_as_it_was(order: WorkOrder) -> None:
    assert codec.order_from_json(_through(order)) == order


@given(outcome=_any(Finished) | _any(Failed) | _any(Interrupted))
def test_an_outcome_comes_back_as_it_was(outcome: Outcome) -> None:
    assert codec.outcome_from_json(_through(outcome)) == outcome


@pytest.mark.parametrize(
    ("outcome", "tag"),
    [
        (Finished(AgentReport()), "finished"),
        (Failed(FailureKind.TIMEOUT, "late"), "failed"),
        (Interrupted("shutdown"), "interrupted"),
    ],
)
def test_an_outcome_says_under_kind_what_it_is(outcome: Outcome, tag: str) -> None:
    assert _through(outcome)["kind"] == tag


def test_the_kind_of_a_failure_is_under_failure() -> None:
    assert _through(Failed(FailureKind.TIMEOUT, "late"))["failure"] == "timeout"


def test_the_record_of_an_attempt_has_a_json_form() -> None:
    record = AttemptRecord(TaskUid("u"), 1, 1, "claude", "s", 1.5, outcome={"kind": "finished"})
    assert _through(record)["outcome"] == {"kind": "finished"}


@given(spec=_any(TaskSpec), unknown=st.dictionaries(anything.map(lambda key: f"x-{key}"), trees, max_size=4))
def test_keys_of_a_newer_release_are_passed_over(spec: TaskSpec, unknown: dict[str, Json]) -> None:
    assert codec.spec_from_json({**_through(spec), **unknown}) == spec


def test_unknown_keys_are_passed_over_at_every_depth() -> None:
    outcome = Finished(AgentReport(usage=Usage(turns=3)))
    written = _through(outcome)
    written["report"]["future"] = [1]
    written["report"]["usage"]["future"] = {}
    assert codec.outcome_from_json(written) == outcome


def test_keys_an_older_release_did_not_write_take_their_default() -> None:
    written = {"id": "a", "type": "fix", "priority": "high", "title": "t", "prompt": "p"}
    assert codec.spec_from_json(written) == TaskSpec("a", "fix", Priority.HIGH, "t", "p")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"id": 7}, "spec.id"),
        ({"id": None}, "spec.id"),
        ({"priority": "urgent"}, "spec.priority"),
        ({"timeout_s": True}, "spec.timeout_s"),
        ({"timeout_s": 1.5}, "spec.timeout_s"),
        ({"budget_usd": "1"}, "spec.budget_usd"),
        ({"budget_usd": 10**400}, "spec.budget_usd"),
        ({"rerun": 1}, "spec.rerun"),
        ({"tags": "a"}, "spec.tags"),
        ({"tags": ["a", 1]}, r"spec.tags\[1\]"),
        ({"created": "yesterday"}, "spec.created"),
        ({"criteria": [[]]}, r"spec.criteria\[0\]"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(change: dict[str, Json], where: str) -> None:
    written = _through(TaskSpec("a", "fix", Priority.HIGH, "t", "p", criteria=(Criterion("c"),)))
    with pytest.raises(ValueError, match=where):
        codec.spec_from_json({**written, **change})


def test_a_task_stored_before_criteria_had_checks_is_still_read() -> None:
    check = CheckSpec(CheckKind.COMMAND, argv=("make",))
    spec = TaskSpec(
        "a", "fix", Priority.HIGH, "t", "p", criteria=(Criterion("c: `make`", check=check, mandatory=False),)
    )
    assert codec.spec_from_json(_through(spec)) == spec
    old: Json = {**_through(spec), "criteria": [{"text": "c: `make`", "ticked": False, "line": 3}]}
    assert codec.spec_from_json(old).criteria == (Criterion("c: `make`", line=3),), "it was accepted as words"


@pytest.mark.parametrize("value", [None, [], {}, {"kind": "lost"}, {"kind": []}])
def test_an_outcome_of_no_known_kind_is_refused(value: Json) -> None:
    with pytest.raises(ValueError, match="outcome"):
        codec.outcome_from_json(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_json_has_no_word_for_is_unknown(number: float) -> None:
    assert _through(Usage(cost_usd=number))["cost_usd"] is None


def test_what_has_no_json_form_is_a_bug_of_ours() -> None:
    with pytest.raises(TypeError, match="bytes"):
        codec.to_json({"body": b"x"})


@given(data=st.dictionaries(anything, trees, max_size=6))
def test_small_event_data_is_kept_whole(data: dict[str, Json]) -> None:
    assert json.loads(codec.event_text(data)) == data


@settings(max_examples=25)
@given(
    data=st.dictionaries(
        anything,
        st.sampled_from(["x" * 200_000, "€" * 40_000, ["y" * 50] * 5_000, {"a": {"b": "z" * 90_000}}])
        | st.dictionaries(st.integers().map(str), st.just("v" * 300), min_size=300, max_size=301),
        min_size=1,
        max_size=3,
    ),
)
def test_large_event_data_is_cut_to_valid_json_that_says_so(data: dict[str, Json]) -> None:
    kept = codec.event_text(data)
    assert len(kept) <= codec.EVENT_DATA_BYTES
    assert json.loads(kept)["truncated"] is True


def test_cutting_keeps_the_small_values() -> None:
    kept = json.loads(codec.event_text({"reason": "timeout", "answer": "x" * 10**6, "exit_code": -9}))
    assert (kept["reason"], kept["exit_code"]) == ("timeout", -9)
