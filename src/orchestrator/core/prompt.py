"""TaskSpec to prompt: the author's words unchanged, with minimal framing and no instructions of ours.

What guards the outcome is validation, not persuasion: docs/adr/0009-prompt-policy.md.
"""

from collections.abc import Sequence

from orchestrator.core.notes import ProjectNote
from orchestrator.core.task import TaskSpec

CONTINUE = (
    "Your last run of this task was cut off. Look at what is already done, then finish the task. "
    "The whole task once more:"
)


def prompt_of(spec: TaskSpec, notes: Sequence[ProjectNote] = ()) -> str:
    """Return the prompt: the task's own, then Target Files, Success Criteria and Context where given, then *notes*."""
    parts = [spec.prompt]
    if spec.target_files:
        parts.append("Target Files:\n" + "\n".join(f"- {path}" for path in spec.target_files))
    if spec.criteria:
        parts.append("Success Criteria:\n" + "\n".join(f"- {criterion.text}" for criterion in spec.criteria))
    if spec.context:
        parts.append(f"Context:\n{spec.context}")
    parts += map(_note, notes)
    return "\n\n".join(parts)


def _note(note: ProjectNote) -> str:
    heading = f"Project notes ({note.path}){f', {note.problem}' if note.problem else ''}"
    text = note.text.strip("\n")
    return f"{heading}:\n{text}" if text else heading


def continue_prompt_of(spec: TaskSpec) -> str:
    """Return what a resumed session is told: that it was cut off, and the task again, word for word.

    The notes of the project are in its conversation already.
    """
    return f"{CONTINUE}\n\n{prompt_of(spec)}"
