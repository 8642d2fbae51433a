"""Quiet hours and quitting time, also across the nights when clocks are set."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.hours import HORIZON_S, Span, begins_after, span_in, until, windows
from orchestrator.core.zones import at

BERLIN, SYDNEY = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Sydney")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
EVERY = frozenset(range(7))


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def berlin(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def rest(now: float, *spans: str) -> float:
    return until([span_in(span) for span in spans], now, BERLIN)


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("22:00-06:00", Span(EVERY, 22 * 60, 30 * 60)),
        ("9:00 - 18:30", Span(EVERY, 9 * 60, 18 * 60 + 30)),
        ("mon-fri 09:00-18:00", Span(frozenset({0, 1, 2, 3, 4}), 9 * 60, 18 * 60)),
        ("Sat, Sun", Span(frozenset({5, 6}), 0, 24 * 60)),
        ("fri-mon 12:00-24:00", Span(frozenset({4, 5, 6, 0}), 12 * 60, 24 * 60)),
        ("monday, wed 00:00–01:00", Span(frozenset({0, 2}), 0, 60)),
        ("sun 22:00-06:00", Span(frozenset({6}), 22 * 60, 30 * 60)),
    ],
)
def test_a_span_is_read_as_people_write_it(written: str, span: Span) -> None:
    assert span_in(written) == span


@pytest.mark.parametrize(
    "written",
    [
        "", "night", "22:00", "22-06", "25:00-06:00", "24:00-06:00", "10:00-24:30", "09:00-09:00", "mon-",
        "mo 1:00-2:00", "mon-fun 09:00-18:00", "mon fri", "09:00-18:00 mon", "mon09:00-18:00", "sunk", "-",
        "mon-tue-wed", "mon,,tue",
    ],
)  # fmt: skip
def test_what_is_no_span_is_refused_with_what_is_expected(written: str) -> None:
    with pytest.raises(ValueError, match="22:00-06:00"):
        span_in(written)


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-11-27T21:59:59", ""),
        ("2026-11-27T22:00", "2026-11-28T06:00"),
        ("2026-11-28T00:00", "2026-11-28T06:00"),
        ("2026-11-28T05:59:59", "2026-11-28T06:00"),
        ("2026-11-28T06:00", ""),
    ],
)
def test_a_night_begins_and_ends_at_its_times(now: str, ends: str) -> None:
    assert rest(berlin(now), "22:00-06:00") == (berlin(ends) if ends else 0.0)


def test_a_span_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    assert rest(berlin("2026-11-28T03:00"), "fri 22:00-06:00") == berlin("2026-11-28T06:00")  # of friday
    assert rest(berlin("2026-11-29T03:00"), "fri 22:00-06:00") == 0.0
    assert rest(berlin("2026-11-30T03:00"), "sun 22:00-06:00") == berlin("2026-11-30T06:00")


def test_spans_that_follow_each_other_are_one_rest() -> None:
    saturday = berlin("2026-11-28T12:00")
    assert rest(saturday, "sat-sun", "sun 23:00-07:00") == berlin("2026-11-30T07:00")
    assert rest(saturday, "sat,sun") == berlin("2026-11-30T00:00")
    assert rest(saturday, "00:00-24:00") == saturday + HORIZON_S


def test_where_there_is_no_span_there_is_no_rest() -> None:
    assert until([], 0.0, UTC) == 0.0
    assert begins_after([], 0.0, UTC) == 0.0


@pytest.mark.parametrize(
    ("zone", "evening", "ends", "hours"),
    [
        (BERLIN, "2026-03-28T21:00", "2026-03-29T04:00", 7.0),  # clocks forward: an hour is missing
        (BERLIN, "2026-10-24T20:00", "2026-10-25T05:00", 9.0),  # back: one comes twice
        (SYDNEY, "2026-10-03T12:00", "2026-10-03T19:00", 7.0),
        (SYDNEY, "2026-04-04T11:00", "2026-04-04T20:00", 9.0),
    ],
)
def test_a_night_in_which_clocks_are_set_ends_by_the_clock(
    zone: ZoneInfo, evening: str, ends: str, hours: float
) -> None:
    spans = [span_in("22:00-06:00")]
    assert until(spans, utc(evening) - 1, zone) == 0.0
    assert until(spans, utc(evening), zone) == utc(ends) == utc(evening) + hours * HOUR


def test_a_span_that_ends_within_the_hour_that_comes_twice_ends_the_second_time() -> None:
    assert rest(berlin("2026-10-25T02:10"), "22:00-02:30") == berlin("2026-10-25T02:30", fold=1)
    assert rest(berlin("2026-10-25T02:45"), "22:00-02:30") == berlin("2026-10-25T02:30", fold=1)
    assert rest(berlin("2026-10-25T02:10", fold=1), "02:00-02:30") == berlin("2026-10-25T02:30", fold=1)
    assert rest(berlin("2026-10-25T02:30", fold=1), "22:00-02:30") == 0.0


def test_a_span_that_begins_within_the_hour_that_is_left_out_begins_when_clocks_are_set() -> None:
    change = utc("2026-03-29T01:00")
    assert rest(change - 1, "02:30-06:00") == 0.0
    assert rest(change, "02:30-06:00") == berlin("2026-03-29T06:00")
    assert rest(change - 1, "22:00-02:30") == change
    assert rest(change, "22:00-02:30") == 0.0


def test_a_span_that_is_left_out_whole_is_none() -> None:
    for minutes in range(-90, 90, 10):
        assert rest(utc("2026-03-29T01:00") + minutes * MINUTE, "02:10-02:50") == 0.0


def test_the_next_span_is_told_beforehand() -> None:
    spans = [span_in("mon-fri 18:00-09:00")]
    assert begins_after(spans, berlin("2026-11-27T12:00"), BERLIN) == berlin("2026-11-27T18:00")
    assert begins_after(spans, berlin("2026-11-28T12:00"), BERLIN) == berlin("2026-11-30T18:00")


SPANS = st.builds(
    lambda days, begins, length: Span(frozenset(days), begins, begins + length),
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1440),
)
ZONES: list[tzinfo] = [BERLIN, SYDNEY, UTC]


@settings(deadline=None, max_examples=150)
@given(st.lists(SPANS, max_size=3), st.integers(1_767_225_600, 1_798_761_600), st.sampled_from(ZONES))
def test_a_rest_is_over_exactly_when_it_says_so(spans: list[Span], now: int, zone: tzinfo) -> None:
    ends = until(spans, float(now), zone)
    if ends == 0.0:
        begins = begins_after(spans, float(now), zone)
        assert not begins or until(spans, begins, zone) > begins
        assert not begins or until(spans, begins - 1, zone) == 0.0
    elif ends < now + HORIZON_S:
        assert until(spans, ends, zone) == 0.0
        assert until(spans, ends - 1, zone) == ends


@settings(deadline=None, max_examples=150)
@given(SPANS, st.integers(1_767_225_600, 1_798_761_600))
def test_on_ordinary_days_it_is_a_rest_when_clocks_show_so(span: Span, now: int) -> None:
    wall = at(float(now), UTC)
    minute = wall.hour * 60 + wall.minute
    today = wall.weekday() in span.days and span.begins <= minute < span.ends
    since_yesterday = (wall.weekday() - 1) % 7 in span.days and minute + 1440 < span.ends
    assert (until([span], float(now), UTC) > 0) == (today or since_yesterday)


def test_windows_are_all_rests_of_a_time_in_order_and_apart() -> None:
    now, through = berlin("2026-11-27 23:00"), berlin("2026-11-29 23:00")
    spans = [span_in("22:00-06:00"), span_in("06:00-07:00"), span_in("sat 12:00-13:00")]
    assert windows(spans, now, through, BERLIN) == [
        (now, berlin("2026-11-28 07:00")),
        (berlin("2026-11-28 12:00"), berlin("2026-11-28 13:00")),
        (berlin("2026-11-28 22:00"), berlin("2026-11-29 07:00")),
        (berlin("2026-11-29 22:00"), berlin("2026-11-30 07:00")),
    ]
    assert windows([], now, through, BERLIN) == []


def test_a_rest_without_end_is_one_window_through_all_of_the_time() -> None:
    now = berlin("2026-11-27 23:00")
    ((begins, ends),) = windows([span_in("00:00-24:00")], now, now + 30 * DAY, BERLIN)
    assert begins == now
    assert ends >= now + 30 * DAY
