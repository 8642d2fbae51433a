"""The front matter of a task file: found, read and written.

Reading goes by YAML *events* alone: nothing is constructed, every scalar is the text that was written (`007`,
`no`, `2025-01-01` stay text), and whatever could hide, repeat or blow up a value is refused. The caps come
first: size before the first byte is scanned, depth and number of values while events arrive, so that deep
nesting reaches neither the C stack nor Python's.

python-frontmatter is the interface: `TaskFrontMatter` is a handler for it, so `frontmatter.loads(text,
handler=TaskFrontMatter())` and `frontmatter.dumps` read and write task files. Left to itself the library
returns no metadata, silently, for a file with a byte order mark, without a closing line, or with a list on top.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from frontmatter.default_handlers import BaseHandler

from orchestrator.core.errors import TaskFileError
from orchestrator.core.source import Line, Source, source_of
from orchestrator.core.task import FileLimits
from orchestrator.core.text import printable
from orchestrator.core.yaml_words import yaml_hint

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PREAMBLE_LINES = 3
_FENCE = re.compile(r"---[ \t]*\Z")
_END = re.compile(r"(?:---|\.\.\.)[ \t]*\Z")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*[ \t]*:(?:[ \t]|\Z)")
# YAML refuses these, or reads them as the end of a line where people see none (a place to hide a key)
_NO_YAML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_TEMPLATE_KEYS = frozenset({"id", "type", "priority", "created", "title", "agent", "cwd", "timeout_sec"})


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text. *plain*: written without quotes, so that `~` and `null` mean nothing was written."""

    text: str
    line: int
    column: int
    plain: bool = True

    @property
    def empty(self) -> bool:
        return not self.text.strip() or (self.plain and self.text in ("~", "null", "Null", "NULL"))


@dataclass(frozen=True, slots=True)
class Many:
    """A list."""

    items: tuple["Value", ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map, in the order written."""

    entries: tuple["Entry", ...]
    line: int
    column: int


Value = Scalar | Many | Mapping


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value`, with the place of the key."""

    key: str
    line: int
    column: int
    value: Value


@dataclass(frozen=True, slots=True)
class Split:
    """Offsets into the text: the front matter is `[front, front_end)`, the body begins at *body*.

    *front* is -1 when there is none. *skipped* counts comment lines before the first `---`.
    """

    front: int
    front_end: int
    body: int
    skipped: int = 0


def split_front_matter(source: Source, limits: FileLimits) -> Split:
    """Return where the front matter and the body are.

    Up to three lines, blank or comments, may stand before the first `---`; `---` or `...` ends it.
    Raises TaskFileError: front_matter_unterminated, _misplaced, _too_large, multiple_documents,
    directives_forbidden.
    """
    lines = source.lines
    opening = _opening(source, lines)
    if opening is None:
        return Split(-1, -1, 0)
    closing = next((n for n in range(opening + 1, len(lines)) if _END.match(lines[n].text)), None)
    if closing is None:
        message = f"the front matter that begins on line {opening + 1} is never closed"
        expected = "a line `---` after the last key"
        raise source.fault("front_matter_unterminated", message, line=opening + 1, column=1, expected=expected)
    front, end = lines[opening].end, lines[closing].start
    size = len(source.text[front:end].encode())
    if size > limits.front_matter_bytes:
        message = f"the front matter has {size:,} bytes"
        expected = f"at most {limits.front_matter_bytes:,} bytes"
        raise source.fault("front_matter_too_large", message, line=opening + 1, column=1, expected=expected)
    if directive := next((line for line in lines[opening:closing] if line.text.startswith("%")), None):
        raise _directive(source, directive)
    _check_single(source, lines[closing + 1 :])
    comments = sum(not line.blank for line in lines[:opening])
    return Split(front, end, lines[closing].end, comments)


def read_front_matter(source: Source, split: Split, limits: FileLimits) -> tuple[Entry, ...]:
    """Return the entries of the front matter in the order written.

    Raises TaskFileError: yaml_syntax, control_character, front_matter_not_a_mapping, too_deep, too_many_nodes,
    duplicate_key, non_string_key, anchors_forbidden, merge_key_forbidden, tags_forbidden, multiple_documents.
    """
    text = source.text[split.front : split.front_end]
    if bad := _NO_YAML.search(text):
        line, column = source.position(split.front + bad.start())
        message = f"the front matter holds the control character {printable(bad.group())}"
        raise source.fault("control_character", message, line=line, column=column)
    first, _ = source.position(split.front)
    reading = _Reading(source, split.front, limits, yaml.parse(text, Loader=Loader))
    try:
        return reading.document()
    except yaml.YAMLError as error:
        raise _syntax(source, split, error) from None
    except (ValueError, OverflowError, IndexError, RecursionError):  # what the pure-Python scanner also raises
        raise source.fault("yaml_syntax", "the front matter is not valid YAML", line=first, column=1) from None


class TaskFrontMatter(BaseHandler):
    """A handler for python-frontmatter that raises TaskFileError where the library would drop metadata."""

    FM_BOUNDARY = re.compile(r"^---[ \t]*$", re.MULTILINE)
    START_DELIMITER = END_DELIMITER = "---"

    def __init__(self, limits: FileLimits | None = None) -> None:
        super().__init__()
        self._limits = limits or FileLimits()

    def detect(self, text: str) -> bool:
        """Return whether *text* has front matter."""
        return split_front_matter(source_of(text.removeprefix("\ufeff")), self._limits).front >= 0

    def split(self, text: str) -> tuple[str, str]:
        """Return front matter and body. Raises ValueError, which the library takes for "no front matter"."""
        source = source_of(text.removeprefix("\ufeff"))
        parts = split_front_matter(source, self._limits)
        if parts.front < 0:
            raise ValueError("no front matter")
        return source.text[parts.front : parts.front_end], source.text[parts.body :]

    def load(self, fm: str) -> dict[str, Any]:
        """Return the front matter as texts, lists and dictionaries."""
        entries = read_front_matter(source_of(fm), Split(0, len(fm), len(fm)), self._limits)
        return {entry.key: _bare(entry.value) for entry in entries}

    def export(self, metadata: dict[str, object], **_: object) -> str:
        """Return *metadata* as YAML that this handler, and any other reader of YAML, reads back as the same texts."""
        return yaml.dump(
            metadata, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10**6
        ).strip()


class Moment(str):
    """A date and time in ISO form, written without quotes."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """SafeDumper with one more type."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # between double quotes the emitter escapes what it would otherwise write as the end of a line
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _unquoted(dumper: yaml.SafeDumper, moment: Moment) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:timestamp", str(moment))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Moment, _unquoted)


class _Reading:
    """One pass over the events of one front matter: holds the event stream open and counts."""

    def __init__(self, source: Source, offset: int, limits: FileLimits, events: Iterator[Any]) -> None:
        self._source = source
        self._offset = offset
        self._limits = limits
        self._events = events
        self._nodes = 0

    def document(self) -> tuple[Entry, ...]:
        top: Value | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1 or event.explicit:
                    raise self._fault("multiple_documents", "a second YAML document begins here", event)
            elif isinstance(event, yaml.NodeEvent):
                top = self._value(event, 1)
        if isinstance(top, Mapping) and top.entries:
            return top.entries
        what = {Scalar: "a single text", Many: "a list"}.get(type(top), "empty")
        line, column = (top.line, top.column) if top else self._source.position(self._offset)
        raise self._source.fault(
            "front_matter_not_a_mapping",
            f"the front matter is {what}",
            line=line,
            column=column,
            expected="lines `key: value`",
        )

    def _value(self, event: Any, depth: int) -> Value:
        self._check(event, depth)
        line, column = self._place(event)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, line, column, plain=bool(event.implicit[0]))
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Value] = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                items.append(self._value(inner, depth + 1))
            return Many(tuple(items), line, column)
        return Mapping(self._entries(depth), line, column)

    def _entries(self, depth: int) -> tuple[Entry, ...]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, depth)
            line, column = self._place(event)
            if earlier := entries.get(key):
                message = f"the key `{printable(key)}` stands on line {earlier.line} and on line {line}"
                raise self._fault("duplicate_key", message, event, field=printable(key))
            entries[key] = Entry(key, line, column, self._value(next(self._events), depth + 1))
        return tuple(entries.values())

    def _key(self, event: Any, depth: int) -> str:
        if isinstance(event, yaml.CollectionStartEvent):
            raise self._fault("non_string_key", "a key is a list or a map", event, expected="a word")
        self._check(event, depth)
        if event.value == "<<" and event.implicit[0]:
            raise self._fault("merge_key_forbidden", "the merge key `<<` is not allowed", event)
        return str(event.value)

    def _check(self, event: Any, depth: int) -> None:
        """Refuse what no value may be, in the order: anchor or alias, tag, depth, number."""
        if event.anchor is not None:
            what = "alias `*" if isinstance(event, yaml.AliasEvent) else "anchor `&"
            raise self._fault("anchors_forbidden", f"the {what}{printable(event.anchor)}` is not allowed", event)
        if event.tag is not None:
            raise self._fault("tags_forbidden", f"the tag `{printable(event.tag)}` is not allowed", event)
        if isinstance(event, yaml.CollectionStartEvent) and depth > self._limits.depth:
            expected = f"at most {self._limits.depth} levels"
            raise self._fault("too_deep", "lists and maps are nested too deeply", event, expected=expected)
        self._nodes += 1
        if self._nodes > self._limits.nodes:
            expected = f"at most {self._limits.nodes} keys and values"
            raise self._fault("too_many_nodes", "there are too many keys and values", event, expected=expected)

    def _place(self, event: Any) -> tuple[int, int]:
        # by offset: YAML counts other line ends than people do
        return self._source.position(self._offset + event.start_mark.index)

    def _fault(self, reason: str, message: str, event: Any, *, field: str = "", expected: str = "") -> TaskFileError:
        line, column = self._place(event)
        return self._source.fault(reason, message, line=line, column=column, field=field, expected=expected)


def _opening(source: Source, lines: Sequence[Line]) -> int | None:
    """Return the index of the line that opens the front matter, None when the file has none."""
    for index, line in enumerate(lines):
        if _FENCE.match(line.text):
            return _accepted_opening(source, lines, index)
        if line.text.startswith("%") and any(_FENCE.match(after.text) for after in lines[index : index + 4]):
            raise _directive(source, line)
        if not (line.blank or line.text.startswith(("#", "<!--"))):
            return None
    return None


def _directive(source: Source, line: Line) -> TaskFileError:
    message = f"line {line.number} is a YAML directive"
    return source.fault("directives_forbidden", message, line=line.number, column=1)


def _accepted_opening(source: Source, lines: Sequence[Line], index: int) -> int | None:
    comments = any(not line.blank for line in lines[:index])
    following = next((line.text for line in lines[index + 1 :] if not line.blank), "")
    if (comments or index > PREAMBLE_LINES) and not _KEY.match(following):
        return None  # a heading with a rule below it
    if index > PREAMBLE_LINES:
        message = f"the front matter begins on line {index + 1}"
        expected = f"`---` on line 1, after at most {PREAMBLE_LINES} blank or comment lines"
        raise source.fault("front_matter_misplaced", message, line=index + 1, column=1, expected=expected)
    return index


def _check_single(source: Source, lines: Sequence[Line]) -> None:
    """Raise multiple_documents when the body begins with a second block of keys up to another `---`."""
    keys = 0
    for line in lines:
        if line.blank or (not keys and _FENCE.match(line.text)):
            continue
        if keys and _END.match(line.text):
            message = "a second block of keys follows the front matter"
            raise source.fault("multiple_documents", message, line=line.number, column=1)
        if not (_KEY.match(line.text) and line.text.partition(":")[0].strip().lower() in _TEMPLATE_KEYS):
            return
        keys += 1


def _syntax(source: Source, split: Split, error: yaml.YAMLError) -> TaskFileError:
    mark = _mark(error)
    last = max(split.front, split.front_end - 1)
    line, column = source.position(min(split.front + (mark.index if mark else 0), last))
    problem = str(getattr(error, "problem", None) or error).split("\n", 1)[0]
    context = str(getattr(error, "context", None) or "")
    if "tag" in f"{problem} {context}":
        return source.fault("tags_forbidden", "a YAML tag is not allowed", line=line, column=column)
    text = source.lines[line - 1].text
    return source.fault(
        "yaml_syntax",
        f"it is not valid YAML: {printable(problem)}",
        line=line,
        column=column,
        field=key.group().rstrip(": \t") if (key := _KEY.match(text)) else "",
        hint=yaml_hint(text, problem, context),
    )


def _mark(error: yaml.YAMLError) -> Any:
    """Return where the mistake is: where something was opened that is never closed, else where it was noticed."""
    problem, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    doing, what = str(getattr(error, "context", "")), str(getattr(error, "problem", ""))
    opened = "simple key" in doing or "flow" in doing or "end of stream" in what
    return context if opened and context is not None else problem


def _bare(value: Value) -> Any:
    if isinstance(value, Scalar):
        return value.text
    if isinstance(value, Many):
        return [_bare(item) for item in value.items]
    return {entry.key: _bare(entry.value) for entry in value.entries}
