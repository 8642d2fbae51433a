"""Files of many tasks: `tasks.json` and `NAME.job.md`. Refused whole when anything in them is wrong, never run in part.

    {"name": "night", "on_dependency": "skip", "max_workers": 2, "tasks": [{"id": "task-1", "name": "…",
      "description": "…", "prompt": "…", "branch_name": "…", "dependencies": []}]}

A task in JSON may have all the keys of a task file's front matter beside, and `target_files`, `criteria`, `context`.
In a job file in Markdown each task stands as its own task file would, below a line `=== task ===`; what stands before
the first of these lines is front matter about the job.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.core.dependencies import DependencyPolicy, critical_paths, cycle_in, spelled_out
from orchestrator.core.errors import TaskFileError
from orchestrator.core.fields_jobs import POLICIES, is_job_name
from orchestrator.core.frontmatter import Many, Scalar, read_front_matter, split_front_matter
from orchestrator.core.jobfile_json import JsonTask, UnreadableError, job_in_json, task_file_of
from orchestrator.core.reasons import TASK_FILE_REASONS
from orchestrator.core.source import Source, read_source, source_of
from orchestrator.core.sync_names import is_conflict, is_temporary
from orchestrator.core.task import TaskRules, TaskSpec, id_key
from orchestrator.core.taskfile import parse_task_file
from orchestrator.core.text import printable

JSON_NAME, MANY_JSON, MANY_DOCUMENTS = "tasks.json", ".tasks.json", ".job.md"
MAX_TASKS = 20_000
MAX_BYTES = 64 * 1024 * 1024
MAX_WORKERS = 1000
SHOWN = 10  # ids in one message
FORM = '{"tasks": [ … ]}'
NO_CYCLE = "tasks that do not wait for this one"
JOB_KEYS = ("name", "request", "on_dependency", "max_workers")
_SEPARATOR = re.compile(r"^===[ \t]+task[ \t]+===[ \t]*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JobTask:
    """One task of a job file. *body* is the task file that it would have been, *line* where it begins."""

    spec: TaskSpec
    body: bytes
    line: int = 0


@dataclass(frozen=True, slots=True)
class JobPlan:
    """A job as its file wants it. *outside* are the ids that its tasks depend on and that are none of theirs, each with
    the number of the first such task."""

    name: str
    tasks: tuple[JobTask, ...]
    request: str = ""
    on_dependency: str = ""
    max_workers: int = 0
    outside: Mapping[str, int] | None = None


def is_job_file(name: str) -> bool:
    """Return whether a file of this name in `tasks/` is meant to become a job."""
    for suffix, kind in ((MANY_DOCUMENTS, "job"), (MANY_JSON, "tasks")):
        if name.endswith(suffix) and len(name) > len(suffix):
            return not is_temporary(name) and not is_conflict(name, kind)
    return name == JSON_NAME


def job_name_of(file_name: str) -> str:
    """Return the name of a job whose file says none."""
    for suffix in (MANY_DOCUMENTS, MANY_JSON, ".json"):
        if file_name.endswith(suffix) and len(file_name) > len(suffix):
            return printable(file_name[: -len(suffix)])[:64].strip() or "job"
    return "job"


def read_job_file(data: bytes, *, file_name: str, rules: TaskRules, limit_bytes: int) -> JobPlan:
    """Return the job that the file asks for. Raises TaskFileError, and nothing else whatever the bytes are; its *field*
    names the task by its place in the file, counted from 1, as `tasks[2].priority`."""
    limits = replace(rules.limits, file_bytes=limit_bytes)
    source = read_source(data, file_name=file_name, limits=limits)
    read = _of_documents if file_name.endswith(MANY_DOCUMENTS) else _of_json
    plan = read(source, file_name, rules)
    if not plan.tasks:
        raise source.fault("job_empty", "there is no task in it", field="tasks")
    if len(plan.tasks) > MAX_TASKS:
        raise source.fault("job_too_large", f"it has {len(plan.tasks):,} tasks", expected=f"at most {MAX_TASKS:,}")
    return _checked(plan, source)


def paths_of(plan: JobPlan, seconds: Callable[[TaskSpec], float]) -> Sequence[float]:
    """Return for each task how long the chain is that hangs on it, where each takes so many *seconds*."""
    edges = {id_key(task.spec.id): [id_key(one) for one in task.spec.depends_on] for task in plan.tasks}
    longest = critical_paths(edges, {id_key(task.spec.id): seconds(task.spec) for task in plan.tasks})
    return [longest[id_key(task.spec.id)] for task in plan.tasks]


# Both forms


def _checked(plan: JobPlan, source: Source) -> JobPlan:
    """Return *plan* when its ids and dependencies are sound."""
    first: dict[str, int] = {}
    for number, task in enumerate(plan.tasks, 1):
        before = first.setdefault(id_key(task.spec.id), number)
        if before != number:
            message = f"task {number} has the id {task.spec.id}, as task {before} has"
            field = f"tasks[{number}].id"
            raise source.fault("job_duplicate_id", message, line=task.line, field=field, expected="an id of its own")
    outside: dict[str, int] = {}
    edges: dict[str, list[str]] = {}
    for number, task in enumerate(plan.tasks, 1):
        keys = [id_key(one) for one in task.spec.depends_on]
        edges[id_key(task.spec.id)] = [key for key in keys if key in first]
        for one, key in zip(task.spec.depends_on, keys, strict=True):
            if key not in first:
                outside.setdefault(one, number)
    if cycle := cycle_in(edges):
        number = first[cycle[0]]
        ids = [plan.tasks[first[key] - 1].spec.id for key in cycle]
        line, field = plan.tasks[number - 1].line, f"tasks[{number}].depends_on"
        message = f"it would wait for itself: {_long(ids)}"
        raise source.fault("dependency_cycle", message, line=line, field=field, expected=NO_CYCLE)
    return replace(plan, outside=outside)


def _long(ids: Sequence[str]) -> str:
    """A cycle of thousands of tasks is told by its beginning and its end."""
    if len(ids) <= 2 * SHOWN:
        return spelled_out(ids)
    return spelled_out([*ids[:SHOWN], f"({len(ids) - 2 * SHOWN} more)", *ids[-SHOWN:]])


def unknown_id(plan: JobPlan, one: str, *, file_name: str) -> TaskFileError:
    """Return the refusal of *plan* for *one* of its *outside* ids, which nobody has submitted either."""
    number = (plan.outside or {})[one]
    task = plan.tasks[number - 1]
    near = difflib.get_close_matches(one, [other.spec.id for other in plan.tasks[:1000]], n=1)
    return TaskFileError(
        "job_unknown_id",
        f"task {number} ({task.spec.id}) depends on {one}, and no task has this id",
        file=printable(file_name),
        line=task.line,
        field=f"tasks[{number}].depends_on",
        expected="ids of tasks in this file, or of tasks submitted before",
        hint=f"Did you mean {near[0]}?" if near else TASK_FILE_REASONS["job_unknown_id"].hint,
    )


def _of_job(facts: Mapping[str, Any], source: Source, file_name: str, lines: Mapping[str, int]) -> JobPlan:
    """Return a plan without tasks by what a file says of its job; *lines* are those of its keys."""
    for key in facts:
        if key not in JOB_KEYS and not key.lower().startswith("x-"):
            near = difflib.get_close_matches(key[:60], [*JOB_KEYS, "tasks"], n=1)
            message = f"`{printable(key[:60])}` is not a key" + (f"; did you mean `{near[0]}`?" if near else "")
            known, shown = f"tasks, {', '.join(JOB_KEYS)}", printable(key[:60])
            raise source.fault("job_unknown_key", message, line=lines.get(key, 0), field=shown, expected=known)

    def wrong(key: str, expected: str) -> TaskFileError:
        shown = printable(str(facts[key])[:60])
        message, line = f"`{key}` is {shown}", lines.get(key, 0)
        return source.fault("job_field_invalid", message, line=line, field=key, expected=expected)

    name = facts.get("name") or job_name_of(file_name)
    if not isinstance(name, str) or not is_job_name(name):
        raise wrong("name", "a short text in one line")
    policy = str(facts.get("on_dependency") or "").strip().lower().replace("-", "_")
    if policy and policy not in tuple(DependencyPolicy):
        raise wrong("on_dependency", POLICIES)
    workers = facts.get("max_workers") or 0
    if isinstance(workers, str) and workers.strip().isascii() and workers.strip().isdigit():
        workers = int(workers[:6])
    if not isinstance(workers, int) or isinstance(workers, bool) or not 0 <= workers <= MAX_WORKERS:
        raise wrong("max_workers", f"a whole number from 0 (no bound) to {MAX_WORKERS}")
    request = facts.get("request") or ""
    if not isinstance(request, str):
        raise wrong("request", "text")
    return JobPlan(name, (), request.strip(), policy, workers)


def _task(
    spec: TaskSpec, body: bytes, line: int, number: int, name: str, fault: Callable[..., TaskFileError]
) -> JobTask:
    """Return a task of the job *name*."""
    if spec.schedule:
        message = f"task {number} ({spec.id}) has a schedule, and a job is done once"
        field = f"tasks[{number}].schedule"
        raise fault("job_field_invalid", message, line=line, field=field, expected="a task without one")
    if spec.job and spec.job != name:
        message = f"task {number} ({spec.id}) names another job than the one of its file, {name}"
        raise fault("job_field_invalid", message, line=line, field=f"tasks[{number}].job", expected=printable(name))
    return JobTask(replace(spec, job=name), body, line)


def _of_task(error: TaskFileError, source: Source, number: int, called: str, line: int) -> TaskFileError:
    """Return the error of one task as one of its whole file, at *line* of it."""
    inner = error.field or "file"
    return TaskFileError(
        error.reason,
        f"task {number}{f' ({printable(called[:60])})' if called else ''}: {error.message}",
        file=source.file,
        line=line,
        column=error.column,
        field=f"tasks[{number}].{inner}",
        expected=error.expected,
        hint=error.hint,
        excerpt=error.excerpt,
    )


# tasks.json


def _of_json(source: Source, file_name: str, rules: TaskRules) -> JobPlan:
    try:
        facts, tasks, places = job_in_json(source.text)
    except json.JSONDecodeError as error:
        message = f"it is not valid JSON: {error.msg}"
        at = {"line": error.lineno, "column": error.colno}
        raise source.fault("job_syntax", message, expected="JSON", **at) from None  # type: ignore[arg-type]
    except UnreadableError as error:
        line = source.position(error.offset)[0] if error.offset >= 0 else 0
        told = {"field": error.field, "expected": error.expected or FORM}
        raise source.fault("job_syntax", str(error), line=line, **told) from None  # type: ignore[arg-type]
    except (ValueError, RecursionError):
        raise source.fault("job_syntax", "it is not valid JSON", expected=FORM) from None
    plan = _of_job(facts, source, file_name, {key: source.position(at)[0] for key, at in places.items()})
    found = (_from_json(one, number, plan, source, rules) for number, one in enumerate(tasks, 1))
    return replace(plan, tasks=tuple(found))


def _from_json(one: JsonTask, number: int, plan: JobPlan, source: Source, rules: TaskRules) -> JobTask:
    line, _ = source.position(one.offset)
    called = one.value.get("id", "")
    try:
        text, prompt, context = task_file_of(one.value, plan.name)
        if (spec := _as_file(text, rules)) is not None and _says(spec, prompt, context):
            return _task(spec, _bytes(text), line, number, plan.name, source.fault)
        # It holds a line that would begin a section of a task file: in JSON it is just text.
        bare = {**one.value, "prompt": _bare(prompt) or "x", "description": _bare(context), "context": ""}
        plain, *_ = task_file_of(bare, plan.name)
        read = parse_task_file(_bytes(plain), file_name="x.task.md", rules=rules)
        whole, body = replace(read, prompt=prompt, context=context), json.dumps(one.value, indent=2).encode()
        return _task(whole, body, line, number, plan.name, source.fault)
    except UnreadableError as error:
        field = f"tasks[{number}]{error.field and '.'}{error.field}"
        message = f"task {number}: {error}"
        raise source.fault("job_field_invalid", message, line=line, field=field, expected=error.expected) from None
    except TaskFileError as error:
        if error.field.startswith("tasks["):
            raise
        raise _of_task(_in_json(error), source, number, str(called), line) from None


def _in_json(error: TaskFileError) -> TaskFileError:
    """Return *error*, of a text that nobody wrote, in words for who wrote JSON."""
    if error.reason != "prompt_missing":
        return error
    hint = 'Write the work to be done as its "prompt".'
    return TaskFileError(error.reason, error.message, field="prompt", expected="text", hint=hint)


def _as_file(text: str, rules: TaskRules) -> TaskSpec | None:
    """Return what *text* says as a task file; None where a part of its words would begin a section once more."""
    try:
        return parse_task_file(_bytes(text), file_name="x.task.md", rules=rules)
    except TaskFileError as error:
        if error.reason != "duplicate_section":
            raise
        return None


def _says(spec: TaskSpec, prompt: str, context: str) -> bool:
    return (spec.prompt.strip(), spec.context.strip()) == (prompt.strip(), context.strip())


def _bare(text: str) -> str:
    """Return the words of *text*, by which its type and urgency are told."""
    return " ".join(re.sub(r"[^\w.,:;/ -]+", " ", text).split())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# NAME.job.md


def _of_documents(source: Source, file_name: str, rules: TaskRules) -> JobPlan:
    marks = list(_SEPARATOR.finditer(source.text))
    if not marks:
        raise source.fault("job_syntax", "it has no line `=== task ===`", expected="one before each task")
    plan = _of_head(source.text[: marks[0].start()], source, file_name, rules)
    ends = [mark.start() for mark in marks[1:]] + [len(source.text)]
    spans = zip((mark.end() for mark in marks), ends, strict=True)
    found = (_from_document(source, begin, end, n, plan, rules) for n, (begin, end) in enumerate(spans, 1))
    return replace(plan, tasks=tuple(found))


def _of_head(text: str, source: Source, file_name: str, rules: TaskRules) -> JobPlan:
    if not text.strip():
        return _of_job({}, source, file_name, {})
    head = source_of(text, file=source.file)
    split = split_front_matter(head, rules.limits)
    if split.front < 0 or text[split.body :].strip():
        message = "what stands before the first `=== task ===` is no front matter"
        raise source.fault("job_syntax", message, line=1, expected="keys of the job between two lines `---`")
    facts: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for entry in read_front_matter(head, split, rules.limits):
        if isinstance(entry.value, (Scalar, Many)):
            key = entry.key.strip().lower().replace("-", "_")
            facts[key], lines[key] = _said(entry.value), entry.line
        else:
            message = f"`{printable(entry.key[:60])}` is a map"
            at = {"line": entry.line, "column": entry.column}
            raise source.fault("job_field_invalid", message, field=entry.key, expected="text", **at)  # type: ignore[arg-type]
    return _of_job(facts, source, file_name, lines)


def _said(value: Scalar | Many) -> object:
    if isinstance(value, Many):
        return "a list"
    return "" if value.empty else value.text.strip()


def _from_document(source: Source, begin: int, end: int, number: int, plan: JobPlan, rules: TaskRules) -> JobTask:
    begin = source.text.find("\n", begin, end) + 1 or end  # behind the line of the separator
    text = source.text[begin:end]
    at, _ = source.position(begin)
    body = _bytes(text.rstrip() + "\n") if text.strip() else b""
    try:
        spec = parse_task_file(body, file_name=f"{plan.name}-{number}.task.md", rules=rules)
        return _task(spec, body, at, number, plan.name, source.fault)
    except TaskFileError as error:
        if error.field.startswith("tasks["):
            raise
        line = at + error.line - 1 if error.line else at
        raise _of_task(error, source, number, "", line) from None
