"""What a store knows of jobs, of dependencies between tasks and of trees of sub-tasks: a part of the port `Store`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.dependencies import Need
from orchestrator.core.events import TaskUid
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task


class JobStore(Protocol):
    """Every read sees one state of the store."""

    async def needs(self, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Sequence[Need]]:
        """Return what each of *uids* waits for or has waited for; a task without needs is left out."""
        ...

    async def open_needs(self) -> Sequence[Need]:
        """Return the unmet needs of all tasks that have not ended, templates of schedules among them."""
        ...

    async def dependents(self, uids: Sequence[TaskUid]) -> Sequence[Task]:
        """Return the tasks, blocked, split or held, that wait for one of *uids*, oldest first."""
        ...

    async def blocked(self, *, after: int = 0, limit: int) -> Sequence[Task]:
        """Return blocked and split tasks of an order above *after*, oldest first."""
        ...

    async def standing(self, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Sequence[tuple[Need, State | None]]]:
        """Return the unmet needs of each of *uids*, each with the state of the task it is about, None where nobody has
        submitted one; a task without unmet needs is left out."""
        ...

    async def stirred(self, *, after: int = 0, limit: int) -> Sequence[Task]:
        """Return those of `blocked` for which something may follow: all that they wait for has ended, or something has
        ended without success or waits for a person."""
        ...

    async def abandoned(self, parents: Sequence[TaskUid] | None = None) -> Sequence[TaskUid]:
        """Return the tasks that have not ended though the task that split into them has, before it could join them;
        only of *parents* where these are given."""
        ...

    async def children(self, uid: TaskUid) -> Sequence[Task]:
        """Return the tasks that *uid* split into, oldest first; runs of them anew among them."""
        ...

    async def tree(self, root: TaskUid) -> Sequence[Task]:
        """Return all tasks of a lineage, its root first, then by age."""
        ...

    async def tree_attempts(self, root: TaskUid) -> Sequence[AttemptRecord]:
        """Return the attempts of all tasks of a lineage, by start."""
        ...

    async def job(self, key: str) -> Sequence[Job]:
        """Return jobs whose uid (or its beginning of 4+ digits, or its last 8) or name is *key*, newest first."""
        ...

    async def jobs(self, *, limit: int, newest_first: bool = True) -> Sequence[Job]: ...

    async def job_tasks(self, uid: str) -> Sequence[Task]:
        """Return the tasks of a job, oldest first."""
        ...

    async def due(self, now: float, *, limit: int) -> Sequence[Task]:
        """Return templates of schedules whose next time has come, by that time."""
        ...

    async def overdue(self, now: float, *, limit: int) -> Sequence[Task]:
        """Return tasks that have not ended though their deadline has passed, by deadline."""
        ...

    async def recent_attempts(self, *, limit: int) -> Sequence[AttemptRecord]:
        """Return the attempts that ended last, the last one first."""
        ...

    async def recall(self, prefix: str) -> Mapping[str, str]:
        """Return what is kept under keys that begin with *prefix*, by key."""
        ...

    async def memorize(self, changes: Mapping[str, str | None], *, ts: float) -> None:
        """Keep texts under keys; None forgets a key."""
        ...

    async def next_due(self) -> float:
        """Return the earliest of all next times of templates and deadlines of tasks not ended; 0.0: there is none."""
        ...
