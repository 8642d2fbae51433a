"""Quiet hours and quitting time of the whole queue, as spans of the wall clock: `22:00-06:00`, `mon-fri 09:00-18:00`.

In quiet hours nothing is started, and what runs goes on. After quitting time what runs is interrupted as well, at no
cost of a try; it goes on when it is over. A span that ends no later than it begins ends on the next day, and belongs to
the day on which it begins. Where the clock is set within a span, the span is as long as clocks show that it lasts: from
the first moment that is its beginning to the last one that is its end.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from orchestrator.core.zones import LOCAL, at, moments_of, shown, zone_named

QUIET, QUITTING = "quiet_hours", "quitting_time"  # the reasons of pauses
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EXPECTED = "spans such as 22:00-06:00, mon-fri 09:00-18:00 or sat,sun"
HORIZON_S = 8 * 86_400.0  # spans that cover the week have no end: it is looked for no further
_CLOCK = r"([01]?[0-9]|2[0-4]):([0-5][0-9])"
_SPAN = re.compile(rf"(?:([a-z][a-z, -]*?) ?)?(?:\b{_CLOCK} ?[-–] ?{_CLOCK})?\Z")


@dataclass(frozen=True, slots=True)
class Span:
    """*days* are those on which it begins, 0 is Monday; *begins* and *ends* are minutes, an end beyond 1440 that of
    the next day."""

    days: frozenset[int]
    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class Hours:
    """When the queue rests. *timezone* "" is that of this machine."""

    quiet: tuple[Span, ...] = ()
    quitting: tuple[Span, ...] = ()
    timezone: str = ""

    @property
    def zone(self) -> tzinfo:
        return zone_named(self.timezone)


def span_in(text: str) -> Span:
    """Return the span that *text* is. Raises ValueError with what is expected."""
    words = " ".join(text.lower().split())
    found = _SPAN.match(words)
    if found is None or not words:
        raise ValueError(EXPECTED)
    days = _days(found[1]) if found[1] else frozenset(range(7))
    if found[2] is None:
        return Span(days, 0, 24 * 60)
    begins, ends = (int(found[hour]) * 60 + int(found[hour + 1]) for hour in (2, 4))
    if begins >= 24 * 60 or ends > 24 * 60 or begins == ends:
        raise ValueError(f"{EXPECTED}, from 00:00 to 24:00 and of some length")
    return Span(days, begins, ends if ends > begins else ends + 24 * 60)


def _days(words: str) -> frozenset[int]:
    days: set[int] = set()
    for piece in words.split(","):
        bounds = [_day(part.strip()) for part in piece.split("-")]
        if len(bounds) > 2:
            raise ValueError(EXPECTED)
        days |= {(bounds[0] + step) % 7 for step in range((bounds[-1] - bounds[0]) % 7 + 1)}
    return frozenset(days)


def _day(word: str) -> int:
    """Return the number of a day that is called by three letters or more of its name."""
    found = [number for number, name in enumerate(DAYS) if len(word) >= 3 and name.startswith(word)]
    if not found:
        raise ValueError(f"{EXPECTED}, with days of {', '.join(name[:3] for name in DAYS)}")
    return found[0]


def until(spans: Iterable[Span], now: float, zone: tzinfo) -> float:
    """Return when the rest that *now* lies in is over, spans that follow each other being one; 0.0: it is no rest."""
    found = sorted(_moments(tuple(spans), at(now, zone).date(), zone))
    end = now
    for begins, ends in found:
        if begins <= end < ends:
            end = ends
    return min(end, now + HORIZON_S) if end > now else 0.0


def since(spans: Iterable[Span], now: float, zone: tzinfo) -> float:
    """Return when the span that *now* lies in has begun, spans that follow each other being one; 0.0: it is in none."""
    found = sorted(_moments(tuple(spans), at(now, zone).date(), zone), reverse=True)
    begun = now
    for begins, ends in found:
        if begins <= now < ends or begins < begun <= ends:
            begun = min(begun, begins)
    return begun if until(spans, now, zone) else 0.0


def begins_after(spans: Iterable[Span], now: float, zone: tzinfo) -> float:
    """Return when the next span begins after *now*, 0.0 when there is none."""
    found = _moments(tuple(spans), at(now, zone).date(), zone)
    return min((begins for begins, _ in found if begins > now), default=0.0)


def windows(spans: Iterable[Span], now: float, through: float, zone: tzinfo) -> list[tuple[float, float]]:
    """Return when the rests from *now* on begin and end that begin before *through*, in order, apart from another."""
    each, found = tuple(spans), list[tuple[float, float]]()
    begins = now if until(each, now, zone) else begins_after(each, now, zone)
    while begins and begins < through:
        ends = until(each, begins, zone)
        while ends < through and (on := until(each, ends, zone)):
            ends = on
        found.append((begins, ends))
        begins = begins_after(each, ends, zone)
    return found


def _moments(spans: Sequence[Span], today: date, zone: tzinfo) -> Iterator[tuple[float, float]]:
    """Yield when spans begin and end, of yesterday and the days that follow."""
    for ahead in range(-1, 9):
        day = today + timedelta(days=ahead)
        for span in spans:
            if day.weekday() in span.days:
                begins = moments_of(_wall(day, span.begins), zone)[0]
                ends = moments_of(_wall(day, span.ends), zone)[1]
                if ends > begins:  # it lies in what is left out where clocks are set forward
                    yield begins, ends


def _wall(day: date, minutes: int) -> datetime:
    return datetime.combine(day, time()) + timedelta(minutes=minutes)


def words_of(reason: str, moment: float, zone: tzinfo = LOCAL) -> str:
    """Return why nothing is started, for people."""
    what = {QUIET: "quiet hours", QUITTING: "quitting time"}[reason]
    return f"{what}, until {shown(moment, zone)}"
