"""When a schedule comes, also on the nights when clocks are set, and what becomes of times that were missed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.schedule import (
    MAX_RUNS,
    NAMED,
    Firing,
    Missed,
    ScheduleRules,
    cron_words,
    fires,
    in_words,
    next_time,
    times_after,
    times_between,
)
from orchestrator.core.zones import at

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
SYDNEY, LORD_HOWE = ZoneInfo("Australia/Sydney"), ZoneInfo("Australia/Lord_Howe")
SANTIAGO, CAIRO = ZoneInfo("America/Santiago"), ZoneInfo("Africa/Cairo")
ZONES: tuple[tzinfo, ...] = (BERLIN, NEW_YORK, SYDNEY, LORD_HOWE, SANTIAGO, CAIRO, ZoneInfo("Asia/Kathmandu"), UTC)


def moment(text: str, zone: tzinfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def utc(text: str) -> float:
    return moment(text, UTC)


def walls(words: str, zone: tzinfo, first: float, last: float) -> list[str]:
    """Return what clocks show at each time from *first* to *last*, with the hours to UTC."""
    return [f"{at(time, zone):%d %H:%M%z}" for time in times_between(words, zone, first, last)]


def test_a_schedule_comes_at_its_time_by_the_clocks_of_its_zone() -> None:
    now = utc("2026-11-27T12:00")
    assert next_time("30 2 * * *", BERLIN, now) == utc("2026-11-28T01:30")
    assert next_time("30 2 * * *", NEW_YORK, now) == utc("2026-11-28T07:30")
    assert next_time("0 9 * * mon-fri", BERLIN, now) == utc("2026-11-30T08:00")
    assert next_time("0 0 L * *", BERLIN, now) == utc("2026-11-29T23:00")


def test_the_time_itself_is_not_after_it() -> None:
    time = utc("2026-11-28T01:30")
    assert next_time("30 2 * * *", BERLIN, time) == time + DAY
    assert next_time("30 2 * * *", BERLIN, time - 0.5) == time
    assert next_time("30 2 * * *", BERLIN, time + 0.5) == time + DAY


@pytest.mark.parametrize(
    ("zone", "day", "words", "comes"),
    [
        (BERLIN, "2026-03-29", "30 2 * * *", ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]),
        (NEW_YORK, "2026-03-08", "30 2 * * *", ["07 02:30-0500", "08 03:00-0400", "09 02:30-0400"]),
        (SYDNEY, "2026-10-04", "30 2 * * *", ["03 02:30+1000", "04 03:00+1100", "05 02:30+1100"]),
        (LORD_HOWE, "2026-10-04", "15 2 * * *", ["03 02:15+1030", "04 02:30+1100", "05 02:15+1100"]),
        (SANTIAGO, "2026-09-06", "0 0 * * *", ["05 00:00-0400", "06 01:00-0300", "07 00:00-0300"]),
        (CAIRO, "2026-04-24", "0 0 * * *", ["23 00:00+0200", "24 01:00+0300", "25 00:00+0300"]),
    ],
)
def test_a_time_that_is_left_out_in_spring_comes_when_clocks_are_set(
    zone: ZoneInfo, day: str, words: str, comes: Sequence[str]
) -> None:
    noon = moment(f"{day}T12:00", zone)
    assert walls(words, zone, noon - 1.6 * DAY, noon + 1.4 * DAY) == comes


@pytest.mark.parametrize(
    ("zone", "day", "words", "comes"),
    [
        (BERLIN, "2026-10-25", "30 2 * * *", ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"]),
        (NEW_YORK, "2026-11-01", "30 1 * * *", ["31 01:30-0400", "01 01:30-0400", "02 01:30-0500"]),
        (SYDNEY, "2026-04-05", "30 2 * * *", ["04 02:30+1100", "05 02:30+1100", "06 02:30+1000"]),
        (LORD_HOWE, "2026-04-05", "45 1 * * *", ["04 01:45+1100", "05 01:45+1100", "06 01:45+1030"]),
        (SANTIAGO, "2026-04-05", "30 23 * * *", ["04 23:30-0300", "05 23:30-0400", "06 23:30-0400"]),
    ],
)
def test_a_time_that_there_is_twice_in_autumn_comes_once(
    zone: ZoneInfo, day: str, words: str, comes: Sequence[str]
) -> None:
    noon = moment(f"{day}T12:00", zone)
    assert walls(words, zone, noon - 1.5 * DAY, noon + 1.5 * DAY) == comes


def test_who_asks_between_the_two_moments_of_one_time_is_not_told_the_first_again() -> None:
    first, second = utc("2026-10-25T00:30"), utc("2026-10-25T01:30")
    tomorrow = utc("2026-10-26T01:30")
    for now in (first, first + 20 * MINUTE, second - 20 * MINUTE, second, second + MINUTE):
        assert next_time("30 2 * * *", BERLIN, now) == tomorrow


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-03-30", 24), ("2026-10-25", 25)])
def test_a_schedule_for_every_hour_comes_at_every_hour_that_passes(day: str, hours: int) -> None:
    begins = moment(f"{day}T00:00")
    ends = moment(f"{datetime.fromisoformat(day) + timedelta(days=1):%Y-%m-%d}T00:00")
    times = times_between("0 * * * *", BERLIN, begins, ends - 1)
    assert len(times) == hours
    assert all(later - time == HOUR for time, later in pairwise(times))


def test_half_hours_are_all_told_where_clocks_are_set_by_half_an_hour() -> None:
    times = times_between("*/30 * * * *", LORD_HOWE, utc("2026-10-03T14:00"), utc("2026-10-03T17:00"))
    assert [time - times[0] for time in times] == [n * 30 * MINUTE for n in range(7)]


def test_every_sixth_hour_comes_on_the_day_when_clocks_are_set_by_half_an_hour() -> None:
    day = moment("2026-04-05T00:00", LORD_HOWE)
    assert walls("0 */6 * * *", LORD_HOWE, day, day + DAY) == [
        "05 00:00+1100",
        "05 06:00+1030",
        "05 12:00+1030",
        "05 18:00+1030",
    ]


def test_two_times_that_are_left_out_are_one() -> None:
    day = moment("2026-03-29T00:00")
    assert walls("0,30 2 * * *", BERLIN, day, day + 22 * HOUR) == ["29 03:00+0200"]


SCHEDULES = st.builds(
    "{} {} * * {}".format,
    st.sampled_from(["0", "30", "15,45", "*/20", "*"]),
    st.sampled_from(["*", "0", "1", "2", "3", "1-3", "*/6", "23"]),
    st.sampled_from(["*", "sun", "mon-fri"]),
)


@settings(max_examples=150, deadline=None)
@given(SCHEDULES, st.sampled_from(ZONES), st.integers(1_767_225_600, 1_798_761_600))
def test_times_only_go_forward_and_none_is_found_between_two_that_follow_each_other(
    words: str, zone: tzinfo, begin: int
) -> None:
    found: list[float] = []
    for time in times_after(words, zone, begin):
        found.append(time)
        if len(found) == 8:
            break
    assert found == sorted(set(found))
    assert found[0] > begin
    for time, later in pairwise(found):
        assert next_time(words, zone, time) == later
        assert next_time(words, zone, (time + later) / 2) == later


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ZONES), st.integers(0, 23), st.integers(0, 59), st.integers(0, 360))
def test_a_daily_schedule_comes_once_on_every_day_of_the_year(zone: tzinfo, hour: int, minute: int, day: int) -> None:
    first = moment("2026-01-01T00:00", zone) + day * DAY
    times = times_between(f"{minute} {hour} * * *", zone, first, first + 6 * DAY)
    days = [at(time, zone).date() for time in times]
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))]
    assert len(days) >= 5


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("30 2 * * *", "30 2 * * *"),
        ("  30   2 * * MON-fri ", "30 2 * * MON-fri"),
        ("@Daily", "@daily"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 30 2 mon", "0 0 30 2 mon"),  # the weekday alone makes it come
    ],
)
def test_a_schedule_is_kept_as_written(written: str, kept: str) -> None:
    assert cron_words(written) == kept
    assert cron_words(kept) == kept


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", "minute, hour"),
        ("30 2 * *", "minute, hour"),
        ("0 30 2 * * *", "minute, hour"),
        ("61 2 * * *", "the minute is no such one"),
        ("30 2 * * moonday", "the day-of-week is no such one"),
        ("30 2 * foo *", "the month is no such one"),
        ("every day", "minute, hour"),
        ("@reboot", "one of @yearly"),
        ("0 0 31 2 *", "the day-of-month is no such one"),
        ("0 0 31 4,6 *", "the day-of-month is no such one"),
        ("*/0 * * * *", "the minute is no such one"),
        ("1" * 300 + " 2 * * *", "minute, hour"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_is_expected(written: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        cron_words(written)


@pytest.mark.parametrize("name", NAMED)
def test_every_named_schedule_comes_and_has_words(name: str) -> None:
    assert next_time(name, BERLIN, utc("2026-11-27T12:00")) == next_time(NAMED[name], BERLIN, utc("2026-11-27T12:00"))
    assert in_words(name)


DAILY = "30 2 * * *"
T = utc("2026-11-28T01:30")


def decide(missed: Missed, late_s: float, *, max_late_s: float = DAY, done: Sequence[float] = ()) -> Firing:
    return fires(DAILY, BERLIN, due=T, now=T + late_s, rules=ScheduleRules(missed, max_late_s), done=done)


@pytest.mark.parametrize("missed", Missed)
def test_a_time_that_has_just_come_is_run_whatever_the_policy(missed: Missed) -> None:
    assert decide(missed, 3.0, max_late_s=0.0) == Firing((T,), 0, T + DAY, 3.0)


@pytest.mark.parametrize(
    ("missed", "run", "passed_over"),
    [(Missed.SKIP, (), 3), (Missed.RUN_ONCE, (T + 2 * DAY,), 2), (Missed.RUN_ALL, (T, T + DAY, T + 2 * DAY), 0)],
)
def test_what_was_missed_is_run_once_or_not_or_all_of_it(
    missed: Missed, run: tuple[float, ...], passed_over: int
) -> None:
    firing = decide(missed, 2 * DAY + HOUR, max_late_s=9 * DAY)
    assert (firing.run, firing.passed_over, firing.next) == (run, passed_over, T + 3 * DAY)


@pytest.mark.parametrize("missed", [Missed.RUN_ONCE, Missed.RUN_ALL])
def test_what_is_too_late_gets_no_run(missed: Missed) -> None:
    assert decide(missed, 2 * HOUR, max_late_s=HOUR) == Firing((), 1, T + DAY)
    assert decide(missed, 2 * DAY + HOUR, max_late_s=DAY + 2 * HOUR).run[-1:] == (T + 2 * DAY,)
    assert decide(Missed.RUN_ALL, 2 * DAY + HOUR, max_late_s=DAY + 2 * HOUR).passed_over == 1


def test_a_time_that_had_its_run_gets_no_other_after_the_clock_was_set_back() -> None:
    assert decide(Missed.RUN_ALL, DAY + HOUR, done=[T]) == Firing((T + DAY,), 0, T + 2 * DAY, HOUR)
    assert decide(Missed.RUN_ALL, HOUR, done=[T, T + DAY]) == Firing((), 0, T + 2 * DAY)


def test_after_years_of_minutes_the_last_one_is_run() -> None:
    firing = fires("* * * * *", UTC, due=T - 900 * DAY, now=T + 3, rules=ScheduleRules())
    assert (firing.run, firing.next) == ((T,), T + MINUTE)
    assert firing.passed_over > 100_000


def test_a_month_of_minutes_is_counted_and_run_in_bounds() -> None:
    rules = ScheduleRules(Missed.RUN_ALL, 400 * DAY)
    firing = fires("* * * * *", UTC, due=T - 30 * DAY, now=T, rules=rules)
    assert len(firing.run) == MAX_RUNS
    assert firing.run[-1] == T
    assert firing.passed_over == 30 * 24 * 60 + 1 - MAX_RUNS
