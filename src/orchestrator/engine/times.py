"""The times of a task: reckoned once, from the moment at which it is taken in, and kept with it.

A time of day or `in 2h` means something else each time it is read; so what is waited for is a moment in the store.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import tzinfo

from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.moment import moment_of
from orchestrator.core.ports import NewTask, Store
from orchestrator.core.schedule import RUN, next_time
from orchestrator.core.task import Task, TaskSpec
from orchestrator.core.zones import LOCAL, at, zone_named
from orchestrator.engine.ties import Tie, tied

NEVER = 32_503_680_000.0  # the year 3000: a schedule that does not come again
_DOOR = "schedule"


def zone_of(spec: TaskSpec) -> tzinfo:
    """Return the zone by whose clocks the times of *spec* are meant."""
    try:
        return zone_named(spec.timezone)
    except ValueError:  # this machine knew it when the file was read
        return LOCAL


def with_times(task: Task, now: float) -> Task:
    """Return *task* with `not_before` and `deadline_ts` as its fields mean them at *now*; a template with its next
    time instead, and no deadline: each of its runs has one."""
    spec, zone = task.spec, zone_of(task.spec)
    begins = moment_of(spec.after, now=now, zone=zone) if spec.after else 0.0
    if spec.schedule:
        first = next_time(spec.schedule, zone, max(now, begins - 1)) or NEVER
        return replace(task, not_before=first, deadline_ts=0.0)
    ends = moment_of(spec.deadline, now=max(now, begins), zone=zone, last=True) if spec.deadline else 0.0
    return replace(task, not_before=begins, deadline_ts=ends)


def timed(new: NewTask, now: float) -> NewTask:
    """Return *new* with its times; one that has a schedule begins as a template."""
    task = with_times(new.task, now)
    if not task.spec.schedule:
        return replace(new, task=task)
    return replace(new, task=task, events=[*new.events, scheduled(task, now)])


def anew(new: NewTask, now: float) -> NewTask:
    """Return *new*, which a person asked for once more: a template as one, all else to be run at once."""
    return timed(new, now) if new.task.spec.schedule else at_once(new, now)


def at_once(new: NewTask, now: float) -> NewTask:
    """Return *new*, which a person wants to be run now: it waits for no time, and has no deadline that has passed."""
    task = with_times(replace(new.task, spec=replace(new.task.spec, after="", schedule="")), now)
    return replace(new, task=task if task.deadline_ts > now else replace(task, deadline_ts=0.0))


def revised_times(before: Task, after: Task, now: float) -> tuple[Task, Sequence[Event]]:
    """Return *after*, an edited task, with its times, and the events that bring it where these belong.

    Words that are the same as *before* keep the moment that they meant when they were first read.
    """
    if _words(before.spec) == _words(after.spec):
        return replace(after, not_before=before.not_before, deadline_ts=before.deadline_ts), ()
    after = with_times(after, now)
    if after.spec.schedule and before.state in (State.QUEUED, State.BLOCKED):
        free = [_event(EventKind.UNBLOCKED, after, now, {})] if before.state is State.BLOCKED else []
        return after, [*free, scheduled(after, now)]  # it is its runs that wait for other tasks
    if before.state is State.SCHEDULED and not after.spec.schedule:
        return after, released(after, now, "its file has no schedule any more")
    return after, ()


def released(task: Task, now: float, why: str, on: Sequence[str] = ()) -> Sequence[Event]:
    """Return the events that let a held task, or a template that is one no more, wait for what it waits for now: the
    tasks *on*, its next time, or the moment before which it may not start."""
    events = [_event(EventKind.RELEASED, task, now, {"detail": why})]
    if task.spec.schedule:
        begins = task.not_before - 1 if task.not_before > now else now  # what came while it was held is not missed
        first = next_time(task.spec.schedule, zone_of(task.spec), begins) or NEVER
        return [*events, scheduled(replace(task, not_before=first), now)]
    if task.attempt == 0 and task.not_before > now:
        events.append(_event(EventKind.RESCHEDULED, task, now, {"not_before": task.not_before, "reason": "after"}))
    return [*events, _event(EventKind.BLOCKED, task, now, {"on": list(on)})] if on else events


def scheduled(task: Task, now: float) -> Event:
    """Return the event by which *task* becomes a template."""
    data: dict[str, Json] = {"schedule": task.spec.schedule, "timezone": task.spec.timezone}
    return _event(EventKind.SCHEDULED, task, now, {**data, "not_before": task.not_before})


def run_of(template: Task, body: bytes, time: float, *, task: Task, now: float) -> NewTask:
    """Return the run of *template* for *time*. *task* is what makes it a task of its own: uid and birth."""
    spec = replace(template.spec, schedule="", after="", rerun=True)
    name = f"{template.name}.{at(time, zone_of(spec)):%Y%m%dT%H%M}"
    task = with_times(replace(task, name=name, spec=spec, sha256=template.sha256), now)
    received: dict[str, Json] = {"door": _DOOR, "template": template.uid, "time": time, "sha256": template.sha256}
    parsed: dict[str, Json] = {"id": spec.id, "type": spec.type, "priority": spec.priority.value, "title": spec.title}
    events = [_event(EventKind.RECEIVED, task, now, received), _event(EventKind.PARSED, task, now, parsed)]
    return tied(NewTask(task, body, events), Tie(spec))


async def template_of(store: Store, task: Task, key: str, fits: Callable[[Task], bool]) -> Task:
    """Return the template that is called *key* too, where *task* is one of its runs and it *fits*; else *task*.

    A run has the id of its template, so that without this the name of a schedule would only ever mean its last run.
    """
    for one in await store.find(key):
        is_named = key in (one.spec.id, one.name, one.file_name)
        if one.spec.schedule and is_named and RUN.match(task.name.removeprefix(one.name)) and fits(one):
            return one
    return task


def _words(spec: TaskSpec) -> Sequence[str]:
    return (spec.after, spec.schedule, spec.timezone, spec.deadline)


def _event(kind: EventKind, task: Task, now: float, data: dict[str, Json]) -> Event:
    return Event(kind, now, task.uid, task.attempt, task.epoch, data)
