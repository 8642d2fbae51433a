"""A point in time as a person writes it: a date, a date and time, a time of day, or how long from now.

Times are those of a time zone; which one, and what now is, the caller says.
"""

import re
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from itertools import product

from orchestrator.core.zones import at, moments_of

FORMS = "2026-11-28T22:00, 2026-11-28, 22:00 (the next time it is that late), or `in 2h`"
MAX_AHEAD_S = 366 * 86_400
_YEARS = range(2000, 2100)
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\Z")
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.[0-9]{1,9})?)?[ ]?([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?\Z"
)
_AHEAD = re.compile(r"in[ ]((?:[0-9]{1,6}[ ]?[smhd][a-z]{0,6}[ ]?){1,4})\Z", re.IGNORECASE)
_PART = re.compile(r"([0-9]{1,6})[ ]?([a-z]+)", re.IGNORECASE)
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}


def moment_words(text: str) -> str:
    """Return *text* with single blanks, if it is one of the FORMS. Raises ValueError with what is expected."""
    words = " ".join(text.split())
    if ahead := _AHEAD.match(words):
        if not 0 < _seconds(ahead[1]) <= MAX_AHEAD_S:
            raise ValueError(f"at most {MAX_AHEAD_S // 86_400} days ahead")
    elif not _CLOCK.match(words):
        _read(words)
    return words


def is_relative(words: str) -> bool:
    """Return whether *words* mean another moment each day: a time of day, or how long from now."""
    return bool(_CLOCK.match(words) or _AHEAD.match(words))


def moment_of(words: str, *, now: float, zone: tzinfo, last: bool = False) -> float:
    """Return the moment of *words*, which `moment_words` has let pass; `HH:MM` and `in …` reckoned from *now*.

    With *last* a date means the end of that day, else its beginning, and of a time that comes twice on the night when
    clocks are set back the second one is meant.
    """
    if ahead := _AHEAD.match(words):
        return now + _seconds(ahead[1])
    if clock := _CLOCK.match(words):
        return _next(time(int(clock[1]), int(clock[2])), now, zone, last=last)
    day, wall = _read(words)
    if wall is None:
        morning = datetime.combine(day + timedelta(days=1) if last else day, time())
        return moments_of(morning, zone)[0]
    return wall.timestamp() if wall.tzinfo else moments_of(wall, zone)[last]


def _next(clock: time, now: float, zone: tzinfo, *, last: bool) -> float:
    today = at(now, zone).date()
    days = (today + timedelta(days=ahead) for ahead in (-1, 0, 1, 2))
    pairs = [moments_of(datetime.combine(day, clock), zone) for day in days]
    if last:
        return min(pair[1] for pair in pairs if pair[1] > now)
    return min(pair[which] for pair, which in product(pairs, (0, 1)) if pair[which] > now)


def _seconds(parts: str) -> int:
    total = 0
    for number, unit in _PART.findall(parts):
        if unit.lower() not in _UNITS:
            raise ValueError(FORMS)
        total += int(number) * _UNITS[unit.lower()]
    return total


def _read(words: str) -> tuple[date, datetime | None]:
    """Return the day, and the time where one is written: with a zone where that is. Raises ValueError."""
    found = _DATE.match(words)
    if found is None or int(found[1]) not in _YEARS:
        raise ValueError(FORMS)
    try:
        day = date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise ValueError(f"a day that there is, in {FORMS}") from None
    if found[4] is None:
        return day, None
    wall = datetime.combine(day, time(int(found[4]), int(found[5]), int(found[6] or 0)))
    return day, wall if found[7] is None else wall.replace(tzinfo=_offset(found[7]))


def _offset(zone: str) -> timezone:
    if zone in "Zz":
        return timezone(timedelta())
    digits = zone[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    if int(digits[2:]) > 59 or minutes >= 24 * 60:
        raise ValueError(FORMS)
    return timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))
