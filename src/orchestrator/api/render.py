"""Values to text: the same words at every door, pure. Colour is added by whoever prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from orchestrator.core.budget import BUDGET_SCOPE, NIGHT_SCOPE, dollars
from orchestrator.core.criteria import check_text
from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.fields_time import TIMES
from orchestrator.core.hours import HORIZON_S, QUIET, QUITTING
from orchestrator.core.lifecycle import State
from orchestrator.core.plan import EVERYTHING, SWITCHED_OFF
from orchestrator.core.ports import Pause
from orchestrator.core.proof import CheckKind
from orchestrator.core.report import COMMAND
from orchestrator.core.retry import hint_for
from orchestrator.core.schedule import RUN
from orchestrator.core.task import Criterion, Task, TaskSpec
from orchestrator.core.text import printable
from orchestrator.core.zones import shown
from orchestrator.validation.integrity_checks import gone_by

MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings; the columns do not jump between calls for the same content."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def plain(self) -> str:
        """Return it aligned by spaces, without trailing ones."""
        lines = [self.headings, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )


def duration(seconds: float) -> str:
    """Return a time span in at most two units: 0.4s, 38s, 1m12s, 2h14m, 3d4h."""
    if seconds < 9.95:  # from there on it would be written 10.0
        return f"{max(0.0, seconds):.1f}s"
    seconds = max(10.0, seconds)
    whole = int(seconds)
    if whole < MINUTE:
        return f"{whole}s"
    if whole < HOUR:
        return f"{whole // MINUTE}m{whole % MINUTE:02d}s"
    if whole < DAY:
        return f"{whole // HOUR}h{whole % HOUR // MINUTE:02d}m"
    return f"{whole // DAY}d{whole % DAY // HOUR}h"


def clock_time(ts: float, zone: tzinfo | None = None) -> str:
    """Return the local time of day of *ts* as 14:02:33."""
    return datetime.fromtimestamp(ts, tz=zone).astimezone(zone).strftime("%H:%M:%S")


def moment(ts: float, now: float, zone: tzinfo | None = None) -> str:
    """Return a local time to come as 02:40 (in 1h12m), with its date when it is most of a day away."""
    form = "%H:%M" if ts - now < 20 * HOUR else "%Y-%m-%d %H:%M"
    return f"{datetime.fromtimestamp(ts, tz=zone).astimezone(zone).strftime(form)} (in {duration(ts - now)})"


def _day_time(ts: float, now: float) -> str:
    """Return a local time to come, with its date where it is not one of these hours."""
    return clock_time(ts) if ts - now < 20 * HOUR else moment(ts, now).partition(" (")[0]


def scope_name(scope: str) -> str:
    """Return what a person calls the scope of a pause."""
    names = {EVERYTHING: "the queue", BUDGET_SCOPE: "the budget of the day", NIGHT_SCOPE: "the budget of the night"}
    return names.get(scope) or short(scope, 40)


def release_words(pause: Pause, command: str) -> str:
    """Return how a person ends *pause*."""
    if pause.reason == SWITCHED_OFF:
        return f"set agents.{pause.scope}.enabled: true in config/orchestrator.yaml"
    if pause.reason in (QUIET, QUITTING):
        return f"change hours.{'quiet' if pause.reason == QUIET else 'quitting'} in config/orchestrator.yaml"
    return f"{command} resume" if pause.scope == EVERYTHING else f"{command} resume {pause.scope}"


def hold_lines(pause: Pause, now: float, command: str, zone: tzinfo | None = None) -> Sequence[str]:
    """Return what is held, why, until when, and how to end it earlier; then what to do about its cause."""
    name, why = scope_name(pause.scope), short(pause.detail or pause.reason, 120)
    release = release_words(pause, command)
    if pause.reason == SWITCHED_OFF:
        return [f"off: {name} ({why}); on again: {release}"]
    if pause.until == 0:
        return [f"held: {name} until released ({why}); release: {release}"]
    until = f"resumes {moment(pause.until, now, zone)}" if pause.until > now else "until one task has tried it"
    if pause.reason in (QUIET, QUITTING) and pause.until - now > HORIZON_S - HOUR:
        until = "no end of it is in sight"  # spans that cover all time: so far ahead nobody has looked
    line = f"held: {name}, {until} ({pause.reason}: {why}); earlier: {release}"
    hint = hint_for(pause.reason).replace(COMMAND, command)
    return [line, f"      now: {hint}"] if hint else [line]


def money(value: Json) -> str:
    """Return dollars, or "unknown": never 0 for something that was not told."""
    return f"${value:.4f}" if isinstance(value, (int, float)) and not isinstance(value, bool) else "unknown"


def budget_line(spent_usd: float, reserved_usd: float, limit_usd: float, zone: str) -> str:
    """Return what was spent today of what may be; "unknown" where an attempt without a cap may have cost anything."""
    parts = [f"spent today {dollars(spent_usd)} of {dollars(limit_usd)}"]
    if reserved_usd:
        parts.append(f"{dollars(reserved_usd)} more may be spent by what runs")
    return f"budget    {', '.join(parts)}; the day ends at 00:00 {zone}"


def short(text: str, width: int) -> str:
    """Return *text* on one line, safe for a terminal, cut at *width*."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= width else line[: width - 1] + "…"


def call_name(task: Task) -> str:
    """Return what a person calls the task, escaped: its id, or its name where that tells it from others of the id."""
    is_later = task.name.endswith(f".{task.uid[-8:]}") or RUN.search(task.name)
    return short(task.name if is_later else task.spec.id, 40)


def active_rows(tasks: Sequence[Task], since: Mapping[str, float], last: Mapping[str, str], now: float) -> Table:
    """Return the table of what runs. *since* and *last* by uid: start of the attempt, last event in words."""
    rows = [
        (
            task.state.value,
            call_name(task),
            str(task.attempt),
            duration(now - since.get(task.uid, now)),
            short(last.get(task.uid, ""), 60),
        )
        for task in tasks
    ]
    return Table(("STATE", "TASK", "TRY", "FOR", "LAST EVENT"), tuple(rows))


def waiting_rows(
    tasks: Sequence[Task],
    now: float,
    held: Mapping[str, Pause] | None = None,
    ahead: Mapping[str, str] | None = None,
    *,
    runs: bool = True,
    waits: Mapping[str, str] | None = None,
) -> Table:
    """Return the table of what waits, and for what.

    *held*: by uid the pause that a task waits for. *ahead*: by id_key the uid of the first task of that id that has
    not ended. *runs*: a daemon is there to start them. *waits*: by uid what else keeps a task from being started.
    """
    rows = []
    idle = "waits for a slot" if runs else "waits for the daemon"
    for task in tasks:
        why = (waits or {}).get(task.uid) or idle if runs else idle
        if held and (pause := held.get(task.uid)) is not None:
            name = scope_name(pause.scope)
            why = f"waits for {name} until {_day_time(pause.until, now)}" if pause.until > now else f"{name} is held"
        elif task.not_before > now:
            due = task.not_before
            retries = task.state is State.RETRY_WAIT
            why = f"next try in {duration(due - now)}" if retries else f"starts {moment(due, now)}"
        elif ahead and (first := ahead.get(task.id_key, task.uid)) != task.uid:
            why = f"waits behind {first[-8:]}, of the same id"
        if task.state is State.RETRY_WAIT and task.reason:
            why = f"{why} ({task.reason})"
        rows.append((task.state.value, call_name(task), task.spec.priority.value, duration(now - task.created_ts), why))
    return Table(("STATE", "TASK", "PRIORITY", "FOR", "WHY"), tuple(rows))


def held_rows(tasks: Sequence[Task], now: float, command: str) -> Table:
    """Return the table of single tasks that are held, and how to release each."""
    rows = [
        (
            task.state.value,
            call_name(task),
            task.spec.priority.value,
            duration(now - task.created_ts),
            f"release: {command} resume {task.uid[-8:]}",
        )
        for task in tasks
    ]
    return Table(("STATE", "TASK", "PRIORITY", "FOR", "WHY"), tuple(rows))


def ended_rows(tasks: Sequence[Task], now: float) -> Table:
    """Return the table of what ended last."""
    rows = []
    for task in tasks:
        why = short(_why(task), 60)
        if task.state is State.SUCCEEDED and not all(criterion.runs for criterion in task.spec.criteria):
            count = sum(1 for criterion in task.spec.criteria if not criterion.runs)
            why = f"{count} {'criterion' if count == 1 else 'criteria'} unproven: please look"
        rows.append((task.state.value, call_name(task), duration(now - task.ended_ts) + " ago", why))
    return Table(("STATE", "TASK", "ENDED", "WHY"), tuple(rows))


def _why(task: Task) -> str:
    said = task.detail.startswith(task.reason)
    return task.detail or task.reason if said else f"{task.reason}: {task.detail}".removesuffix(": ")


_SAYS: Mapping[EventKind, str] = {
    EventKind.RECEIVED: "received",
    EventKind.PARSED: "parsed",
    EventKind.UPDATED: "edited: the new text counts",
    EventKind.DUPLICATE_ID: "waits until the other task with this id has ended",
    EventKind.REJECTED: "REJECTED",
    EventKind.ACCEPTED: "accepted as it is",
    EventKind.TAKEN: "result",
    EventKind.STARTED: "started",
    EventKind.FINISHED: "agent ended",
    EventKind.VALIDATED: "checked",
    EventKind.SUCCEEDED: "SUCCEEDED",
    EventKind.FAILED: "FAILED",
    EventKind.RETRY: "will be tried again",
    EventKind.LIMITED: "waits for the agent",
    EventKind.INTERRUPTED: "interrupted, queued again",
    EventKind.QUESTION_ASKED: "ASKS",
    EventKind.ANSWERED: "answered, queued again",
    EventKind.BLOCKED: "waits for",
    EventKind.UNBLOCKED: "waits for no other task any more",
    EventKind.SPLIT_REQUESTED: "wants to be split",
    EventKind.SPLIT: "SPLIT",
    EventKind.JOINED: "its sub-tasks have ended, queued again",
    EventKind.HELD: "held",
    EventKind.RELEASED: "released, queued again",
    EventKind.SCHEDULED: "waits for its times",
    EventKind.FIRED: "its time came",
    EventKind.RESCHEDULED: "waits for another time",
    EventKind.CANCEL_REQUESTED: "is being cancelled",
    EventKind.CANCELLED: "CANCELLED",
    EventKind.SUMMARIZED: "summary",
    EventKind.ARTIFACTS_WRITTEN: "result",
    EventKind.ARCHIVED: "task file",
}


def event_words(event: Event) -> str:
    """Return what *event* says in a few words, without time and task."""
    data = event.data
    if event.kind is EventKind.PROGRESS:
        return short(f"{data.get('what', 'progress')}: {data.get('text', '')}", 110)
    words = _SAYS.get(event.kind, event.kind.value.replace("_", " "))
    parts = [str(data[key]) for key in ("path", "reason", "detail", "message") if data.get(key)]
    if event.kind is EventKind.STARTED:
        parts = [f"attempt {event.attempt} on {data.get('agent', 'agent')}"]
    if event.kind in (EventKind.AGENT_HELD, EventKind.AGENT_RELEASED):
        words = f"{scope_name(str(data.get('agent', 'agent')))} {words.removeprefix('agent ')}"
    if event.kind is EventKind.QUESTION_ASKED:
        parts = [str(data.get("question", ""))]
    if event.kind is EventKind.ANSWERED:
        parts = [str(data.get("answer", ""))]
    if event.kind is EventKind.BLOCKED:
        parts = _names(data.get("on"))
    if event.kind is EventKind.FILE_IGNORED:
        parts = [f"tasks/{data.get('file')}", str(data.get("reason", ""))]
    if event.kind is EventKind.REJECTED and (place := _place(data)):
        parts = [place, *parts]
    if event.kind is EventKind.CONFIG_RELOADED:
        parts = _names(data.get("changed"))
        parts += [f"from the next start on: {name}" for name in _names(data.get("needs_restart"))]
    if event.kind is EventKind.VALIDATED:
        parts = ["believed" if data.get("passed") else "not believed"]
    if event.kind is EventKind.TAKEN:
        words = f"{data.get('how')} {'done' if data.get('ok') else 'refused'} by {data.get('by')}"
        parts = [str(data[key]) for key in ("branch", "detail") if data.get(key)]
    if event.kind is EventKind.FINISHED:
        parts = [f"exit code {data.get('exit_code')}, cost {money(data.get('cost_usd'))}"]
    if event.kind in _UNTIL and (at := _moment(data.get("until") or data.get("not_before"))):
        words = f"{words} {'at' if event.kind is EventKind.RETRY else 'until'} {at}"
    if event.kind in _NEXT and isinstance(next_ts := data.get("not_before"), (int, float)):
        parts.append(f"next {shown(next_ts)}")
    if event.kind is EventKind.LIMITED and (hint := data.get("hint")):
        return short(": ".join([words, ", ".join(parts)]), 160) + " - " + short(str(hint), 160)
    return short(f"{words}: {', '.join(parts)}" if parts else words, 160)


_NEXT = frozenset({EventKind.SCHEDULED, EventKind.FIRED, EventKind.RESCHEDULED})
_UNTIL = frozenset({EventKind.LIMITED, EventKind.AGENT_HELD, EventKind.RETRY})


def _moment(value: Json) -> str:
    return clock_time(value) if isinstance(value, (int, float)) and value > 0 else ""


def _place(data: Mapping[str, Json]) -> str:
    """Return where in its file a refused task is wrong as `line 4:12`, "" when it is the file as a whole."""
    error = data.get("error")
    found = [error.get(key) for key in ("line", "column")] if isinstance(error, Mapping) else []
    return f"line {':'.join(str(number) for number in found if number)}" if any(found) else ""


def refusal_text(event: Event) -> str:
    """Return all that a `task_rejected` event tells an author: what, where, what was expected, what to do."""
    error = event.data.get("error")
    told: Mapping[str, Json] = error if isinstance(error, Mapping) else {}
    lines = [f"{label:<9} {short(str(told[key]), 200)}" for key, label in _TOLD.items() if told.get(key)]
    return "\n".join(lines)


_TOLD = {"file": "file", "line": "line", "column": "column", "field": "field", "message": "wrong"} | {
    "expected": "expected", "hint": "to do", "excerpt": "it says",
}  # fmt: skip


def _names(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else []


def event_text(event: Event, task: Task | None, zone: tzinfo | None = None) -> str:
    """Return *event* as one line for people."""
    who = call_name(task) if task else "-"
    return f"{clock_time(event.ts, zone)}  {who:<20}  {event_words(event)}"


def spec_text(spec: TaskSpec) -> str:
    """Return what was read from a task file, for `check`."""
    lines = [
        f"id        {spec.id}",
        f"type      {spec.type}",
        f"priority  {spec.priority.value}",
        f"title     {short(spec.title, 100)}",
        f"prompt    {len(spec.prompt)} characters: {short(spec.prompt, 80)}",
        f"targets   {', '.join(short(path, 80) for path in spec.target_files) or 'none'}",
        *_criteria_lines(spec.criteria, spec.target_files),
    ]
    lines += [f"{name:<9} {getattr(spec, name)}" for name in TIMES if getattr(spec, name)]
    lines += [f"inferred  {i.field} = {short(i.value, 60)} ({short(i.why, 80)})" for i in spec.inferred]
    lines += [f"warning   {f'line {n.line}: ' if n.line else ''}{short(n.message, 140)}" for n in spec.notices]
    return "\n".join(lines)


def _criteria_lines(criteria: Sequence[Criterion], targets: Sequence[str]) -> list[str]:
    """Return how many criteria there are, and for each what will be done to find out."""
    if not criteria:
        return ["criteria  none"]
    run = sum(criterion.runs for criterion in criteria)
    if not run and all(criterion.check is None for criterion in criteria):
        return [f"criteria  {len(criteria)}, all in words: they will be reported as unproven"]
    lines = [f"criteria  {len(criteria)}, {run} with a check that the daemon runs"]
    for criterion in criteria:
        how = "in words" if criterion.check is None else "for a person to look at"
        if criterion.check is not None and criterion.runs:
            text = check_text(criterion.check)
            how = f"runs {text}" if criterion.check.kind is CheckKind.COMMAND else f"checks {text}"
        lines.append(f"          {'' if criterion.mandatory else 'optional, '}{short(how, 100)}")
        if criterion.check is not None and (by := gone_by(criterion.check, targets)):
            lines.append(f"            goes by {short(', '.join(by), 80)}: unproven if the task changes that")
            lines.append("            and does not name it under Target Files")
    return lines


def error_json(error: TaskFileError) -> dict[str, Json]:
    """Return a file error as `<name>.error.json` and `check --json` have it."""
    return {
        "code": error.reason,
        "message": error.message,
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "field": error.field,
        "expected": error.expected,
        "hint": error.hint,
        "excerpt": error.excerpt,
    }


def task_json(task: Task) -> dict[str, Json]:
    """Return a task as `status --json` and `show --json` have it."""
    return {
        "uid": task.uid,
        "id": task.spec.id,
        "name": task.name,
        "state": task.state.value,
        "type": task.spec.type,
        "priority": task.spec.priority.value,
        "title": task.spec.title,
        "attempt": task.attempt,
        "tries": task.tries,
        "reason": task.reason,
        "detail": task.detail,
        "not_before": task.not_before,
        "created": task.created_ts,
        "ended": task.ended_ts,
        "file_name": task.file_name.encode("utf-8", "backslashreplace").decode("utf-8"),
        "rerun_of": task.rerun_of,
        "job": task.job,
        "depends_on": list(task.spec.depends_on),
        "parent": task.parent,
        "depth": task.depth,
    }
