"""What a job, or all work since a time, says of itself: timeline, parallel efficiency, bottleneck, use, rates. Pure.

Work is the time that agents were at work; checks of the daemon's own that follow are not in it. Nothing that is
unknown counts as 0: a sum says of how many of its parts nobody knows.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.dependencies import critical_paths
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.measures import Measured, Run

HOUR_S = 3600.0
UNKNOWN_MODEL = "unknown"


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of what is *known*, and of how many parts nothing is known."""

    known: float = 0.0
    unknown: int = 0

    @property
    def total(self) -> float | None:
        """The whole, None as soon as one part is unknown."""
        return None if self.unknown else self.known


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt in the timeline. *slot* counts from 1: the lowest place that was free when it began, as the store
    keeps none. *waited_s*: since the task could start, or since its attempt before ended."""

    uid: TaskUid
    name: str
    number: int
    agent: str
    model: str
    slot: int
    start_ts: float
    end_ts: float
    waited_s: float
    outcome: str
    failure: str
    running: bool


@dataclass(frozen=True, slots=True)
class Efficiency:
    """*value* = *work_s* / (*wall_s* x *slots*), in (0, 1]: 1 when every slot worked all the time; None without work.

    *wall_s* goes from the first start to the last end, *slots* is how many attempts worked at once at most.
    """

    work_s: float
    wall_s: float
    slots: int

    @property
    def value(self) -> float | None:
        area = self.wall_s * self.slots
        return min(1.0, self.work_s / area) if area > 0 else None


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The critical path: of all chains of tasks that waited for one another the one with the most work, first to last.

    However many slots there are, a job takes no less than *seconds*. *of_wall* is its share of the time that passed,
    *of_work* of all work; None without any.
    """

    path: tuple[TaskUid, ...]
    seconds: float
    of_wall: float | None
    of_work: float | None


@dataclass(frozen=True, slots=True)
class Use:
    """What attempts used. *waited_s* is what tasks waited for a slot, their needs met; *blocked_s* for other tasks."""

    attempts: int
    work_s: float
    waited_s: float
    blocked_s: float
    turns: Sum
    input_tokens: Sum
    output_tokens: Sum
    cost_usd: Sum


@dataclass(frozen=True, slots=True)
class Group:
    """Ended tasks of one *key* (a type, a model). *median_s* and *p90_s* are of the work on one task over all its
    attempts, by nearest rank; None without a task that was at work. *cost_usd* is of all their attempts,
    *median_cost_usd* of the tasks whose cost is known whole."""

    key: str
    tasks: int
    succeeded: int
    proven_tasks: int
    runnable: int
    proven: int
    attempts: int
    cost_usd: Sum
    median_cost_usd: float | None
    median_s: float | None
    p90_s: float | None


@dataclass(frozen=True, slots=True)
class AgentUse:
    """*at_work* is the mean number of its attempts at any moment (its work / wall), *most* the most at once."""

    agent: str
    attempts: int
    work_s: float
    at_work: float | None
    most: int


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything. *states* counts tasks by state, *failures* attempts by why they were no success."""

    tasks: int
    states: Mapping[str, int]
    ended: int
    succeeded: int
    proven_tasks: int
    start_ts: float
    end_ts: float
    bars: tuple[Bar, ...]
    efficiency: Efficiency
    bottleneck: Bottleneck
    use: Use
    by_type: tuple[Group, ...]
    by_model: tuple[Group, ...]
    agents: tuple[AgentUse, ...]
    failures: Mapping[str, int]
    ended_runs: int  # attempts that have ended: what the failures are a share of
    worked: int  # ended tasks that an agent was at work on: of the others no time tells anything

    @property
    def per_hour(self) -> float | None:
        """Tasks that were worked on and ended in an hour of wall time, None without any time."""
        return self.worked * HOUR_S / self.efficiency.wall_s if self.efficiency.wall_s > 0 else None


def analyse(tasks: Sequence[Measured], until: float) -> Analysis:
    """Fold *tasks* into figures; what still runs counts until *until* (seconds since the epoch)."""
    bars = timeline(tasks, until)
    start = min((bar.start_ts for bar in bars), default=0.0)
    end = max((bar.end_ts for bar in bars), default=0.0)
    work_s = sum(bar.end_ts - bar.start_ts for bar in bars)
    efficiency = Efficiency(work_s, end - start, max((bar.slot for bar in bars), default=0))
    ended = [task for task in tasks if task.ended]
    runs = [run for task in tasks for run in task.runs if run.end_ts]
    return Analysis(
        tasks=len(tasks),
        states=Counter(task.state.value for task in tasks),
        ended=len(ended),
        succeeded=sum(task.state is State.SUCCEEDED for task in ended),
        proven_tasks=sum(task.believed for task in ended),
        start_ts=start,
        end_ts=end,
        bars=bars,
        efficiency=efficiency,
        bottleneck=bottleneck(tasks, until, efficiency),
        use=_use(tasks, bars),
        by_type=_groups(ended, until, lambda task: task.type),
        by_model=_groups(ended, until, lambda task: task.model or UNKNOWN_MODEL),
        agents=_agents(bars, efficiency.wall_s),
        failures=Counter(run.failure for run in runs if run.failure),
        ended_runs=len(runs),
        worked=sum(bool(task.runs) for task in ended),
    )


def timeline(tasks: Sequence[Measured], until: float) -> tuple[Bar, ...]:
    """Return every attempt, in the order of their starts, each in the lowest slot that was free."""
    ready = ready_times(tasks)
    begun = sorted(
        ((run, task, waited) for task in tasks for run, waited in _waits(task, ready[task.uid])),
        key=lambda one: (one[0].start_ts, one[1].created_ts, one[1].uid, one[0].number),
    )
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    bars = []
    for run, task, waited in begun:
        while busy and busy[0][0] <= run.start_ts:
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(busy) + 1
        end = run.start_ts + run.seconds(until)
        heapq.heappush(busy, (end, slot))
        about = (task.uid, task.name, run.number, run.agent, run.model, slot, run.start_ts, end, waited)
        bars.append(Bar(*about, run.outcome, run.failure, running=not run.end_ts))
    return tuple(bars)


def ready_times(tasks: Iterable[Measured]) -> Mapping[TaskUid, float]:
    """Return when each task could start as far as others are concerned: accepted, and all it waited for ended."""
    known = {task.uid: task for task in tasks}
    found = {}
    for task in known.values():
        # What ended after this one began was not waited for: it was passed over, or is a sub-task.
        first = task.runs[0].start_ts if task.runs else math.inf
        ends = [known[uid].ended_ts for uid in task.needs if uid in known]
        found[task.uid] = max((end for end in ends if end <= first), default=0.0)
    return {uid: max(task.created_ts, found[uid]) for uid, task in known.items()}


def _waits(task: Measured, ready: float) -> Iterable[tuple[Run, float]]:
    before = ready
    for run in task.runs:
        yield run, max(0.0, run.start_ts - before)
        before = run.end_ts or run.start_ts


def edges_of(tasks: Sequence[Measured]) -> Mapping[TaskUid, tuple[TaskUid, ...]]:
    """Return for each task which of *tasks* it comes after. What a parent waited for before it split, its sub-tasks
    waited for too; the parent itself comes after them, as it ends after them."""
    known = {task.uid: task for task in tasks}
    edges = {}
    for task in tasks:
        wanted = dict.fromkeys(uid for uid in task.needs if uid in known)
        above = known.get(TaskUid(task.parent))
        for _ in range(len(known)):
            if above is None:
                break
            wanted |= dict.fromkeys(uid for uid in above.needs if uid in known and known[uid].parent != above.uid)
            above = known.get(TaskUid(above.parent))
        wanted.pop(task.uid, None)
        edges[task.uid] = tuple(wanted)
    return edges


def bottleneck(tasks: Sequence[Measured], until: float, efficiency: Efficiency) -> Bottleneck:
    """Return the critical path through what waited for what, by the work that was measured."""
    cost = {task.uid: task.seconds(until) for task in tasks}
    path = longest_chain(edges_of(tasks), cost)
    seconds = sum(cost[uid] for uid in path)
    if seconds <= 0:
        return Bottleneck((), 0.0, None, None)
    wall, work = efficiency.wall_s, efficiency.work_s
    path = tuple(uid for uid in path if cost[uid] > 0)  # what never ran, and waits at its end, made nobody wait
    return Bottleneck(path, seconds, seconds / wall if wall > 0 else None, seconds / work if work > 0 else None)


def longest_chain(edges: Mapping[TaskUid, Sequence[TaskUid]], cost: Mapping[TaskUid, float]) -> tuple[TaskUid, ...]:
    """Return the chain of the largest cost, first to last; *edges* lead from a task to those it comes after.

    Tasks of a circle, which no store accepts, are left out.
    """
    hangs = critical_paths(edges, cost)
    after: dict[TaskUid, list[TaskUid]] = defaultdict(list)
    for uid in edges:
        for need in edges[uid] if uid in hangs else ():
            after[need].append(uid)
    chain = [max((uid for uid in edges if uid in hangs), key=lambda uid: hangs[uid])] if hangs else []
    while chain and after[chain[-1]]:
        chain.append(max(after[chain[-1]], key=lambda uid: hangs[uid]))
    return tuple(chain)


def in_order(edges: Mapping[TaskUid, Sequence[TaskUid]]) -> Iterable[TaskUid]:
    """Yield every task after those it comes after; tasks of a circle, and what hangs on it, never."""
    left = {uid: len(needs) for uid, needs in edges.items()}
    followers: dict[TaskUid, list[TaskUid]] = defaultdict(list)
    for uid, needs in edges.items():
        for need in needs:
            followers[need].append(uid)
    done = [uid for uid, count in left.items() if not count]
    for uid in done:
        yield uid
        for follower in followers[uid]:
            left[follower] -= 1
            if not left[follower]:
                done.append(follower)


def nearest_rank(values: Iterable[float], share: float) -> float | None:
    """Return the smallest of *values* that at least *share* (0 to 1) of them do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _use(tasks: Sequence[Measured], bars: Sequence[Bar]) -> Use:
    runs = [run for task in tasks for run in task.runs]
    ready = ready_times(tasks)
    return Use(
        attempts=len(runs),
        work_s=sum(bar.end_ts - bar.start_ts for bar in bars),
        waited_s=sum(max(0.0, task.runs[0].start_ts - ready[task.uid]) for task in tasks if task.runs),
        blocked_s=sum(max(0.0, ready[task.uid] - task.created_ts) for task in tasks if task.runs),
        turns=summed(run.turns for run in runs),
        input_tokens=summed(run.input_tokens for run in runs),
        output_tokens=summed(run.output_tokens for run in runs),
        cost_usd=summed(run.cost_usd for run in runs),
    )


def summed(parts: Iterable[float | None]) -> Sum:
    """Return the sum of what is known of *parts*."""
    each = list(parts)
    known = [part for part in each if part is not None]
    return Sum(math.fsum(known), len(each) - len(known))


def _groups(ended: Sequence[Measured], until: float, key: Callable[[Measured], str]) -> tuple[Group, ...]:
    by_key: dict[str, list[Measured]] = defaultdict(list)
    for task in ended:
        by_key[key(task)].append(task)
    return tuple(_group(name, by_key[name], until) for name in sorted(by_key))


def _group(key: str, tasks: Sequence[Measured], until: float) -> Group:
    seconds = [task.seconds(until) for task in tasks if task.runs]
    costs = [summed(run.cost_usd for run in task.runs).total for task in tasks if task.runs]
    return Group(
        key=key,
        tasks=len(tasks),
        succeeded=sum(task.state is State.SUCCEEDED for task in tasks),
        proven_tasks=sum(task.believed for task in tasks),
        runnable=sum(task.runnable for task in tasks),
        proven=sum(task.proven for task in tasks),
        attempts=sum(len(task.runs) for task in tasks),
        cost_usd=summed(run.cost_usd for task in tasks for run in task.runs),
        median_cost_usd=nearest_rank((cost for cost in costs if cost is not None), 0.5),
        median_s=nearest_rank(seconds, 0.5),
        p90_s=nearest_rank(seconds, 0.9),
    )


def _agents(bars: Sequence[Bar], wall_s: float) -> tuple[AgentUse, ...]:
    by_agent: dict[str, list[Bar]] = defaultdict(list)
    for bar in bars:
        by_agent[bar.agent].append(bar)
    found = []
    for agent in sorted(by_agent):
        mine = by_agent[agent]
        work_s = sum(bar.end_ts - bar.start_ts for bar in mine)
        found.append(AgentUse(agent, len(mine), work_s, work_s / wall_s if wall_s > 0 else None, _most_at_once(mine)))
    return tuple(found)


def _most_at_once(bars: Sequence[Bar]) -> int:
    moments = sorted([(bar.end_ts, -1) for bar in bars] + [(bar.start_ts, 1) for bar in bars])
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most
