"""The port behind the commands `recover` and `clean work`: what was kept of the work of tasks."""

from collections.abc import Sequence
from typing import Protocol

from orchestrator.core.events import TaskUid
from orchestrator.core.task import Task
from orchestrator.core.work import CleanedArea, Recovered


class Shelf(Protocol):
    """What was kept of the work of tasks, for the commands `recover` and `clean work`."""

    async def recover(self, task: Task, attempt: int, *, folder: str = "", branch: str = "") -> Recovered:
        """Bring back what *attempt* left (0: the last one that was kept) as a new folder or a new branch.

        What a dead daemon left unkept is kept first. Raises NotFoundError when nothing was kept, ConflictError when
        the folder or branch is there already or the task runs.
        """
        ...

    async def clean(self, uid: TaskUid, *, dry_run: bool) -> CleanedArea:
        """Remove the area of an ended task if all that is in it can be reached by hidden refs."""
        ...

    async def tidy(self) -> None:
        """Remove what no area needs any more, unless a daemon is at work."""
        ...

    async def uids(self) -> Sequence[TaskUid]:
        """Return the tasks that have an area on the disk."""
        ...
