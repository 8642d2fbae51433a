"""When a schedule comes: cron with five fields in a time zone; and what becomes of times that nobody was there for.

Its times are those of Debian's cron: a time that is left out when clocks are set forward comes at that moment, one that
there is twice when they are set back comes at the first of the two; a schedule for every hour comes at every hour that
passes.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from enum import StrEnum

from cronsim import CronSim, CronSimError
from cronsim.cronsim import FIELD_NAMES

from orchestrator.core.zones import at, change_between

NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
EXPECTED = "minute, hour, day, month and weekday such as `30 2 * * mon-fri`, or one of @hourly, @daily, @weekly, …"
MAX_CHARS = 200
ON_TIME_S = 60.0  # a look that comes this late has missed nothing
MAX_RUNS = 100  # that are made up for at once
LONGEST_LATE_S = 31 * 86_400.0
RUN = re.compile(r"\.\d{8}T\d{4}(?!\d)")  # what the name of a run has behind that of its template
MAX_TIMES = 100_000  # that are counted: two months of a schedule for every minute
_A_DAY = 946_684_800.0  # any: the first of 2000


class Missed(StrEnum):
    """What becomes of the times that passed while the daemon did not run."""

    RUN_ONCE = "run_once"  # one run for all of them
    SKIP = "skip"  # none: the next time is the next one
    RUN_ALL = "run_all"  # one for each of them, in their order


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """*max_late_s*: a time that passed longer ago gets no run any more; at most LONGEST_LATE_S. *timezone*: that of
    tasks that name none."""

    missed: Missed = Missed.RUN_ONCE
    max_late_s: float = 86_400.0
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class Firing:
    """What follows of the times that are due: *run* are those that get one, *passed_over* is how many get none.

    *late_s* is how long ago the oldest of *run* was. *next* is when to look again, 0.0: never.
    """

    run: tuple[float, ...]
    passed_over: int
    next: float
    late_s: float = 0.0


def cron_words(text: str) -> str:
    """Return *text* with single blanks, if it is a schedule. Raises ValueError with what is expected."""
    words = " ".join(text.split())
    if words.startswith("@"):
        if words.lower() not in NAMED:
            raise ValueError(f"one of {', '.join(NAMED)}, or five fields")
        return words.lower()
    if len(words) > MAX_CHARS or len(words.split(" ")) != 5:
        raise ValueError(EXPECTED)
    try:
        next(CronSim(_fields(words), at(_A_DAY, UTC)))
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        raise ValueError(f"{EXPECTED}; the {field} is no such one" if field in FIELD_NAMES else EXPECTED) from None
    except StopIteration:
        raise ValueError("a day that there is in that month: it would never come") from None
    return words


def _fields(words: str) -> str:
    return NAMED.get(words, words)


def times_after(words: str, zone: tzinfo, moment: float) -> Iterator[float]:
    """Yield the times of a schedule after *moment*, in order, for ever unless there are no more."""
    minute, hour, *_ = _fields(words).split()
    if minute.startswith("*") or hour.startswith("*"):
        yield from _as_they_pass(words, zone, moment)
        return
    last = moment
    for local in CronSim(_fields(words), at(moment, zone)):
        # between the two moments that clocks show the same, the parser may tell the first one once more
        if (time := local.timestamp()) > last:
            last = time
            yield time


def _as_they_pass(words: str, zone: tzinfo, moment: float) -> Iterator[float]:
    """Yield the times of a schedule for every hour or minute: from one change of the clocks to the next as in a zone
    without any, since the parser loses its place where clocks are set by half an hour."""
    since = moment
    while True:
        fixed = timezone(at(since, zone).utcoffset() or timedelta())
        for local in CronSim(_fields(words), at(moment, fixed)):
            time = local.timestamp()
            if change := change_between(since, time, zone):
                moment, since = change - 1, change
                break
            yield time
            since = time
        else:
            return


def next_time(words: str, zone: tzinfo, moment: float, *, but: Collection[float] = ()) -> float:
    """Return the first time of a schedule after *moment* that is none of *but*, 0.0 when it never comes again."""
    return next((time for time in times_after(words, zone, moment) if time not in but), 0.0)


def times_between(words: str, zone: tzinfo, first: float, last: float) -> Sequence[float]:
    """Return the times of a schedule from *first* to *last*, both included, at most MAX_TIMES of them."""
    found: list[float] = []
    for time in times_after(words, zone, first - 1):
        if time > last or len(found) >= MAX_TIMES:
            break
        found.append(time)
    return [time for time in found if time >= first]


def fires(
    words: str, zone: tzinfo, *, due: float, now: float, rules: ScheduleRules, done: Collection[float] = ()
) -> Firing:
    """Decide what follows now, when a schedule was *due* at that time or since then.

    *done* are times that had their run: a clock that was set back does not give them another one.
    """
    since = max(due, now - max(ON_TIME_S, min(rules.max_late_s, LONGEST_LATE_S)))
    recent = [time for time in times_between(words, zone, since, now) if time not in done]
    older = [time for time in times_between(words, zone, due, since) if time < since and time not in done]
    fresh = [time for time in recent if now - time <= ON_TIME_S]
    match rules.missed:
        case Missed.SKIP:
            run = fresh[-1:]
        case Missed.RUN_ONCE:
            run = recent[-1:]
        case Missed.RUN_ALL:
            run = recent[-MAX_RUNS:]
    late_s = now - run[0] if run else 0.0
    return Firing(tuple(run), len(older) + len(recent) - len(run), next_time(words, zone, now, but=done), late_s)


def in_words(words: str) -> str:
    """Return a schedule as an English sentence, as far as the parser has words for it."""
    return CronSim(_fields(words), at(_A_DAY, UTC)).explain()
