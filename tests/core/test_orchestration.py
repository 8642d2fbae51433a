"""Requests in words and as JSON: what they may say, and the task that comes of them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.agents import AgentProfile
from orchestrator.core.errors import ConflictError, OrchestratorError, UsageError
from orchestrator.core.orchestration import Orchestration, request_in, spec_of
from orchestrator.core.policy import RunPolicy
from orchestrator.core.split import SplitRules, wants_approval
from orchestrator.core.task import Priority, TaskType

PLANS = TaskType("orchestrate", ("Read",), expects_changes=False, plans=True)
POLICY = RunPolicy(
    3, {"claude": AgentProfile("claude")}, "claude", {"orchestrate": PLANS}, "/base/app", "/base", "/attempts"
)
SEED: Any = {
    "request": "Task description in natural language",
    "config": {
        "max_workers": 5,
        "default_timeout": 300,
        "execution_mode": "wsl",
        "enable_recursion": True,
        "max_recursion_depth": 3,
        "current_depth": 0,
    },
}


def test_a_request_as_json_says_all_that_its_format_knows() -> None:
    asked = request_in(SEED)
    (told,) = asked.notices
    assert (told.code, told.message[:14]) == ("execution_mode_ignored", "execution_mode")
    assert replace(asked, notices=()) == Orchestration(
        "Task description in natural language", max_workers=5, max_depth=3, timeout_s=300
    )
    spec = spec_of(asked, POLICY)
    assert (spec.type, spec.max_depth, spec.timeout_s, spec.notices) == ("orchestrate", 3, 300, asked.notices)


@pytest.mark.parametrize(
    ("config", "levels"),
    [
        ({}, 3),
        ({"max_recursion_depth": 2}, 2),
        ({"max_recursion_depth": 9}, 3),  # never above what is configured
        ({"max_recursion_depth": 3, "current_depth": 2}, 1),
        ({"current_depth": 2}, 1),
        ({"enable_recursion": False}, 1),
        ({"enable_recursion": False, "current_depth": 2}, 1),
        ({"enable_recursion": False, "max_recursion_depth": 3}, 1),
    ],
)
def test_how_deep_it_may_be_split_is_counted_from_where_it_is_asked(config: Any, levels: int) -> None:
    assert spec_of(request_in({"request": "Do it", "config": config}), POLICY).max_depth == levels


def test_who_asks_for_deeper_splits_than_are_configured_is_told_that_there_are_fewer() -> None:
    (told,) = spec_of(Orchestration("Do it", max_depth=9, current_depth=1), POLICY).notices
    assert told.message == "at most 3 splits deep, not 8: orchestrate.max_depth is 3"
    assert spec_of(Orchestration("Do it", max_depth=3), POLICY).notices == ()
    assert spec_of(Orchestration("Do it"), POLICY).notices == ()


@pytest.mark.parametrize(
    ("asked", "words", "hint"),
    [
        (Orchestration("Do it", budget_usd=50.5), "budget in US dollars is 50.5", "At most 50: limits.max_budget_usd."),
        (
            Orchestration("Do it", timeout_s=3601),
            "time limit in seconds is 3601",
            "At most 3,600: limits.max_timeout_s.",
        ),
        (Orchestration("Do it", max_workers=65), "number of sub-tasks at once is 65", "At most 64."),
        (Orchestration("Do it", max_depth=99), "depth is 99", "At most 16."),
    ],
)
def test_no_request_asks_for_more_than_a_task_file_may(asked: Orchestration, words: str, hint: str) -> None:
    policy = replace(POLICY, max_budget_usd=50.0, max_timeout_s=3600)
    with pytest.raises(UsageError) as caught:
        spec_of(asked, policy)
    assert (caught.value.message, caught.value.hint) == (f"the {words}", hint)
    spec_of(Orchestration("Do it", max_workers=64, max_depth=3, budget_usd=50.0, timeout_s=3600), policy)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"max_recursion_depth": 2, "current_depth": 2}, "max_recursion_depth is 2, and current_depth 2"),
        ({"current_depth": 3}, "max_recursion_depth is 3, and current_depth 3"),
    ],
)
def test_at_the_maximal_depth_nothing_is_split(config: Any, words: str) -> None:
    with pytest.raises(ConflictError, match=f"the maximal depth is reached: {words}"):
        spec_of(request_in({"request": "Do it", "config": config}), POLICY)


@pytest.mark.parametrize(
    ("value", "words", "hint"),
    [
        ([], "the request is no JSON object", ""),
        ({"config": {}}, "`request` is no text", ""),
        ({"request": "x", "config": []}, "`config` is no object", ""),
        ({"request": "x", "conf": {}}, "`conf` means nothing in the request", "Did you mean `config`?"),
        (
            {"request": "x", "config": {"max_worker": 3}},
            "`max_worker` means nothing in `config`",
            "Did you mean `max_workers`?",
        ),
        ({"request": "x", "config": {"max_workers": 0}}, "`max_workers` is 0", "from 1 to 64"),
        ({"request": "x", "config": {"max_workers": True}}, "`max_workers` is True", "from 1 to 64"),
        ({"request": "x", "config": {"enable_recursion": "no"}}, "`enable_recursion` is 'no'", "true or false"),
        ({"request": "x", "config": {"budget_usd": -1}}, "`budget_usd` is -1", "above 0"),
    ],
)
def test_what_is_wrong_is_refused_with_what_would_be_right(value: Any, words: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        request_in(value)
    assert words in caught.value.message
    assert hint in caught.value.hint


def test_the_words_of_the_request_are_the_prompt_and_say_how_urgent_it_is() -> None:
    asked = Orchestration("  Build a REST API.\n\nIt is urgent. ", cwd="api", budget_usd=5.0, approve=True)
    spec = spec_of(asked, POLICY)
    assert (spec.id, spec.prompt) == ("build_rest_api", "Build a REST API.\n\nIt is urgent.")
    assert (spec.priority, spec.cwd, spec.tree_budget_usd, spec.approve) == (
        Priority.HIGH,
        "/base/app/api",
        5.0,
        "plan",
    )


@pytest.mark.parametrize(
    ("approve", "configured", "asks"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_who_says_yes_beforehand_is_not_asked(approve: bool | None, configured: bool, asks: bool) -> None:
    spec = spec_of(Orchestration("Do it", approve=approve), POLICY)
    assert wants_approval(spec.approve, SplitRules(approve=configured)) is asks


@pytest.mark.parametrize("asked", [Orchestration(" … "), Orchestration("x" * 200_001), Orchestration("x", cwd="/etc")])
def test_a_request_without_words_without_measure_or_for_elsewhere_is_refused(asked: Orchestration) -> None:
    with pytest.raises(UsageError):
        spec_of(asked, POLICY)


def test_without_a_type_that_plans_nothing_is_planned() -> None:
    with pytest.raises(ConflictError, match="no type that plans"):
        spec_of(Orchestration("Do it"), replace(POLICY, types={}))


keys = st.sampled_from([*SEED["config"], "x", "cwd", "budget_usd", "approve"])
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers())


@given(config=st.dictionaries(keys, values) | values, words=st.text(max_size=20) | values)
def test_no_document_raises_anything_but_an_error_in_words_or_goes_deeper_than_is_configured(
    config: Any, words: Any
) -> None:
    try:
        spec = spec_of(request_in({"request": words, "config": config}), POLICY)
    except OrchestratorError:
        return
    assert spec.max_depth is not None
    assert 1 <= spec.max_depth <= POLICY.splits.max_depth
