"""Lets tasks go on that wait for others: what depends on tasks that ended, and what split into sub-tasks that did.

What to look at is said by the event log, so a look costs what has happened, not what waits; at the start, and now and
then, everything is looked at for which something may follow. Nothing is remembered but how far the log was read: what
was cut off is done by the next look, and what was done is never done twice, as the store refuses it.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from orchestrator.core.dependencies import (
    DEPENDENCY_FAILED,
    Decision,
    DependencyPolicy,
    Need,
    NeedKind,
    Step,
    decide,
)
from orchestrator.core.errors import ConflictError, IllegalEventError, StoreError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.failpoint import hit
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Store
from orchestrator.core.task import Task
from orchestrator.engine.bell import Bell

log = logging.getLogger(__name__)

PARENT_ENDED = "parent_ended"  # the reason of a sub-task that was cancelled because its parent has ended before it
LOOK_EVERY_S = 5.0
ALL_EVERY_S = 60.0
PIECE = 500
TOGETHER = 100  # events that are committed at once
SHOWN = 20  # names in one sentence
_OF_OTHERS = frozenset(
    {
        EventKind.SUCCEEDED,
        EventKind.ACCEPTED,
        EventKind.FAILED,
        EventKind.CANCELLED,
        EventKind.REJECTED,
        EventKind.QUESTION_ASKED,
        EventKind.HELD,
    }
)
_OF_ITS_OWN = frozenset({EventKind.BLOCKED, EventKind.UPDATED, EventKind.SPLIT})
_ENDED = frozenset({EventKind.FAILED, EventKind.CANCELLED, EventKind.REJECTED})


class Cancel(Protocol):
    """Cancels a task by its uid, as every door does."""

    async def __call__(self, key: str, *, reason: str) -> object: ...


class Unblocking:
    """Runs beside the pool. *cancel* ends sub-tasks whose parent has ended before it could join them."""

    def __init__(
        self, *, store: Store, clock: Clock, bell: Bell, policy: Callable[[], RunPolicy], cancel: Cancel
    ) -> None:
        self._store = store
        self._clock = clock
        self._bell = bell
        self._policy = policy
        self._cancel = cancel
        self._jobs: dict[str, Job] = {}
        self._seen_seq = 0
        self._all_at: float | None = None  # when (monotonic seconds) everything is to be looked at again

    async def run(self, stopping: asyncio.Event) -> None:
        """Look whenever something happened, until *stopping*.

        Where the store refuses for now it is tried again. Raises StoreError when nothing can be stored ever again.
        """
        while not stopping.is_set():
            count = self._bell.count
            try:
                await self.look()
            except StoreError as error:
                if error.lasting:
                    raise
                log.error("no task is unblocked for now: %s", error)  # noqa: TRY400 - expected, not a bug
            await self._bell.wait(count, LOOK_EVERY_S)

    async def look(self) -> int:
        """Let go on what can, by what happened since the last look. Returns how many tasks were moved.

        Raises StoreError.
        """
        now = self._clock.monotonic()
        if self._all_at is None or now >= self._all_at:
            seq = await self._store.last_seq()  # before: what happens meanwhile is looked at once more
            moved = await self._look_at_all()
            self._seen_seq, self._all_at = seq, now + ALL_EVERY_S
            return moved
        moved = 0
        while events := await self._store.events_after(self._seen_seq, limit=PIECE):
            moved += await self._look_at_events(events)
            self._seen_seq = events[-1].seq  # afterwards: what was cut off is looked at again
        return moved

    async def _look_at_all(self) -> int:
        moved = after = 0
        while tasks := await self._store.stirred(after=after, limit=PIECE):
            moved += await self._move(tasks)
            after = tasks[-1].order
        return moved + await self._let_go(await self._store.abandoned())

    async def _look_at_events(self, events: Sequence[Event]) -> int:
        if any(event.kind is EventKind.CONFIG_RELOADED for event in events):
            return await self._look_at_all()  # the policy may be another one
        ended = _uids(events, _OF_OTHERS)
        waiting = {task.uid: task for task in await self._store.dependents(ended)} if ended else {}
        for uid in _uids(events, _OF_ITS_OWN):
            if uid not in waiting and (task := await self._store.task(uid)) is not None:
                waiting[uid] = task
        moved = await self._move([task for task in waiting.values() if task.state in (State.BLOCKED, State.SPLIT)])
        gone = _uids(events, _ENDED)
        return moved + (await self._let_go(await self._store.abandoned(gone)) if gone else 0)

    async def _move(self, tasks: Sequence[Task]) -> int:
        """Commit what follows for each of *tasks*, which are blocked or split. Returns for how many anything did."""
        moved = 0
        for begin in range(0, len(tasks), PIECE):
            piece = tasks[begin : begin + PIECE]
            standing = await self._store.standing([task.uid for task in piece])
            found = [await self._what_follows(task, standing.get(task.uid, ())) for task in piece]
            moved += await self._commit([event for event in found if event is not None])
        return moved

    async def _what_follows(self, task: Task, needs: Sequence[tuple[Need, State | None]]) -> Event | None:
        decision = decide(needs, await self._policy_of(task))
        if decision.step is Step.WAIT and not (decision.failed and await self._keeps_a_parent(task)):
            return None
        if decision.step is not Step.GO and task.state is State.BLOCKED:
            return self._event(EventKind.CANCELLED, task, _skipped(decision))
        joins = task.state is State.SPLIT or any(need.kind is NeedKind.CHILD for need, _ in needs)
        if decision.step is Step.GO and joins:
            return self._event(EventKind.JOINED, task, {"children": await self._children(needs)})
        if decision.step is Step.GO and task.state is State.BLOCKED:
            data: dict[str, Json] = {"met": list(decision.met), "passed_over": list(decision.passed_over)}
            return self._event(EventKind.UNBLOCKED, task, data)
        return None

    async def _keeps_a_parent(self, task: Task) -> bool:
        """Whether a task waits for *task* as for its sub-task. It would wait for a person with it, and tell nobody."""
        if not task.parent or task.state is not State.BLOCKED:
            return False
        return any(one.depth < task.depth for one in await self._store.dependents([task.uid]))

    async def _children(self, needs: Sequence[tuple[Need, State | None]]) -> list[Json]:
        states = {need.on_uid: state for need, state in needs if need.kind is NeedKind.CHILD}
        labels = await self._store.labels(list(states))
        return [
            {"uid": uid, "id": labels[uid].task_id if uid in labels else "", "state": state.value if state else ""}
            for uid, state in states.items()
        ]

    async def _policy_of(self, task: Task) -> DependencyPolicy:
        if task.spec.on_dependency:
            return DependencyPolicy(task.spec.on_dependency)
        if task.job and task.job not in self._jobs:
            self._jobs |= {job.uid: job for job in await self._store.job(task.job)}
        of_job = self._jobs[task.job].on_dependency if task.job in self._jobs else ""
        return DependencyPolicy(of_job) if of_job else self._policy().on_dependency

    async def _commit(self, events: Sequence[Event]) -> int:
        """Commit *events*, each about another task; one that somebody was first with is left out."""
        done = 0
        for begin in range(0, len(events), TOGETHER):
            piece = events[begin : begin + TOGETHER]
            hit("unblock.decided")
            try:
                await self._store.commit(piece)
                done += len(piece)
            except IllegalEventError:
                done += sum([await self._commit_one(event) for event in piece])
        if done:
            self._bell.ring()
        return done

    async def _commit_one(self, event: Event) -> int:
        try:
            await self._store.commit([event])
        except IllegalEventError:
            return 0  # it was cancelled, held or edited this very moment
        return 1

    async def _let_go(self, uids: Iterable[TaskUid]) -> int:
        """Cancel sub-tasks that nobody waits for any more."""
        done = 0
        for uid in uids:
            try:
                await self._cancel(uid, reason=PARENT_ENDED)
                done += 1
            except ConflictError:
                continue  # it has ended this very moment
        return done

    def _event(self, kind: EventKind, task: Task, data: Mapping[str, Json]) -> Event:
        return Event(kind, self._clock.now(), task.uid, task.attempt, task.epoch, data)


def _uids(events: Iterable[Event], kinds: Collection[EventKind]) -> list[TaskUid]:
    return list(dict.fromkeys(event.uid for event in events if event.uid and event.kind in kinds))


def _skipped(decision: Decision) -> dict[str, Json]:
    more = f" and {len(decision.failed) - SHOWN} more" if len(decision.failed) > SHOWN else ""
    detail = f"it depends on {', '.join(decision.failed[:SHOWN])}{more}: no success"
    return {"reason": DEPENDENCY_FAILED, "detail": detail, "failed": list(decision.failed[:SHOWN])}
