"""TaskSpec to prompt: the author's words unchanged, with minimal framing and no instructions of ours.

What guards the outcome is validation, not persuasion: docs/adr/0009-prompt-policy.md.
"""

from orchestrator.core.task import TaskSpec

CONTINUE = (
    "Your last run of this task was cut off. Look at what is already done, then finish the task. "
    "The whole task once more:"
)


def prompt_of(spec: TaskSpec) -> str:
    """Return the prompt: the task's own, then Target Files, Success Criteria and Context where given."""
    parts = [spec.prompt]
    if spec.target_files:
        parts.append("Target Files:\n" + "\n".join(f"- {path}" for path in spec.target_files))
    if spec.criteria:
        parts.append("Success Criteria:\n" + "\n".join(f"- {criterion.text}" for criterion in spec.criteria))
    if spec.context:
        parts.append(f"Context:\n{spec.context}")
    return "\n\n".join(parts)


def continue_prompt_of(spec: TaskSpec) -> str:
    """Return what a resumed session is told: that it was cut off, and the task again, word for word."""
    return f"{CONTINUE}\n\n{prompt_of(spec)}"
