"""From what the store knows of the tasks before one, and of its sub-tasks, to what it begins with and is told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from orchestrator.core.attempt import AttemptRecord, WorkOrder
from orchestrator.core.dependencies import NeedKind
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.handover import FILES, TASKS, Handover, handover_words
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Clock, Store
from orchestrator.core.task import Task
from orchestrator.core.work import Base, Isolation
from orchestrator.engine.patience import patiently

Facts = Mapping[str, Json]


class Predecessors:
    """Remembers nothing. What other agents said is cleared of secrets before anybody is told."""

    def __init__(self, store: Store, clock: Clock, redact: Callable[[Json], Json]) -> None:
        self._store = store
        self._clock = clock
        self._redact = redact

    async def given(self, order: WorkOrder, task: Task) -> WorkOrder:
        """Return *order* with the results that it begins with, and with words about the tasks before it. Of its
        sub-tasks it is told by whoever joins them."""
        return await patiently(self._clock, lambda: self._given(order, task))

    async def _given(self, order: WorkOrder, task: Task) -> WorkOrder:
        before, children = await self._needed(task.uid, NeedKind.AFTER), await self._needed(task.uid, NeedKind.CHILD)
        if not (before or children or task.parent):
            return order
        bases = [*await self._of_parent(task), *await self._results(before, seen={task.uid})]
        merges = await self._results(children, seen={task.uid})
        clean = self._redact(handover_words(await self._all_told(before)))
        return replace(
            order, bases=_each_once(bases), merges=_each_once(merges), told=clean if isinstance(clean, str) else ""
        )

    async def _needed(self, uid: TaskUid, kind: NeedKind) -> list[Task]:
        """Return the tasks that *uid* waited for, in the order of their acceptance."""
        needs = (await self._store.needs([uid])).get(uid, ())
        found = [await self._store.task(need.on_uid) for need in needs if need.kind is kind and need.on_uid]
        return sorted((one for one in found if one is not None), key=lambda one: one.order)

    async def _of_parent(self, task: Task) -> list[Base]:
        """Return what the task that has split into *task* had left by then, where that is anything."""
        parent = await self._store.task(task.parent) if task.parent else None
        if parent is None or parent.state is not State.SPLIT:
            return []
        attempts = await self._store.attempts(parent.uid)
        work = _work_of(attempts[-1]) if attempts else {}
        return [_base(parent, work)] if work.get("head") else []

    async def _results(self, tasks: Sequence[Task], *, seen: set[TaskUid]) -> list[Base]:
        """Return the results of *tasks*. For one that has none of its own, those that it began with."""
        found: list[Base] = []
        for task in tasks:
            if task.state is not State.SUCCEEDED or task.uid in seen:
                continue
            attempts = await self._store.attempts(task.uid)
            work = _work_of(attempts[-1]) if attempts else {}
            if work.get("head") or work.get("isolation") == Isolation.IN_PLACE.value:
                found.append(_base(task, work))
                continue
            for kind in NeedKind:
                found += await self._results(await self._needed(task.uid, kind), seen=seen | {task.uid})
        return found

    async def _all_told(self, tasks: Sequence[Task]) -> list[Handover]:
        """Return *tasks* as others are told of them; those beyond the limit only count."""
        full = [await self._told(task) for task in tasks[:TASKS]]
        return [*full, *(Handover(task.spec.id, "", task.state) for task in tasks[TASKS:])]

    async def _told(self, task: Task) -> Handover:
        attempts = await self._store.attempts(task.uid)
        work = _work_of(attempts[-1]) if attempts else {}
        files = [str(row.get("path")) for row in _rows(work.get("files"))]
        count = work.get("files_changed")
        return Handover(
            task.spec.id,
            task.spec.title or task.spec.id,
            f"{task.state.value}: {task.reason}" if task.reason and task.state is not State.SUCCEEDED else task.state,
            asked=task.spec.prompt,
            said=_said_by(attempts[-1]) if attempts else "",
            files=tuple(files[:FILES]),
            files_changed=count if isinstance(count, int) else len(files),
            branch=str(work.get("branch") or "") if work.get("delivered") is True else "",
        )


def _base(task: Task, work: Facts) -> Base:
    where = {key: str(work.get(key) or "") for key in ("folder", "head", "branch")}
    branch = where["branch"] if work.get("delivered") is True else ""
    return Base(task.uid, task.spec.id, task.spec.title or task.spec.id, where["folder"], where["head"], branch)


def _each_once(bases: Iterable[Base]) -> tuple[Base, ...]:
    return tuple({base.uid: base for base in bases}.values())


def _work_of(record: AttemptRecord) -> Facts:
    """Return the facts of the work of an attempt: those of its verdict, else those of its end."""
    for told in (record.verdict.get("work"), record.outcome.get("work")):
        if isinstance(told, Mapping) and told:
            return told
    return {}


def _said_by(record: AttemptRecord) -> str:
    """Return the result in few words, where a model was asked for them, else the agent's last words."""
    digest, report = record.verdict.get("digest"), record.outcome.get("report")
    if isinstance(digest, Mapping) and digest.get("text"):
        return str(digest["text"])
    return str(report.get("answer") or "") if isinstance(report, Mapping) else ""


def _rows(value: Json) -> Sequence[Facts]:
    found = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [row for row in found if isinstance(row, Mapping)]
