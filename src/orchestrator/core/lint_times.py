"""Lint before bed, what clocks say: hours in which nothing starts, deadlines that cannot be met."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from orchestrator.core.hours import Hours, begins_after, until
from orchestrator.core.lint import LintTask, Remark, Weight
from orchestrator.core.lint_batch import edges_of
from orchestrator.core.moment import moment_of
from orchestrator.core.schedule import next_time
from orchestrator.core.zones import shown, zone_named

NIGHT_S = 12 * 3600.0  # so far ahead quitting time is told


def time_remarks(tasks: Sequence[LintTask], hours: Hours, timezone: str, now: float) -> list[Remark]:
    """Return what of *tasks* cannot start or end in time. *timezone* is that of tasks that name none, *now* in seconds
    since the epoch. How long a task takes nobody knows here: the earliest start is held against the deadline."""
    found = _hours(hours, now)
    starts = _earliest(tasks, hours, timezone, now)
    for task in tasks:
        zone = _zone(task, timezone)
        if task.spec.schedule:
            when = next_time(task.spec.schedule, zone, now)
            words = (
                f"it is a schedule, whose next run is {shown(when, zone)}" if when else "its schedule has no next run"
            )
            found.append(Remark(Weight.NOTE if when else Weight.FAIL, "scheduled", words, "", task.file))
        elif task.spec.deadline:
            found += _late(task, starts[task.file], zone, now)
        elif task.spec.after and starts[task.file] > now:
            words = f"it does not start before {shown(starts[task.file], zone)}"
            found.append(Remark(Weight.NOTE, "starts_later", words, "", task.file))
    return found


def _late(task: LintTask, starts: float, zone: tzinfo, now: float) -> list[Remark]:
    ends = moment_of(task.spec.deadline, now=now, zone=zone, last=True)
    if ends <= now:
        words = f"its deadline, {shown(ends, zone)}, has passed: it would end as failed at once"
        return [Remark(Weight.FAIL, "deadline_passed", words, "Correct `deadline` in its front matter.", task.file)]
    if ends <= starts:
        words = f"it can start at {shown(starts, zone)} at the earliest, and its deadline is {shown(ends, zone)}"
        fix = "Correct `deadline`, `after` or the settings under hours."
        return [Remark(Weight.FAIL, "deadline_cannot_be_met", words, fix, task.file)]
    return []


def _earliest(tasks: Sequence[LintTask], hours: Hours, timezone: str, now: float) -> Mapping[str, float]:
    """Return by file when each may start: its own time, no hour of rest, and none earlier than what it waits for."""
    own: dict[str, float] = {}
    for task in tasks:
        moment = max(now, moment_of(task.spec.after, now=now, zone=_zone(task, timezone))) if task.spec.after else now
        own[task.file] = _awake(hours, moment)
    needs = edges_of(tasks)
    ready = [file for file, on in needs.items() if not on]
    left = {file: len(on) for file, on in needs.items()}
    followers: dict[str, list[str]] = {}
    for file, on in needs.items():
        for one in on:
            followers.setdefault(one, []).append(file)
    while ready:  # a circle is never ready, and keeps its own times
        file = ready.pop()
        for after in followers.get(file, ()):
            own[after] = max(own[after], own[file])
            left[after] -= 1
            if not left[after]:
                ready.append(after)
    return own


def _awake(hours: Hours, moment: float) -> float:
    return until((*hours.quiet, *hours.quitting), moment, hours.zone) or moment


def _hours(hours: Hours, now: float) -> list[Remark]:
    """Return that the queue rests now, and when what runs will be interrupted."""
    found = []
    if (wakes := _awake(hours, now)) > now:
        words = f"the queue rests: nothing starts before {shown(wakes, hours.zone)}"
        found.append(Remark(Weight.NOTE, "hours_quiet", words, "See the settings under hours."))
    stops = begins_after(hours.quitting, now, hours.zone) if hours.quitting else 0.0
    if stops and stops <= now + NIGHT_S:
        words = f"quitting time: what still runs at {shown(stops, hours.zone)} is interrupted, and goes on afterwards"
        found.append(Remark(Weight.NOTE, "hours_quitting", words, "See the settings under hours."))
    return found


def _zone(task: LintTask, timezone: str) -> tzinfo:
    return zone_named(task.spec.timezone or timezone)
