"""Which events a person is told of, and in which words. Pure: what is read for it is handed in.

A notice begins with the verdict, goes on with the first lines of the summary and ends with what to type. What is longer
goes with it as a document.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.notice import DOCUMENT_CHARS, TEXT_CHARS, Act, Button, Document, Notice, NoticeKind
from orchestrator.core.plan import EVERYTHING, SWITCHED_OFF
from orchestrator.core.report import next_commands, summary_text
from orchestrator.core.report_batch import batch_text
from orchestrator.core.task import Task
from orchestrator.core.text import printable

TOLD: Mapping[EventKind, NoticeKind] = {
    EventKind.QUESTION_ASKED: NoticeKind.NEEDS_YOU,
    EventKind.FAILED: NoticeKind.FAILED,
    EventKind.REJECTED: NoticeKind.FAILED,
    EventKind.SUCCEEDED: NoticeKind.SUCCEEDED,
    EventKind.AGENT_HELD: NoticeKind.LIMITED,  # or needs_you: see kind_of
    EventKind.INTAKE_PAUSED: NoticeKind.NEEDS_YOU,
    EventKind.HELD: NoticeKind.NEEDS_YOU,  # by a hook; not by a person
}
OF_AN_END = frozenset({EventKind.FAILED, EventKind.SUCCEEDED})  # those that need the result of the task
_BY_A_PERSON = frozenset({"paused", SWITCHED_OFF})
_HELD_BY = frozenset({"auth", "billing", "agent_missing", "agent_outdated", "agent_untrusted", "start_refused"})
_LINES = 14
_TITLE_CHARS = 150
_BUTTON_CHARS = 40
_BUTTONS = 6
_LISTED = 15


def kind_of(event: Event) -> NoticeKind | None:
    """Return what kind of notice *event* is, None where nobody is told of it.

    A hold needs a person where it has no end, or where it is about the login or the program; by a person it is none.
    """
    kind = TOLD.get(event.kind)
    if event.kind is EventKind.HELD and not event.data.get("hook"):
        return None
    if kind is NoticeKind.LIMITED:
        if event.data.get("reason") in _BY_A_PERSON:
            return None
        if not event.data.get("until") or event.data.get("reason") in _HELD_BY:
            return NoticeKind.NEEDS_YOU
    return kind


def is_past(event: Event, task: Task | None) -> bool:
    """Return whether what *event* says is over by now: a question that has been answered needs nobody."""
    if event.kind is not EventKind.QUESTION_ASKED or task is None:
        return False
    return task.state is not State.NEEDS_INPUT or task.attempt != event.attempt


def notice_from(
    event: Event, kind: NoticeKind, task: Task | None, result: Mapping[str, Json] | None, command: str
) -> Notice:
    """Return the notice of *event*, which is told as *kind*. *result* is that of the task, where the task has ended.

    *command* is what to type to reach the root.
    """
    if task is not None and result is not None:
        return _of_end(event, kind, task, result, command)
    if event.kind is EventKind.QUESTION_ASKED and task is not None:
        return _of_question(event, kind, task, command)
    if event.kind is EventKind.REJECTED:
        return _of_refusal(event, kind, task, command)
    if event.kind is EventKind.AGENT_HELD:
        return _of_hold(event, kind, command)
    if event.kind is EventKind.HELD and task is not None:
        return _of_held(event, kind, task, command)
    return bare(event, kind, task, command)


def bare(event: Event, kind: NoticeKind, task: Task | None, command: str) -> Notice:
    """Return a notice that says no more than that *event* happened, and why."""
    words = event.kind.value.replace("_", " ")
    title = f"{task.name or task.spec.id}: {words}" if task else words.capitalize()
    why = ": ".join(str(event.data[key]) for key in ("reason", "detail") if event.data.get(key))
    return _notice(event, kind, title, why, (f"{command} status",), task=task)


def of_batch(report: Mapping[str, Json], seq: int, ts: float, command: str) -> Notice:
    """Return the notice of a batch that has ended: *report* as `validation.batch` builds it, *seq* its last end."""
    text = batch_text(report, command)
    first = next((line for line in text.splitlines() if line.startswith("**")), "").replace("**", "")
    rows = [
        f"{name} - {row.get('name')}{': ' + str(row['reason']) if row.get('reason') else ''}"
        for name in ("failed", "unproven", "rejected", "proven")
        for row in _rows(report.get(name))
    ]
    more = [f"... and {len(rows) - _LISTED} more"] if len(rows) > _LISTED else []
    lines = [first, *rows[:_LISTED], *more]
    typed = tuple(f"{command} {words}" for words in _strings(report.get("next"))[:_LISTED]) or (f"{command} report",)
    return Notice(
        key=f"{NoticeKind.BATCH_FINISHED.value}:{seq}",
        kind=NoticeKind.BATCH_FINISHED,
        title=_line(f"Batch finished: {first}"),
        text=_text("\n".join(lines[1:])),
        ts=ts,
        commands=tuple(map(_line, typed)),
        document=_document("report.md", text),
    )


def together(notices: Sequence[Notice], command: str) -> Notice:
    """Return one notice that tells all of *notices*, oldest first; at least one. What needs a person stands first."""
    ordered = sorted(notices, key=lambda one: one.kind is not NoticeKind.NEEDS_YOU)
    counted = [(kind, sum(1 for one in ordered if one.kind is kind)) for kind in NoticeKind]
    said = ", ".join(f"{count} {kind.value.replace('_', ' ')}" for kind, count in counted if count)
    more = [f"... and {len(ordered) - _LISTED} more: see the document"] if len(ordered) > _LISTED else []
    needed = [line for one in ordered if one.kind is NoticeKind.NEEDS_YOU for line in one.commands[:1]][:_BUTTONS]
    return Notice(
        key=f"together:{ordered[0].key}",
        kind=ordered[0].kind,
        title=_line(f"{len(ordered)} notices: {said}"),
        text=_text("\n".join([*(one.title for one in ordered[:_LISTED]), *more])),
        ts=max(one.ts for one in ordered),
        commands=(*needed, f"{command} report", f"{command} status"),
        document=_document("notices.txt", "\n".join(plain(one) for one in ordered)),
    )


def plain(notice: Notice) -> str:
    """Return all of *notice* but its document as plain text, ending in a newline."""
    typed = [f"  {line}" for line in notice.commands]
    return "\n".join([notice.title, *([notice.text] if notice.text else []), *typed]) + "\n"


def _of_end(event: Event, kind: NoticeKind, task: Task, result: Mapping[str, Json], command: str) -> Notice:
    summary = summary_text(result, command)
    title, _, *lines = summary.splitlines()
    lines = lines[: lines.index("Next")] if "Next" in lines else lines
    shown = "\n".join(lines[:_LINES]).strip()
    whole = "\n".join(lines).strip()
    document = None if shown == whole and len(shown) <= TEXT_CHARS else _document(f"{task.name}_summary.txt", summary)
    work = result.get("work")
    kept = isinstance(work, Mapping) and bool(work.get("head"))
    buttons: list[Button] = []
    if result.get("status") == "succeeded":
        if isinstance(work, Mapping) and work.get("delivered") is True and work.get("branch"):
            buttons = [Button(Act.MERGE, "Merge"), Button(Act.DISCARD, "Discard")]
    else:
        accept = [Button(Act.ACCEPT, "Accept")] if result.get("reason") == "unproven" else []
        buttons = [*accept, Button(Act.RETRY, "Retry"), *([Button(Act.DISCARD, "Discard")] if accept and kept else [])]
    return _notice(event, kind, title, shown, next_commands(result, command), buttons, document, task)


def _of_question(event: Event, kind: NoticeKind, task: Task, command: str) -> Notice:
    name, question = _line(task.name or task.spec.id), str(event.data.get("question", ""))
    options = [_line(one) for one in _strings(event.data.get("options"))]
    buttons = [Button(Act.ANSWER, one[:_BUTTON_CHARS], one) for one in options[:_BUTTONS]]
    listed = [f"- {one}" for one in options]
    text = "\n".join([question, *listed, *_without_an_answer(event.data)])
    document = _document(f"{name}.question.txt", question) if len(text) > TEXT_CHARS else None
    typed = (f"{command} answer {name} '{_quoted(options[0] if options else 'TEXT')}'", f"{command} cancel {name}")
    title = f"{name}: asks - {question.strip().splitlines()[0] if question.strip() else 'a question'}"
    return _notice(event, kind, title, text, typed, [*buttons, Button(Act.CANCEL, "Cancel")], document, task)


def _without_an_answer(data: Mapping[str, Json]) -> list[str]:
    """What follows when nobody answers, where that is not to wait for ever."""
    until, rule = data.get("deadline"), str(data.get("if_unanswered") or "")
    if not isinstance(until, (int, float)) or until <= 0:
        return []
    default = rule.removeprefix("default:").strip() if rule.startswith("default:") else ""
    then = f"it goes on with: {default}" if default else "it fails"
    return [f"Without an answer until {datetime.fromtimestamp(until, tz=UTC):%Y-%m-%d %H:%M} UTC {then}"]


def _of_held(event: Event, kind: NoticeKind, task: Task, command: str) -> Notice:
    name = _line(task.name or task.spec.id)
    text = "\n".join(str(event.data[key]) for key in ("detail", "hint") if event.data.get(key))
    typed = (f"{command} resume {task.uid[-8:]}", f"{command} cancel {task.uid[-8:]}")
    button = Button(Act.RESUME, "Resume", task.uid)
    return _notice(event, kind, f"{name}: held before it started", text, typed, [button], task=task)


def _of_refusal(event: Event, kind: NoticeKind, task: Task | None, command: str) -> Notice:
    error = event.data.get("error")
    told: Mapping[str, Json] = error if isinstance(error, Mapping) else {}
    name = str(told.get("file") or (task.file_name if task else "") or "a file")
    place = f" (line {told['line']})" if told.get("line") else ""
    lines = [f"{event.data.get('detail', '')}{place}", str(told.get("hint") or "")]
    title = f"{name}: REFUSED - {event.data.get('reason', '')}"
    return _notice(event, kind, title, "\n".join(lines), (f"{command} status",), task=task)


def _of_hold(event: Event, kind: NoticeKind, command: str) -> Notice:
    scope, reason = str(event.data.get("agent", EVERYTHING)), str(event.data.get("reason", ""))
    what = "The whole queue" if scope == EVERYTHING else scope
    detail, hint = str(event.data.get("detail") or ""), str(event.data.get("hint") or "")
    resume = f"{command} resume" if scope == EVERYTHING else f"{command} resume {_line(scope)}"
    goes_on = "Nothing is started until you say so." if kind is NoticeKind.NEEDS_YOU else "It goes on by itself."
    text = "\n".join(line for line in (detail, hint.replace("python main.py", command), goes_on) if line)
    button = Button(Act.RESUME, "Resume", scope)
    return _notice(event, kind, f"{what} is held: {reason}", text, (f"{command} status", resume), [button])


def _notice(
    event: Event,
    kind: NoticeKind,
    title: str,
    text: str,
    commands: Sequence[str],
    buttons: Sequence[Button] = (),
    document: Document | None = None,
    task: Task | None = None,
) -> Notice:
    return Notice(
        key=f"{event.kind.value}:{event.seq}",
        kind=kind,
        title=_line(title),
        text=_text(text),
        ts=event.ts,
        commands=tuple(commands),
        buttons=tuple(buttons),
        document=document,
        uid=task.uid if task else TaskUid(""),
        name=_line(task.name or task.spec.id) if task else "",
    )


def _document(name: str, text: str) -> Document:
    lines = (printable(line.expandtabs(2)) for line in text[:DOCUMENT_CHARS].split("\n"))
    return Document(name, "\n".join(lines))


def _line(text: str) -> str:
    line = printable(re.sub(r"\s+", " ", text)).strip()
    return line if len(line) <= _TITLE_CHARS else line[: _TITLE_CHARS - 1] + "…"


def _text(text: str) -> str:
    lines = [printable(line.rstrip().expandtabs(2)) for line in text.strip().split("\n")]
    joined = "\n".join(lines)
    return joined if len(joined) <= TEXT_CHARS else joined[: TEXT_CHARS - 1] + "…"


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")


def _rows(value: Json) -> list[Mapping[str, Json]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []


def _strings(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []
