"""Figures on a job or a period (analytics.schema.json) as Markdown: the answer first, what is unknown said as such."""

from collections.abc import Mapping, Sequence

from orchestrator.core.events import Json
from orchestrator.core.report import COMMAND
from orchestrator.core.text import printable

SHOWN = 20  # rows of a section
PATH_SHOWN = 12
Row = Mapping[str, Json]


def analytics_text(told: Row, command: str = COMMAND) -> str:
    """Return what analytics say, as Markdown that ends in a newline. *command* reaches the root they are of."""
    subject, counts = _part(told, "subject"), _part(told, "counts")
    lines = [f"# {_plain(subject.get('title'))}", "", *_counts(counts, subject), ""]
    if not _part(told, "resources").get("attempts"):
        return "\n".join([*lines, "No attempt has begun: there is nothing to measure yet."]) + "\n"
    lines += [*_time(told), "", *_bottleneck(_part(told, "bottleneck")), "", *_use(_part(told, "resources")), ""]
    lines += _groups("By task type", "type", _rows(told, "by_type"))
    lines += _groups("By model", "model", _rows(told, "by_model"))
    lines += _agents(_rows(told, "agents"))
    lines += _errors(_rows(told, "errors"))
    lines += _timeline(told, command)
    return "\n".join(lines).rstrip() + "\n"


def _counts(counts: Row, subject: Row) -> list[str]:
    states = _part(counts, "states")
    said = ", ".join(f"{count} {state}" for state, count in states.items())
    ended, proven = counts.get("ended"), counts.get("proven")
    lines = [f"**{_counted(counts.get('tasks'), 'task')}**: {said or 'none'}. {ended} ended, {proven} of them proven."]
    if left := subject.get("tasks_left_out"):
        lines.append(f"{left} more tasks ended in this time; the newest were looked at.")
    return lines


def _time(told: Row) -> list[str]:
    one, rates = _part(told, "efficiency"), _part(told, "rates")
    slots, criteria = one.get("slots_used"), rates.get("proven_criteria")
    proven = "no criterion can be run" if criteria is None else f"{share(criteria)} of the criteria that can be run too"
    return [
        "## Time",
        "",
        f"- from {one.get('start')} to {one.get('end')}: {span(one.get('wall_s'))}, work of {span(one.get('work_s'))}"
        f" on {slots} {'slot' if slots == 1 else 'slots'}",
        f"- parallel efficiency {share(one.get('value'))} = {one.get('formula')}",
        f"- {_number(rates.get('tasks_per_hour'))} tasks an hour; {share(rates.get('success'))} of those that ended"
        f" succeeded, {share(rates.get('proven_tasks'))} are proven whole; {proven}",
    ]


def _bottleneck(one: Row) -> list[str]:
    path = [f"`{_code(row.get('name'))}`" for row in _rows(one, "path")]
    shown = path if len(path) <= PATH_SHOWN else [*path[: PATH_SHOWN - 2], "…", path[-1]]
    count = one.get("tasks")
    what = "the longest task" if count == 1 else f"{count} tasks that waited for one another"
    return [
        "## Bottleneck",
        "",
        f"- critical path: {what}, {span(one.get('seconds'))} of work, {share(one.get('share_of_wall'))} of the time"
        f" that passed: no number of slots makes it shorter",
        f"- {' → '.join(shown)}",
    ]


def _use(one: Row) -> list[str]:
    attempts = one.get("attempts")
    cost = _part(one, "cost_usd")
    parts = {name: _part(one, f"{name}") for name in ("turns", "input_tokens", "output_tokens")}
    tokens = f"{_sum(parts['input_tokens'])} tokens in, {_sum(parts['output_tokens'])} tokens out"
    return [
        "## Used",
        "",
        f"- cost {money(cost)}",
        f"- {_counted(attempts, 'attempt')}, {_sum(parts['turns'])} turns, {tokens}",
        f"- {span(one.get('work_s'))} of work; tasks waited {span(one.get('waited_s'))} for a slot and"
        f" {span(one.get('blocked_s'))} for other tasks",
    ]


def _groups(title: str, key: str, rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    head = f"| {key} | tasks | proven whole | criteria proven | cost | median | p90 |"
    lines = [f"## {title}", "", head, "|---|---:|---:|---:|---:|---:|---:|"]
    for row in rows[:SHOWN]:
        proven = f"{row.get('proven_tasks')} ({share(row.get('proven_task_rate'))})"
        criteria = f"{row.get('criteria_proven')} of {row.get('criteria_runnable')}"
        times = f"{span(row.get('median_s'))} | {span(row.get('p90_s'))}"
        cost = money(_part(row, "cost_usd"))
        lines.append(f"| {_plain(row.get('key'))} | {row.get('tasks')} | {proven} | {criteria} | {cost} | {times} |")
    return [*lines, *_more(rows), ""]


def _agents(rows: Sequence[Row]) -> list[str]:
    lines = [
        f"- {_plain(row.get('agent'))}: {_counted(row.get('attempts'), 'attempt')}, {span(row.get('work_s'))} of work;"
        f" at most {row.get('at_work_most')} at once, {_number(row.get('at_work_mean'))} in the mean"
        f" ({share(row.get('utilisation'))} of that)"
        for row in rows[:SHOWN]
    ]
    return ["## Agents", "", *lines, *_more(rows), ""] if rows else []


def _errors(rows: Sequence[Row]) -> list[str]:
    lines = [
        f"- {_plain(row.get('kind'))}: {row.get('attempts')}, {share(row.get('rate'))} of all that ended"
        for row in rows[:SHOWN]
    ]
    return ["## Attempts that were no success", "", *lines, *_more(rows), ""] if rows else []


def _timeline(told: Row, command: str) -> list[str]:
    rows = sorted(_rows(told, "timeline"), key=lambda row: -_float(row.get("seconds")))
    if not rows:
        return []
    lines = ["## Longest attempts", "", "| task | attempt | slot | began | worked | waited before | end |"]
    lines.append("|---|---:|---:|---|---:|---:|---|")
    for row in rows[:SHOWN]:
        end = "runs" if row.get("end") is None else str(row.get("failure") or row.get("outcome") or "?")
        lines.append(
            f"| `{_code(row.get('name'))}` | {row.get('attempt')} | {row.get('slot')} | {row.get('start')}"
            f" | {span(row.get('seconds'))} | {span(row.get('waited_s'))} | {_plain(end)} |"
        )
    job = _part(told, "subject").get("job")
    what = f"--job {_code(job)}" if job else "--since WHEN --analytics"
    return [
        *lines,
        *_more(rows),
        "",
        f"All of them: `{command} report {what} --json`; with timeline and graph as a page: `--html`",
    ]


def _more(rows: Sequence[Row]) -> list[str]:
    return ["", f"… and {len(rows) - SHOWN} more."] if len(rows) > SHOWN else []


def span(seconds: Json) -> str:
    """Return *seconds* as people read them: 0.4 s, 38 s, 4m03s, 2h14m, 3d04h; "unknown" for none."""
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        return "unknown"
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def share(value: Json) -> str:
    """Return a share (0 to 1) in percent, "nothing to tell" where there is no whole."""
    return f"{value:.0%}" if isinstance(value, (int, float)) and not isinstance(value, bool) else "nothing to tell"


def money(one: Row) -> str:
    """Return a sum of dollars with its unknown parts: they are never taken for nothing."""
    known, unknown = one.get("known"), one.get("attempts_unknown")
    if not isinstance(known, (int, float)) or isinstance(known, bool):
        return "unknown"
    dollars = f"${known:,.2f}" if known >= 10 else f"${known:.4f}"
    if not unknown:
        return dollars
    attempts = _counted(unknown, "attempt")
    return f"unknown: {dollars} and what {attempts} cost that nobody knows"


def _sum(one: Row) -> str:
    known, unknown = one.get("known"), one.get("attempts_unknown")
    if not isinstance(known, (int, float)) or (unknown and not known):
        return "an unknown number of"
    attempts = _counted(unknown, "attempt")
    return f"{known:,.0f} (and those of {attempts} that nobody knows)" if unknown else f"{known:,.0f}"


def _counted(count: Json, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _number(value: Json) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return "unknown"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _float(value: Json) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _plain(value: Json) -> str:
    """What strangers wrote must not become a heading, a link or a column, nor move the cursor."""
    text = printable(" ".join(str(value).split()))[:200]
    return "".join(f"\\{char}" if char in "`<>[]|*#" else char for char in text)


def _code(value: Json) -> str:
    return printable(" ".join(str(value).split())).replace("`", "'").replace("|", "¦")


def _part(mapping: Row, key: str) -> Row:
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}


def _rows(mapping: Row, key: str) -> Sequence[Row]:
    value = mapping.get(key)
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []
