"""A `tasks.json`: its tasks with their places in the text, and each as the task file that it would have been."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.decoder import JSONDecodeError
from typing import Any

from orchestrator.core.items import target_line
from orchestrator.core.text import printable

_BLANK = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,60}\Z")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_ -]{0,59}\Z")
_OWN = frozenset({"name", "description", "prompt", "target_files", "criteria", "success_criteria", "context", "job"})
ONCE = "each key once"
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


class UnreadableError(ValueError):
    """What is not as it should be, at *field*. *offset* is where in the text, -1 where that is not known."""

    def __init__(self, message: str, field: str = "", expected: str = "", offset: int = -1) -> None:
        super().__init__(message)
        self.field = field
        self.expected = expected
        self.offset = offset


@dataclass(frozen=True, slots=True)
class JsonTask:
    """One entry of `tasks`, and the offset in the text at which it begins."""

    value: Mapping[str, Any]
    offset: int


def job_in_json(text: str) -> tuple[Mapping[str, Any], Sequence[JsonTask], Mapping[str, int]]:
    """Return what stands beside `tasks`, the tasks, and the offset of each key. Raises JSONDecodeError,
    UnreadableError, RecursionError."""
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise UnreadableError("it is no JSON object", offset=at)
    facts: dict[str, Any] = {}
    places: dict[str, int] = {}
    tasks: Sequence[JsonTask] | None = None
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        if text[at : at + 1] != '"':
            raise JSONDecodeError("a key in quotes was expected", text, at)
        begin = at
        key, at = _value(text, at)
        if key in places:
            raise UnreadableError(f"the key {printable(str(key)[:60])} stands there twice", "", ONCE, begin)
        places[key] = begin
        at = _past(text, at, ":")
        if key == "tasks":
            tasks, at = _tasks(text, at)
        else:
            facts[key], at = _value(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != "}":
            at = _past(text, at, ",")
    if rest := text[_skip(text, at + 1) :]:
        raise JSONDecodeError("there is more behind its end", text, len(text) - len(rest))
    if tasks is None:
        raise UnreadableError("it has no key `tasks`")
    return facts, tasks, places


def _tasks(text: str, at: int) -> tuple[Sequence[JsonTask], int]:
    if text[at : at + 1] != "[":
        raise UnreadableError("`tasks` is no list", "tasks", "a list of tasks", at)
    found: list[JsonTask] = []
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        begin = at
        try:
            value, at = _value(text, at)
        except UnreadableError as error:
            field = f"tasks[{len(found) + 1}]{error.field and '.'}{error.field}"
            raise UnreadableError(str(error), field, error.expected, begin) from None
        if not isinstance(value, dict):
            raise JSONDecodeError("a task is no object", text, begin)
        found.append(JsonTask(value, begin))
        at = _skip(text, at)
        if text[at : at + 1] != "]":
            at = _past(text, at, ",")
    return found, at + 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UnreadableError(f"the key {printable(twice[:60])} stands twice in one task", printable(twice[:60]), ONCE)
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _value(text: str, at: int) -> tuple[Any, int]:
    return _DECODER.raw_decode(text, at)


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    assert found is not None  # nothing at all is a match
    return found.end()


def _past(text: str, at: int, sign: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != sign:
        raise JSONDecodeError(f"'{sign}' was expected", text, at)
    return _skip(text, at + 1)


def task_file_of(task: Mapping[str, Any], job: str) -> tuple[str, str, str]:
    """Return the task file that an entry of `tasks` would have been, and its prompt and its context. Raises
    UnreadableError."""
    if "id" not in task:
        raise UnreadableError("it has no id", "id", "an id, such as task-1")
    title, about = _text(task, "name"), _text(task, "description")
    context = "\n\n".join(part for part in (about, _text(task, "context")) if part)
    prompt = _text(task, "prompt")
    if not prompt.strip():
        prompt, context = (about or title or _text(task, "title")), _text(task, "context")
    head = [f"{key}: {_yaml(key, value)}" for key, value in task.items() if key not in _OWN and value is not None]
    if title and "title" not in task:
        head.append(f"title: {_yaml('name', ' '.join(title.split()))}")
    head.append(f"job: {_yaml('job', task.get('job') or job)}")
    parts = ["\n".join(["---", *head, "---"])]
    if targets := _texts(task, "target_files"):
        parts.append("\n".join(["**Target Files:**", *(target_line(one) for one in targets)]))
    parts.append(f"**Prompt:**\n{prompt}")
    if criteria := [*_texts(task, "criteria"), *_texts(task, "success_criteria")]:
        parts.append("\n".join(["**Success Criteria:**", *(f"- [ ] {' '.join(one.split())}" for one in criteria)]))
    if context:
        parts.append(f"**Context:**\n{context}")
    return "\n\n".join(parts) + "\n", prompt, context


def _text(task: Mapping[str, Any], key: str) -> str:
    value = task.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnreadableError(f"`{key}` is no text", key, "text")
    return value


def _texts(task: Mapping[str, Any], key: str) -> Sequence[str]:
    value = task.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise UnreadableError(f"`{key}` is no list of texts", key, "a list of texts")
    return [one for one in value if one.strip()]


def _yaml(key: str, value: Any) -> str:
    """Return *value* as front matter has it. Keys are checked too: they come from a stranger's file."""
    if not _KEY.match(key):
        raise UnreadableError(
            f"`{printable(key[:60])}` is not a key", printable(key[:60]), "letters, digits, dashes and underscores"
        )
    if isinstance(value, list):
        return f"[{', '.join(_scalar(key, one) for one in value)}]"
    return _scalar(key, value)


def _scalar(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if not isinstance(value, str):
        raise UnreadableError(f"`{key}` is neither a text nor a number", key, "a text or a number")
    if _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    return '"' + "".join(_escaped(char) for char in value) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
