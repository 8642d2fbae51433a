"""The settings that say when: schedules that were missed, quiet hours, quitting time."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from orchestrator.core.hours import Hours, span_in
from orchestrator.core.schedule import LONGEST_LATE_S, Missed, ScheduleRules
from orchestrator.core.zones import zone_named
from orchestrator.settings_types import Duration, Group, at_most_days


def _zone(value: str) -> str:
    zone_named(value)
    return value


def _span(value: str) -> str:
    span_in(value)
    return value


def _one_or_more(value: object) -> object:
    """Let `22:00-06:00` mean [22:00-06:00]: a comma in it stands between days."""
    return [value] if isinstance(value, str) else value


Zone = Annotated[str, AfterValidator(_zone)]
Spans = Annotated[tuple[Annotated[str, AfterValidator(_span)], ...], BeforeValidator(_one_or_more)]


class ScheduleSettings(Group):
    """What becomes of times that passed while the daemon did not run. *timezone* is that of tasks that name none."""

    missed: Literal["run_once", "skip", "run_all"]
    max_late: Annotated[Duration, at_most_days(int(LONGEST_LATE_S // 86_400))]
    timezone: Zone


class HourSettings(Group):
    """When the queue rests, by the clocks of *timezone*."""

    quiet: Spans
    quitting: Spans
    timezone: Zone


def schedule_rules(chosen: ScheduleSettings) -> ScheduleRules:
    """Return the rules for schedules that *chosen* are."""
    return ScheduleRules(Missed(chosen.missed), chosen.max_late, chosen.timezone)


def hours(chosen: HourSettings) -> Hours:
    """Return when the queue rests."""
    quiet, quitting = (tuple(span_in(one) for one in listed) for listed in (chosen.quiet, chosen.quitting))
    return Hours(quiet, quitting, chosen.timezone)
