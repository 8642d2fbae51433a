"""What becomes of a file that was read: the task, or the refusal with everything its author needs to mend it.

Pure decisions of facts; the intake carries them out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.fields import ALIASES
from orchestrator.core.lifecycle import ACTIVE, PENDING, State
from orchestrator.core.ports import FileBytes, InboxEntry, NewTask, TargetFact
from orchestrator.core.source import line_of_key, source_of
from orchestrator.core.task import Notice, Priority, Task, TaskRules, TaskSpec
from orchestrator.core.text import printable, slug
from orchestrator.engine.times import revised_times, timed


def digest(body: bytes) -> str:
    """Return the SHA-256 of *body* in hex."""
    return hashlib.sha256(body).hexdigest()


def base_of(spec: TaskSpec, rules: TaskRules) -> str:
    """Return the absolute folder that the target files of *spec* are relative to."""
    return str(PurePosixPath(rules.base_cwd) / spec.cwd)


def with_facts(spec: TaskSpec, read: FileBytes, targets: Sequence[TargetFact]) -> TaskSpec:
    """Return *spec* with the notices that only a look at the disk gives.

    *targets* has one fact for each target file. Raises TaskFileError target_symlink_escape.
    """
    notices: list[Notice] = []
    for number, (target, fact) in enumerate(zip(spec.target_files, targets, strict=True), start=1):
        field = f"Target Files[{number}]"
        if not fact.inside:
            raise TaskFileError(
                "target_symlink_escape",
                f"{printable(target)} leads outside the allowed root by a link",
                field=field,
                expected="a path whose real place is under the allowed root",
                hint="Name the file itself, or have the allowed root widened in the configuration.",
                excerpt=printable(target),
            )
        if not fact.exists:
            notices.append(Notice("target_missing", f"{printable(target)} does not exist", field=field))
    if read.links > 1:
        text = f"the file has {read.links} names; its content was copied, the other names stay as they are"
        notices.append(Notice("multiple_links", text))
    return replace(spec, notices=(*spec.notices, *notices)) if notices else spec


def with_place(error: TaskFileError, read: FileBytes) -> TaskFileError:
    """Return *error*, which was found among tasks and knows no line, with the line of its field in *read*."""
    source = source_of(read.body.decode("utf-8", "replace"))
    if error.line or not (
        line := line_of_key(source, error.field, *(k for k, v in ALIASES.items() if v == error.field))
    ):
        return error
    return TaskFileError(
        error.reason,
        error.message,
        file=error.file or read.entry.file_name,
        line=line,
        field=error.field,
        expected=error.expected,
        hint=error.hint,
        excerpt=printable(source.lines[line - 1].text[:200].strip()),
    )


def among(spec: TaskSpec, sha256: str, others: Sequence[Task]) -> TaskUid | None:
    """Return the task of the same id that this one has to wait behind, None if there is none.

    *others* have the same id but for case, newest first. Raises TaskFileError id_conflict or duplicate_content.
    """
    open_ones = [task for task in others if task.state in ACTIVE or task.state in PENDING]
    # a template keeps nobody waiting, unless it is held: it is its runs that keep their order
    ahead = [task for task in open_ones if not task.spec.schedule or task.state is State.HELD]
    for task in open_ones:
        if task.spec.id != spec.id:
            raise TaskFileError(
                "id_conflict",
                f"the id {spec.id} differs only in case from {task.spec.id}, which is {task.state}",
                field="id",
                hint="Choose another id, or write it as the other task does to run after it.",
                excerpt=spec.id,
            )
    done = next((task for task in others if task.state is State.SUCCEEDED and task.sha256 == sha256), None)
    if done is not None and done.spec.id == spec.id and not spec.rerun and not spec.schedule:
        raise TaskFileError(
            "duplicate_content",
            f"exactly this file was done as {done.name} (task {done.uid})",
            field="id",
            hint="Its result is kept. To do it once more, add `rerun: true` to the front matter.",
        )
    return ahead[0].uid if ahead else None


def accepted(
    spec: TaskSpec, read: FileBytes, sha256: str, *, uid: TaskUid, ts: float, behind: TaskUid | None
) -> NewTask:
    """Return the task that *read*, whose digest is *sha256*, becomes: queued, or a template when it has a schedule."""
    name = read.entry.file_name
    events = [_received(name, read.body, sha256, uid, ts), Event(EventKind.PARSED, ts, uid, data=_parsed(spec))]
    if behind is not None:
        events.append(Event(EventKind.DUPLICATE_ID, ts, uid, data={"id": spec.id, "behind": behind}))
    task = Task(
        uid=uid,
        name=slug(name),
        spec=spec,
        sha256=sha256,
        created_ts=ts,
        file_name=name,
        stamp=read.entry.stamp,
    )
    return timed(NewTask(task=task, body=read.body, events=events), ts)


def refused(error: TaskFileError, entry: InboxEntry, body: bytes | None, *, uid: TaskUid, ts: float) -> NewTask:
    """Return the task, ended before it began, that stands for a file that is refused; *body* None: never read."""
    name = entry.file_name
    sha256 = "" if body is None else digest(body)
    spec = TaskSpec(id=slug(name), type="", priority=Priority.MEDIUM, title="", prompt="")
    task = Task(
        uid=uid,
        name=slug(name),
        spec=spec,
        sha256=sha256,
        created_ts=ts,
        file_name=name,
        stamp=entry.stamp,
        state=State.REJECTED,
        reason=error.reason,
        detail=error.message,
        ended_ts=ts,
    )
    events = [_received(name, body or b"", sha256, uid, ts), rejection(error, name, sha256, uid=uid, ts=ts)]
    return NewTask(task=task, body=body or b"", events=events)


def rejection(error: TaskFileError, file_name: str, sha256: str, *, uid: TaskUid, ts: float) -> Event:
    """Return the event task_rejected; its `error` is also what lies beside the file as JSON."""
    record = error_record(error, file_name, sha256, uid)
    data: dict[str, Json] = {"reason": error.reason, "detail": error.message, "error": record}
    return Event(EventKind.REJECTED, ts, uid, data=data)


def error_record(error: TaskFileError, file_name: str, sha256: str, uid: TaskUid) -> Mapping[str, Json]:
    """Return the content of `<name>.error.json`. *sha256* is "" for a file that could not be read."""
    return {
        "code": error.reason,
        "message": error.message,
        "file": printable(file_name),
        "line": error.line,
        "column": error.column,
        "field": error.field,
        "expected": error.expected,
        "hint": error.hint,
        "excerpt": error.excerpt,
        "sha256": sha256,
        "uid": uid,
    }


def revised(task: Task, spec: TaskSpec, read: FileBytes, *, ts: float) -> tuple[Task, Event, Sequence[Event]]:
    """Return a queued task as its edited file wants it, the event task_updated, and what follows it."""
    sha256 = digest(read.body)
    data: dict[str, Json] = {**_parsed(spec), "sha256": sha256, "before": task.sha256, "bytes": len(read.body)}
    edited = replace(task, spec=spec, sha256=sha256, stamp=read.entry.stamp)
    after, then = revised_times(task, edited, ts)
    return after, Event(EventKind.UPDATED, ts, task.uid, data=data), then


def empty_file(file_name: str) -> TaskFileError:
    return TaskFileError(
        "empty_file",
        "the file is empty",
        file=printable(file_name),
        hint="Write what should be done, and save it in tasks/ again.",
    )


def incomplete_file(file_name: str, waited_s: float) -> TaskFileError:
    return TaskFileError(
        "incomplete_file",
        f"a program has held the file open for {waited_s / 60:.0f} minutes without writing",
        file=printable(file_name),
        hint="End that program, and put the whole file into tasks/ again.",
    )


def parser_bug(file_name: str, error: Exception) -> TaskFileError:
    """Return the refusal for a file that our own parser broke on; says nothing of the file's content."""
    return TaskFileError(
        "parser_bug",
        f"reading this file broke the program ({type(error).__name__}); other tasks go on",
        file=printable(file_name),
        hint="This is a fault of the program, not of your file. Please report it, with the file if you may share it.",
    )


def _received(name: str, body: bytes, sha256: str, uid: TaskUid, ts: float) -> Event:
    data: dict[str, Json] = {"file": printable(name), "bytes": len(body), "sha256": sha256}
    return Event(EventKind.RECEIVED, ts, uid, data=data)


def _parsed(spec: TaskSpec) -> dict[str, Json]:
    return {
        "id": spec.id,
        "type": spec.type,
        "priority": spec.priority.value,
        "title": spec.title,
        "inferred": [{"field": one.field, "value": one.value, "why": one.why} for one in spec.inferred],
        "notices": [
            {"code": one.code, "message": one.message, "line": one.line, "field": one.field} for one in spec.notices
        ],
    }
