"""What a batch will take before it runs: time and cost with a range, from what earlier tasks took. Pure.

Method. Each task of the batch takes as long, and costs as much, as one that was drawn from the project's ended tasks
of the same type, agent and model; where those are fewer than FEW, of the same type; else of all. Without any there is
no forecast. The whole is played through so many times: slots, places of agents, dependencies, one task at a time on a
target file, hours in which nothing starts. Told are the 10th, 50th and 90th percentile of the rounds.

A small sample widens the range: with *s* the standard deviation of the logarithms (of n values, held together with a
PRIOR_SD that counts as PRIOR_N values), every round moves all tasks of a sample by one factor exp(s z / sqrt n), as
the sample may lie as a whole, and every task by another one, as it may lie between or beyond the values. So one task
is forecast with the variance s^2 (1 + 1/n), as for a new value of a log-normal quantity. The common z are spread
evenly over the rounds: few rounds do.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from orchestrator.core.dependencies import critical_paths
from orchestrator.core.simulation import Pool, Shape, simulate

FEW = 3  # a sample that is smaller speaks for its type or model only where there is no larger one
PRIOR_SD, PRIOR_N = 0.8, 2  # of the logarithm: a factor of 2.2 either way, as much as agents' times scatter
ROUNDS, LEAST_ROUNDS, STEPS = 200, 12, 100_000  # rounds in all, at least, and tasks times rounds at most
_TABLE = 128
_SHORTEST_S, _SMALLEST_USD = 0.001, 1e-6
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Sample:
    """What one ended task took over all its attempts. *cost_usd* None: nobody knows."""

    type: str
    agent: str
    model: str
    seconds: float
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A task of the batch. *needs* are keys of others, *locks* what no two hold at once, *rank* 0 runs first.

    *budget_usd* bounds its cost; None: nothing does."""

    key: str
    type: str
    agent: str
    model: str
    rank: int = 1
    needs: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """The 10th, 50th and 90th percentile."""

    p10: float
    p50: float
    p90: float


@dataclass(frozen=True, slots=True)
class Basis:
    """What the forecast of *tasks* of one type, agent and model rests on: *samples* of `like` (type and model, type,
    all, none). Of *costs* of them the cost is known."""

    type: str
    agent: str
    model: str
    tasks: int
    like: str
    samples: int
    costs: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """*time_s* from the start to the last end, *work_s* summed over tasks, both None without history. *cost_usd* is
    None as soon as of one task nobody can tell; *known_cost_usd* is of the others. *chain* is the longest chain by
    median times, *chain_s* its length. *rounds* were played."""

    tasks: int
    rounds: int
    time_s: Range | None
    work_s: Range | None
    cost_usd: Range | None
    known_cost_usd: Range | None
    tasks_without_cost: int
    basis: tuple[Basis, ...]
    chain: tuple[str, ...]
    chain_s: float | None


_Like = tuple[str, str, str]
_Factors = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True)
class _Stock:
    """A sample to draw from: *seconds* and *costs* of the same tasks, and how far round and task are moved."""

    like: str
    seconds: Sequence[float]
    costs: Sequence[float | None]
    known: Sequence[float]
    time_sd: float
    cost_sd: float


def forecast(batch: Sequence[Planned], history: Sequence[Sample], pool: Pool, chance: Callable[[], float]) -> Forecast:
    """Forecast *batch* on *pool*. *chance* draws uniformly from [0, 1): the same draws give the same forecast."""
    stocks, basis = _stocks(batch, history)
    if not history or not batch:
        chain = _chain(batch, [1.0] * len(batch))
        return Forecast(len(batch), 0, None, None, None, None, len(batch), basis, chain, None)
    likes = [_like(task) for task in batch]
    of = [stocks[like] for like in likes]
    medians = [_middle(stock.seconds) for stock in of]
    shape = _shape(batch, pool, medians)
    rounds = rounds_for(len(batch))
    shifts = _shifts(stocks, rounds, chance)
    times, works, costs = [], [], []
    for turn in range(rounds):
        factors = {like: _factors(stock, shifts[like][turn]) for like, stock in stocks.items()}
        seconds, cost = _drawn(batch, of, [factors[like] for like in likes], chance)
        times.append(simulate(shape, seconds, pool))
        works.append(math.fsum(seconds))
        costs.append(cost)
    unknown = sum(not stock.known for stock in of)
    chain = _chain(batch, medians)
    length = dict(zip((task.key for task in batch), medians, strict=True))
    return Forecast(
        tasks=len(batch),
        rounds=rounds,
        time_s=_range(times),
        work_s=_range(works),
        cost_usd=None if unknown else _range(costs),
        known_cost_usd=_range(costs) if unknown < len(batch) else None,
        tasks_without_cost=unknown,
        basis=basis,
        chain=chain,
        chain_s=math.fsum(length[key] for key in chain),
    )


def rounds_for(tasks: int) -> int:
    """Return how often a batch of so many tasks is played through."""
    return max(LEAST_ROUNDS, min(ROUNDS, STEPS // max(1, tasks)))


def _like(task: Planned | Sample) -> _Like:
    return task.type, task.agent, task.model


def _stocks(batch: Sequence[Planned], history: Sequence[Sample]) -> tuple[Mapping[_Like, _Stock], tuple[Basis, ...]]:
    whole: dict[_Like, list[Sample]] = defaultdict(list)
    by_type: dict[str, list[Sample]] = defaultdict(list)
    for sample in history:
        whole[_like(sample)].append(sample)
        by_type[sample.type].append(sample)
    counts: dict[_Like, int] = defaultdict(int)
    for task in batch:
        counts[_like(task)] += 1
    stocks, basis = {}, []
    for like, tasks in sorted(counts.items()):
        steps = (("type and model", whole[like]), ("type", by_type[like[0]]), ("all", history))
        name, found = next(((name, some) for name, some in steps if len(some) >= FEW), ("all", history))
        stock = _stock(name if found else "none", found)
        stocks[like] = stock
        basis.append(Basis(*like, tasks, stock.like, len(stock.seconds), len(stock.known)))
    return stocks, tuple(basis)


def _stock(like: str, samples: Sequence[Sample]) -> _Stock:
    seconds = [max(_SHORTEST_S, sample.seconds) for sample in samples]
    costs = [sample.cost_usd for sample in samples]
    known = [cost for cost in costs if cost is not None]
    return _Stock(
        like, seconds, costs, known, _uncertainty(seconds), _uncertainty([max(_SMALLEST_USD, c) for c in known])
    )


def _uncertainty(values: Sequence[float]) -> float:
    """Return s / sqrt n of the logarithms of *values*."""
    if not values:
        return PRIOR_SD
    logs = [math.log(value) for value in values]
    mean = math.fsum(logs) / len(logs)
    squares = math.fsum((one - mean) ** 2 for one in logs) + PRIOR_N * PRIOR_SD**2
    return math.sqrt(squares / (len(logs) - 1 + PRIOR_N) / len(logs))


def _shifts(stocks: Mapping[_Like, _Stock], rounds: int, chance: Callable[[], float]) -> Mapping[_Like, list[float]]:
    """Return for each kind of task the z of each round: spread evenly, in an order of its own."""
    even = [_NORMAL.inv_cdf((n + 0.5) / rounds) for n in range(rounds)]
    same: dict[tuple[float, ...], list[float]] = {}  # what is drawn from one sample moves together
    found = {}
    for like, stock in stocks.items():
        mark = tuple(stock.seconds)
        if mark not in same:
            same[mark] = [z for _, z in sorted((chance(), z) for z in even)]
        found[like] = same[mark]
    return found


def _drawn(
    batch: Sequence[Planned], of: Sequence[_Stock], factors: Sequence[_Factors], chance: Callable[[], float]
) -> tuple[list[float], float]:
    """Return the seconds of each task in one round, and what all cost whose cost can be told."""
    seconds, cost = [], 0.0
    for task, stock, (time_factors, cost_factors) in zip(batch, of, factors, strict=True):
        at = chance() * len(stock.seconds)
        n = int(at)
        k = int((at - n) * _TABLE)
        seconds.append(stock.seconds[n] * time_factors[k])
        if stock.known:
            usd = stock.costs[n]
            if usd is None:
                usd = stock.known[int(chance() * len(stock.known))]
            usd *= cost_factors[k]
            cost += usd if task.budget_usd is None else min(usd, task.budget_usd)
    return seconds, cost


_Z = tuple(_NORMAL.inv_cdf((n + 0.5) / _TABLE) for n in range(_TABLE))


def _factors(stock: _Stock, z: float) -> _Factors:
    """Return by what times and costs are multiplied: the common factor, times one of _TABLE for the single task that
    leaves the mean as it is."""
    times, costs = ([math.exp(sd * z + sd * own - sd * sd / 2) for own in _Z] for sd in (stock.time_sd, stock.cost_sd))
    return times, costs


def _shape(batch: Sequence[Planned], pool: Pool, medians: Sequence[float]) -> Shape:
    """Return the batch as numbers: priority first, then what hangs on a task, then the order it was given in."""
    edges = {task.key: task.needs for task in batch}
    hangs = critical_paths(edges, dict(zip(edges, medians, strict=True)))
    order = sorted(range(len(batch)), key=lambda n: (batch[n].rank, -hangs.get(batch[n].key, 0.0), n))
    number = {task.key: n for n, task in enumerate(batch)}
    needs = [tuple(number[key] for key in dict.fromkeys(task.needs) if key in number) for task in batch]
    return Shape.of(order, needs, [task.agent for task in batch], [task.locks for task in batch], pool)


def _chain(batch: Sequence[Planned], seconds: Sequence[float]) -> tuple[str, ...]:
    edges = {task.key: task.needs for task in batch}
    hangs = critical_paths(edges, dict(zip(edges, seconds, strict=True)))
    after: dict[str, list[str]] = defaultdict(list)
    for task in batch:
        for need in task.needs:
            after[need].append(task.key)
    if not hangs:
        return ()
    chain = [max(hangs, key=lambda key: hangs[key])]
    while following := [key for key in after[chain[-1]] if key in hangs]:
        chain.append(max(following, key=lambda key: hangs[key]))
    return tuple(chain)


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _range(values: Sequence[float]) -> Range:
    return Range(*(_at(sorted(values), share) for share in (0.1, 0.5, 0.9)))


def _at(ordered: Sequence[float], share: float) -> float:
    """Return the quantile, between the two values that lie around it."""
    place = min(max(share * len(ordered) - 0.5, 0.0), len(ordered) - 1.0)
    n = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    return ordered[n] + (place - n) * (ordered[min(n + 1, len(ordered) - 1)] - ordered[n])
