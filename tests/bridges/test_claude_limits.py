"""An exhausted account, told in words only."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bridges.claude_orders import SESSION, exited
from tests.bridges.test_claude_outcome import INIT, result, tally

from orchestrator.bridges.claude_limits import is_exhausted, is_throttle, reset_in
from orchestrator.bridges.claude_messages import ApiRetry
from orchestrator.bridges.claude_outcome import Begun, outcome
from orchestrator.core.attempt import Failed
from orchestrator.core.attempt import FailureKind as K

SAID = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)


def at(year: int, month: int, day: int, hour: int, minute: int = 0, zone: str = "UTC") -> float:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("You've hit your 5-hour limit · resets 1:14pm (UTC)", at(2026, 11, 27, 13, 14)),
        ("You've hit your session limit · resets 11am (UTC)", at(2026, 11, 28, 11)),  # tomorrow's
        ("You've hit your session limit · resets 12am (UTC)", at(2026, 11, 28, 0)),
        ("You've hit your session limit · resets 3:45pm", at(2026, 11, 27, 15, 45)),  # the zone of the caller
        ("You've hit your weekly limit ∙ resets Nov 30, 3pm (Europe/Berlin)", at(2026, 11, 30, 15, 0, "Europe/Berlin")),
        ("You've hit your Opus limit · resets Jan 2 at 9:05am (America/New_York)", at(2027, 1, 2, 14, 5)),
        ("weekly limit reached · resets Dec 1", at(2026, 12, 1, 0)),
        ("You've hit your weekly limit · resets Monday 9am (UTC)", at(2026, 11, 30, 9)),
        ("session limit reached · resets 15:45 (GMT+2)", at(2026, 11, 27, 13, 45)),
        ("Claude AI usage limit reached|1795270161", 1795270161.0),
        ("usage limit reached, resets in 2h 5m", (SAID + timedelta(hours=2, minutes=5)).timestamp()),
        ("You've hit your monthly spend limit.", 0.0),
        ("You've hit your weekly limit · resets soon", 0.0),
        ("You've hit your weekly limit · resets Feb 31, 3pm (UTC)", 0.0),
        ("You've hit your weekly limit · resets 25:99", 0.0),
    ],
)  # fmt: skip
def test_the_words_tell_when_the_limit_ends(text: str, until: float) -> None:
    assert is_exhausted(text)
    assert reset_in(text, said_at=SAID.timestamp(), zone=UTC) == until


@pytest.mark.parametrize(
    "text",
    [
        "Server is temporarily limiting requests (not your usage limit) · Rate limited",
        "API Error: Request rejected (429) · this may be a temporary capacity issue",
        "The rate limiter of the app has a limit",
        "Subagent limit reached (depth 3 of 3). Complete this task directly",
    ],
)
def test_a_throttle_and_other_limits_are_no_exhausted_account(text: str) -> None:
    assert not is_exhausted(text)


def test_a_throttle_says_so() -> None:
    assert is_throttle("Server is temporarily limiting requests (not your usage limit)")


def test_a_time_that_has_just_come_is_now_and_not_tomorrow() -> None:
    said = SAID.timestamp() + 20
    assert reset_in("hit your limit · resets 12:30pm (UTC)", said_at=said) == SAID.timestamp()


@given(st.text() | st.from_regex(r"resets [A-Za-z0-9:,() /+-]{0,30}", fullmatch=True))
def test_no_text_is_too_strange(text: str) -> None:
    assert reset_in(text, said_at=SAID.timestamp()) >= 0.0
    is_exhausted(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("You've hit your session limit · resets 3:45pm (UTC)", K.USAGE_LIMIT),
        ("You've hit your monthly spend limit.", K.USAGE_LIMIT),
        ("Server is temporarily limiting requests (not your usage limit)", K.RATE_LIMITED),
        ("API Error: Request rejected (429)", K.RATE_LIMITED),
    ],
)
def test_where_nothing_structured_tells_it_the_words_tell_a_used_up_account_from_a_throttle(text: str, kind: K) -> None:
    ended = outcome(tally(INIT, replace(result(error=True, api_status=429), text=text)), exited(1), Begun(SESSION))
    assert isinstance(ended, Failed)
    assert ended.kind is kind
    assert (ended.resets_at > 0) == ("resets" in text)


def test_what_was_refused_for_its_credential_has_cost_nothing() -> None:
    refused = [ApiRetry(n, 4, 1.0, 401, "authentication_failed") for n in (1, 2, 3)]
    ended = outcome(tally(INIT, *refused), exited(143, "stopped"), Begun(SESSION))
    assert isinstance(ended, Failed)
    assert (ended.kind, ended.report.usage.cost_usd) == (K.AUTH, 0.0)
