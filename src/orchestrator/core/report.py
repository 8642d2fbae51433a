"""The summary for the morning: the verdict first, then each criterion with its evidence, what could not be verified,
what was seen, and what to type. Plain text, no colour."""

import re
import textwrap
from collections.abc import Mapping, Sequence

from orchestrator.core.events import Json
from orchestrator.core.report_proof import (
    accepted_words,
    criterion_lines,
    digest_words,
    next_words,
    taken_lines,
    unverified,
    verdict_words,
    work_lines,
)
from orchestrator.core.text import printable

WIDTH = 100
COMMAND = "python main.py"  # as hints write it; for another root, replaced by what reaches that one
_MAX_PATHS = 20
_MARK = {True: "yes", False: "NO", None: "cannot tell"}


def summary_text(result: Mapping[str, Json], command: str = COMMAND) -> str:
    """Return the summary of a result (see result.schema.json) as readable text ending in a newline.

    *command* is what to type to reach the root of this task, for the lines that a person may paste.
    """
    task = _part(result, "task")
    lines = [*_wrapped(_headline(result, task)), "=" * 60, ""]
    lines += _facts(result, task)
    lines += _criteria(_rows(result, "criteria"))
    lines += _unverified(result)
    lines += _work(result)
    lines += _checks(_rows(result, "checks"))
    lines += _changes(_part(result, "changes"))
    lines += _answer(str(result.get("answer", "")))
    lines += _inferred(task)
    lines += _attempts(_rows(result, "attempts"))
    lines += _next_steps(result, command)
    return "\n".join(lines).rstrip() + "\n"


def _headline(result: Mapping[str, Json], task: Mapping[str, Json]) -> str:
    status = str(result.get("status", "")).upper()
    if status == "SUCCEEDED" and (words := verdict_words(_rows(result, "criteria"))):
        status += f" - {words}"
    elif result.get("reason"):
        status += f" - {result['reason']}"
    return f"{task.get('name')}: {status}"


def _facts(result: Mapping[str, Json], task: Mapping[str, Json]) -> list[str]:
    timing, usage = _part(result, "timing"), _part(result, "usage")
    tries = len(_rows(result, "attempts"))
    lines = [*_wrapped(f"{task.get('title')}"), ""]
    if accepted := accepted_words(_part(result, "accepted")):
        lines += _wrapped(accepted)
    elif result.get("detail"):
        lines += _wrapped(f"Why: {result['detail']}")
    for line in (
        f"Task     {task.get('id')}  ({task.get('type')}, priority {task.get('priority')})",
        f"Ended    {timing.get('ended')}  after {_seconds(timing.get('running_s'))} in {_count(tries, 'attempt')}",
        f"Used     {_used(usage)}",
    ):
        lines += _wrapped(line)
    return [*lines, "", *_wrapped_part(digest_words(_part(result, "digest")))]


def _wrapped_part(text: str) -> list[str]:
    return [*_wrapped(text), ""] if text else []


def _criteria(rows: Sequence[Mapping[str, Json]]) -> list[str]:
    if not rows:
        return ["Success criteria: none were given.", ""]
    lines = ["Success criteria"]
    for row in rows:
        for indent, text in criterion_lines(row):
            lines += _wrapped(text, indent)
    return [*lines, ""]


def _unverified(result: Mapping[str, Json]) -> list[str]:
    lines = []
    for text in unverified(_rows(result, "criteria"), _rows(result, "checks"), _rows(result, "findings")):
        lines += _wrapped(text, "  ")
    return ["What could not be verified", *lines, ""] if lines else []


def _work(result: Mapping[str, Json]) -> list[str]:
    lines, work = [], _part(result, "work")
    for text in (*work_lines(work), *taken_lines(result)):
        lines += _wrapped(text, "  ")
    return ["Where its work lies", *lines, ""] if lines else []


def _checks(rows: Sequence[Mapping[str, Json]]) -> list[str]:
    if not rows:
        return []
    lines = ["What the daemon itself checked"]
    for row in rows:
        passed = row.get("passed")
        detail = f": {row['detail']}" if row.get("detail") else ""
        verdict = _MARK[passed if isinstance(passed, bool) else None]
        lines += _wrapped(f"{verdict:<4} {row.get('name')}{detail}", "  ")
    return [*lines, ""]


def _changes(changes: Mapping[str, Json]) -> list[str]:
    rows = [(sign, path) for sign, key in (("+", "created"), ("~", "modified"), ("-", "deleted"))
            for path in _strings(changes.get(key))]  # fmt: skip
    if not rows:
        return [*_wrapped(f"Files changed: none seen ({changes['detail']})"), ""] if changes.get("detail") else []
    lines = [f"Files changed ({len(rows)})"]
    for sign, path in rows[:_MAX_PATHS]:
        lines += _wrapped(f"{sign} {path}", "  ")
    if len(rows) > _MAX_PATHS:
        lines.append(f"  ... and {len(rows) - _MAX_PATHS} more: see the result file")
    return [*lines, ""]


def _answer(answer: str) -> list[str]:
    if not answer.strip():
        return ["The agent left no answer.", ""]
    lines = ["What the agent says"]
    for paragraph in answer.strip().splitlines():
        lines += _wrapped(paragraph, "  | ") if paragraph.strip() else ["  |"]
    return [*lines, ""]


def _inferred(task: Mapping[str, Json]) -> list[str]:
    lines = []
    for row in _rows(task, "inferred"):
        lines += _wrapped(f"{row.get('field')} = {row.get('value')} ({row.get('why')})", "  ")
    for row in _rows(task, "notices"):
        lines += _wrapped(f"{row.get('message')}", "  ")
    return ["Read between the lines", *lines, ""] if lines else []


def _attempts(rows: Sequence[Mapping[str, Json]]) -> list[str]:
    if not rows:
        return ["It was never started.", ""]
    lines = ["Attempts"]
    for row in rows:
        how = row.get("failure") or row.get("outcome")
        why = f" - {row['detail']}" if row.get("detail") else ""
        where = f" [{row['confinement']}]" if row.get("confinement") else ""
        lines += _wrapped(
            f"{row.get('number')}. {row.get('agent')} {row.get('agent_version')}: {how}{why}{where}", "  "
        )
        lines += _asked(row)
        lines += _recovered(_part(row, "recovery"))
        for note in _rows(row, "project_notes"):
            told = note.get("problem") or f"{note.get('given_bytes')} bytes"
            lines += _wrapped(f"   project notes: {note.get('path')} ({told})", "  ")
    return [*lines, ""]


def _recovered(told: Mapping[str, Json]) -> list[str]:
    if not told:
        return []
    to = f" to {told['to_agent']}" if told.get("to_agent") else ""
    return _wrapped(f"   then: {told.get('strategy')}{to} - {told.get('why')}", "  ")


def _asked(row: Mapping[str, Json]) -> list[str]:
    asked, answered = _part(row, "question"), _part(row, "answered")
    if not asked:
        return []
    by = "nobody, by default" if answered.get("by") == "default" else f"you ({answered.get('door')})"
    told = f"answered by {by}: {answered.get('answer')}" if answered else "nobody answered"
    return [*_wrapped(f"   it asked: {asked.get('question')}", "  "), *_wrapped(f"   {told}", "  ")]


def next_commands(result: Mapping[str, Json], command: str = COMMAND) -> tuple[str, ...]:
    """Return what a person may want to type after *result*, as complete lines."""
    task, work = _part(result, "task"), _part(result, "work")
    name, uid = _shown(str(task.get("name"))), str(task.get("uid"))
    lines = [f"{command} show {name}", f"{command} tail-events --task {name}"]
    lines += [f"{command} {words} {name}" for words in next_words(result, work)]
    if result.get("reason") == "children_failed" and task.get("job"):
        lines.append(f"{command} job retry {task['job']}")  # joins what succeeded; `retry` plans it anew
    elif result.get("status") != "succeeded":
        lines.append(f"{command} retry {uid[-8:]}")
    return tuple(lines)


def _next_steps(result: Mapping[str, Json], command: str) -> list[str]:
    hint = _wrapped(str(result["hint"]).replace(COMMAND, command), "  ") if result.get("hint") else []
    return ["Next", *hint, *(f"  {line}" for line in next_commands(result, command))]


def _wrapped(text: str, indent: str = "") -> list[str]:
    lines = textwrap.wrap(_shown(text), WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    return lines or [indent.rstrip()]


def _shown(text: str) -> str:
    """What strangers wrote must not move the cursor, colour the screen or turn the reading direction."""
    return printable(re.sub(r"\s", " ", text))


def _part(mapping: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}


def _rows(mapping: Mapping[str, Json], key: str) -> Sequence[Mapping[str, Json]]:
    value = mapping.get(key)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [row for row in value if isinstance(row, Mapping)]


def _strings(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else []


def _used(usage: Mapping[str, Json]) -> str:
    """Say what is known; all the rest at the end, once."""
    units = {"turns": "turns", "input_tokens": "tokens in", "output_tokens": "tokens out"}
    known = [f"{usage[key]} {unit}" for key, unit in units.items() if isinstance(usage.get(key), int)]
    missing = [unit for key, unit in units.items() if not isinstance(usage.get(key), int)]
    known = [words.removesuffix("s") if words == "1 turns" else words for words in known]
    cost = usage.get("cost_usd")
    if isinstance(cost, (int, float)):
        known.append(f"cost ${cost:.4f}")
    else:
        missing.append("cost")
    if not known:
        return "usage unknown"
    return ", ".join(known) + (f" ({', '.join(missing)} unknown)" if missing else "")


def _seconds(value: Json) -> str:
    return f"{value:.1f} s" if isinstance(value, (int, float)) else "an unknown time"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
