"""What Claude Code says in words about an exhausted account, for runs in which nothing structured says it.

The wordings are those of the program: `You've hit your session limit · resets 3:45pm (UTC)`, `… weekly limit ∙ resets
Nov 28, 3pm (Europe/Berlin)`, `usage limit reached|1795270161`, `… resets in 2h 5m`. A time without a zone is that of
this machine, whose clock the program read.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

_THROTTLE = re.compile(r"not your usage limit|temporarily limiting requests", re.IGNORECASE)
_EXHAUSTED = re.compile(
    r"\bhit your (?:[\w'’-]+ ){0,5}?limit"
    r"|\b(?:usage|session|weekly|5-hour|five-hour|opus|sonnet|spend(?:ing)?|monthly) limit (?:was |has been )?reached"
    r"|limit reached\s*[|·∙•-]\s*(?:resets|\d{9})"
    r"|\bout of (?:extra usage|usage credits)|\breached your (?:[\w'’-]+ ){0,4}?(?:usage|spend\w*) limit",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"limit reached\s*\|\s*(\d{9,11})\b", re.IGNORECASE)
_IN = re.compile(r"\bresets? in (?:(\d+)\s*d\w*)?,?\s*(?:(\d+)\s*h\w*)?,?\s*(?:(\d+)\s*m\w*)?", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AT = re.compile(
    r"\bresets?\s+(?:at\s+|on\s+)?"
    rf"(?:(?P<weekday>{'|'.join(_DAYS)})[a-z]*,?\s*)?"
    rf"(?:(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?\s+(?P<day>\d{{1,2}})(?:,?\s+(?P<year>20\d\d))?,?\s*(?:at\s+)?)?"
    r"(?:(?:at\s+)?(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?\s*(?P<half>[ap]\.?m\.?)?)?"
    r"\s*(?:\((?P<zone>[A-Za-z0-9_+\-/]+)\))?",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?$", re.IGNORECASE)


def is_throttle(text: str) -> bool:
    """Return whether *text* speaks of too many requests at once and says that the allowance is not meant."""
    return _THROTTLE.search(text) is not None


def is_exhausted(text: str) -> bool:
    """Return whether *text* says that the allowance of the account is used up."""
    return not is_throttle(text) and _EXHAUSTED.search(text) is not None


def reset_in(text: str, *, said_at: float, zone: tzinfo | None = None) -> float:
    """Return when the limit of which *text* tells ends, as seconds since the epoch; 0.0 when it does not say.

    *said_at* is when it was said: of a time of day the next one after that is meant. *zone* is for times without
    one; None is that of this machine.
    """
    if found := _EPOCH.search(text):
        return float(found[1])
    if (found := _IN.search(text)) and any(found.groups()):
        days, hours, minutes = (int(number or 0) for number in found.groups())
        return said_at + timedelta(days=days, hours=hours, minutes=minutes).total_seconds()
    found = _AT.search(text)
    if found is None or not (found["hour"] or found["month"] or found["weekday"]):
        return 0.0
    try:
        return _next(found, said_at, _zone(found["zone"]) or zone)
    except (ValueError, OverflowError):
        return 0.0


def _zone(name: str | None) -> tzinfo | None:
    if not name:
        return None
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if found := _OFFSET.match(name):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        return timezone(offset if found[1] == "+" else -offset)
    try:
        return ZoneInfo(name)
    except (OSError, ValueError):  # also: no such zone, or a machine without the database of zones
        return None


def _next(found: re.Match[str], said_at: float, zone: tzinfo | None) -> float:
    """Return the first instant from *said_at* on that fits what was said; Raises ValueError for no time at all."""
    said = datetime.fromtimestamp(said_at, tz=zone)
    when = said.replace(hour=_hour(found), minute=int(found["minute"] or 0), second=0, microsecond=0)
    if found["month"]:
        month = _MONTHS.index(found["month"].lower()) + 1
        when = when.replace(year=int(found["year"] or said.year), month=month, day=int(found["day"]))
        if not found["year"] and when < said - timedelta(days=180):
            when = when.replace(year=said.year + 1)
    elif found["weekday"]:
        ahead = (_DAYS.index(found["weekday"].lower()) - said.weekday()) % 7
        when += timedelta(days=ahead or (7 if when <= said else 0))
    elif when <= said - timedelta(minutes=1):  # "resets 3pm", said within that very minute, is over now
        when += timedelta(days=1)
    return when.timestamp()


def _hour(found: re.Match[str]) -> int:
    hour = int(found["hour"] or 0)
    if not found["half"]:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError(f"{hour} is no hour of half a day")
    return hour % 12 + (12 if found["half"].lower().startswith("p") else 0)
