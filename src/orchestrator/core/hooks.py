"""What a person's own hooks are told before a task starts and after it has ended, and how one of them ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from orchestrator.core.events import Json
from orchestrator.core.task import Task

REFUSED = "before_task"  # the reason of a task that a hook has held
UNTOLD = "after_task_failed"  # the reason of the warning
WORDS_CHARS = 500


class When(StrEnum):
    """The two moments."""

    BEFORE = "before_task"  # a slot is free for the task; nothing of the attempt is stored yet
    AFTER = "after_task"  # the task has ended, and its result and summary lie where they stay


@dataclass(frozen=True, slots=True)
class HookRun:
    """How one hook ended. *name* is what people call it, *words* the last it said, or why it was no success.

    *later*: the machine could not run it now, which says nothing about the task.
    """

    name: str
    ok: bool
    words: str = ""
    later: bool = False


class Hooks(Protocol):
    """Runs the hooks that are configured at the moment. Never raises for what a hook does or lacks.

    Bounded in time and output; nothing that a hook started is alive afterwards, however this ends.
    """

    def any(self, when: When) -> bool:
        """Return whether there is one to run at that moment."""
        ...

    async def before(self, task: Mapping[str, Json]) -> HookRun | None:
        """Run those before a task, in their order; return the first that was no success, and run none behind it."""
        ...

    async def after(self, task: Mapping[str, Json], result: Mapping[str, Json]) -> Sequence[HookRun]:
        """Run all after a task, in their order; return how each ended."""
        ...


class Places(Protocol):
    """Remembers texts under keys between two lives of the daemon."""

    async def recall(self, prefix: str) -> Mapping[str, str]:
        """Return what is kept under keys that begin with *prefix*."""
        ...

    async def memorize(self, changes: Mapping[str, str | None], *, ts: float) -> None:
        """Keep these under their keys; None forgets a key."""
        ...


def hook_facts(task: Task, *, agent: str, attempt: int) -> dict[str, Json]:
    """Return what a hook is told of *task*. *attempt* is the one to come before it, and the last one after it."""
    spec = task.spec
    return {
        "uid": task.uid,
        "id": spec.id,
        "name": task.name,
        "type": spec.type,
        "priority": spec.priority.value,
        "title": spec.title,
        "prompt": spec.prompt,
        "context": spec.context,
        "target_files": list(spec.target_files),
        "criteria": [{"text": one.text, "mandatory": one.mandatory} for one in spec.criteria],
        "tags": list(spec.tags),
        "cwd": spec.cwd,
        "agent": agent,
        "model": spec.model,
        "attempt": attempt,
        "tries": task.tries,
        "state": task.state.value,
        "reason": task.reason,
        "rerun_of": task.rerun_of,
        "job": task.job,
        "parent": task.parent,
        "depth": task.depth,
    }


_VARIABLES = ("uid", "id", "name", "type", "priority", "title", "agent", "attempt", "state", "reason")


def hook_variables(task: Mapping[str, Json]) -> dict[str, str]:
    """Return the environment variables that tell a hook of *task*, which is as `hook_facts` returns it."""
    told = {f"ORCHESTRATOR_TASK_{key.upper()}": str(task.get(key, "")) for key in _VARIABLES}
    return {name: value.replace("\0", " ") for name, value in told.items()}


def last_words(text: str) -> str:
    """Return the end of what a hook said, of whole lines where they are short enough."""
    kept = text.strip()[-WORDS_CHARS:]
    head, _, tail = kept.partition("\n")
    return tail.strip() if len(text.strip()) > WORDS_CHARS and tail and len(head) < WORDS_CHARS // 2 else kept
