"""Pauses that nobody has put and nobody can release: they follow from the configuration and the time of day."""

from collections.abc import Sequence

from orchestrator.core.hours import QUIET, QUITTING, Hours, until, words_of
from orchestrator.core.plan import EVERYTHING, switched_off
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Pause


def standing(policy: RunPolicy, now: float) -> Sequence[Pause]:
    """Return the pauses that follow from *policy* at *now*: agents that are off, quiet hours, quitting time."""
    return [*rests(policy.hours, now), *switched_off(policy.agents)]


def rests(hours: Hours, now: float) -> Sequence[Pause]:
    """Return the pauses of the whole queue in which *now* lies, quitting time first."""
    zone = hours.zone
    both = ((QUITTING, hours.quitting), (QUIET, hours.quiet))
    found = [(reason, until(spans, now, zone)) for reason, spans in both if spans]
    return [Pause(EVERYTHING, end, reason, words_of(reason, end, zone)) for reason, end in found if end]


def quits(hours: Hours, now: float) -> str:
    """Return why nothing may run at *now*, "" when something may."""
    return next((pause.detail for pause in rests(hours, now) if pause.reason == QUITTING), "")
