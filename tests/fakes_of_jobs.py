"""The part of the MemoryStore that knows jobs, needs and trees."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.dependencies import Need, NeedKind
from orchestrator.core.errors import ConflictError, IllegalEventError
from orchestrator.core.events import Event, TaskUid
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import TERMINAL, State
from orchestrator.core.ports import NewTask
from orchestrator.core.task import Task

_BADLY = TERMINAL - {State.SUCCEEDED}


class Holding(Protocol):
    """What of all that a MemoryStore holds is needed here."""

    tasks: dict[TaskUid, Task]
    attempts: dict[tuple[TaskUid, int], AttemptRecord]
    jobs: dict[str, Job]
    lines: dict[str, int]
    needs: list[Need]
    memos: dict[str, str]


class MemoryJobs:
    """Implements `JobStore` over what a MemoryStore holds."""

    _held: Holding

    def put_jobs(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._held.jobs.setdefault(job.uid, job)
            self._held.lines.setdefault(job.uid, len(self._held.tasks) + 1)

    def in_job(self, task: Task, job: str) -> Task:
        if job and job not in self._held.jobs:
            raise ConflictError(f"there is no job {job}")
        return replace(task, job=job)

    def line(self, task: Task) -> int:
        return int(self._held.lines[task.job]) if task.job else task.order

    def place(self, stored: Sequence[Task], new: Sequence[NewTask]) -> None:
        for task in stored:
            if task.job and task.job not in self._held.jobs:
                raise ConflictError(f"there is no job {task.job}")
            if task.state not in (State.REJECTED, State.SCHEDULED):
                self._held.needs = [self._followed(need, task) for need in self._held.needs]
        for task, item in zip(stored, new, strict=True):
            if item.needs:
                self.put_needs(task, item.needs)

    def _followed(self, need: Need, new: Task) -> Need:
        waiting = self._held.tasks[need.uid]
        before = self._held.tasks.get(need.on_uid)
        if need.met or need.on_key != new.id_key or need.uid == new.uid or waiting.state in TERMINAL:
            return need
        again = bool(need.on_uid) and new.rerun_of == need.on_uid
        stead = before is None or before.state is State.SCHEDULED or (before.state in _BADLY and waiting.job == new.job)
        return replace(need, on_uid=new.uid) if again or (need.kind is NeedKind.AFTER and stead) else need

    def put_needs(self, task: Task, needs: Sequence[Need]) -> None:
        self._held.needs = [
            one for one in self._held.needs if one.uid != task.uid or one.met or one.kind is not NeedKind.AFTER
        ]
        for need in needs:
            on_uid = need.on_uid or self._newest_of(need.on_key, task)
            keys = {(one.uid, one.kind, one.on_key) for one in self._held.needs}
            if (task.uid, need.kind, need.on_key) not in keys:
                self._held.needs.append(replace(need, uid=task.uid, on_uid=on_uid))

    def _newest_of(self, key: str, task: Task) -> TaskUid:
        same = [
            one
            for one in self._held.tasks.values()
            if one.id_key == key and one.uid != task.uid and one.state not in (State.SCHEDULED, State.REJECTED)
        ]
        newest = max(same, key=lambda one: (one.job == task.job, one.order), default=None)
        return newest.uid if newest else TaskUid("")

    def need_children(self, parent: Task, children: Sequence[Task]) -> None:
        self._held.needs += [Need(parent.uid, child.id_key, child.uid, NeedKind.CHILD) for child in children]

    def met(self, uid: TaskUid) -> None:
        self._held.needs = [replace(one, met=True) if one.uid == uid else one for one in self._held.needs]

    def refuse_early(self, task: Task, event: Event) -> None:
        for need in self._held.needs:
            if need.uid == task.uid and not need.met:
                raise IllegalEventError(task.state, event.kind, why=f"it waits for {need.on_key}")

    async def needs(self, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Sequence[Need]]:
        each = {uid: [one for one in self._held.needs if one.uid == uid] for uid in uids}
        return {uid: sorted(found, key=lambda one: (one.kind, one.on_key)) for uid, found in each.items() if found}

    async def open_needs(self) -> Sequence[Need]:
        return [one for one in self._held.needs if not one.met and self._held.tasks[one.uid].state not in TERMINAL]

    async def dependents(self, uids: Sequence[TaskUid]) -> Sequence[Task]:
        waiting = {one.uid for one in self._held.needs if not one.met and one.on_uid in uids}
        return [task for task in self._tasks() if task.uid in waiting and task.state not in TERMINAL]

    async def blocked(self, *, after: int = 0, limit: int) -> Sequence[Task]:
        waiting = (State.BLOCKED, State.SPLIT)
        return [task for task in self._tasks() if task.state in waiting and task.order > after][:limit]

    async def standing(self, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Sequence[tuple[Need, State | None]]]:
        found = {uid: [one for one in self._held.needs if one.uid == uid and not one.met] for uid in uids}
        ordered = {uid: sorted(needs, key=lambda one: (one.kind, one.on_key)) for uid, needs in found.items() if needs}
        return {uid: [(one, self._state_of(one)) for one in needs] for uid, needs in ordered.items()}

    def _state_of(self, need: Need) -> State | None:
        task = self._held.tasks.get(need.on_uid)
        return task.state if task else None

    async def stirred(self, *, after: int = 0, limit: int) -> Sequence[Task]:
        return [task for task in await self.blocked(after=after, limit=1_000_000) if self._stirs(task.uid)][:limit]

    def _stirs(self, uid: TaskUid) -> bool:
        unmet = [one for one in self._held.needs if one.uid == uid and not one.met]
        upset = (*_BADLY, State.HELD, State.NEEDS_INPUT)
        bad = any(one.kind is NeedKind.AFTER and self._state_of(one) in upset for one in unmet)
        return bad or all(self._state_of(one) in TERMINAL for one in unmet)

    async def abandoned(self, parents: Sequence[TaskUid] | None = None) -> Sequence[TaskUid]:
        open_ones = [one for one in self._held.needs if not one.met and one.kind is NeedKind.CHILD]
        return [
            one.on_uid
            for one in open_ones
            if self._held.tasks[one.uid].state in TERMINAL
            and self._state_of(one) not in TERMINAL
            and (parents is None or one.uid in parents)
        ]

    async def children(self, uid: TaskUid) -> Sequence[Task]:
        return [task for task in self._tasks() if uid and task.parent == uid]

    async def tree(self, root: TaskUid) -> Sequence[Task]:
        found = [task for task in self._tasks() if task.uid == root or (root and task.root == root)]
        return sorted(found, key=lambda task: (task.uid != root, task.order))

    async def tree_attempts(self, root: TaskUid) -> Sequence[AttemptRecord]:
        uids = {task.uid for task in await self.tree(root)}
        found = [record for record in self._held.attempts.values() if record.uid in uids]
        return sorted(found, key=lambda record: (record.started_ts, record.uid, record.number))

    async def recent_attempts(self, *, limit: int) -> Sequence[AttemptRecord]:
        ended = [record for record in self._held.attempts.values() if record.ended_ts]
        return sorted(ended, key=lambda record: (record.ended_ts, record.uid, record.number), reverse=True)[:limit]

    async def recall(self, prefix: str) -> Mapping[str, str]:
        return {key: text for key, text in sorted(self._held.memos.items()) if key.startswith(prefix)}

    async def memorize(self, changes: Mapping[str, str | None], *, ts: float) -> None:
        for key, text in changes.items():
            self._held.memos.pop(key, None)
            if text is not None:
                self._held.memos[key] = text

    async def job(self, key: str) -> Sequence[Job]:
        def fits(job: Job) -> bool:
            begins = len(key) >= 4 and key.isalnum() and job.uid.startswith(key)
            return key in (job.uid, job.name) or (len(key) == 8 and job.uid.endswith(key)) or begins

        return [job for job in reversed(self._held.jobs.values()) if key and fits(job)]

    async def jobs(self, *, limit: int, newest_first: bool = True) -> Sequence[Job]:
        found = list(self._held.jobs.values())
        return (found[::-1] if newest_first else found)[:limit]

    async def job_tasks(self, uid: str) -> Sequence[Task]:
        return [task for task in self._tasks() if uid and task.job == uid]

    async def due(self, now: float, *, limit: int) -> Sequence[Task]:
        found = [task for task in self._tasks() if task.state is State.SCHEDULED and task.not_before <= now]
        return sorted(found, key=lambda task: (task.not_before, task.order))[:limit]

    async def overdue(self, now: float, *, limit: int) -> Sequence[Task]:
        found = [task for task in self._with_deadline() if task.deadline_ts <= now]
        return sorted(found, key=lambda task: (task.deadline_ts, task.order))[:limit]

    async def next_due(self) -> float:
        times = [task.not_before for task in self._tasks() if task.state is State.SCHEDULED]
        return min([*times, *(task.deadline_ts for task in self._with_deadline())], default=0.0)

    def _with_deadline(self) -> list[Task]:
        return [task for task in self._tasks() if task.deadline_ts > 0 and task.state not in TERMINAL]

    def _tasks(self) -> list[Task]:
        return sorted(self._held.tasks.values(), key=lambda task: task.order)
