"""Tasks and events for the tests of stores."""

from collections.abc import Sequence

from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.ports import NewTask, Store
from orchestrator.core.task import FileStamp, Priority, Task, TaskSpec

K = EventKind


def new(
    n: int,
    *,
    task_id: str = "",
    name: str = "",
    priority: Priority = Priority.MEDIUM,
    agent: str = "",
    file_name: str | None = None,
    rejected: bool = False,
    not_before: float = 0.0,
) -> NewTask:
    """A task number *n* that differs from all others, unless told otherwise."""
    uid = TaskUid(f"{n:024x}{n:08x}")
    spec = TaskSpec(task_id or f"id_{n}", "analyze", priority, "A title", "Look at it", agent=agent)
    file_name = f"task_{n}.task.md" if file_name is None else file_name
    task = Task(uid, name or f"task_{n}", spec, f"{n:064x}", 1.0, file_name, FileStamp(n, n, n), not_before=not_before)
    last = K.REJECTED if rejected else K.PARSED
    return NewTask(task, b"body %d" % n, [Event(K.RECEIVED, 1.0, uid), Event(last, 1.0, uid)])


def event(kind: EventKind, task: Task, *, ts: float = 2.0, **data: Json) -> Event:
    """An event that fits *task* as it is now."""
    attempt = task.attempt + 1 if kind is K.STARTED else task.attempt
    return Event(kind, ts, task.uid, attempt, task.epoch, data)


async def go(store: Store, task: Task, *kinds: EventKind, ts: float = 2.0) -> Task:
    """Take *task* along *kinds*."""
    for kind in kinds:
        (task,) = await store.commit([event(kind, task, ts=ts)])
    return task


def uids(tasks: Sequence[Task]) -> list[int]:
    return [int(task.uid[-8:], 16) for task in tasks]


DONE = (K.STARTED, K.FINISHED, K.VALIDATED, K.SUCCEEDED)
