"""Sub-tasks as tasks of their own: how they are born, and what became of them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.codec import to_json
from orchestrator.core.dependencies import Need, NeedKind, critical_paths
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.offspring import Offspring
from orchestrator.core.plan_words import Ended
from orchestrator.core.ports import Clock, NewTask, Store
from orchestrator.core.task import Task, id_key
from orchestrator.core.text import slug
from orchestrator.core.work import Area

DOOR = "split"  # by which sub-tasks come


@dataclass(frozen=True, slots=True)
class Nursery:
    """What it takes to make tasks: uids and times, and what clears an event of secrets."""

    clock: Clock
    clean: Callable[[Mapping[str, Json]], Mapping[str, Json]]


def born(nursery: Nursery, parent: Task, made: Sequence[Offspring], *, on_dependency: str) -> tuple[NewTask, ...]:
    """Return the tasks of *made* below *parent*, those that wait for others blocked from the first moment on.

    *on_dependency* is the policy of those that have none of their own.
    """
    uids = {one.spec.id: nursery.clock.new_uid() for one in made}
    edges = {one.spec.id: one.spec.depends_on for one in made}
    paths = critical_paths(edges, {one.spec.id: one.minutes * 60.0 for one in made})
    found = []
    for one in made:
        now, uid, spec = nursery.clock.now(), uids[one.spec.id], one.spec
        sha256 = hashlib.sha256(one.body).hexdigest()
        task = replace(
            Task(uid, slug(spec.id), spec, sha256, now),
            job=parent.job,
            parent=parent.uid,
            root=parent.lineage,
            depth=parent.depth + 1,
            path=paths[spec.id],
            deadline_ts=parent.deadline_ts,
        )
        received: dict[str, Json] = {"door": DOOR, "by": parent.spec.id, "sha256": sha256, "parent": parent.uid}
        parsed: dict[str, Json] = {
            "type": spec.type,
            "priority": spec.priority.value,
            "inferred": to_json(spec.inferred),
            "warnings": to_json(spec.notices),
        }
        told = [(EventKind.RECEIVED, received), (EventKind.PARSED, parsed)]
        if spec.depends_on:
            on: dict[str, Json] = {"on": list(spec.depends_on), "policy": spec.on_dependency or on_dependency}
            told.append((EventKind.BLOCKED, on))
        events = [Event(kind, now, uid, data=nursery.clean(data)) for kind, data in told]
        needs = [Need(uid, id_key(other), uids[other]) for other in spec.depends_on]
        found.append(NewTask(task, one.body, events, needs))
    return tuple(found)


async def ended_children(store: Store, task: Task, ids: Sequence[str], area: Area | None = None) -> Sequence[Ended]:
    """Return what became of the sub-tasks *ids* of *task*, in this order; of one that was run again the last run.

    Without *ids* they are those of the task that *task* is a new run of.
    """
    newest: dict[str, Task] = {child.id_key: child for child in await store.children(task.uid)}
    if not ids:
        newest = {child.id_key: child for child in await inherited(store, task)}
    found = []
    for child in (newest[id_key(one)] for one in ids or newest if id_key(one) in newest):
        attempts = await store.attempts(child.uid)
        work = _mapping(attempts[-1].verdict.get("work")) if attempts else {}
        found.append(
            Ended(
                uid=child.uid,
                task_id=child.spec.id,
                title=child.spec.title,
                state=child.state,
                why="" if child.state is State.SUCCEEDED else child.detail or child.reason,
                said=answer_of(attempts),
                branch=str(work.get("branch") or ""),
                merged=area is not None and child.spec.id in area.merged,
            )
        )
    return found


async def inherited(store: Store, task: Task) -> Sequence[Task]:
    """Return the sub-tasks that *task*, a new run of one that had split, waits for instead of splitting anew: what had
    succeeded, and new runs of the rest."""
    if not task.rerun_of:
        return ()
    needs = (await store.needs([task.uid])).get(task.uid, ())
    found = [await store.task(need.on_uid) for need in needs if need.kind is NeedKind.CHILD]
    return sorted((one for one in found if one is not None), key=lambda one: one.order)


def answer_of(attempts: Sequence[AttemptRecord]) -> str:
    """Return what the agent of the last attempt said at its end."""
    report = _mapping(attempts[-1].outcome.get("report")) if attempts else {}
    return str(report.get("answer") or "")


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
