"""Time zones, and which moments a wall clock means: none on the night it is set forward, two on the one it is set back.

Everything else here counts in seconds since the epoch.
"""

import difflib
import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

_DAY_S = 86_400  # clocks are never set twice within one
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,31}){0,2}\Z")


class LocalZone(tzinfo):
    """The zone of this machine, as its C library knows it; it follows the changes between summer and winter time."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:  # noqa: ARG002 - nobody here asks
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        local = datetime.fromtimestamp(moment.replace(tzinfo=UTC).timestamp())  # noqa: DTZ006 - it is about this zone
        return local.replace(tzinfo=self)


LOCAL: tzinfo = LocalZone()


def zone_named(name: str) -> tzinfo:
    """Return the zone of an IANA *name* such as Europe/Berlin, that of this machine for "". Raises ValueError."""
    if not name:
        return LOCAL
    if name.upper() == "UTC":
        return UTC
    if not _NAME.match(name):
        raise ValueError("a time zone such as Europe/Berlin or UTC")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        near = difflib.get_close_matches(name, _names(), n=1)
        like = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"a time zone that this machine knows, such as Europe/Berlin or UTC{like}") from None


@lru_cache(maxsize=1)
def _names() -> list[str]:
    return sorted(available_timezones())


def at(moment: float, zone: tzinfo) -> datetime:
    """Return what clocks in *zone* show at *moment*."""
    return datetime.fromtimestamp(moment, tz=zone)


def moments_of(wall: datetime, zone: tzinfo) -> tuple[float, float]:
    """Return the first and the last moment at which clocks in *zone* show *wall*, which has no zone of its own.

    They are the same but on a night when clocks are set back. A time that is left out when clocks are set forward is
    the moment at which they are.
    """
    before, after = (wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    return (before, after) if before <= after else (_change(int(after), int(before), zone),) * 2


def _change(low: int, high: int, zone: tzinfo) -> float:
    """Return the second, after *low* and not after *high*, from which on clocks in *zone* are not as they were."""
    offset = at(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle, zone).utcoffset() == offset else (low, middle)
    return float(high)


def change_between(first: float, last: float, zone: tzinfo) -> float:
    """Return the first moment after *first* and not after *last* at which clocks in *zone* are set; 0.0: never."""
    low, end = int(first), int(last)
    offset = at(low, zone).utcoffset()
    while low < end:
        high = min(end, low + _DAY_S)
        if at(high, zone).utcoffset() != offset:
            return _change(low, high, zone)
        low = high
    return 0.0


def shown(moment: float, zone: tzinfo = LOCAL) -> str:
    """Return *moment* for people: `2026-11-28 02:30 CET`."""
    local = at(moment, zone)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname() or ''}".rstrip()
