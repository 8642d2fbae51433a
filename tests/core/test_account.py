"""What a lineage may cost, and when money goes and nothing is proven."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ports.sample_tasks import new

from orchestrator.core.account import Account, is_step, limit_of, spending_of, tree_scope, trips, unproven_usd
from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import Spending, smaller
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.split import SplitRules

dollars = st.floats(0, 1000)


def record(cost: Json = 1.0, *, ended: bool = True, cap_usd: float = 0.0, verdict: Json = None) -> AttemptRecord:
    outcome = {"report": {"usage": {"cost_usd": cost}}}
    told: Any = verdict or {}
    return AttemptRecord(TaskUid("u"), 1, 1, "claude", "s", 1.0, 2.0 if ended else 0.0, outcome, told, cap_usd)


def test_what_runs_counts_with_its_cap_and_without_one_as_anything() -> None:
    assert spending_of([record(), record(None, cap_usd=3.0)]) == Spending(4.0, 0)
    assert spending_of([record(None, ended=False, cap_usd=2.0)]) == Spending(0, 2.0)
    assert spending_of([record(None, ended=False)]).reserved_usd == inf


def test_the_root_says_what_its_lineage_may_cost_else_the_configuration() -> None:
    root = new(1).task
    rules = SplitRules(tree_budget_usd=9.0)
    assert (limit_of(root, SplitRules()), limit_of(root, rules)) == (inf, 9.0)
    of_task = replace(root, spec=replace(root.spec, budget_usd=5.0))
    assert limit_of(of_task, rules) == 5.0
    assert limit_of(replace(of_task, spec=replace(of_task.spec, tree_budget_usd=7.0)), rules) == 7.0


@given(st.floats(0.01, 1000), dollars, st.integers(1, 8))
def test_tasks_that_start_together_never_reserve_more_than_the_account_has(
    limit: float, spent: float, starters: int
) -> None:
    reserved = 0.0
    for left in range(starters, 0, -1):
        reserved += Account(limit, Spending(spent, reserved)).share(left)
    assert reserved <= max(0.0, limit - spent) * (1 + 1e-9)


def test_what_nobody_knows_the_cost_of_leaves_nothing() -> None:
    assert Account(5.0, Spending(inf, 0.0)).is_used_up
    assert Account(5.0, Spending(0.0, inf)).share(1) == 0.0
    assert Account(inf, Spending(inf, inf)).share(1) == inf


def test_a_grant_gives_the_same_amount_once_more() -> None:
    account = Account(5.0, Spending(6.0, 0.0), granted_usd=6.0)
    assert (account.is_used_up, account.share(1)) == (False, 5.0)


@pytest.mark.parametrize(
    ("verdict", "step"),
    [
        ({"passed": True}, True),
        ({"passed": False, "criteria": [{"verdict": "failed"}, {"verdict": "proven"}]}, True),
        ({"passed": False, "criteria": [{"verdict": "holds"}]}, False),
        ({}, False),
    ],
)
def test_a_proven_criterion_or_a_success_is_a_step(verdict: Json, step: bool) -> None:
    assert is_step(record(verdict=verdict)) is step


def test_only_what_was_spent_since_the_last_step_is_unproven() -> None:
    step = record(8.0, verdict={"passed": True})
    assert unproven_usd([record(1.0), record(2.0), step, record(4.0)]) == 3.0
    assert unproven_usd([step]) == 0


@given(dollars, st.floats(0.01, 100))
def test_a_breaker_that_was_reset_opens_again_after_as_much(unproven: float, limit: float) -> None:
    assert trips(unproven, limit_usd=limit, granted_usd=0.0) == (unproven >= limit)
    assert not trips(unproven, limit_usd=limit, granted_usd=unproven)
    assert trips(unproven + 2 * limit, limit_usd=limit, granted_usd=unproven)
    assert not trips(unproven, limit_usd=0.0, granted_usd=0.0)


def test_a_step_after_the_reset_begins_anew() -> None:
    assert trips(5.0, limit_usd=5.0, granted_usd=7.0)


def test_a_scope_is_what_people_can_type() -> None:
    assert tree_scope(TaskUid("0" * 24 + "1234abcd")) == "tree:1234abcd"


@pytest.mark.parametrize(
    ("one", "other", "both"), [(None, 1.0, None), (0.0, None, None), (0.0, 0.0, 0.0), (0.0, 2.0, 2.0), (3.0, 2.0, 2.0)]
)
def test_the_smaller_of_two_caps(one: float | None, other: float | None, both: float | None) -> None:
    assert smaller(one, other) == both


def test_without_a_limit_nothing_is_used_up_though_nobody_knows_what_an_attempt_has_cost() -> None:
    unknown = spending_of([record(None)])
    assert unknown.spent_usd == inf
    assert not Account(inf, unknown).is_used_up
    assert Account(5.0, unknown).is_used_up
