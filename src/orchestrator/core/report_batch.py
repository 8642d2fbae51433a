"""The morning report as Markdown: counts first, then what needs a person, then each task with its reason. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence

from orchestrator.core.events import Json
from orchestrator.core.report import COMMAND
from orchestrator.core.text import printable

SHOWN = 100  # of a section; the JSON beside it has more
_OfRow = Callable[[Mapping[str, Json]], list[str]]
_SECTIONS = (
    ("proven", "Proven"),
    ("unproven", "Done, but unproven"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
    ("rejected", "Refused files"),
)
_FILE = re.compile(r"report-([0-9]{8})T([0-9]{6})Z-([0-9]+)\.json")


def report_name(ended: str, seq: int) -> str:
    """Return the file name, without its ending, of the report on all that ended until *seq*, at *ended* (RFC 3339)."""
    return f"report-{re.sub(r'[-:]|[.][0-9]+', '', ended)}-{seq}"


def seq_of(file_name: str) -> int:
    """Return the seq in the name of a report's JSON file, 0 for any other file."""
    found = _FILE.fullmatch(file_name)
    return int(found[3]) if found else 0


def report_ended(file_name: str) -> str:
    """Return the time in the name of a report's file (RFC 3339, UTC), "" for any other file."""
    found = _FILE.fullmatch(f"{file_name.removesuffix('.md').removesuffix('.json')}.json")
    if not found:
        return ""
    day, time = found[1], found[2]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z"


def batch_text(report: Mapping[str, Json], command: str = COMMAND) -> str:
    """Return a batch report (batch.schema.json) as Markdown that ends in a newline. *command* reaches its root.

    Sections without anything in them are left out.
    """
    period = _part(report, "period")
    since = f" since {period['from']}" if period.get("from") else ""
    lines = [f"# Report until {period.get('until')}{since}", "", _counts(_part(report, "counts")), ""]
    lines += _decisions(_rows(report, "decisions"), command)
    for key, title in _SECTIONS:
        lines += _section(title, _rows(report, key), _task)
    lines += _section("Not started", _rows(report, "not_started"), _waiting)
    lines += _section("Changed the same files", _rows(report, "overlaps"), _overlap)
    lines += _section("Limits hit", _rows(report, "limits"), _limit)
    lines += _cost(_part(report, "usage"))
    lines += _next(report.get("next"), command)
    return "\n".join(lines).rstrip() + "\n"


def _counts(counts: Mapping[str, Json]) -> str:
    words = (
        *(("proven", "proven"), ("unproven", "unproven"), ("failed", "failed"), ("cancelled", "cancelled")),
        *(("rejected", "refused"), ("decisions", "waiting for you"), ("not_started", "not started")),
        *(("running", "running now"),),
    )
    said = [f"{counts[key]} {word}" for key, word in words if counts.get(key)]
    ended = counts.get("ended", 0)
    return f"**{ended} {'task' if ended == 1 else 'tasks'} ended**{': ' if said else ''}{', '.join(said)}."


def _section(title: str, rows: Sequence[Mapping[str, Json]], one: _OfRow) -> list[str]:
    if not rows:
        return []
    lines = [f"## {title} ({len(rows)})", ""]
    for row in rows[:SHOWN]:
        lines += one(row)
    if len(rows) > SHOWN:
        lines.append(f"- … and {len(rows) - SHOWN} more: see the JSON file")
    return [*lines, ""]


def _task(row: Mapping[str, Json]) -> list[str]:
    why = f" - {row['reason']}" if row.get("reason") else ""
    lines = [f"- `{_code(row.get('name'))}`{why}: {_plain(row.get('title'))}"]
    if accepted := _part(row, "accepted"):
        lines.append(f"  - accepted by {_plain(accepted.get('by'))} at {_plain(accepted.get('at'))}, as it is")
    elif row.get("detail"):
        lines.append(f"  - why: {_plain(row['detail'])}")
    lines += [f"  - {_plain(row['digest'])}"] if row.get("digest") else []
    lines += [f"  - {_taken_words(one)}" for one in _rows(row, "taken")]
    about = (_criteria_words(_part(row, "criteria")), _work_words(_part(row, "work")))
    lines += [f"  - {words}" for words in about if words]
    for one in _rows(row, "open"):
        lines.append(f"  - \\[{_plain(one.get('verdict'))}\\] {_plain(one.get('text'))}: {_plain(one.get('why'))}")
        lines += [f"    - {_plain(one['opinion'])}"] if one.get("opinion") else []
    for one in _rows(row, "findings"):
        place = f" `{_code(one.get('path'))}`" if one.get("path") else ""
        lines.append(f"  - {_plain(one.get('kind'))}{place}: {_plain(one.get('detail'))}")
    return lines


def _taken_words(one: Mapping[str, Json]) -> str:
    by = f" by {_plain(one.get('by'))}"
    if one.get("ok") is not True:
        return f"{_plain(one.get('how'))}{by} was refused: {_plain(one.get('detail'))}"
    done = {"merge": "merged into", "push": "pushed:", "pr": "pull request for", "discard": "discarded:"}
    return f"{done.get(str(one.get('how')), 'taken:')} `{_code(one.get('branch'))}`{by}"


def _criteria_words(criteria: Mapping[str, Json]) -> str:
    said = [f"{count} {verdict}" for verdict, count in criteria.items() if count]
    return f"criteria: {', '.join(said)}" if said else ""


def _work_words(work: Mapping[str, Json]) -> str:
    if not work:
        return ""
    count = work.get("files")
    if count == 0:
        return "nothing was changed"
    brought = work.get("branch") and work.get("delivered", True) is True
    said = [f"branch `{_code(work['branch'])}`"] if brought else []
    if work.get("head"):
        said.append(f"commit `{_code(work['head'])[:12]}`")
    if isinstance(count, int):
        files = "1 file" if count == 1 else f"{count} files"
        said.append(f"{files} changed, +{work.get('insertions', '?')} -{work.get('deletions', '?')}")
    return ", ".join(said)


def _waiting(row: Mapping[str, Json]) -> list[str]:
    return [f"- `{_code(row.get('name'))}`: {_plain(row.get('why'))}"]


def _overlap(row: Mapping[str, Json]) -> list[str]:
    one, other = (*_strings(row.get("tasks")), "", "")[:2]
    paths, count = _strings(row.get("paths")), row.get("files")
    more = f" and {count - len(paths)} more" if isinstance(count, int) and count > len(paths) else ""
    named = ", ".join(f"`{_code(path)}`" for path in paths)
    then = "after the first is merged, see whether the other fits"
    return [f"- `{_code(one)}` and `{_code(other)}`: {named}{more}; {then}"]


def _limit(row: Mapping[str, Json]) -> list[str]:
    times = row.get("times")
    often = f", {times} times" if isinstance(times, int) and times > 1 else ""
    return [f"- {_plain(row.get('agent'))}: {_plain(row.get('reason'))}{often}: {_plain(row.get('detail'))}"]


def _decisions(rows: Sequence[Mapping[str, Json]], command: str) -> list[str]:
    if not rows:
        return []
    lines = [f"## Waiting for you ({len(rows)})", ""]
    for row in rows[:SHOWN]:
        lines.append(f"- `{_code(row.get('what'))}`: {_plain(row.get('why'))}")
        lines += [f"  - `{command} {_code(words)}`" for words in _strings(row.get("commands"))]
    if len(rows) > SHOWN:
        lines.append(f"- … and {len(rows) - SHOWN} more: see the JSON file")
    return [*lines, ""]


def _cost(usage: Mapping[str, Json]) -> list[str]:
    attempts = usage.get("attempts")
    if not attempts:
        return []
    cost, unknown = usage.get("known_cost_usd"), usage.get("attempts_without_cost")
    lines = ["## Cost and time", ""]
    spent = f"${cost:.4f}" if isinstance(cost, (int, float)) else "unknown"
    lines.append(f"- cost {spent}{f', and of {unknown} attempts it is unknown' if unknown else ''}")
    lines.append(f"- {attempts} {'attempt' if attempts == 1 else 'attempts'}, {usage.get('running_s')} s of work")
    return [*lines, ""]


def _next(words: Json, command: str) -> list[str]:
    commands = _strings(words)
    return ["## Next", "", "```", *(f"{command} {_code(one)}" for one in commands), "```"] if commands else []


def _plain(value: Json) -> str:
    """What strangers wrote must not become a heading, a link or markup, nor move the cursor."""
    return re.sub(r"([`<>\[\]|*#])", r"\\\1", printable(re.sub(r"\s+", " ", str(value)))[:300])


def _code(value: Json) -> str:
    return printable(re.sub(r"\s+", " ", str(value))).replace("`", "'")


def _part(mapping: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}


def _rows(mapping: Mapping[str, Json], key: str) -> Sequence[Mapping[str, Json]]:
    value = mapping.get(key)
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []


def _strings(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []
