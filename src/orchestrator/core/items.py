"""The lists of a task file, line by line: target files and success criteria."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from orchestrator.core.argv import Fault
from orchestrator.core.criteria import read_check
from orchestrator.core.errors import TaskFileError
from orchestrator.core.paths import MAX_CHARS, resolve
from orchestrator.core.sections import Section
from orchestrator.core.source import Source
from orchestrator.core.task import Criterion, FileLimits, Notice
from orchestrator.core.text import has_controls, printable

_ITEM = re.compile(r"(?P<indent>[ \t]*)(?:[-*+]|\d{1,9}[.)])(?:[ \t]+(?P<text>.*)|)\Z")
_BOX = re.compile(r"\[(?P<tick>[ xX]?)\](?:[ \t]+(?P<text>.*)|)\Z")
_DESCRIBED = re.compile(r"(?<=[ \t])(?:-{1,2}|[–—#])[ \t]")
_LINK = re.compile(r"\[[^\[\]]*\]\((?P<path>[^()]*)\)")
_NOTHING = frozenset({"none", "n/a", "(none)", "-"})


@dataclass(frozen=True, slots=True)
class _Item:
    """One entry of a list: *marked* when it stands behind a list marker."""

    text: str
    line: int
    indent: int
    marked: bool


def read_targets(
    source: Source, section: Section, *, base: str, root: str, limits: FileLimits
) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
    """Return the target files as written, and what is worth a warning.

    Raises TaskFileError: too_many_targets, target_invalid, target_outside_root; their field is
    `Target Files[n]`, n from 1.
    """
    paths: list[str] = []
    notices: list[Notice] = []
    for item in _items(section):
        written = [item.text] if item.marked else item.text.split(",")
        for text in (part.strip() for part in written):
            if not text or text.lower() in _NOTHING:
                continue
            path, described = _path(text)
            field = f"{section.name}[{len(paths) + 1}]"
            _check_target(source, path, item.line, field, base=base, root=root)
            paths.append(path)
            if described:
                notices.append(Notice("target_description", f"{printable(path)} is the path", item.line, 0, field))
        if len(paths) > limits.list_entries:
            raise source.fault(
                "too_many_targets",
                f"there are more than {limits.list_entries} target files",
                line=item.line,
                field=section.name,
                expected=f"at most {limits.list_entries}",
            )
    return tuple(paths), tuple(notices)


def read_criteria(
    source: Source, section: Section, limits: FileLimits, *, allow_commands: bool = True
) -> tuple[tuple[Criterion, ...], tuple[Notice, ...]]:
    """Return the success criteria; a line without a marker goes on with the one above it.

    Raises TaskFileError: too_many_criteria; for a check what `read_check` raises, and check_not_allowed unless
    *allow_commands*; their field is `Success Criteria[n]`, n from 1.
    """
    found: list[Criterion] = []
    notices: list[Notice] = []
    for item in _items(section):
        box = _BOX.match(item.text)
        text = (box.group("text") or "").strip() if box else item.text
        goes_on = bool(found) and not box and (item.indent >= 2 or not item.marked)
        if goes_on:
            found[-1] = replace(found[-1], text=f"{found[-1].text} {text}".strip())
        elif text:
            found.append(Criterion(text, ticked=bool(box and box.group("tick") in ("x", "X")), line=item.line))
        else:
            notices.append(Notice("empty_criterion", "a criterion has no text", item.line, 0, section.name))
        if len(found) > limits.list_entries:
            raise source.fault(
                "too_many_criteria",
                f"there are more than {limits.list_entries} success criteria",
                line=item.line,
                field=section.name,
                expected=f"at most {limits.list_entries}",
            )
    checked = [
        _checked(source, criterion, f"{section.name}[{n}]", notices, allow_commands=allow_commands)
        for n, criterion in enumerate(found, 1)
    ]
    return tuple(checked), tuple(notices)


def _checked(
    source: Source, criterion: Criterion, field: str, notices: list[Notice], *, allow_commands: bool
) -> Criterion:
    """Return *criterion* with the check that its text names."""
    fault = _fault_at(source, criterion.line, field)
    reading = read_check(criterion.text, fault)
    if reading.notice:
        notices.append(Notice("criterion_in_words", reading.notice, criterion.line, 0, field))
    if reading.check is not None and reading.check.argv and not allow_commands:
        raise fault("check_not_allowed", "a criterion brings a command to run", "criteria in words, or checks of files")
    return replace(criterion, check=reading.check, mandatory=reading.mandatory)


def _fault_at(source: Source, line: int, field: str) -> Fault:
    def fault(reason: str, message: str, expected: str) -> TaskFileError:
        return source.fault(reason, message, line=line, field=field, expected=expected)

    return fault


def target_line(path: str) -> str:
    """Return the list item that `read_targets` reads back as *path*. Raises ValueError when there is none."""
    if _path(path) == (path, False) and path.lower() not in _NOTHING and not _BOX.match(path):
        line = f"- {path}"
    else:
        ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", path)), default=0))
        pad = " " if path.startswith("`") or path.endswith("`") else ""
        line = f"- {ticks}{pad}{path}{pad}{ticks}"
    if not path or re.search(r"[\r\n]", path) or _path(line[2:].strip()) != (path, False):
        raise ValueError(f"no line of a task file names {printable(path)}")
    return line


def criterion_line(criterion: Criterion) -> str:
    """Return the list item that `read_criteria` reads back as *criterion*."""
    return f"- [{'x' if criterion.ticked else ' '}] {criterion.text}"


def _items(section: Section) -> Iterator[_Item]:
    """Yield the filled lines of a section, without HTML comments and the marks of code fences."""
    comment = False
    for number, line in enumerate(re.split(r"\r\n|\r|\n", section.text), section.text_line):
        text = line.strip()
        comment = comment or text.startswith("<!--")
        if comment or not text or text.startswith(("```", "~~~")):
            comment = comment and "-->" not in text
            continue
        if item := _ITEM.match(line):
            indent = len(item.group("indent").expandtabs(4))
            yield _Item((item.group("text") or "").strip(), number, indent, marked=True)
        else:
            yield _Item(text, number, 0, marked=False)


def _path(text: str) -> tuple[str, bool]:
    """Return the path that an entry names, and whether more words stand behind it."""
    if text.startswith("`"):
        ticks = len(text) - len(text.lstrip("`"))
        end = text.find("`" * ticks, ticks)
        if end > 0 and text[end + ticks : end + ticks + 1] != "`":
            return text[ticks:end].strip(), bool(text[end + ticks :].strip())
    if link := _LINK.match(text):
        return link.group("path").strip(), link.end() < len(text)
    described = _DESCRIBED.search(text)
    return (text[: described.start()].rstrip(), True) if described else (text, False)


def _check_target(source: Source, path: str, line: int, field: str, *, base: str, root: str) -> None:
    if not path or len(path) > MAX_CHARS or has_controls(path):
        raise source.fault("target_invalid", "a target file is not a path", line=line, field=field)
    if resolve(path, base=base, root=root) is None:
        message = f"the target file {printable(path)} does not lie under {printable(root or base)}"
        raise source.fault("target_outside_root", message, line=line, field=field, expected="a path under that folder")
