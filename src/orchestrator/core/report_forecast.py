"""A forecast (forecast.schema.json) in words: time and cost with their range first, then what they rest on."""

from collections.abc import Mapping, Sequence

from orchestrator.core.events import Json
from orchestrator.core.report_analytics import span
from orchestrator.core.text import printable

SHOWN = 20
PATH_SHOWN = 8
_LIKE = {
    "type and model": "ended tasks of the same type, agent and model",
    "type": "ended tasks of the same type, on any model",
    "all": "ended tasks of any type: none, or too few, were alike",
}


def forecast_text(told: Mapping[str, Json]) -> str:
    """Return what a forecast says; it ends in a newline."""
    tasks, slots = told.get("tasks"), told.get("slots")
    lines = [
        f"Forecast of {tasks} {'task' if tasks == 1 else 'tasks'} on {slots} {'slot' if slots == 1 else 'slots'}",
        "",
    ]
    if not tasks:
        lines.append("There is nothing to run.")
    elif not told.get("history"):
        lines += [
            "No history: no task has ended here yet, so nobody can tell what these will take or cost.",
            "After the first few tasks there is something to go by.",
        ]
    else:
        lines += _figures(told)
    lines += _path(_part(told, "critical_path"))
    lines += ["", "It rests on", *_basis(_rows(told, "basis"))] if told.get("history") and tasks else []
    notes = told.get("notes")
    said = [f"  - {printable(str(note))}" for note in notes] if isinstance(notes, (list, tuple)) else []
    lines += ["", "Not in these figures", *said] if said else []
    return "\n".join(lines).rstrip() + "\n"


def forecast_words(told: Mapping[str, Json]) -> str:
    """Return what a forecast says in a sentence, "" where there is none or it has no history."""
    time, cost = _part(told, "time_s"), _part(told, "cost_usd")
    if not time:
        return ""
    dollars = _dollars(cost) if cost else "unknown"
    return f"Forecast: time {_spans(time)}, cost {dollars}. `forecast` says what that rests on.".replace("   ", " ")


def _figures(told: Mapping[str, Json]) -> list[str]:
    time, work, ends = (_part(told, key) for key in ("time_s", "work_s", "ends"))
    lines = [
        f"  time   {_spans(time)}",
        f"  ends   {_minute(ends.get('p50'))}   (between {_minute(ends.get('p10'))} and {_minute(ends.get('p90'))})",
        f"  work   {_spans(work)}",
    ]
    cost, known, without = _part(told, "cost_usd"), _part(told, "known_cost_usd"), told.get("tasks_without_cost")
    if cost:
        lines.append(f"  cost   {_dollars(cost)}")
    elif known:
        lines.append(
            f"  cost   unknown: {_dollars(known)}, and {without} tasks of which no like one tells what it cost"
        )
    else:
        lines.append("  cost   unknown: no ended task tells what it cost")
    return [*lines, "", "The middle, and in brackets what eight of ten such batches lie between."]


def _spans(one: Mapping[str, Json]) -> str:
    return f"{span(one.get('p50'))}   (between {span(one.get('p10'))} and {span(one.get('p90'))})"


def _dollars(one: Mapping[str, Json]) -> str:
    p10, p50, p90 = (_usd(one.get(key)) for key in ("p10", "p50", "p90"))
    return f"{p50}   (between {p10} and {p90})"


def _usd(value: Json) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return "unknown"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def _minute(value: Json) -> str:
    return f"{value[:10]} {value[11:16]} UTC" if isinstance(value, str) else "unknown"


def _path(one: Mapping[str, Json]) -> list[str]:
    count, names = one.get("tasks"), one.get("names")
    if not isinstance(count, int) or count < 2 or not isinstance(names, (list, tuple)):
        return []
    shown = [printable(str(name)) for name in names[:PATH_SHOWN]]
    more = f" … and {count - PATH_SHOWN} more" if count > PATH_SHOWN else ""
    seconds = one.get("median_s")
    takes = f", {span(seconds)} by median times" if seconds is not None else ""
    return ["", f"Longest chain: {' → '.join(shown)}{more}{takes}"]


def _basis(rows: Sequence[Mapping[str, Json]]) -> list[str]:
    lines = []
    for row in rows[:SHOWN]:
        on = " ".join(word for word in (printable(str(row.get("agent"))), printable(str(row.get("model")))) if word)
        tasks, samples = row.get("tasks"), row.get("samples")
        few = ", few: hence the width" if isinstance(samples, int) and samples < 10 else ""
        words = _LIKE.get(str(row.get("like")), "nothing")
        lines.append(f"  {tasks} x {printable(str(row.get('type')))} on {on}: {samples} {words}{few}")
    return [*lines, f"  … and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else lines


def _part(mapping: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}


def _rows(mapping: Mapping[str, Json], key: str) -> Sequence[Mapping[str, Json]]:
    value = mapping.get(key)
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []
