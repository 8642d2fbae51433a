"""One look at the whole, for every door: what runs, what waits and why, what is held, what was spent."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from orchestrator.core.budget import day_of
from orchestrator.core.lifecycle import ACTIVE, AHEAD, WAITING, State
from orchestrator.core.plan import Capacity, plan, switched_off, target_paths, targets_in
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Pause, Store
from orchestrator.core.standing import rests
from orchestrator.core.task import Task
from orchestrator.engine.job_places import JobPlaces
from orchestrator.engine.jobs import waits_words

LOOKED_THROUGH = 1000  # of waiting tasks that cannot start now
RESERVED = "what is left of the day's budget is reserved by what runs"


@dataclass(frozen=True, slots=True)
class DayBudget:
    """US dollars: what counts as spent, what running attempts may still cost, the limit. The day ends at 00:00 *zone*.

    *spent_usd* and *reserved_usd* are infinite where an attempt without a cap runs, or has ended without a known cost.
    """

    spent_usd: float
    reserved_usd: float
    limit_usd: float
    ends: float
    zone: str


@dataclass(frozen=True, slots=True)
class Status:
    """One look at the whole: *counts* by state, what runs, what is *held*, what waits for an answer, what ended last.

    *pauses* hold the queue or an agent, for a time, until released, or because the configuration switches it off.
    *waiting* is in the order in which it will start; *waits* says by uid why each of them has not started, "" for one
    that may start now. *budget* is None when no day has one.
    """

    counts: Mapping[State, int]
    active: Sequence[Task]
    waiting: Sequence[Task]
    ended: Sequence[Task]
    pauses: Sequence[Pause]
    held: Sequence[Task]
    asking: Sequence[Task]
    last_seq: int
    next_wake: float = 0.0  # when the next one of those that wait for a time may start; 0.0: none does
    waits: Mapping[str, str] = field(default_factory=dict)
    budget: DayBudget | None = None
    shortage: str = ""  # what the machine lacks, so that nothing is started
    blocked: Sequence[Task] = ()  # those that wait for other tasks; *waits* says for which
    scheduled: Sequence[Task] = ()  # templates, which make a run at each of their times


async def look(
    store: Store, policy: RunPolicy, now: float, agent_of: Callable[[Task], str], shortage: str = "", *, limit: int
) -> Status:
    """Return the state of everything; lists are cut at *limit* entries. *shortage*: why nothing at all is started."""
    waiting = list(await store.ready(now, limit=limit))
    if len(waiting) < limit:
        shown = {task.uid for task in waiting}
        others = await store.tasks(sorted(WAITING), limit=LOOKED_THROUGH)
        rest = [task for task in others if task.uid not in shown]
        waiting += sorted(rest, key=lambda task: (task.not_before, task.spec.priority.rank, task.order))
    found = Status(
        counts=await store.counts(),
        active=await store.tasks(sorted(ACTIVE), limit=1000),
        waiting=waiting[:limit],
        ended=await store.ended_last(limit=limit),
        pauses=[*await store.pauses(), *rests(policy.hours, now), *_news(policy, [agent_of(task) for task in waiting])],
        held=await store.tasks([State.HELD], limit=limit),
        asking=await store.tasks([State.NEEDS_INPUT], limit=limit),
        last_seq=await store.last_seq(),
        next_wake=await store.next_wake(now),
        budget=await _day_budget(store, policy, now),
        shortage=shortage,
        blocked=await store.blocked(limit=limit),
        scheduled=await store.tasks([State.SCHEDULED], limit=limit),
    )
    reasons = await waits(store, policy, now, agent_of, found.waiting, found)
    return replace(found, waits={**reasons, **{task.uid: await waits_words(store, task) for task in found.blocked}})


def _news(policy: RunPolicy, waited_for: Collection[str]) -> Sequence[Pause]:
    """Return the agents that are off, a spare one only when a task waits for it."""
    off = switched_off(policy.agents)
    return [pause for pause in off if not policy.agents[pause.scope].spare or pause.scope in waited_for]


async def waits(
    store: Store,
    policy: RunPolicy,
    now: float,
    agent_of: Callable[[Task], str],
    waiting: Sequence[Task],
    found: Status,
) -> Mapping[str, str]:
    """Return by uid why each of *waiting* has not been started, by the very function that decides it."""
    running = [(task.uid, agent_of(task), task.id_key) for task in found.active]
    places = {name: agent.places for name, agent in policy.agents.items() if agent.places}
    per_job = await JobPlaces(store).left(found.active, waiting)
    capacity = Capacity(policy.slots, running, places, targets_in(found.active, policy.base_cwd), per_job)
    targets = partial(target_paths, base_cwd=policy.base_cwd)
    pauses = [*found.pauses, *switched_off(policy.agents)]
    chosen = plan(waiting, now=now, capacity=capacity, pauses=pauses, agent_of=agent_of, targets_of=targets)
    may_start: dict[str, str] = {task.uid: await _behind(store, task) for task in chosen.start}
    budget = found.budget
    if budget is not None and budget.spent_usd + budget.reserved_usd >= budget.limit_usd:
        may_start = {uid: why or RESERVED for uid, why in may_start.items()}
    if found.shortage:
        return {task.uid: found.shortage for task in waiting}
    return {**may_start, **chosen.waits}


async def _behind(store: Store, task: Task) -> str:
    """Tasks of one id keep their order, also where the first of them may not start."""
    same = [one for one in await store.find(task.spec.id) if one.id_key == task.id_key]
    ahead = [one for one in same if one.state in AHEAD and one.order < task.order]
    return f"waits behind {ahead[-1].uid[-8:]}, which has the same id and is {ahead[-1].state.value}" if ahead else ""


async def _day_budget(store: Store, policy: RunPolicy, now: float) -> DayBudget | None:
    if not policy.day_budget_usd:
        return None
    day = day_of(now)
    spending = await store.spending(day.begins)
    return DayBudget(spending.spent_usd, spending.reserved_usd, policy.day_budget_usd, day.ends, day.zone)
