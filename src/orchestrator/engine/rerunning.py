"""An ended task once more: a task of its own in the same job and tree, that waits for what the old one waited for."""

from collections.abc import Sequence

from orchestrator.core.dependencies import Need, NeedKind, spelled_out
from orchestrator.core.errors import ConflictError
from orchestrator.core.events import NOBODY, Event, EventKind, Json, TaskUid
from orchestrator.core.ports import Clock, NewTask, Store
from orchestrator.core.task import Task, TaskSpec
from orchestrator.engine.ties import Tie, closing, tied

DOOR = "retry"


async def run_of(
    store: Store,
    clock: Clock,
    old: Task,
    *,
    children: Sequence[tuple[str, TaskUid]] = (),
    spec: TaskSpec | None = None,
    strategy: str = "",
) -> NewTask:
    """Return the task that does *old* once more, as *spec* where that is given. *strategy* is who wants it, "" a
    person: what a strategy runs anew draws on the account of its lineage, a root that a person does begins its own.

    With *children* (keys of ids, uids) it does not begin anew: it waits for these as for its own sub-tasks, and joins
    what comes of them.
    """
    now, uid = clock.now(), clock.new_uid()
    name = old.name.partition(f".{old.uid[-8:]}")[0]
    root = old.root or (old.uid if children or strategy else NOBODY)
    place = {"job": old.job, "parent": old.parent, "root": root, "depth": old.depth, "path": old.path}
    spec = spec or old.spec
    task = Task(uid, name, spec, old.sha256, now, rerun_of=old.uid, **place)  # type: ignore[arg-type]
    by: dict[str, Json] = {"strategy": strategy} if strategy else {}
    events = [
        Event(EventKind.RECEIVED, now, uid, data={"door": DOOR, "rerun_of": old.uid, **by}),
        Event(EventKind.PARSED, now, uid, data={"type": old.spec.type, "priority": old.spec.priority.value}),
    ]
    new = NewTask(task, await store.body(old.uid), events)
    if not children:
        for cycle in (await closing(store, [spec])).values():
            message = f"{spec.id} would wait for itself: {spelled_out(cycle)}"
            raise ConflictError(message, hint="Cancel the one among them that is not to be waited for, then try again.")
        return tied(new, Tie(spec, old.job))
    data: dict[str, Json] = {"on": [key for key, _ in children], "policy": "", "joins": True}
    needs = [Need(uid, key, child, NeedKind.CHILD) for key, child in children]
    return NewTask(task, new.body, [*events, Event(EventKind.BLOCKED, now, uid, data=data)], needs)
