"""What may still be spent: of one task over all its attempts, and of one day over all tasks. US dollars, pure.

Nothing is guessed in the spender's favour: an attempt whose cost nobody knows has cost its cap, and one that had no cap
may have cost anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from math import inf

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.events import Json

DAY_BUDGET = "day_budget"  # the reason of a hold, and of a task that waits for the next day
BUDGET_SCOPE = "budget"  # what is held then: everything that costs something
NIGHT_BUDGET = "night_budget"  # the reason of a hold
NIGHT_SCOPE = "night"  # the same, for what a night may cost
MONEY_SCOPES = (BUDGET_SCOPE, NIGHT_SCOPE)
LEAST_SHOWN_USD = 0.0001


def dollars(usd: float) -> str:
    """Return an amount as $1.25; one below a dollar that is no whole number of cents as $0.0042, never as nothing."""
    if usd == inf:
        return "an unknown amount"
    if 0 < usd < LEAST_SHOWN_USD / 2:
        return f"less than ${LEAST_SHOWN_USD:.4f}"
    whole_cents = abs(usd - round(usd, 2)) < LEAST_SHOWN_USD / 2
    return f"${usd:.2f}" if usd >= 1 or whole_cents else f"${usd:.4f}"


@dataclass(frozen=True, slots=True)
class Spending:
    """What counts against a day: *spent_usd* by attempts that have ended, *reserved_usd* the caps of those that run.

    Either is infinite when an attempt among them had no cap, and, ended, no known cost.
    """

    spent_usd: float = 0.0
    reserved_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Day:
    """A local day from *begins* to *ends* (seconds since the epoch), and what its *zone* is called at its end."""

    begins: float
    ends: float
    zone: str


def day_of(now: float, zone: tzinfo | None = None) -> Day:
    """Return the day that *now* lies in. *zone* None is that of this machine; a day there may have 23 or 25 hours."""
    moment = datetime.fromtimestamp(now, tz=zone)
    begins = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    ends = (begins + timedelta(days=1)).astimezone(zone)
    return Day(begins.timestamp(), ends.timestamp(), ends.tzname() or "local time")


def cost_of(outcome: Json) -> float | None:
    """Return what an attempt with this *outcome* (as the store keeps it) has cost, None where nobody knows."""
    value: Json = outcome
    for key in ("report", "usage", "cost_usd"):
        value = value.get(key) if isinstance(value, Mapping) else None
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return max(0.0, float(value)) if known else None  # type: ignore[arg-type]


def spent_by(attempts: Sequence[AttemptRecord]) -> float:
    """Return what *attempts* count for: each its cost, where that is not known its cap, and without a cap infinity."""
    return sum(_counts_for(record) for record in attempts)


def _counts_for(record: AttemptRecord) -> float:
    cost = cost_of(record.outcome)
    return (record.cap_usd or inf) + opinion_usd(record.verdict) if cost is None else cost


def with_cost(outcome: Json, usd: float) -> Json:
    """Return *outcome* (as the store keeps it) with *usd* more, for what was asked about it; unknown stays unknown."""
    cost = cost_of(outcome)
    if cost is None or not isinstance(outcome, Mapping):
        return outcome
    report = outcome["report"]
    assert isinstance(report, Mapping)
    usage = report["usage"]
    assert isinstance(usage, Mapping)
    return {**outcome, "report": {**report, "usage": {**usage, "cost_usd": round(cost + usd, 9)}}}


def opinion_usd(verdict: Mapping[str, Json]) -> float:
    """Return what the opinion has cost that the data of a `validated` event tell of."""
    opinion = verdict.get("opinion")
    value = opinion.get("cost_usd") if isinstance(opinion, Mapping) else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def cap_in(data: Mapping[str, Json]) -> float:
    """Return what the data of a `claude_started` event says an attempt may cost; 0.0: no limit of ours."""
    value = data.get("cap_usd", 0.0)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def cap(*, left_usd: float, day_usd: float, spending: Spending, free_slots: int) -> float | None:
    """Return what the next attempt may cost: 0.0 for no limit of ours, None when nothing may be started now.

    *left_usd* is what is left of its task's budget, infinite when it has none. *day_usd* is the day's budget, 0 for
    none; what is left of it is shared out among the *free_slots*, so that the first one does not keep it all.
    """
    share = inf
    if day_usd:
        left_of_day = day_usd - spending.spent_usd - spending.reserved_usd
        if left_of_day <= 0:
            return None
        share = left_of_day / max(1, free_slots)
    smaller = min(left_usd, share)
    return 0.0 if smaller == inf else max(smaller, 1e-6)


def smaller(one: float | None, other: float | None) -> float | None:
    """Return the smaller of two caps, where 0.0 is no limit and None nothing at all."""
    if one is None or other is None:
        return None
    return min(one or inf, other or inf) if one or other else 0.0
