"""A success criterion: words, and the check it may name. docs/task-files.md has the grammar for people.

    - [ ] tests pass: `pytest -q tests/test_auth.py`      words, then ": " and one code span at the end: a command
    - [ ] exists: `docs/guide.md`
    - [ ] contains: `README.md` `## Install`
    - [ ] output: `app --version` matches `^app 2\\.`
    - [ ] json: `package.json` `/version` equals `"2.0.0"`
    - [ ] (human) the page looks right
    - [ ] (optional) no warnings: `make lint`

Anything else is words, code spans within them too. What begins like a check and is none is an error, never words:
its author would believe that it is checked.
"""

import json
import re
import shlex
import warnings
from dataclasses import dataclass
from pathlib import PurePosixPath

from orchestrator.core.argv import MAX_CHARS, SHOWN, Fault, argv_of, names_a_file
from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import Json
from orchestrator.core.paths import MAX_CHARS as MAX_PATH_CHARS
from orchestrator.core.proof import CheckKind, CheckSpec
from orchestrator.core.reasons import TASK_FILE_REASONS
from orchestrator.core.text import has_controls, printable

_MARK = re.compile(r"\((human|optional)\)(?:\s+|\Z)", re.IGNORECASE)
_TICKS = re.compile(r"`+")
_KEYWORD = re.compile(r"(exists|contains|output|json):\s*(?=`)", re.IGNORECASE)
_FORMS = {
    "exists": "exists: `path`",
    "contains": "contains: `path` `text`",
    "output": "output: `command` matches `regular expression`",
    "json": 'json: `path` `/pointer` equals `"value"`',
}
_MAX_SPANS = 4  # one more than any form has
_LATE_KEYWORD = re.compile(r"\b(exists|contains|json):\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a criterion's text says beside its words. *notice* is worth a warning, "" when nothing is."""

    mandatory: bool = True
    check: CheckSpec | None = None
    notice: str = ""


def read_check(text: str, fault: Fault) -> Reading:
    """Return what *text*, one criterion without its box, says.

    Raises the TaskFileError that *fault* makes, and nothing else: check_form_invalid, check_command_invalid,
    check_shell_syntax, check_path_invalid, check_value_invalid, check_too_long.
    """
    marks, rest = _marks(text.strip())
    mandatory = "optional" not in marks
    if marks and not rest:
        raise fault("check_form_invalid", f"nothing follows ({marks[-1]})", "words behind it")
    if "human" in marks:
        return Reading(mandatory, CheckSpec(CheckKind.HUMAN))
    if keyword := _KEYWORD.match(rest):
        return Reading(mandatory, _of_form(keyword[1].lower(), rest[keyword.end() :], fault))
    return _with_command(rest, mandatory, fault)


def _marks(text: str) -> tuple[list[str], str]:
    marks: list[str] = []
    while (found := _MARK.match(text)) and found[1].lower() not in marks:
        marks.append(found[1].lower())
        text = text[found.end() :]
    return marks, text


def _with_command(text: str, mandatory: bool, fault: Fault) -> Reading:
    bare = text.rstrip(".,;!")
    span = _last_span(bare)
    if span is None:
        return Reading(mandatory)
    before, command = span
    words, shown = before.rstrip(), f"`{printable(command[:SHOWN])}`"
    if not words:
        return Reading(mandatory, notice=f"{shown} is not run: words and a colon have to stand before it")
    if not words.endswith(":") or words.endswith("::"):
        return Reading(mandatory)
    if bare != text:
        return Reading(mandatory, notice=f"{shown} is not run: something stands behind it; without that it is a check")
    if late := _LATE_KEYWORD.search(before):
        form = _FORMS[late[1].lower()]
        raise fault("check_form_invalid", f"a criterion that says {late[1]}: does not begin with it", form)
    if names_a_file(command):
        return Reading(mandatory, notice=f"{shown} names a file, not a command; `exists: {shown}` looks for it")
    return Reading(mandatory, CheckSpec(CheckKind.COMMAND, argv=argv_of(command, fault)))


def _of_form(name: str, text: str, fault: Fault) -> CheckSpec:
    """Return the check that begins with the keyword *name*; *text* is all behind it."""
    if len(text) > 4 * MAX_CHARS:
        raise fault("check_too_long", f"a check has {len(text):,} characters", f"at most {4 * MAX_CHARS:,}")
    words, spans = _parts(text)
    match name, words, len(spans):
        case "exists", ["", ""], 1:
            return CheckSpec(CheckKind.FILE_EXISTS, path=_path(spans[0], fault))
        case "contains", ["", "", ""], 2:
            return CheckSpec(CheckKind.FILE_CONTAINS, path=_path(spans[0], fault), expected=spans[1])
        case "output", ["", "matches", ""], 2:
            return CheckSpec(
                CheckKind.OUTPUT_MATCHES, argv=argv_of(spans[0], fault), expected=_pattern(spans[1], fault)
            )
        case "json", ["", "equals", ""], 2:
            return CheckSpec(CheckKind.JSON_EQUALS, path=_path(spans[0], fault), expected=_value(spans[1], fault))
        case "json", ["", "", "equals", ""], 3:
            pointer = _pointer(spans[1], fault)
            value = _value(spans[2], fault)
            return CheckSpec(CheckKind.JSON_EQUALS, path=_path(spans[0], fault), pointer=pointer, expected=value)
    raise fault("check_form_invalid", f"a criterion begins with {name}: and does not go on like a check", _FORMS[name])


# --- code spans, as CommonMark has them ------------------------------------------------------------------------------


def _last_span(text: str) -> tuple[str, str] | None:
    """Return what stands before the code span that *text* ends with, and its content; None when it ends otherwise."""
    runs = list(_TICKS.finditer(text))
    if len(runs) < 2 or runs[-1].end() != len(text):
        return None
    close = runs[-1]
    for run in reversed(runs[:-1]):
        if len(run[0]) == len(close[0]):
            return text[: run.start()], _content(text[run.end() : close.start()])
    return None


def _parts(text: str) -> tuple[list[str], list[str]]:
    """Return the words between the code spans of *text*, in lower case, and the spans. One more word than spans."""
    words: list[str] = []
    spans: list[str] = []
    at = n = 0
    runs = list(_TICKS.finditer(text))
    while n < len(runs) and len(spans) < _MAX_SPANS:
        close = next((m for m in range(n + 1, len(runs)) if len(runs[m][0]) == len(runs[n][0])), 0)
        if close:
            words.append(text[at : runs[n].start()].strip().lower())
            spans.append(_content(text[runs[n].end() : runs[close].start()]))
            at = runs[close].end()
        n = max(n, close) + 1
    return [*words, text[at:].strip().lower()], spans


def _content(text: str) -> str:
    """One space at both ends only separates the content from the ticks."""
    padded = len(text) > 1 and text[0] == text[-1] == " " and text.strip(" ")
    return text[1:-1] if padded else text


def _span(text: str) -> str:
    ticks = "`" * (1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    pad = " " if text[:1] in "` " or text[-1:] in "` " else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


# --- what stands in them ----------------------------------------------------------------------------------------------


def _path(text: str, fault: Fault) -> str:
    path = PurePosixPath(text.strip())
    bad = path.is_absolute() or ".." in path.parts or not path.parts or text.strip().startswith("~")
    if bad or len(text) > MAX_PATH_CHARS or has_controls(text) or "\\" in text:
        raise fault("check_path_invalid", f"`{printable(text[:SHOWN])}` is no path in the work area", "a/file.txt")
    return str(path)


def _pattern(text: str, fault: Fault) -> str:
    try:
        if len(text) > MAX_CHARS or has_controls(text):
            raise ValueError("too long, or with a control character")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, ValueError, RecursionError, OverflowError, MemoryError) as error:
        shown = f"`{printable(text[:SHOWN])}` is no regular expression: {printable(str(error))}"
        raise fault("check_value_invalid", shown, "a regular expression of Python") from None
    return text


def _pointer(text: str, fault: Fault) -> str:
    if not text.startswith("/") or re.search(r"~(?![01])", text) or has_controls(text):
        shown = f"`{printable(text[:SHOWN])}` is no JSON pointer"
        raise fault("check_value_invalid", shown, "one such as `/version` or `/items/0/name`")
    return text


def _value(text: str, fault: Fault) -> str:
    try:
        json_value(text)
    except ValueError as error:
        shown = f"`{printable(text[:SHOWN])}` is no JSON: {printable(str(error))}"
        raise fault("check_value_invalid", shown, 'a JSON value; text stands in double quotes: `"text"`') from None
    return text


def json_value(text: str | bytes) -> Json:
    """Return the JSON value of *text*. Raises ValueError, and nothing else, for what is none."""

    def no_number(name: str) -> Json:
        raise ValueError(f"{name} is no JSON")

    try:
        value: Json = json.loads(text, parse_constant=no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def pointer_parts(pointer: str) -> tuple[str, ...]:
    """Return the keys that a JSON pointer (RFC 6901) goes through; none for the whole document."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


# --- and back ---------------------------------------------------------------------------------------------------------


def check_text(check: CheckSpec) -> str:
    """Return *check* as a criterion writes it: `pytest -q`, exists: `path` …"""
    match check.kind:
        case CheckKind.COMMAND:
            return _span(shlex.join(check.argv))
        case CheckKind.OUTPUT_MATCHES:
            return f"output: {_span(shlex.join(check.argv))} matches {_span(check.expected)}"
        case CheckKind.FILE_EXISTS:
            return f"exists: {_span(check.path)}"
        case CheckKind.FILE_CONTAINS:
            return f"contains: {_span(check.path)} {_span(check.expected)}"
        case CheckKind.JSON_EQUALS:
            pointer = f" {_span(check.pointer)}" if check.pointer else ""
            return f"json: {_span(check.path)}{pointer} equals {_span(check.expected)}"
        case CheckKind.HUMAN:
            return "(human)"


def criterion_text(words: str, check: CheckSpec | None = None, *, mandatory: bool = True) -> str:
    """Return the text that `read_check` reads back as *check*. *words* are left out where a form has no place for them.

    Raises ValueError when no text says it.
    """
    lead = "" if mandatory else "(optional) "
    if check is None:
        text = f"{lead}{words}"
    elif check.kind is CheckKind.HUMAN:
        text = f"{lead}(human) {words}"
    elif check.kind is CheckKind.COMMAND:
        text = f"{lead}{words}: {check_text(check)}"
    else:
        text = f"{lead}{check_text(check)}"
    try:
        same = read_check(text, placeless) == Reading(mandatory, check)
    except TaskFileError:
        same = False
    if not same or re.search(r"[\r\n]", text):
        raise ValueError("no line of a task file says this criterion")
    return text


def placeless(reason: str, message: str, expected: str) -> TaskFileError:
    """Return the error of a criterion that came by no file."""
    return TaskFileError(
        reason, message, field="Success Criteria", expected=expected, hint=TASK_FILE_REASONS[reason].hint
    )
