"""Schedules, moments and deadlines, in the words of every door. Pure."""

from collections.abc import Sequence

from orchestrator.api.render import Table, call_name, moment, short
from orchestrator.core.events import Json
from orchestrator.core.lifecycle import TERMINAL, State
from orchestrator.core.schedule import in_words
from orchestrator.core.task import Task
from orchestrator.core.zones import shown, zone_named


def scheduled_rows(tasks: Sequence[Task], now: float) -> Table:
    """Return the table of templates, the one that comes first on top."""
    ordered = sorted(tasks, key=lambda task: task.not_before)
    rows = [(one.state.value, call_name(one), next_words(one, now), schedule_words(one)) for one in ordered]
    return Table(("STATE", "TASK", "NEXT RUN", "SCHEDULE"), tuple(rows))


def next_words(task: Task, now: float) -> str:
    """Return when the next run of a template comes."""
    return moment(task.not_before, now) if task.not_before > now else "now"


def schedule_words(task: Task) -> str:
    """Return a schedule as it is written, in a sentence, and by whose clocks."""
    spec = task.spec
    zone = spec.timezone or "local time"
    words = in_words(spec.schedule)
    return short(f"{spec.schedule} ({words[:1].lower()}{words[1:]}), {zone}", 100)


def time_lines(task: Task, now: float) -> Sequence[str]:
    """Return when *task* will start, how often, and by when it must be done; for `show`."""
    lines = []
    if task.spec.schedule and task.state not in TERMINAL:
        lines.append(f"schedule: {schedule_words(task)}")
        if task.state is State.SCHEDULED:
            lines.append(f"next run: {_both(task, task.not_before, now)}")
    elif task.state in (State.QUEUED, State.HELD, State.RETRY_WAIT) and task.not_before > now:
        lines.append(
            f"{'next try' if task.state is State.RETRY_WAIT else 'starts'}: {_both(task, task.not_before, now)}"
        )
    if task.deadline_ts and task.state not in TERMINAL:
        lines.append(f"deadline: {_both(task, task.deadline_ts, now)}")
    return lines


def _both(task: Task, ts: float, now: float) -> str:
    """Return a moment by the clock here and, where the task has another one, by that."""
    here = moment(ts, now) if ts > now else shown(ts)
    try:
        zone = zone_named(task.spec.timezone)
    except ValueError:
        return here
    return f"{here}, {shown(ts, zone)}" if task.spec.timezone else here


def times_json(task: Task) -> dict[str, Json]:
    """Return the times of a task as `status --json` and `show --json` have them."""
    spec = task.spec
    words: dict[str, Json] = {"schedule": spec.schedule, "after": spec.after, "deadline": spec.deadline}
    return {**words, "timezone": spec.timezone, "deadline_ts": task.deadline_ts}
