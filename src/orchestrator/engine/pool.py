"""The bounded pool: carries out plan(), honours cancellations, drains on stop."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, replace
from functools import partial

from orchestrator.core.account import held_trees
from orchestrator.core.errors import IllegalEventError, StoreError
from orchestrator.core.events import TaskUid
from orchestrator.core.failpoint import hit
from orchestrator.core.lifecycle import ACTIVE, State
from orchestrator.core.plan import Capacity, Plan, plan, target_paths, targets_in
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Inbox, Store
from orchestrator.core.standing import quits, rests, standing
from orchestrator.core.task import Task
from orchestrator.engine.bell import Bell
from orchestrator.engine.clockwatch import ClockWatch
from orchestrator.engine.executor import Executor
from orchestrator.engine.gate import Gate
from orchestrator.engine.job_places import JobPlaces
from orchestrator.engine.patience import uninterrupted

log = logging.getLogger(__name__)

LOOK_AT_LEAST_EVERY_S = 5.0
STRAYS_EVERY_S = 60.0
PASSES = 5  # in one look, each without the lineages that were refused in those before
LOOK_AHEAD = 50  # candidates beyond the free slots, so that one held agent does not hide the work of another


@dataclass(frozen=True, slots=True)
class _Running:
    work: asyncio.Task[None]
    agent: str
    task: Task


@dataclass(frozen=True, slots=True)
class _Attempt:
    task: Task
    resume: bool
    cap_usd: float


class Pool:
    """Holds the running attempts. What is to run is never remembered here: each look asks the store."""

    def __init__(
        self,
        *,
        store: Store,
        executor: Executor,
        inbox: Inbox,
        clock: Clock,
        bell: Bell,
        policy: Callable[[], RunPolicy],
        only: TaskUid | None = None,
        kept: Callable[[Task], bool] = lambda _: False,
        shortage: Callable[[], str] = lambda: "",
        clockwatch: ClockWatch | None = None,
        gate: Gate | None = None,
    ) -> None:
        """*only* runs that task alone. *kept* tells which tasks may start though their file is gone. *gate* is asked
        before each start, with the task in its slot already.

        *shortage* says what the machine lacks to start anything, "" when it lacks nothing.
        """
        self._gate = gate
        self._drains = False
        self._shortage = shortage
        self._clockwatch = clockwatch
        self._kept = kept
        self._store = store
        self._job_places = JobPlaces(store)
        self._executor = executor
        self._inbox = inbox
        self._clock = clock
        self._bell = bell
        self._policy = policy
        self._only = only
        self._running: dict[TaskUid, _Running] = {}
        self._fatal: StoreError | None = None
        self._beginning = asyncio.Lock()
        self._look_for_strays_at = clock.monotonic()

    async def run(self, stopping: asyncio.Event, ending: asyncio.Event) -> None:
        """Start what is ready until *stopping*; then let attempts finish for the configured time or until *ending*.

        However this ends, no attempt is running any more. Raises StoreError when nothing can be stored ever again.
        """
        try:
            while not stopping.is_set():
                seen = self._bell.count
                await self._rest(seen, await self._look_or_wait(), stopping)
            self._drains = True
            await self._drain(ending)
        finally:
            await uninterrupted(self._end_all())

    @property
    def running(self) -> int:
        """How many attempts run now."""
        return len(self._running)

    async def _look_or_wait(self) -> float:
        if self._fatal is not None:
            raise self._fatal
        try:
            await self._take_up_strays()
            return await self._look()
        except StoreError as error:
            if error.lasting:
                raise
            log.error("nothing is started: %s", error)  # noqa: TRY400 - expected, not a bug
            return LOOK_AT_LEAST_EVERY_S

    async def _take_up_strays(self) -> None:
        """Once a minute: an active task that nobody here runs is taken up, and brought to its end whatever comes."""
        now = self._clock.monotonic()
        if now < self._look_for_strays_at or self._only is not None:
            return
        self._look_for_strays_at = now + STRAYS_EVERY_S
        for task in await self._store.tasks(sorted(ACTIVE), limit=1000):
            if task.uid in self._running:
                continue
            current = await self._store.task(task.uid)  # the list may be older than the end of an attempt
            if current == task and task.uid not in self._running:
                log.info("task %s was %s without anybody at work on it", task.uid, task.state)
                hurry = partial(self._executor.hurry, task)
                self._put_to_work(task, uninterrupted(self._executor.recover(task), hurry))

    async def _rest(self, seen: int, wake_s: float, stopping: asyncio.Event) -> None:
        ring = asyncio.ensure_future(self._bell.wait(seen, wake_s))
        stop = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait({ring, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ring.cancel()
            stop.cancel()

    async def _look(self) -> float:
        """Start what can start, end what was cancelled. Returns for how long nothing can change by itself."""
        await self._honour_cancellations()
        await self._quit()
        if len(self._running) >= self._policy().slots:
            return LOOK_AT_LEAST_EVERY_S  # the end of one rings the bell
        if self._shortage():
            return LOOK_AT_LEAST_EVERY_S  # what runs goes on; an attempt that cannot write its output is none
        if self._clockwatch is not None:
            await self._clockwatch.look()  # before anything is started by a clock that was set a moment ago
        await self._executor.settle()
        now = self._clock.now()
        refused = frozenset[TaskUid]()
        for _ in range(PASSES):
            chosen = await self._choose(now, but=refused)
            stayed = [task.lineage for task in chosen.start if not await self._start(task)]
            if not stayed:
                break
            refused |= frozenset(stayed)  # what its account has not for it now, others behind it may have
        pauses = [*await self._store.pauses(), *rests(self._policy().hours, now)]
        times = [pause.until for pause in pauses if pause.until > now]
        if wake := await self._store.next_wake(now):
            times.append(wake)
        return min([LOOK_AT_LEAST_EVERY_S, *(max(0.01, moment - now) for moment in times)])

    async def _choose(self, now: float, *, but: Collection[TaskUid] = ()) -> Plan:
        policy = self._policy()
        pauses = [*await self._store.pauses(), *standing(policy, now)]
        held = [pause.scope for pause in pauses if pause.until == 0 or pause.until > now]
        running = [attempt.task for attempt in self._running.values()]
        if self._only is None:
            limit, agents = policy.slots + LOOK_AHEAD, _as_written(held, policy)
            full = await self._job_places.full(running)
            trees = held_trees(held)
            found = await self._store.ready(now, limit=limit, agents=agents, jobs=full, trees=trees)
            candidates = [task for task in found if task.lineage not in but]
        else:
            one = await self._store.task(self._only)
            waits = one is not None and one.state in (State.QUEUED, State.RETRY_WAIT) and one.lineage not in but
            candidates = [one] if one is not None and waits else []
        capacity = Capacity(
            slots=policy.slots,
            running=[(uid, attempt.agent, attempt.task.id_key) for uid, attempt in self._running.items()],
            per_agent={name: agent.places for name, agent in policy.agents.items() if agent.places},
            targets=targets_in(running, policy.base_cwd),
            per_job=await self._job_places.left(running, candidates),
        )
        return plan(
            candidates,
            now=now,
            capacity=capacity,
            pauses=pauses,
            agent_of=self._executor.agent_of,
            targets_of=partial(target_paths, base_cwd=policy.base_cwd),
        )

    async def _start(self, task: Task) -> bool:
        """Return whether it was put to work."""
        # One that was started before runs as it is stored, and claiming makes its file anew: no scan will tell more.
        if task.attempt == 0 and not self._kept(task) and not await self._inbox.unchanged(task):
            return False  # edited or removed this very moment: the next scan tells what it is now
        if self._gate is not None and self._gate.asks:
            self._put_to_work(task, self._behind(self._gate, task))
            return True
        if (attempt := await self._begun(task)) is None:
            return False
        self._put_to_work(attempt.task, self._run(attempt))
        return True

    async def _behind(self, gate: Gate, task: Task) -> None:
        if not await gate.opens(task) or self._drains:
            return
        if (attempt := await self._begun(task)) is not None:
            self._running[task.uid] = replace(self._running[task.uid], task=attempt.task)
            await self._run(attempt)

    async def _begun(self, task: Task) -> _Attempt | None:
        """Begin an attempt in the store, None where it may not begin now. One after the other: what one may cost is
        reserved before the next is asked about."""
        async with self._beginning:
            return await self._begun_alone(task)

    async def _begun_alone(self, task: Task) -> _Attempt | None:
        now = self._clock.now()
        if 0 < task.deadline_ts <= now or rests(self._policy().hours, now):
            return None  # since it was chosen, its time or that of all is over
        free_slots = self._policy().slots - len(self._running.keys() - {task.uid})
        if (cap_usd := await self._executor.cap(task, free_slots=free_slots)) is None:
            return None  # what runs may spend all that is left of the day; its end rings the bell
        event = self._executor.starting(task, cap_usd=cap_usd)
        try:
            started = (await self._store.commit([event]))[0]
        except IllegalEventError:
            return None  # cancelled or edited meanwhile
        hit("claim.committed")
        return _Attempt(started, event.data.get("resume") is True, cap_usd)

    def _run(self, attempt: _Attempt) -> Coroutine[None, None, None]:
        return self._executor.run(attempt.task, resume=attempt.resume, cap_usd=attempt.cap_usd)

    def _put_to_work(self, task: Task, attempt: Coroutine[None, None, None]) -> None:
        work = asyncio.create_task(attempt, name=task.uid)
        self._running[task.uid] = _Running(work, self._executor.agent_of(task), task)
        work.add_done_callback(partial(self._ended, task.uid))

    def _ended(self, uid: TaskUid, done: asyncio.Task[None]) -> None:
        del self._running[uid]
        if not done.cancelled() and (error := done.exception()) is not None:
            if isinstance(error, StoreError) and error.lasting:
                self._fatal = error
            else:
                log.error("attempt of %s ended by a bug of ours; it is taken up again", uid, exc_info=error)
        self._bell.ring()

    async def _honour_cancellations(self) -> None:
        for task in await self._store.tasks([State.CANCELLING], limit=1000):
            attempt = self._running.get(task.uid)
            if attempt is not None and not attempt.work.cancelling():  # a second time would take its grace away
                attempt.work.cancel()

    async def _quit(self) -> None:
        """After quitting time no agent goes on: it is queued again and costs no try. Checks that run are finished."""
        if not self._running or not quits(self._policy().hours, self._clock.now()):
            return
        for task in await self._store.tasks([State.RUNNING], limit=1000):
            attempt = self._running.get(task.uid)
            if attempt is not None and not attempt.work.cancelling():
                log.info("%s is interrupted: it is quitting time", task.spec.id)
                attempt.work.cancel()

    async def _drain(self, ending: asyncio.Event) -> None:
        """Wait for what runs, bounded; then interrupt it: it is queued again and costs no try."""
        deadline = self._clock.monotonic() + self._policy().drain_s
        while self._running and not ending.is_set() and self._clock.monotonic() < deadline:
            seen = self._bell.count
            await self._honour_cancellations()
            await self._rest(seen, min(1.0, deadline - self._clock.monotonic()), ending)

    async def _end_all(self) -> None:
        works = [attempt.work for attempt in self._running.values()]
        for work in works:
            if not work.cancelling():
                work.cancel()
        if works:
            await asyncio.wait(works)


def _as_written(held: list[str], policy: RunPolicy) -> list[str]:
    """Return agent names as tasks may carry them: the default agent is also written as nothing."""
    return [*held, ""] if policy.default_agent in held else held
