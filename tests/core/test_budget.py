"""What may still be spent."""

from datetime import UTC, datetime
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import Spending, cap, cost_of, day_of, dollars, spent_by
from orchestrator.core.events import Json, TaskUid

amounts = st.floats(0, 1000)


def record(cost: Json = None, cap_usd: float = 0.0) -> AttemptRecord:
    outcome = {"report": {"usage": {"cost_usd": cost}}}
    return AttemptRecord(TaskUid("u"), 1, 1, "claude", "s", 1.0, 2.0, outcome, cap_usd=cap_usd)


def test_an_unknown_cost_is_the_cap_and_without_one_anything() -> None:
    assert spent_by([record(0.5, 9.0), record(None, 2.0)]) == 2.5
    assert spent_by([record(0.5), record()]) == inf
    assert spent_by([]) == 0


@pytest.mark.parametrize("outcome", [{}, {"report": None}, {"report": {"usage": {"cost_usd": True}}}, [], None, "x"])
def test_what_tells_no_cost_has_none(outcome: Json) -> None:
    assert cost_of(outcome) is None


def test_without_any_limit_nothing_is_limited() -> None:
    assert cap(left_usd=inf, day_usd=0.0, spending=Spending(inf, inf), free_slots=1) == 0.0


def test_what_is_left_of_the_day_is_shared_by_the_free_slots() -> None:
    assert cap(left_usd=inf, day_usd=10.0, spending=Spending(1.0, 3.0), free_slots=2) == 3.0
    assert cap(left_usd=1.0, day_usd=10.0, spending=Spending(1.0, 3.0), free_slots=2) == 1.0


@pytest.mark.parametrize("spending", [Spending(10.0, 0.0), Spending(4.0, 6.0), Spending(inf, 0.0), Spending(0.0, inf)])
def test_a_day_that_is_spent_reserved_or_unknown_starts_nothing(spending: Spending) -> None:
    assert cap(left_usd=inf, day_usd=10.0, spending=spending, free_slots=3) is None


@given(amounts, st.floats(0.01, 1000), amounts, st.integers(1, 8))
def test_attempts_that_start_together_are_never_allowed_more_than_the_day(
    left: float, day_usd: float, spent: float, slots: int
) -> None:
    reserved = 0.0
    for running in range(slots):
        given_usd = cap(left_usd=left, day_usd=day_usd, spending=Spending(spent, reserved), free_slots=slots - running)
        reserved += given_usd or 0.0
    assert reserved <= max(0.0, day_usd - spent) * (1 + 1e-9) + slots * 1e-6


def test_a_day_is_that_of_the_clock_on_the_wall_also_when_it_is_set() -> None:
    zone = ZoneInfo("Europe/Berlin")
    day = day_of(datetime(2026, 10, 25, 12, 0, tzinfo=zone).timestamp(), zone)
    assert day.ends - day.begins == 25 * 3600
    assert day.zone == "CET"
    assert datetime.fromtimestamp(day.begins, tz=zone).strftime("%d %H:%M") == "25 00:00"
    assert day_of(86400.0 * 5 + 1, UTC) == day_of(86400.0 * 6 - 1, UTC)


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (0.0, "$0.00"),
        (0.25, "$0.25"),
        (0.29, "$0.29"),
        (0.0042, "$0.0042"),
        (0.0057, "$0.0057"),
        (0.00001, "less than $0.0001"),
        (1.239, "$1.24"),
        (inf, "an unknown amount"),
    ],
)
def test_an_amount_below_a_cent_is_not_told_as_nothing(usd: float, words: str) -> None:
    assert dollars(usd) == words
