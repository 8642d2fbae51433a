"""What a job or a period says of itself, and what a batch will take: gathered from the store, folded in core."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from orchestrator.core.budget import day_of
from orchestrator.core.dependencies import cycle_in, spelled_out
from orchestrator.core.errors import AmbiguousError, NotFoundError, UsageError
from orchestrator.core.events import NOBODY, EventKind, Json, TaskUid
from orchestrator.core.forecast import Forecast, Planned, Sample, forecast
from orchestrator.core.hours import windows
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.measures import Measured, as_one, measured
from orchestrator.core.plan import EVERYTHING, switched_off, target_paths
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Pause, Store
from orchestrator.core.report import COMMAND
from orchestrator.core.simulation import Pool
from orchestrator.core.task import Task, TaskSpec, id_key
from orchestrator.engine.batch import seq_before
from orchestrator.validation.analysis import Subject, job_pages
from orchestrator.validation.batch import is_proven
from orchestrator.validation.forecast import Ground, build_forecast

PIECE = 500  # events, needs
MOST_TASKS = 10_000  # of a period; of a job there is no limit here
HISTORY = 1000  # tasks that ended last
LOOKED_AT = 1000  # tasks of the queue
AHEAD_S = 60 * 86_400.0  # for which quiet hours and quitting times are looked up
SEED = 20_010  # the same history and batch give the same forecast
_ENDS = frozenset({EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED})
_TOLD = frozenset({State.SUCCEEDED, State.FAILED})  # what was cancelled does not tell how long it takes


async def measure(store: Store, tasks: Sequence[Task], redact: Callable[[Json], Json]) -> list[Measured]:
    """Return *tasks* in figures, in their order, without secrets. One that was run again is one task, where its last
    run stands. What `job_pages` takes."""
    needs: dict[TaskUid, Sequence[TaskUid]] = {}
    for start in range(0, len(tasks), PIECE):
        found = await store.needs([task.uid for task in tasks[start : start + PIECE]])
        needs |= {uid: [need.on_uid for need in each if need.on_uid] for uid, each in found.items()}
    there = {task.uid for task in tasks}
    again = {task.rerun_of: task.uid for task in tasks if task.rerun_of in there}
    lives: dict[TaskUid, list[Measured]] = {}
    for task in tasks:
        waited = dict.fromkeys(_last(uid, again) for uid in needs.get(task.uid, ()))
        lives.setdefault(_last(task.uid, again), []).append(await _measured(store, task, list(waited), again))
    whole = [as_one(each) for uid, each in lives.items() if each[-1].uid == uid]
    return [_redacted(one, redact) for one in whole]


def _last(uid: TaskUid, again: Mapping[str, TaskUid]) -> TaskUid:
    while uid in again:
        uid = again[uid]
    return uid


async def _measured(store: Store, task: Task, needs: Sequence[TaskUid], again: Mapping[str, TaskUid]) -> Measured:
    attempts = await store.attempts(task.uid)
    parent = _last(task.parent, again)
    proven = is_proven(task, attempts)
    return measured(task, attempts, believed=proven, needs=needs, parent=parent, depth=task.depth)


def _redacted(one: Measured, redact: Callable[[Json], Json]) -> Measured:
    task_id, name, title = (str(redact(text)) for text in (one.id, one.name, one.title))
    return replace(one, id=task_id, name=name, title=title)


class Analysis:
    """Figures on what was, and a forecast of what will be. Changes nothing."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        policy: Callable[[], RunPolicy],
        redact: Callable[[Json], Json],
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._redact = redact

    async def of_job(self, key: str, command: str = COMMAND) -> Mapping[str, bytes]:
        """Return the pages of `job_pages` on the job whose name, uid or piece of a uid is *key*, as it stands now.

        Raises NotFoundError, or AmbiguousError where a piece of a uid fits several.
        """
        job = await self._job(key)
        tasks = await measure(self._store, await self._store.job_tasks(job.uid), self._redact)
        return job_pages(Subject(job=str(self._redact(job.name or job.short))), tasks, self._clock.now(), command)

    async def since(self, ts: float, command: str = COMMAND) -> Mapping[str, bytes]:
        """Return the same pages on the tasks that ended from *ts* (seconds since the epoch) on."""
        ends: dict[TaskUid, None] = {}
        seq = await seq_before(self._store, ts)
        while batch := await self._store.events_after(seq, limit=PIECE):
            seq = batch[-1].seq
            for event in batch:
                if event.kind in _ENDS:
                    ends.pop(event.uid, None)
                    ends[event.uid] = None
        newest = list(islice(ends, max(0, len(ends) - MOST_TASKS), None))
        tasks = [task for uid in newest if (task := await self._store.task(uid)) is not None]
        subject = Subject(since=ts, left_out=len(ends) - len(newest))
        return job_pages(subject, await measure(self._store, tasks, self._redact), self._clock.now(), command)

    async def forecast(self, specs: Sequence[TaskSpec]) -> Mapping[str, Json]:
        """Return what *specs* will take and cost (forecast.schema.json), were they to start now in a free pool.

        Raises UsageError where they wait for one another in a circle.
        """
        now, policy = self._clock.now(), self._policy()
        batch = _batch(specs, policy)
        others = policy.agents.keys() - {task.agent for task in batch}  # what holds them is no news to this batch
        known = [*await self._store.pauses(), *switched_off(policy.agents)]
        pauses = [pause for pause in known if pause.scope not in others]
        history = await self._history(policy)
        draws = random.Random(SEED).random  # noqa: S311 - a forecast that comes again the same is no secret
        found = forecast(batch, history, _pool(policy, pauses, now), draws)
        notes = [
            *_of_pauses(pauses),
            *_of_times(specs),
            *_of_needs(batch),
            *self._of_day(found, policy, now),
            *await self._of_queue(specs),
        ]
        ground = Ground(now, policy.slots, len(history), notes)
        names = {task.key: spec.id for task, spec in zip(batch, specs, strict=True)}
        told = self._redact(build_forecast(found, ground, names))
        return told if isinstance(told, Mapping) else {}

    async def _job(self, key: str) -> Job:
        found = await self._store.job(key)
        if not found:
            raise NotFoundError(f"no job is called {key!r}", hint="Give its name, or the last 8 digits of its uid.")
        exact = [job for job in found if key in (job.name, job.uid)]
        if not exact and len(found) > 1:
            names = ", ".join(f"{job.short} ({job.name})" for job in found[:5])
            raise AmbiguousError(f"{key!r} fits {len(found)} jobs: {names}", hint="Give more of the uid.")
        return (exact or found)[0]

    async def _history(self, policy: RunPolicy) -> list[Sample]:
        samples = []
        for task in await self._store.ended_last(limit=HISTORY):
            if task.state not in _TOLD:
                continue
            one = measured(task, await self._store.attempts(task.uid))
            if (seconds := one.seconds(task.ended_ts)) > 0:
                costs = [run.cost_usd for run in one.runs]
                cost = None if None in costs else sum(usd for usd in costs if usd is not None)
                samples.append(Sample(task.spec.type, *_worker(task.spec, policy), seconds, cost))
        return samples

    def _of_day(self, found: Forecast, policy: RunPolicy, now: float) -> list[str]:
        limit, cost = policy.day_budget_usd, found.known_cost_usd
        if not limit or cost is None or cost.p90 <= limit:
            return []
        zone = day_of(now).zone
        return [f"the budget of a day, ${limit:g}: beyond it the batch goes on at 00:00 {zone}, which takes days more"]

    async def _of_queue(self, specs: Sequence[TaskSpec]) -> list[str]:
        """What is in the queue already and is not of the batch takes slots as well."""
        counts = await self._store.counts()
        busy = [State.RUNNING, State.CHECKING, State.QUEUED, State.RETRY_WAIT]
        if not any(counts.get(state) for state in busy):
            return []
        keys = {id_key(spec.id) for spec in specs}
        seen = await self._store.tasks(busy, limit=LOOKED_AT)
        others = sum(task.id_key not in keys for task in seen)
        more = " or more" if len(seen) == LOOKED_AT else ""
        tasks = "1 other task runs or waits" if others == 1 else f"{others}{more} other tasks run or wait"
        return [f"{tasks}: they take slots as well"] if others else []


def _worker(spec: TaskSpec, policy: RunPolicy) -> tuple[str, str]:
    """Return the agent and the model that *spec* asks for, as it is configured now."""
    agent = spec.agent or policy.default_agent
    profile = policy.agents.get(agent)
    return agent, spec.model or (profile.model if profile else "")


def _batch(specs: Sequence[TaskSpec], policy: RunPolicy) -> list[Planned]:
    """Two of one id keep their order and never run at once; who waits for that id waits for the first of them."""
    batch: list[Planned] = []
    keys: set[str] = set()
    for n, spec in enumerate(specs):
        name = id_key(spec.id)
        key = name if name not in keys else f"{name} #{n}"
        keys.add(key)
        targets = target_paths(Task(NOBODY, "", spec, "", 0.0), policy.base_cwd)
        wanted = tuple(id_key(one) for one in spec.depends_on)
        rank, locks = spec.priority.rank, (f"id {name}", *targets)
        batch.append(Planned(key, spec.type, *_worker(spec, policy), rank, wanted, locks, spec.budget_usd))
    if cycle := cycle_in({task.key: task.needs for task in batch}):
        raise UsageError(f"these tasks wait for one another: {spelled_out(cycle)}", hint="Take one depends_on out.")
    return batch


def _pool(policy: RunPolicy, pauses: Sequence[Pause], now: float) -> Pool:
    places = {name: agent.places for name, agent in policy.agents.items() if agent.places}
    held = {pause.scope: pause.until for pause in pauses if pause.until > now and pause.scope in policy.agents}
    ends = max((pause.until for pause in pauses if pause.scope not in policy.agents), default=0.0)
    hours, through = policy.hours, now + AHEAD_S
    quiet = windows(hours.quiet, ends if ends > now else now, through, hours.zone)
    stops = windows(hours.quitting, now, through, hours.zone)
    return Pool(policy.slots, now, places, held, [*([(now, ends)] if ends > now else []), *quiet], stops)


def _of_pauses(pauses: Sequence[Pause]) -> list[str]:
    """A pause without an end is a person's to end: the time counts from then."""
    found = []
    for pause in pauses:
        if pause.until == 0:
            what = "the queue" if pause.scope == EVERYTHING else pause.scope
            found.append(f"{what} is held until it is resumed ({pause.detail or pause.reason}): time counts from then")
    return found


def _of_times(specs: Sequence[TaskSpec]) -> list[str]:
    count = sum(bool(spec.after or spec.schedule) for spec in specs)
    tasks = "1 task" if count == 1 else f"{count} tasks"
    return [f"{tasks} with `after` or `schedule`: taken to run once, and at once"] if count else []


def _of_needs(batch: Sequence[Planned]) -> list[str]:
    known = {task.key for task in batch}
    outside = sorted({need for task in batch for need in task.needs if need not in known})
    if not outside:
        return []
    named = ", ".join(outside[:5]) + (f" and {len(outside) - 5} more" if len(outside) > 5 else "")
    return [f"tasks that the batch waits for and that are not in it: {named}"]
