"""TaskSpec to prompt: the author's words unchanged, with minimal framing and no instructions of ours.

What guards the outcome is validation, not persuasion: docs/adr/0009-prompt-policy.md.
"""

import re
from collections.abc import Mapping, Sequence

from orchestrator.core.events import Json
from orchestrator.core.notes import ProjectNote
from orchestrator.core.question import Exchange
from orchestrator.core.task import TaskSpec
from orchestrator.core.work import Area

CONTINUE = (
    "Your last run of this task was cut off. Look at what is already done, then finish the task. "
    "The whole task once more:"
)
MAX_SENT_BACK = 10  # checks; of each at most what is kept of its output
_HEARD = "What was asked about this task, and answered:"
_CHECK_FAILS = "The daemon has run the checks of the success criteria on your work. One fails:"
_CHECKS_FAIL = "The daemon has run the checks of the success criteria on your work. These fail:"
_MAY_SPLIT = (
    "You have a tool, split_task, that gives parts of this task to other workers. Use it, before you change anything, "
    "if the task has five or more separate components that could be worked on side by side; never for simple work."
)


def place_words(spec: TaskSpec, area: Area) -> str:
    """Return what an agent is told whose work area stands for a folder that the words of the task name, else ""."""
    named = area.source in spec.prompt or area.source in spec.context
    if area.source in ("", "/", area.root) or not named:
        return ""
    return f"Work area: {area.root} is your own {area.isolation.value} of {area.source}. Work there."


def prompt_of(
    spec: TaskSpec,
    notes: Sequence[ProjectNote] = (),
    place: str = "",
    heard: Sequence[Exchange] = (),
    others: Sequence[str] = (),
) -> str:
    """Return the prompt: the task's own, then *place*, Target Files, Success Criteria, Context where given, *others*,
    *notes*.

    *heard* is what earlier attempts asked and were answered; a session that begins anew knows nothing of it. *others*
    are words about the tasks whose results it begins with (core/handover.py).
    """
    parts = [spec.prompt, *([place] if place else [])]
    if spec.target_files:
        parts.append("Target Files:\n" + "\n".join(f"- {path}" for path in spec.target_files))
    if spec.criteria:
        parts.append("Success Criteria:\n" + "\n".join(f"- {criterion.text}" for criterion in spec.criteria))
    if spec.context:
        parts.append(f"Context:\n{spec.context}")
    parts += [words for words in others if words]
    parts += map(_note, notes)
    if heard:
        parts.append("\n\n".join([_HEARD, *(f"Question: {one.question}\nAnswer: {one.answer}" for one in heard)]))
    return "\n\n".join(parts)


def _note(note: ProjectNote) -> str:
    heading = f"Project notes ({note.path}){f', {note.problem}' if note.problem else ''}"
    text = note.text.strip("\n")
    return f"{heading}:\n{text}" if text else heading


def continue_prompt_of(
    spec: TaskSpec,
    place: str = "",
    heard: Sequence[Exchange] = (),
    others: Sequence[str] = (),
) -> str:
    """Return what a resumed session is told: that it was cut off, and the task again, word for word.

    The notes of the project are in its conversation already.
    """
    return f"{CONTINUE}\n\n{prompt_of(spec, place=place, heard=heard, others=others)}"


def with_tool(prompt: str) -> str:
    """Return *prompt* of a worker that may split its task: docs/adr/0030-worker-tool.md says why it is told so."""
    return f"{prompt}\n\n{_MAY_SPLIT}"


def sent_back_prompt_of(verdict: Mapping[str, Json]) -> str:
    """Return what the same session is told of the checks that failed, by the stored verdict on its attempt (the data of
    `validated`): which they are and what they printed, and nothing that it should do. "" when none failed."""
    rows = verdict.get("criteria")
    found = rows if isinstance(rows, Sequence) and not isinstance(rows, str) else ()
    failed = [row for row in found if isinstance(row, Mapping) and row.get("verdict") == "failed"]
    if not failed:
        return ""
    parts = [_CHECK_FAILS if len(failed) == 1 else _CHECKS_FAIL]
    parts += [_failed_check(row) for row in failed[:MAX_SENT_BACK]]
    if more := len(failed) - MAX_SENT_BACK:
        parts += [f"and {more} more"] if more > 0 else []
    return "\n\n".join(parts)


def _failed_check(row: Mapping[str, Json]) -> str:
    text = f"- {row.get('text')}\n  {row.get('why')}"
    run = row.get("result")
    tail = str(run.get("tail", "")) if isinstance(run, Mapping) else ""
    if not tail.strip():
        return text
    fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", tail)), default=0))
    return f"{text}\n  The end of what it printed:\n\n{fence}\n{tail}\n{fence}"
