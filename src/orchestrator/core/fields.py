"""The front matter's values and their types, by one table.

Every value arrives as the text that was written; FIELDS says which reader gives it its type. Keys are read
without regard to case, `max-turns` is `max_turns`, `x-…` is free.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from orchestrator.core.errors import TaskFileError
from orchestrator.core.fields_jobs import (
    JOB_ALIASES,
    MAX_CHILDREN,
    MAX_DEPTH,
    approve_field,
    branch_field,
    depends_on_field,
    depends_on_itself,
    job_field,
    on_dependency_field,
    tree_budget_field,
)
from orchestrator.core.fields_time import deadline_conflict, moment_field, schedule_field, timezone_field
from orchestrator.core.frontmatter import Entry, Many, Scalar
from orchestrator.core.paths import resolve
from orchestrator.core.question import rule_in, seconds_in
from orchestrator.core.source import Source
from orchestrator.core.task import Notice, Priority, TaskRules
from orchestrator.core.text import NAME, has_controls, is_reserved, printable, without_controls

TITLE_CHARS = 200
TAG_CHARS = 64
MAX_RETRIES = 20
MAX_TURNS = 10_000
MAX_WAIT_S = 366 * 86_400
_PLAUSIBLE_YEARS = range(2000, 2090)
_WHOLE = re.compile(r"[+-]?[0-9]{1,12}\Z")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?\Z")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+\[\]-]{0,127}\Z")
_CREATED = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?[ ]?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?\Z"
)
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_NOT_ALLOWED = re.compile(
    r"(?:permission|mcp|env|hook|setting|command|cmd|sandbox|allowed_|disallowed_|skip_|dangerously_|bypass|add_dir)"
    r"|(?:tools?|args|shell|script|exec|run|executable|binary|system_prompt|append_system_prompt|root|allow|deny)\Z"
)


@dataclass(frozen=True, slots=True)
class Given:
    """One value about to be read: *text* without blanks around it, *exact* as written."""

    key: str
    entry: Entry
    text: str
    exact: str
    source: Source
    rules: TaskRules
    utc_offset_minutes: int

    def fault(self, reason: str, message: str, *, expected: str = "", hint: str = "") -> TaskFileError:
        value = self.entry.value
        return self.source.fault(
            reason, message, line=value.line, column=value.column, field=self.key, expected=expected, hint=hint
        )

    @property
    def shown(self) -> str:
        """The value for a message: printable, at most 60 characters."""
        text = printable(self.exact[:60])
        return f"'{text}{'…' if len(self.exact) > 60 else ''}'"

    def notice(self, code: str, message: str) -> Notice:
        return Notice(code, message, self.entry.value.line, self.entry.value.column, self.key)


@dataclass(frozen=True, slots=True)
class Fields:
    """What the front matter says: typed values by field of TaskSpec, and what is worth a warning."""

    values: Mapping[str, Any]
    notices: tuple[Notice, ...]


def read_fields(entries: Sequence[Entry], source: Source, rules: TaskRules, utc_offset_minutes: int) -> Fields:
    """Return the typed values of *entries*.

    Raises TaskFileError with the reason of the first field that is wrong.
    """
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    notices: list[Notice] = []
    for entry in entries:
        key = entry.key.strip().lower().replace("-", "_")
        field = ALIASES.get(key, key)
        if field not in FIELDS:
            notices.extend(_unknown(entry, key, source, rules))
            continue
        if field in lines:
            message = f"`{printable(entry.key)}` says again what line {lines[field]} says"
            raise source.fault("duplicate_key", message, line=entry.line, column=entry.column, field=field)
        lines[field] = entry.line
        value, said = _read(field, entry, source, rules, utc_offset_minutes)
        notices.extend(said)
        if value is not None:
            values[field] = value
    if conflict := deadline_conflict(values):
        raise source.fault("deadline_invalid", f"`deadline`: {conflict}", line=lines["deadline"], field="deadline")
    if itself := depends_on_itself(values):
        message = f"{itself} depends on itself: {itself} → {itself}"
        raise source.fault("dependency_cycle", message, line=lines["depends_on"], field="depends_on")
    return Fields(values, tuple(notices))


def clean_title(text: str, line: int, *, field: str = "title") -> tuple[str, tuple[Notice, ...]]:
    """Return *text* as a title of at most 200 characters without controls, and what was done to it."""
    notices = []
    title = text.strip()
    if (bare := without_controls(title).strip()) != title:
        if has_controls(title):
            notices.append(Notice("title_control_characters", TITLE_CONTROLS, line, 0, field))
        title = bare
    if len(title) > TITLE_CHARS:
        notices.append(Notice("title_shortened", f"the title had {len(title)} characters", line, 0, field))
        title = f"{title[: TITLE_CHARS - 1].rstrip()}…"
    return title, tuple(notices)


TITLE_CONTROLS = "control characters were removed from the title"
_Read = tuple[Any, tuple[Notice, ...]]


def _read(field: str, entry: Entry, source: Source, rules: TaskRules, utc_offset_minutes: int) -> _Read:
    value = entry.value
    if field == "tags" and isinstance(value, Many):
        return _tag_list(entry, value, source, rules), ()
    if field == "depends_on" and isinstance(value, Many):
        return FIELDS[field](Given(field, entry, "", "", source, rules, 0))
    if not isinstance(value, Scalar):
        what = "a list" if isinstance(value, Many) else "a map"
        message = f"`{field}` is {what}, not a text"
        raise source.fault("wrong_shape", message, line=value.line, column=value.column, field=field)
    given = Given(field, entry, value.text.strip(), value.text, source, rules, utc_offset_minutes)
    if value.empty and field not in ("id", "type", "priority"):
        return None, (given.notice("empty_field", f"`{field}` has no value"),)
    if "\0" in value.text and field != "id":
        raise given.fault("control_character", f"`{field}` holds a NUL character")
    return FIELDS[field](given)


def _unknown(entry: Entry, key: str, source: Source, rules: TaskRules) -> list[Notice]:
    """Return the notice for a key that means nothing. Raises field_not_allowed, or unknown_field in strict mode."""
    shown = printable(entry.key[:60])
    if _NOT_ALLOWED.match(key):
        message = f"a task file may not set `{shown}`"
        raise source.fault("field_not_allowed", message, line=entry.line, column=entry.column, field=shown)
    if key.startswith("x_"):
        return []
    near = difflib.get_close_matches(key[:60], [*FIELDS, *ALIASES], n=1)
    message = f"`{shown}` is not a key" + (f"; did you mean `{near[0]}`?" if near else "")
    if rules.strict:
        expected = ", ".join(sorted(FIELDS))
        hint = f"Write `{near[0]}`." if near else ""
        raise source.fault(
            "unknown_field", message, line=entry.line, column=entry.column, field=shown, expected=expected, hint=hint
        )
    return [Notice("unknown_field", message, entry.line, entry.column, shown)]


def _id(given: Given) -> _Read:
    limit = given.rules.limits.id_chars
    expected = f"1 to {limit} letters, digits, dots, dashes and underscores, the first a letter or digit"
    if isinstance(given.entry.value, Scalar) and given.entry.value.empty:
        raise given.fault("id_missing", "`id` is written but empty", expected=expected)
    if len(given.exact) > limit:
        raise given.fault("id_too_long", f"the id has {len(given.exact)} characters", expected=expected)
    if not NAME.match(given.exact) or given.exact.endswith("."):
        hint = "A title may hold any characters." if not given.exact.isascii() else ""
        raise given.fault("id_invalid", f"the id {given.shown} cannot name a file", expected=expected, hint=hint)
    if is_reserved(given.exact):
        raise given.fault("id_reserved", f"{given.shown} is a device on Windows", expected=expected)
    return given.exact, ()


def _type(given: Given) -> _Read:
    names = {name.lower().replace("-", "_"): name for name in given.rules.types}
    wanted = given.text.lower().replace("-", "_")
    expected = f"one of {', '.join(given.rules.types)}"
    if given.text in given.rules.types:
        return given.text, ()
    if wanted in names:
        return names[wanted], ()
    if "|" in given.text:
        raise given.fault("type_placeholder", f"{given.shown} is a choice, not a type", expected=expected)
    near = difflib.get_close_matches(wanted[:60], list(names), n=1)
    hint = f"Did you mean {names[near[0]]}?" if near else ""
    raise given.fault("type_invalid", f"{given.shown} is not a type", expected=expected, hint=hint)


def _priority(given: Given) -> _Read:
    if given.text.lower() in tuple(Priority):
        return Priority(given.text.lower()), ()
    reason = "priority_placeholder" if "|" in given.text else "priority_invalid"
    raise given.fault(reason, f"{given.shown} is not a priority", expected="one of high, medium, low")


def _created(given: Given) -> _Read:
    found = _CREATED.match(given.text)
    try:
        if found is None:
            raise ValueError
        created, zoned = _moment(found.groups(), given.utc_offset_minutes)
    except (ValueError, OverflowError):
        expected = "a date and time such as 2025-08-03T10:30:00Z"
        raise given.fault("created_invalid", f"{given.shown} is no date and time", expected=expected) from None
    notices = []
    if not zoned:
        assumed = f"no time zone is given; UTC{created.isoformat()[-6:]} is assumed"
        notices.append(given.notice("created_without_zone", assumed))
    if created.year not in _PLAUSIBLE_YEARS:
        notices.append(given.notice("created_implausible", f"the year {created.year} is far from today"))
    return created, tuple(notices)


def _moment(parts: Sequence[str | None], utc_offset_minutes: int) -> tuple[datetime, bool]:
    year, month, day, hour, minute, second, fraction, zone = parts
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    if zone is None:
        offset = utc_offset_minutes
    elif zone in "Zz":
        offset = 0
    else:
        digits = zone[1:].replace(":", "").ljust(4, "0")
        if int(digits[2:]) > 59:
            raise ValueError
        offset = (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    moment = datetime(
        int(year or 0),
        int(month or 0),
        int(day or 0),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        micros,
        tzinfo=timezone(timedelta(minutes=offset)),
    )
    return moment, zone is not None


def _title(given: Given) -> _Read:
    title, notices = clean_title(given.exact, given.entry.value.line)
    if not title:
        raise given.fault("title_invalid", "the title says nothing")
    return title, notices


def _agent(given: Given) -> _Read:
    names = {name.lower(): name for name in given.rules.agents}
    if (agent := names.get(given.text.lower())) is None:
        expected = f"one of {', '.join(given.rules.agents)}"
        raise given.fault("agent_unknown", f"the agent {given.shown} is not configured", expected=expected)
    return agent, ()


def _model(given: Given) -> _Read:
    if not _MODEL.match(given.text):
        raise given.fault("model_invalid", f"{given.shown} is not a model name")
    return given.text, ()


def _cwd(given: Given) -> _Read:
    if has_controls(given.exact) or "\n" in given.text:
        raise given.fault("cwd_invalid", f"{given.shown} is not a path")
    rules = given.rules
    path = resolve(given.text, base=rules.base_cwd, root=rules.allowed_root)
    if path is None:
        root = printable(rules.allowed_root or rules.base_cwd)
        raise given.fault(
            "field_not_allowed",
            f"the folder {given.shown} does not lie under {root}",
            expected="a folder under that one, or one relative to the base folder",
            hint="Choose another folder, or have the operator allow this one.",
        )
    return path, ()


def _whole(field: str, least: int, most: Callable[[TaskRules], int], unit: str) -> Callable[[Given], _Read]:
    def read(given: Given) -> _Read:
        limit = most(given.rules)
        if _WHOLE.match(given.text) and least <= (number := int(given.text)) <= limit:
            return number, ()
        expected = f"a whole number{unit} from {least} to {limit:,}"
        raise given.fault(f"{field}_out_of_range", f"`{given.key}` is {given.shown}", expected=expected)

    return read


def _budget(given: Given) -> _Read:
    most = given.rules.max_budget_usd
    text = given.text.removeprefix("$").strip()
    if _NUMBER.match(text) and math.isfinite(number := float(text)) and 0 < number <= most:
        return number, ()
    raise given.fault("budget_out_of_range", f"`budget_usd` is {given.shown}", expected=f"above 0, at most {most:g}")


def _rerun(given: Given) -> _Read:
    word = given.text.lower()
    if word not in _TRUE | _FALSE:
        raise given.fault("rerun_invalid", f"`rerun` is {given.shown}", expected="true or false")
    return word in _TRUE, ()


def _tags(given: Given) -> _Read:
    return _checked_tags([part.strip() for part in given.text.split(",") if part.strip()], given), ()


def _tag_list(entry: Entry, value: Many, source: Source, rules: TaskRules) -> tuple[str, ...]:
    given = Given("tags", entry, "", "", source, rules, 0)
    texts = [item.text.strip() for item in value.items if isinstance(item, Scalar) and not item.empty]
    if len(texts) != len(value.items):
        raise given.fault("tags_invalid", "a tag is empty, or a list or map", expected="words")
    return _checked_tags(texts, given)


def _checked_tags(tags: list[str], given: Given) -> tuple[str, ...]:
    limit = given.rules.limits.list_entries
    bad = next((tag for tag in tags if len(tag) > TAG_CHARS or not tag.isprintable()), None)
    if bad is not None or len(tags) > limit:
        what = f"the tag '{printable(bad[:60])}' is no short word" if bad is not None else f"there are {len(tags)} tags"
        expected = f"at most {limit} tags of at most {TAG_CHARS} characters"
        raise given.fault("tags_invalid", what, expected=expected)
    return tuple(dict.fromkeys(tags))


def _if_unanswered(given: Given) -> _Read:
    try:
        return rule_in(given.text), ()
    except ValueError as error:
        message = f"`if_unanswered` is {given.shown}"
        raise given.fault("if_unanswered_invalid", message, expected=str(error)) from None


def _answer_within(given: Given) -> _Read:
    try:
        seconds = seconds_in(given.text)
    except ValueError as error:
        message = f"`answer_within` is {given.shown}"
        raise given.fault("answer_within_invalid", message, expected=str(error)) from None
    if not 0 <= seconds <= MAX_WAIT_S:
        message = f"`answer_within` is {given.shown}"
        raise given.fault("answer_within_invalid", message, expected=f"at most {MAX_WAIT_S // 86_400} days")
    return seconds, ()


FIELDS: Mapping[str, Callable[[Given], _Read]] = {
    "id": _id,
    "type": _type,
    "priority": _priority,
    "created": _created,
    "title": _title,
    "agent": _agent,
    "model": _model,
    "cwd": _cwd,
    "timeout_sec": _whole("timeout", 1, lambda rules: rules.max_timeout_s, " of seconds"),
    "max_turns": _whole("max_turns", 0, lambda _: MAX_TURNS, ""),
    "budget_usd": _budget,
    "retries": _whole("retries", 0, lambda _: MAX_RETRIES, ""),
    "tags": _tags,
    "rerun": _rerun,
    "if_unanswered": _if_unanswered,
    "answer_within": _answer_within,
    "after": moment_field,
    "schedule": schedule_field,
    "timezone": timezone_field,
    "deadline": moment_field,
    "depends_on": depends_on_field,
    "on_dependency": on_dependency_field,
    "job": job_field,
    "branch": branch_field,
    "max_depth": _whole("max_depth", 0, lambda _: MAX_DEPTH, ""),
    "max_children": _whole("max_children", 0, lambda _: MAX_CHILDREN, ""),
    "tree_budget_usd": tree_budget_field,
    "approve": approve_field,
}
ALIASES: Mapping[str, str] = {
    "timeout": "timeout_sec",
    "timeout_s": "timeout_sec",
    "budget": "budget_usd",
    **JOB_ALIASES,
}
