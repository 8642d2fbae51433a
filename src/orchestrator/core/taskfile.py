"""A `.task.md` file: from its bytes to a `TaskSpec` and back.

    ---
    id: task_001
    type: fix
    priority: high
    created: 2025-08-03T10:30:00Z
    ---

    # Task Title

    **Target Files:**
    - src/app.py

    **Prompt:**
    What is to be done.

    **Success Criteria:**
    - [ ] What must hold afterwards

    **Context:**
    What else is worth knowing.

A file without front matter, or without some of its fields, is a task too: the deterministic reader fills in
what is missing and says why. What is written and wrong is an error with its line, never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import frontmatter

from orchestrator.core.errors import TaskFileError
from orchestrator.core.fields import Fields, clean_title, read_fields
from orchestrator.core.fields_jobs import without_effect, written
from orchestrator.core.fields_time import TIMES
from orchestrator.core.frontmatter import Moment, TaskFrontMatter, read_front_matter, split_front_matter
from orchestrator.core.items import criterion_line, read_criteria, read_targets, target_line
from orchestrator.core.reader import Guess, infer_paths, infer_priority, infer_title, infer_type, reasons
from orchestrator.core.sections import Body, SectionName, heading_text, leaves_block_open, read_body, section_label
from orchestrator.core.source import Source, check_line_length, read_source, source_of
from orchestrator.core.task import Criterion, FileLimits, Notice, Priority, TaskRules, TaskSpec
from orchestrator.core.text import slug

NEW_LINE = "\n"
_SPEC_NAMES = {
    "timeout_sec": "timeout_s",
    "answer_within": "answer_within_s",
}  # where TaskSpec has another name than the front matter


def parse_task_file(data: bytes, *, file_name: str, rules: TaskRules, utc_offset_minutes: int = 0) -> TaskSpec:
    """Return what the file asks for; *utc_offset_minutes* is the local zone for a `created` without one.

    Raises TaskFileError, and nothing else whatever the bytes are, with a reason of TASK_FILE_REASONS.
    """
    limits = rules.limits
    source = read_source(data, file_name=file_name, limits=limits)
    split = split_front_matter(source, limits)
    check_line_length(source, split.body, limits)
    notices: list[Notice] = []
    if split.front < 0:
        fields = Fields({}, ())
        notices.append(Notice("front_matter_missing", "the fields of this task were inferred", 1))
    else:
        fields = read_fields(read_front_matter(source, split, limits), source, rules, utc_offset_minutes)
    if split.skipped:
        notices.append(Notice("text_before_front_matter", "comments before the front matter are ignored", 1))
    notices.extend((*fields.notices, *without_effect(fields.values, source)))
    body = read_body(source, split.body)
    content = _content(source, body, fields, rules)
    return _filled(content, fields, rules, file_name, tuple(notices), bare=split.front < 0)


@dataclass(frozen=True, slots=True)
class _Content:
    """What the body says, before anything is inferred. *labelled*: the prompt stands under its own label."""

    title: str
    prompt: str
    context: str
    targets: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    notices: tuple[Notice, ...]
    labelled: bool


def _content(source: Source, body: Body, fields: Fields, rules: TaskRules) -> _Content:
    title, notices = _title(body, fields)
    prompt, context, said = _texts(source, body, title, rules.limits)
    base = str(fields.values.get("cwd") or rules.base_cwd)
    targets: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    if section := body.section(SectionName.TARGETS):
        targets, more = read_targets(source, section, base=base, root=rules.allowed_root, limits=rules.limits)
        said += more
    if section := body.section(SectionName.CRITERIA):
        criteria, more = read_criteria(source, section, rules.limits, allow_commands=rules.allow_commands)
        said += more
    labelled = body.section(SectionName.PROMPT) is not None
    return _Content(title, prompt, context, targets, criteria, notices + said, labelled)


def _title(body: Body, fields: Fields) -> tuple[str, tuple[Notice, ...]]:
    heading, notices = clean_title(body.title, body.title_line)
    written = str(fields.values.get("title", ""))
    if not written:
        return heading, notices
    if heading and heading != written:
        message = "the front matter's title is used, not the heading"
        return written, (Notice("title_twice", message, body.title_line, 0, "title"),)
    return written, ()


def _texts(source: Source, body: Body, title: str, limits: FileLimits) -> tuple[str, str, tuple[Notice, ...]]:
    """Return prompt and context verbatim, and what is worth a warning.

    Raises TaskFileError: prompt_missing, prompt_too_large.
    """
    section, about = body.section(SectionName.PROMPT), body.section(SectionName.CONTEXT)
    prompt, context = (section.text if section else body.free), (about.text if about else "")
    line = section.line if section else body.free_line or body.title_line
    notices = []
    if body.open_line:
        message = "a code fence or comment that begins here is never closed"
        notices.append(Notice("fence_unclosed", message, body.open_line))
    if section is None and prompt:
        notices.append(Notice("prompt_label_missing", "the text of the body is the prompt", line, 0, "Prompt"))
    elif section is None and title:
        prompt = title
        notices.append(Notice("prompt_from_title", "the title is the prompt", line, 0, "Prompt"))
    elif section and body.free:
        context = f"{body.free}\n\n{context}".rstrip()
        message = "text before the first section was added to the context"
        notices.append(Notice("text_outside_sections", message, body.free_line, 0, "Context"))
    if not prompt.strip():
        raise source.fault("prompt_missing", "the prompt is missing or empty", line=line, field="Prompt")
    if len(prompt.encode()) > limits.prompt_bytes:
        expected = f"at most {limits.prompt_bytes:,} bytes"
        raise source.fault("prompt_too_large", "the prompt is too large", line=line, field="Prompt", expected=expected)
    return prompt, context, tuple(notices)


def _filled(
    content: _Content, fields: Fields, rules: TaskRules, file_name: str, notices: tuple[Notice, ...], *, bare: bool
) -> TaskSpec:
    """Return the spec with what the author left out filled in by the deterministic reader."""
    given = fields.values
    words = f"{content.title}\n{content.prompt}"
    guesses: dict[str, Guess] = {}
    if "id" not in given:
        guesses["id"] = Guess(slug(file_name), "the name of the file")
    if "type" not in given:
        guesses["type"] = infer_type(words, rules)
    if "priority" not in given:
        guesses["priority"] = infer_priority(words)
    if not content.title:
        guesses["title"] = infer_title(content.prompt)
    value: dict[str, Any] = {
        **{_SPEC_NAMES.get(key, key): value for key, value in given.items()},
        "title": content.title,
        **{field: guess.value for field, guess in guesses.items()},
    }
    if rules.timezone and "timezone" not in given and any(given.get(key) for key in TIMES):
        value["timezone"] = rules.timezone
    spec = TaskSpec(
        **{**value, "priority": Priority(value["priority"])},
        prompt=content.prompt,
        target_files=content.targets,
        criteria=content.criteria,
        context=content.context,
        inferred=reasons(guesses),
        notices=notices + content.notices,
    )
    return _with_paths(spec, words, rules) if bare or not content.labelled else spec


def _with_paths(spec: TaskSpec, words: str, rules: TaskRules) -> TaskSpec:
    """Return *spec* with folder and files from its free text, where the author named none in their own place."""
    found = infer_paths(words, rules, cwd=spec.cwd, targets=not spec.target_files)
    return replace(
        spec,
        cwd=found.cwd,
        target_files=spec.target_files or found.targets,
        inferred=spec.inferred + found.inferred,
        notices=spec.notices + found.notices,
    )


def render_task_file(spec: TaskSpec) -> str:
    """Return *spec* as a task file that `parse_task_file` reads back as the same task.

    What was inferred is written out; notices are not written. Raises ValueError for a spec that no task file
    can say, such as a prompt with a line `**Context:**` outside a code fence.
    """
    problem = ""
    # a text whose first line looks like a label must stand on the line of its own label
    for before_prompt, before_context in product("\n ", repeat=2):
        leads = {SectionName.PROMPT: before_prompt, SectionName.CONTEXT: before_context}
        text = _composed(spec, leads)
        if not (problem := _misread(text, spec)):
            return text
    raise ValueError(f"no task file says this: {problem}")


def _composed(spec: TaskSpec, leads: Mapping[SectionName, str]) -> str:
    in_heading = _fits_heading(spec.title)
    sections = {
        SectionName.TARGETS: "\n".join(target_line(path) for path in spec.target_files),
        SectionName.PROMPT: spec.prompt,
        SectionName.CRITERIA: "\n".join(criterion_line(criterion) for criterion in spec.criteria),
        SectionName.CONTEXT: spec.context,
    }
    # an open fence swallows what stands below it, so the section that leaves one open comes last
    order = sorted(sections, key=lambda name: leaves_block_open(sections[name]))
    parts = [f"# {spec.title}"] if in_heading else []
    parts += [f"**{name}:**{leads.get(name, NEW_LINE)}{sections[name]}" for name in order if sections[name]]
    post = frontmatter.Post("\n\n".join(parts), **_metadata(spec, with_title=not in_heading))
    return frontmatter.dumps(post, handler=TaskFrontMatter()) + "\n"


def _fits_heading(title: str) -> bool:
    fits = title == heading_text(title) and clean_title(title, 0) == (title, ())
    return bool(title) and fits and section_label(f"# {title}") is None


def _metadata(spec: TaskSpec, *, with_title: bool) -> dict[str, Any]:
    return {
        "id": spec.id,
        "type": spec.type,
        "priority": spec.priority.value,
        **({"title": spec.title} if with_title else {}),
        **({"created": _moment(spec.created)} if spec.created else {}),
        **{key: value for key in ("agent", "model", "cwd") if (value := getattr(spec, key))},
        **({"timeout_sec": spec.timeout_s} if spec.timeout_s is not None else {}),
        **{key: value for key in ("max_turns", "budget_usd", "retries") if (value := getattr(spec, key)) is not None},
        **({"tags": list(spec.tags)} if spec.tags else {}),
        **({"rerun": True} if spec.rerun else {}),
        **({"if_unanswered": spec.if_unanswered} if spec.if_unanswered else {}),
        **({"answer_within": f"{spec.answer_within_s:.0f}s"} if spec.answer_within_s is not None else {}),
        **{key: value for key in TIMES if (value := getattr(spec, key))},
        **written(spec),
    }


def _moment(created: datetime) -> Moment:
    text = created.isoformat()
    return Moment(f"{text[:-6]}Z" if created.utcoffset() == timedelta(0) else text)


def _misread(text: str, spec: TaskSpec) -> str:
    """Return what a reader of *text* would take for something else than *spec* says, "" when nothing."""
    source, size = source_of(text), 4 * len(text)
    # the reader's limits are the reader's business; this is about what the text means
    limits = FileLimits(front_matter_bytes=size, prompt_bytes=size, list_entries=size)
    try:
        body = read_body(source, split_front_matter(source, limits).body)
        prompt, context, _ = _texts(source, body, "", limits)
        section = body.section(SectionName.CRITERIA)
        criteria, _ = read_criteria(source, section, limits) if section else ((), ())
    except TaskFileError as error:
        return error.message
    said = [replace(criterion, line=0) for criterion in criteria]
    wanted = [replace(criterion, line=0) for criterion in spec.criteria]
    same = (prompt, context, said) == (spec.prompt, spec.context, wanted)
    return "" if same else "part of a text would be read as a section of its own"
