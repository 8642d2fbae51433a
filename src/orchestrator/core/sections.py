"""The body of a task file: its title and sections, by one pass over its lines.

A section opens with a bold label (`**Prompt:**`, the text may follow on the same line) or a heading
(`## Prompt`). What stands in a code fence, an HTML comment, a block quote, a list item or behind four spaces
is text, by CommonMark's rules for these blocks. Nothing here looks at a line more than once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core.source import Line, Source

_FENCE = re.compile(r"(?P<fence>`{3,}(?=[^`]*\Z)|~{3,})")
_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?=[ \t]|\Z)")
_HEADING = re.compile(r"(?P<level>#{1,6})(?:[ \t]+(?P<text>.*))?\Z")
_UNDERLINE = re.compile(r" {0,3}=+[ \t]*\Z")
TAB_STOP = 4
MAX_ITEM_DEPTH = 16  # a line that opens more list items than this is not worth understanding


class SectionName(StrEnum):
    """The sections a task file may have, as they are written."""

    TARGETS = "Target Files"
    PROMPT = "Prompt"
    CRITERIA = "Success Criteria"
    CONTEXT = "Context"


_NAMES = {name.lower(): name for name in SectionName} | {"target file": SectionName.TARGETS}


@dataclass(frozen=True, slots=True)
class Section:
    """One section: *line* is that of its label, *text* the verbatim slice without blank lines around it,
    *text_line* the line on which that begins."""

    name: SectionName
    line: int
    text: str
    text_line: int


@dataclass(frozen=True, slots=True)
class Body:
    """What was found. *title* is the heading as written, on *title_line* (0: none).

    *free* is the text before the first section without the title, from *free_line* on. *open_line* is the line
    of a fence or comment that is never closed, else 0.
    """

    title: str
    title_line: int
    free: str
    free_line: int
    sections: Sequence[Section]
    open_line: int = 0

    def section(self, name: SectionName) -> Section | None:
        return next((section for section in self.sections if section.name is name), None)


def read_body(source: Source, start: int) -> Body:
    """Return title and sections of the text from offset *start* on.

    Raises TaskFileError: duplicate_section.
    """
    lines = source.lines_from(start)
    blocks = Blocks()
    labels: list[tuple[SectionName, str, int]] = []  # name, text on the label's line, index of the line
    for index, line in enumerate(lines):
        if blocks.is_text(line):
            continue
        if label := section_label(line.text):
            labels.append((*label, index))
    _refuse_twice(source, lines, labels)
    before = lines[: labels[0][2]] if labels else lines
    title, title_line, rest = _title(before)
    free, free_line = _slice(source, rest)
    ends = [*(index for _, _, index in labels), len(lines)][1:]
    sections = [
        _section(source, name, inline, lines[index:end])
        for (name, inline, index), end in zip(labels, ends, strict=True)
    ]
    return Body(title, title_line, free, free_line, sections, blocks.open_line)


@dataclass(slots=True)
class Blocks:
    """Which blocks are open at the line being read: list items by the column of their content, a fence, a comment."""

    items: list[int] = field(default_factory=list)
    fence: str = ""
    comment: bool = False
    open_line: int = 0

    def is_text(self, line: Line) -> bool:
        """Take in *line*; return whether it is inside a block, so that it opens no section."""
        if self.comment:
            self._close(comment="-->" not in line.text)
            return True
        if not self.fence and line.text[:1].isalpha():  # most lines: a paragraph in the first column
            self.items.clear()
            self.open_line = 0
            return True
        indent, rest = _indent(line.text, 0)
        if not rest:
            return True
        while self.items and indent < self.items[-1]:
            self.items.pop()
            self.fence = ""  # a fence ends with the item it is in
        if not self.fence:
            self.open_line = 0
        return self._inside(line, indent, rest)

    def _inside(self, line: Line, indent: int, rest: str) -> bool:
        within = self.items[-1] if self.items else 0
        if self.fence:
            if indent - within < TAB_STOP and _closes(self.fence, rest):
                self._close(comment=False)
            return True
        while len(self.items) < MAX_ITEM_DEPTH and indent - within < TAB_STOP and (item := _opens_item(rest)):
            after, rest = _indent(rest[item.end() :], indent + item.end())
            within = after if rest and after - indent - item.end() <= TAB_STOP else indent + item.end() + 1
            self.items.append(within)
            indent = after
        if indent - within >= TAB_STOP:
            return True
        if opening := _FENCE.match(rest):
            self.fence, self.open_line = opening.group("fence"), line.number
        elif rest.startswith("<!--") and "-->" not in rest:
            self.comment, self.open_line = True, line.number
        return bool(self.items or self.fence or self.comment)

    def _close(self, *, comment: bool) -> None:
        self.fence, self.comment = "", comment
        self.open_line = self.open_line if comment else 0


def section_label(text: str) -> tuple[SectionName, str] | None:
    """Return the section that a line opens and the text behind the label, None for any other line."""
    indent, rest = _indent(text, 0)
    if indent >= TAB_STOP or rest[:1] not in ("*", "_", "#"):
        return None
    if heading := _HEADING.match(rest):
        return _heading_label(len(heading.group("level")), heading_text(heading.group("text") or ""))
    return _bold_label(rest)


def heading_text(text: str) -> str:
    """Return what a heading says: without the closing row of `#`."""
    bare = text.strip()
    closed = bare.rstrip("#")
    return closed.rstrip() if closed != bare and (not closed or closed[-1] in " \t") else bare


def leaves_block_open(text: str) -> bool:
    """Return whether a fence or comment that begins in *text* would swallow what is written below it."""
    blocks = Blocks()
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        blocks.is_text(Line(line, number, 0, 0))
    return blocks.comment or (bool(blocks.fence) and not blocks.items)


def _heading_label(level: int, text: str) -> tuple[SectionName, str] | None:
    if text[:2] in ("**", "__"):
        return _bold_label(text)
    name, colon, inline = text.partition(":")
    known = _known(name)
    if known is None or (inline.strip() and level == 1):
        return None  # `# Context: the new module` is a title
    return known, inline.strip() if colon else ""


def _bold_label(text: str) -> tuple[SectionName, str] | None:
    mark = text[:2]
    if mark not in ("**", "__") or (end := text.find(mark, 2)) < 0 or end > 60:
        return None
    inner, after = text[2:end].strip(), text[end + 2 :].strip()
    colon = inner.endswith(":") or after.startswith(":")
    known = _known(inner.removesuffix(":"))
    inline = after if inner.endswith(":") else after.removeprefix(":").strip()
    if known is None or (inline and not colon):
        return None  # a sentence that begins with a bold word
    return known, inline


def _known(name: str) -> SectionName | None:
    return _NAMES.get(" ".join(name[:60].split()).lower())


def _closes(fence: str, rest: str) -> bool:
    bare = rest.rstrip(" \t")
    return len(bare) >= len(fence) and not bare.strip(fence[0])


def _opens_item(rest: str) -> re.Match[str] | None:
    """Return the marker of a list item; `* * *` and the like are a rule across the page."""
    marks = rest.replace(" ", "").replace("\t", "")
    rule = len(marks) >= 3 and marks[0] in "*-_" and not marks.strip(marks[0])
    return None if rule else _ITEM.match(rest)


def _indent(text: str, column: int) -> tuple[int, str]:
    """Return the column at which *text* begins when its first character stands in *column*, and that rest."""
    for index, char in enumerate(text):
        if char == " ":
            column += 1
        elif char == "\t":
            column += TAB_STOP - column % TAB_STOP
        else:
            return column, text[index:]
    return column, ""


def _refuse_twice(source: Source, lines: Sequence[Line], labels: list[tuple[SectionName, str, int]]) -> None:
    seen: dict[SectionName, int] = {}
    for name, _, index in labels:
        line = lines[index].number
        if name in seen:
            message = f"the section {name} begins on line {seen[name]} and again on line {line}"
            raise source.fault("duplicate_section", message, line=line, column=1, field=name)
        seen[name] = line


def _title(lines: Sequence[Line]) -> tuple[str, int, Sequence[Line]]:
    """Return the heading of level 1 that begins *lines*, its line (0 for none) and the lines behind it."""
    first = next((index for index, line in enumerate(lines) if not line.blank), len(lines))
    if first == len(lines):
        return "", 0, ()
    line = lines[first]
    indent, rest = _indent(line.text, 0)
    heading = _HEADING.match(rest) if indent < TAB_STOP else None
    if heading and heading.group("level") == "#":
        return heading_text(heading.group("text") or ""), line.number, lines[first + 1 :]
    below = lines[first + 1].text if first + 1 < len(lines) else ""
    if indent < TAB_STOP and _UNDERLINE.match(below) and rest[0] not in "#>-+*`~<=":
        return rest.strip(), line.number, lines[first + 2 :]
    return "", 0, lines[first:]


def _section(source: Source, name: SectionName, inline: str, lines: Sequence[Line]) -> Section:
    label = lines[0]
    if inline:
        begin = label.start + label.text.rindex(inline)
        return Section(name, label.number, source.text[begin : lines[-1].end].rstrip(), label.number)
    text, line = _slice(source, lines[1:])
    return Section(name, label.number, text, line or label.number)


def _slice(source: Source, lines: Sequence[Line]) -> tuple[str, int]:
    """Return the text of *lines* without blank lines around it and the line it begins on (0: there is none)."""
    filled = next((line for line in lines if not line.blank), None)
    if filled is None:
        return "", 0
    return source.text[filled.start : lines[-1].end].rstrip(), filled.number
