"""Small real implementations of the ports, for tests of what is built on them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf

from tests.fake_clock import FakeClock as FakeClock
from tests.fakes_of_jobs import MemoryJobs

from orchestrator.core import codec
from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import Spending, cap_in, opinion_usd, spent_by, with_cost
from orchestrator.core.dependencies import Need
from orchestrator.core.errors import ConflictError, IllegalEventError, NotFoundError
from orchestrator.core.events import Event, EventKind, Json, TaskUid, end_told_by, in_turn
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import ACTIVE, AHEAD, EDITABLE, PENDING, TERMINAL, WAITING, State
from orchestrator.core.ports import EndedTask, NewTask, Pause, outlasts
from orchestrator.core.task import IN_VERDICT, JOINED, FileStamp, Label, Task, advance, id_key


@dataclass
class _Held:
    """Everything a MemoryStore knows; copied before a write, put back when the write fails."""

    tasks: dict[TaskUid, Task] = field(default_factory=dict)
    bodies: dict[TaskUid, bytes] = field(default_factory=dict)
    attempts: dict[tuple[TaskUid, int], AttemptRecord] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    pauses: dict[str, Pause] = field(default_factory=dict)
    forgiven: set[tuple[TaskUid, int]] = field(default_factory=set)
    jobs: dict[str, Job] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)  # by the uid of a job
    needs: list[Need] = field(default_factory=list)
    memos: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "_Held":
        held = _Held(dict(self.tasks), dict(self.bodies), dict(self.attempts), list(self.events), dict(self.pauses))
        jobs = {
            "jobs": dict(self.jobs),
            "lines": dict(self.lines),
            "needs": list(self.needs),
            "memos": dict(self.memos),
        }
        return replace(held, forgiven=set(self.forgiven), **jobs)  # type: ignore[arg-type]


class MemoryStore(MemoryJobs):
    """Implements the port `Store` in memory, for one event loop. Passes the same suite as the real one."""

    _held: _Held

    def __init__(self) -> None:
        self._held = _Held()
        self._writes = 0
        self._seen = -1

    # What writes

    async def accept(self, new: Sequence[NewTask], jobs: Sequence[Job] = ()) -> Sequence[Task]:
        with _AllOrNothing(self):
            return self._accept_all(new, jobs)

    async def split(self, events: Sequence[Event], children: Sequence[NewTask]) -> Sequence[Task]:
        with _AllOrNothing(self):
            (parent,) = self._commit(events)
            stored = self._accept_all(children, ())
            self.need_children(parent, stored)
            return [parent, *stored]

    async def fire(self, event: Event, runs: Sequence[NewTask]) -> Sequence[Task]:
        with _AllOrNothing(self):
            return [*self._commit([event]), *self._accept_all(runs, ())]

    def _accept_all(self, new: Sequence[NewTask], jobs: Sequence[Job]) -> list[Task]:
        self.put_jobs(jobs)
        stored = [self._accept(item) for item in new]
        self.place(stored, new)
        return stored

    async def revise(
        self, task: Task, body: bytes, event: Event, *, then: Sequence[Event] = (), needs: Sequence[Need] = ()
    ) -> Task:
        with _AllOrNothing(self):
            before = self._known(task.uid)
            if before.state not in EDITABLE:
                raise IllegalEventError(before.state, event.kind, why="it is queued no more")
            event = self._in_turn(event)
            after = replace(advance(before, event), spec=task.spec, sha256=task.sha256, stamp=task.stamp)
            after = replace(after, not_before=task.not_before, deadline_ts=task.deadline_ts, path=task.path)
            after = self.in_job(after, task.job)
            self._held.tasks[task.uid] = after
            self._held.bodies[task.uid] = body
            self._append(event)
            self.put_needs(after, needs)
            after = self._commit(then)[0] if then else after
            self.refuse_open(after, event)
            self.take_place(after)
            return after

    async def commit(self, events: Sequence[Event]) -> Sequence[Task]:
        with _AllOrNothing(self):
            return self._commit(events)

    async def pause(self, pause: Pause, event: Event) -> None:
        known = self._held.pauses.get(pause.scope)
        if known is not None and outlasts(known.until, pause.until):
            return
        with _AllOrNothing(self):
            self._held.pauses[pause.scope] = pause
            self._commit([event])

    async def release(self, scope: str, event: Event) -> None:
        with _AllOrNothing(self):
            self._held.pauses.pop(scope, None)
            self._commit([event])

    async def replan(self, pauses: Sequence[Pause], events: Sequence[Event]) -> None:
        with _AllOrNothing(self):
            for pause in pauses:
                if (known := self._held.pauses.get(pause.scope)) is not None:
                    self._held.pauses[pause.scope] = replace(known, until=pause.until)
            self._commit(events)

    async def forgive(self, scope: str, event: Event) -> None:
        with _AllOrNothing(self):
            ended = {key for key, record in self._held.attempts.items() if record.ended_ts}
            self._held.forgiven |= ended
            self._held.pauses.pop(scope, None)
            self._commit([event])

    def _accept(self, item: NewTask) -> Task:
        task = item.task
        if task.uid in self._held.tasks:
            raise ConflictError(f"task {task.uid} is already stored")
        for event in map(self._in_turn, item.events):
            if event.uid != task.uid:
                raise ValueError(f"{event.kind} speaks of another task")
            task = task if event.kind is EventKind.RECEIVED else advance(task, event)
            self._append(event)
        task = replace(task, name=self._free_name(task), order=len(self._held.tasks) + 1)
        self._held.tasks[task.uid] = task
        self._held.bodies[task.uid] = item.body
        return task

    def _free_name(self, task: Task) -> str:
        if task.state is State.REJECTED:
            return ""
        taken = {each.name.casefold() for each in self._held.tasks.values()}
        longer = f"{task.name}.{task.uid[-8:]}"
        names: Iterator[str] = iter([task.name, longer])
        found = next((name for name in names if name.casefold() not in taken), "")
        return found or next(f"{longer}.{n}" for n in count(2) if f"{longer}.{n}".casefold() not in taken)

    def _commit(self, events: Sequence[Event]) -> list[Task]:
        touched: dict[TaskUid, Task] = {}
        for event in map(self._in_turn, events):
            if event.uid:
                touched[event.uid] = self._apply(self._known(event.uid), event)
            self._append(event)
        for event in events:
            if event.kind is EventKind.RELEASED and event.uid:
                self.refuse_open(touched[event.uid], event)
        return list(touched.values())

    def _apply(self, before: Task, event: Event) -> Task:
        after = advance(before, event)
        if after.state in ACTIVE and before.state not in ACTIVE and self._active(after.id_key):
            raise IllegalEventError(before.state, event.kind, why="a task of the same id is active")
        if event.kind is EventKind.STARTED:
            self.refuse_early(before, event)
        self._held.tasks[after.uid] = after
        key = (after.uid, after.attempt)
        if event.kind in (EventKind.UNBLOCKED, EventKind.JOINED):
            self.met(before, event)
        elif event.kind is EventKind.STARTED:
            agent = _text(event.data, "agent") or after.agent
            self._held.attempts[key] = AttemptRecord(
                after.uid, after.attempt, after.epoch, agent, after.session_id, event.ts, cap_usd=cap_in(event.data)
            )
        elif event.kind in (EventKind.VALIDATED, EventKind.ACCEPTED) and key in self._held.attempts:
            self._held.attempts[key] = replace(self._held.attempts[key], verdict=_plain(event.data))
            if event.kind is EventKind.VALIDATED and (usd := opinion_usd(event.data)):
                self._charge(key, usd)
        elif event.kind in (EventKind.FINISHED, EventKind.LIMITED, EventKind.INTERRUPTED, EventKind.CANCELLED):
            self._close(key, event)
        elif event.kind in IN_VERDICT:
            told = {**self._held.attempts[key].verdict, IN_VERDICT[event.kind]: _plain({**event.data, "ts": event.ts})}
            self._held.attempts[key] = replace(self._held.attempts[key], verdict=told)
        return after

    def _charge(self, key: tuple[TaskUid, int], usd: float) -> None:
        outcome = with_cost(dict(self._held.attempts[key].outcome), usd)
        assert isinstance(outcome, dict)
        self._held.attempts[key] = replace(self._held.attempts[key], outcome=outcome)

    def _close(self, key: tuple[TaskUid, int], event: Event) -> None:
        record = self._held.attempts.get(key)
        if record is not None:
            outcome = event.data.get("outcome")
            self._held.attempts[key] = replace(
                record,
                ended_ts=record.ended_ts or end_told_by(event),
                outcome=_plain(outcome) if isinstance(outcome, Mapping) else record.outcome,
                session_id=_text(event.data, "session_id") or record.session_id,
            )

    def _in_turn(self, event: Event) -> Event:
        return in_turn(event, self._held.events[-1].ts if self._held.events else 0.0)

    def _append(self, event: Event) -> None:
        data: dict[str, Json] = json.loads(codec.event_text(event.data))
        self._held.events.append(replace(event, data=data, seq=len(self._held.events) + 1))

    # What reads

    async def task(self, uid: TaskUid) -> Task | None:
        return self._held.tasks.get(uid)

    async def find(self, key: str) -> Sequence[Task]:
        def fits(task: Task) -> bool:
            prefix = (len(key) >= 4 and task.uid.startswith(key)) or (len(key) == 8 and task.uid.endswith(key))
            named = key == task.file_name or key.casefold() in (task.id_key, task.name.casefold())
            return prefix or named or key == task.uid

        return [task for task in self._newest() if key and fits(task)]

    async def body(self, uid: TaskUid) -> bytes:
        self._known(uid)
        return self._held.bodies[uid]

    async def tasks(self, states: Sequence[State], *, limit: int, newest_first: bool = False) -> Sequence[Task]:
        found = [task for task in self._newest() if task.state in states]
        return (found if newest_first else found[::-1])[:limit]

    async def ready(
        self,
        now: float,
        *,
        limit: int,
        agents: Sequence[str] | None = None,
        jobs: Sequence[str] = (),
        trees: Sequence[str] = (),
    ) -> Sequence[Task]:
        first: dict[str, Task] = {}
        for task in self._oldest():
            if task.state in AHEAD:
                first.setdefault(task.id_key, task)
        found = [
            task
            for task in first.values()
            if task.state in WAITING
            and task.not_before <= now
            and task.agent not in (agents or ())
            and task.job not in jobs
            and (task.reason == JOINED or task.lineage[-8:] not in trees)
            and not self._active(task.id_key)
        ]
        found.sort(key=lambda task: (task.spec.priority.rank, self.line(task), -task.path, task.order))
        return found[:limit]

    async def next_wake(self, now: float) -> float:
        waiting = (task.not_before for task in self._held.tasks.values() if task.state in WAITING)
        return min((ts for ts in waiting if ts > max(now, 0.0)), default=0.0)

    async def unprojected(self, *, limit: int) -> Sequence[Task]:
        def is_due(task: Task) -> bool:
            unwritten = not task.artifacts and not task.cleaned and task.state is not State.REJECTED
            return task.state in TERMINAL and (unwritten or not task.archived)

        return [task for task in self._oldest() if is_due(task)][:limit]

    async def ended(self, *, after: int = 0, before_ts: float = inf, limit: int) -> Sequence[EndedTask]:
        found = [
            EndedTask(task.order, task.uid, task.name, task.ended_ts, task.artifacts, task.cleaned)
            for task in self._oldest()
            if task.state in TERMINAL and task.order > after and task.ended_ts < before_ts
        ]
        return found[:limit]

    async def ended_last(self, *, limit: int) -> Sequence[Task]:
        ended = [task for task in self._oldest() if task.state in TERMINAL]
        return sorted(ended, key=lambda task: (-task.ended_ts, -task.order))[:limit]

    async def counts(self) -> Mapping[State, int]:
        return {state: sum(task.state is state for task in self._held.tasks.values()) for state in State}

    async def waiting_files(self) -> Sequence[tuple[str, FileStamp, TaskUid, int]]:
        waiting = (task for task in self._held.tasks.values() if task.state in PENDING and task.file_name)
        return [(task.file_name, task.stamp, task.uid, task.order) for task in waiting]

    async def namesakes(self, asked: Sequence[tuple[str, str]]) -> Sequence[Sequence[Task]]:
        return [self._namesakes(id_key(task_id), sha256) for task_id, sha256 in asked]

    def _namesakes(self, key: str, sha256: str) -> Sequence[Task]:
        same = [task for task in self._newest() if task.id_key == key]
        done = [task for task in same if task.state is State.SUCCEEDED and task.sha256 == sha256]
        kept = [task for task in same if task.state not in TERMINAL][:2] + done[:1]
        return [task for task in same if task in kept]

    async def labels(self, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Label]:
        found = ((uid, self._held.tasks.get(uid)) for uid in uids)
        return {uid: Label(task.spec.id, task.name) for uid, task in found if task is not None}

    async def attempts(self, uid: TaskUid) -> Sequence[AttemptRecord]:
        return [record for (owner, _), record in sorted(self._held.attempts.items()) if owner == uid]

    async def events_after(self, seq: int, *, limit: int) -> Sequence[Event]:
        start = max(seq, 0)
        return self._held.events[start : start + limit]

    async def events_of(self, uid: TaskUid, *, limit: int) -> Sequence[Event]:
        mine = [event for event in self._held.events if uid and event.uid == uid]
        return mine[max(0, len(mine) - limit) :]

    async def last_seq(self) -> int:
        return len(self._held.events)

    async def changed(self) -> bool:
        changed = self._seen != self._writes
        self._seen = self._writes
        return changed

    async def pauses(self) -> Sequence[Pause]:
        return [self._held.pauses[scope] for scope in sorted(self._held.pauses)]

    async def spending(self, since: float) -> Spending:
        ended = [record for record in self._held.attempts.values() if record.ended_ts and record.ended_ts >= since]
        running = [record for record in self._held.attempts.values() if not record.ended_ts]
        spent = sum(spent_by([record]) for record in ended if (record.uid, record.number) not in self._held.forgiven)
        return Spending(spent, sum(record.cap_usd or inf for record in running))

    def _known(self, uid: TaskUid) -> Task:
        if uid not in self._held.tasks:
            raise NotFoundError(f"there is no task {uid}")
        return self._held.tasks[uid]

    def _active(self, key: str) -> bool:
        return any(task.state in ACTIVE and task.id_key == key for task in self._held.tasks.values())

    def _oldest(self) -> list[Task]:
        return sorted(self._held.tasks.values(), key=lambda task: task.order)

    def _newest(self) -> list[Task]:
        return self._oldest()[::-1]


class _AllOrNothing:
    """Puts everything back as it was when the block under it fails."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._before = store._held.copy()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._store._writes += 1
        else:
            self._store._held = self._before


def _text(data: Mapping[str, Json], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _plain(outcome: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = json.loads(codec.text(outcome))
    return found
