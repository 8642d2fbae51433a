"""A point in time as people write it."""

import os
import subprocess
import sys
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.moment import is_relative, moment_of, moment_words
from orchestrator.core.zones import LOCAL, at, moments_of, shown, zone_named

BERLIN, SYDNEY = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Sydney")
LORD_HOWE, APIA = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia")
HOUR, DAY = 3600.0, 86_400.0


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = utc("2026-11-27T15:00")  # 16:00 in Berlin


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("2026-11-28T22:00", "2026-11-28T21:00"),
        ("2026-11-28 22:00", "2026-11-28T21:00"),
        ("2026-11-28T22:00:30", "2026-11-28T21:00:30"),
        ("2026-11-28t22:00:30.25z", "2026-11-28T22:00:30"),
        ("2026-11-28T22:00+05:30", "2026-11-28T16:30"),
        ("2026-11-28T22:00-0800", "2026-11-29T06:00"),
        ("2026-07-01T22:00", "2026-07-01T20:00"),
        ("2026-11-28", "2026-11-27T23:00"),
        ("22:00", "2026-11-27T21:00"),
        ("6:30", "2026-11-28T05:30"),
        ("16:00", "2026-11-28T15:00"),
        ("in 2h", "2026-11-27T17:00"),
        ("In 1h30m", "2026-11-27T16:30"),
        ("in 2 hours 5 minutes", "2026-11-27T17:05"),
        ("in 90s", "2026-11-27T15:01:30"),
        ("in 1 d", "2026-11-28T15:00"),
    ],
)
def test_every_form_means_its_moment_in_its_zone(written: str, means: str) -> None:
    assert moment_of(moment_words(written), now=NOW, zone=BERLIN) == utc(means)
    assert moment_words(moment_words(written)) == moment_words(written)


def test_a_day_as_a_last_moment_is_the_end_of_that_day() -> None:
    assert moment_of("2026-11-28", now=NOW, zone=BERLIN, last=True) == utc("2026-11-28T23:00")
    assert moment_of("2026-10-25", now=NOW, zone=BERLIN, last=True) == utc("2026-10-25T23:00")


@pytest.mark.parametrize(
    "written",
    [
        "", "soon", "tomorrow", "24:00", "12:60", "12", "2026-13-01", "2026-02-30", "2026-11-28T25:00", "1999-01-01",
        "2026-11-28T22:00+25:00", "2026-11-28T22", "in", "in 2", "in 2x", "in 2 moons", "in 0h", "in 400d", "in -2h",
        "in 1h 2h 3h 4h 5h", "22:00 Europe/Berlin", "in 5 sets",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused_with_what_is_expected(written: str) -> None:
    with pytest.raises(ValueError, match=r"2026-11-28|366 days"):
        moment_words(written)


def test_a_time_of_day_and_a_wait_are_relative_and_a_date_is_not() -> None:
    told = [is_relative(words) for words in ("22:00", "in 2h", "2026-11-28", "2026-11-28T22:00Z")]
    assert told == [True, True, False, False]


def test_a_time_of_day_that_is_left_out_is_the_moment_when_clocks_are_set() -> None:
    evening = utc("2026-03-28T20:00")
    assert moment_of("02:30", now=evening, zone=BERLIN) == utc("2026-03-29T01:00")
    assert moment_of("02:15", now=utc("2026-10-03T10:00"), zone=LORD_HOWE) == utc("2026-10-03T15:30")


def test_of_a_time_of_day_that_there_is_twice_the_next_one_is_meant_and_as_a_deadline_the_second() -> None:
    first, second = utc("2026-10-25T00:30"), utc("2026-10-25T01:30")
    assert moment_of("02:30", now=first - HOUR, zone=BERLIN) == first
    assert moment_of("02:30", now=first, zone=BERLIN) == second
    assert moment_of("02:30", now=first - HOUR, zone=BERLIN, last=True) == second
    assert moment_of("02:30", now=second, zone=BERLIN) == second + DAY


def test_hours_from_now_are_hours_that_pass_whatever_clocks_do() -> None:
    night = utc("2026-03-29T00:30")
    assert moment_of("in 2h", now=night, zone=BERLIN) == night + 2 * HOUR
    assert moment_of("in 1d", now=night, zone=BERLIN) == night + DAY


ZONES: list[tzinfo] = [BERLIN, SYDNEY, LORD_HOWE, ZoneInfo("America/Santiago"), ZoneInfo("Asia/Tokyo"), UTC]


@settings(deadline=None)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda wall: wall.replace(microsecond=0)),
    st.sampled_from(ZONES),
)
def test_the_moments_of_a_wall_clock_are_those_at_which_it_shows_that_time(wall: datetime, zone: tzinfo) -> None:
    first, last = moments_of(wall, zone)
    assert first <= last <= first + HOUR
    if at(first, zone).replace(tzinfo=None) != wall:  # left out: clocks jump over it at that very second
        assert at(first - 1, zone).replace(tzinfo=None) < wall < at(first, zone).replace(tzinfo=None)
    else:
        assert at(last, zone).replace(tzinfo=None, fold=0) == wall


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 23), st.integers(0, 59), st.integers(1_767_225_600, 1_798_761_600), st.booleans())
def test_the_next_time_of_day_is_ahead_and_never_further_than_a_day_of_25_hours(
    hour: int, minute: int, now: int, last: bool
) -> None:
    for zone in (BERLIN, LORD_HOWE):
        found = moment_of(f"{hour}:{minute:02}", now=float(now), zone=zone, last=last)
        assert 0 < found - now <= 25 * HOUR


def test_a_day_that_a_country_left_out_is_the_moment_after_it() -> None:
    assert moments_of(datetime(2011, 12, 30, 12), APIA) == (utc("2011-12-30T10:00"),) * 2


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "utc", "America/Argentina/Ushuaia", "Etc/GMT+5"])
def test_a_zone_is_known_by_its_name(name: str) -> None:
    assert zone_named(name).utcoffset(datetime(2026, 1, 1)) is not None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Europe/Berln", "did you mean Europe/Berlin"),
        ("../../etc/passwd", "such as Europe/Berlin"),
        ("/etc/passwd", "such as Europe/Berlin"),
        ("Europe", "that this machine knows"),
        ("+02:00", "such as Europe/Berlin"),
        ("a" * 300, "such as Europe/Berlin"),
    ],
)
def test_what_is_no_zone_is_refused(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        zone_named(name)


LOCAL_TOLD = """
from datetime import datetime, UTC
from orchestrator.core.schedule import times_between
from orchestrator.core.zones import LOCAL, moments_of, shown
begin = datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp()
print([shown(time) for time in times_between("30 2 * * *", LOCAL, begin, begin + 2 * 86400)])
begin = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()
print([shown(time) for time in times_between("30 2 * * *", LOCAL, begin, begin + 2 * 86400)])
first, last = moments_of(datetime(2026, 10, 25, 2, 30), LOCAL)
print(last - first)
"""


def test_the_zone_of_the_machine_has_its_summer_time_too() -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOCAL_TOLD],
        env={**os.environ, "TZ": "Europe/Berlin", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == [
        "['2026-10-25 02:30 CEST', '2026-10-26 02:30 CET']",
        "['2026-03-29 03:00 CEST', '2026-03-30 02:30 CEST']",
        "3600.0",
    ]


def test_a_moment_is_shown_with_its_zone() -> None:
    assert shown(NOW, BERLIN) == "2026-11-27 16:00 CET"
    assert shown(NOW, LOCAL).startswith(f"{datetime.fromtimestamp(NOW):%Y-%m-%d %H:%M}")
