"""What `pause` and `resume` come to."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.ports import Pause
from orchestrator.core.task import Task


@dataclass(frozen=True, slots=True)
class Control:
    """What `pause` or `resume` came to.

    *scope* is "*" for the whole queue, the name of an agent, or "" when it is one *task*. *changed* is False when it
    was so before. *pause* is what was put, or lifted. *freed* tasks need not wait for their own time any more.
    *still* is what holds the same work nevertheless.
    """

    scope: str
    changed: bool
    task: Task | None = None
    pause: Pause | None = None
    freed: int = 0
    still: Sequence[Pause] = ()
