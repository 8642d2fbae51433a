"""`python -m benchmarks.jobs_side TASKS DEPTH ROUNDS`: plan, fold and forecast a job, all on paper. Prints JSON.

A process of its own, as the launcher does not load the program.
"""

import gc
import heapq
import json
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from graphlib import TopologicalSorter

from benchmarks.figures import Figure, Series
from orchestrator.core.analytics import analyse
from orchestrator.core.dependencies import critical_paths, cycle_in
from orchestrator.core.events import TaskUid
from orchestrator.core.forecast import Planned, Sample, forecast, rounds_for
from orchestrator.core.lifecycle import State
from orchestrator.core.measures import Measured, Run
from orchestrator.core.simulation import Pool
from orchestrator.validation.analysis import Subject, job_pages

Edges = Mapping[str, Sequence[str]]
Work = Callable[[], object]
OURS = "orchestrator"
SLOTS = 8
CHILDREN = 5


def figures(tasks: int, depth: int, rounds: int) -> list[Figure]:
    """Return the figures on planning, folding and forecasting, time and memory."""
    job, tree = _job(tasks), _tree(depth)
    about = f"{tasks:,} tasks, each but the first hundred waiting for up to two before it"
    found = _planning("job", f"a job of {len(job):,} tasks", about, job, rounds)
    about = f"a tree in which every task but those of the last layer has split into {CHILDREN}, {depth} deep"
    found += _planning("tree", f"a tree of depth {depth}, {len(tree):,} tasks", about, tree, rounds)
    return [*found, *_folding(job, rounds), _forecasting(job, rounds)]


def _job(count: int) -> Edges:
    """A fixed graph: every task waits for two of those at most a hundred before it."""
    draw = random.Random(6)
    return {
        f"t{n}": tuple({f"t{n - draw.randint(1, 100)}" for _ in range(2)}) if n >= 100 else () for n in range(count)
    }


def _tree(depth: int) -> Edges:
    edges: dict[str, Sequence[str]] = {}
    layer = ["r"]
    for level in range(depth + 1):
        last = level == depth
        edges |= {name: () if last else tuple(f"{name}.{n}" for n in range(CHILDREN)) for name in layer}
        layer = [child for name in layer for child in edges[name]]
    return edges


def _planning(key: str, title: str, about: str, edges: Edges, rounds: int) -> list[Figure]:
    cost = {name: 60.0 + len(name) for name in edges}

    def ours() -> object:
        assert not cycle_in(edges)
        return critical_paths(edges, cost)

    def theirs() -> object:
        return list(TopologicalSorter(edges).static_order())

    label = "graphlib.TopologicalSorter"
    how = (
        f"Of {about}: `cycle_in` and `critical_paths`, that is whether there is a circle, and the longest chain of work"
        " that hangs on each task, by which a job is ordered. The reference sorts the same graph, which finds a circle"
        " too, and knows no lengths. In turn, after a collection of garbage."
    )
    return [
        _figure(f"plan-{key}", f"Planning {title}", how, _timed(OURS, ours, label, theirs, rounds)),
        Figure(
            f"plan-{key}-memory",
            f"Memory for planning {title}",
            "MB",
            "lower",
            "The same, traced by tracemalloc: the most that was allocated at once.",
            _traced(OURS, ours, label, theirs, min(3, rounds)),
        ),
    ]


def _folding(edges: Edges, rounds: int) -> list[Figure]:
    tasks = _measured(edges)
    until, subject = 1e9, Subject(job="benchmark")
    plain = [asdict(task) for task in tasks]
    how = (
        f"{len(tasks):,} tasks with one attempt each, on {SLOTS} slots: timeline, efficiency, critical path, rates"
        " (`figures`), and all three pages of it: JSON, Markdown, HTML (`pages`). The reference writes the same tasks"
        " as JSON by the standard library, without a figure. In turn, after a collection of garbage."
    )
    label = "json.dumps of the tasks"

    def theirs() -> object:
        return json.dumps(plain)

    def folded() -> object:
        return analyse(tasks, until)

    def pages() -> object:
        return job_pages(subject, tasks, until)

    taken: dict[str, list[float]] = {f"{OURS}, figures": [], f"{OURS}, pages": [], label: []}
    for _ in range(rounds):
        for name, work in zip(taken, (folded, pages, theirs), strict=True):
            taken[name].append(_ms(work))
    series = tuple(Series(name, tuple(values), (label,) if name != label else ()) for name, values in taken.items())
    memory = _traced(f"{OURS}, pages", pages, label, theirs, min(3, rounds))
    traced = "The same, traced by tracemalloc: the most that was allocated at once; the tasks themselves not included."
    title = f"a job of {len(tasks):,} tasks"
    return [
        _figure("figures-job", f"Figures on {title}", how, series),
        Figure("figures-job-memory", f"Memory for figures on {title}", "MB", "lower", traced, memory),
    ]


def _forecasting(edges: Edges, rounds: int) -> Figure:
    draw = random.Random(7)
    history = [Sample("fix", "claude", "", draw.lognormvariate(5, 0.7), 0.5) for _ in range(200)]
    batch = [Planned(name, "fix", "claude", "", needs=tuple(needs)) for name, needs in edges.items()]
    seconds = [sample.seconds for sample in history]

    def ours() -> object:
        return forecast(batch, history, Pool(SLOTS, 0.0), random.Random(8).random)

    def theirs() -> object:
        """What is left of a simulation where nothing waits for anything."""
        chance, ends = random.Random(8), []
        for _ in range(rounds_for(len(batch))):
            slots = [0.0] * SLOTS
            for _ in batch:
                heapq.heapreplace(slots, slots[0] + chance.choice(seconds))
            ends.append(max(slots))
        return ends

    how = (
        f"A forecast of {len(batch):,} tasks that wait for one another, on {SLOTS} slots, from 200 ended ones. The"
        f" reference plays the same number of tasks through {rounds_for(len(batch))} times too, on a heap of slots,"
        " without dependencies, priorities, places of agents or a range. In turn, after a collection of garbage."
    )
    series = _timed(OURS, ours, "heap of slots", theirs, rounds)
    return _figure("forecast-job", f"Forecast of {len(batch):,} tasks", how, series)


def _figure(key: str, title: str, how: str, series: tuple[Series, ...]) -> Figure:
    return Figure(key, title, "ms", "lower", how, series, paired=True)


def _measured(edges: Edges) -> list[Measured]:
    """Tasks as they would have run in the order of the graph on SLOTS slots."""
    slots, ends, found = [0.0] * SLOTS, dict[str, float](), []
    for n, (name, needs) in enumerate(edges.items()):
        begins = max([heapq.heappop(slots), *(ends[need] for need in needs)])
        ends[name] = begins + 30 + n * 7 % 60
        heapq.heappush(slots, ends[name])
        run = Run(1, "claude", "opus", begins, ends[name], "finished", "", 4, 900, 300, 0.05)
        uids = tuple(TaskUid(need) for need in needs)
        about = (TaskUid(name), name, name, f"Do {name}", "fix", "opus", State.SUCCEEDED, "", 0.0, ends[name], (run,))
        found.append(Measured(*about, needs=uids))
    return found


def _timed(label: str, ours: Work, reference: str, theirs: Work, rounds: int) -> tuple[Series, ...]:
    pairs = [(_ms(ours), _ms(theirs)) for _ in range(rounds)]
    mine, others = zip(*pairs, strict=True)
    return Series(label, tuple(mine), (reference,)), Series(reference, tuple(others))


def _traced(label: str, ours: Work, reference: str, theirs: Work, rounds: int) -> tuple[Series, ...]:
    mine, others = zip(*((_peak_mb(ours), _peak_mb(theirs)) for _ in range(rounds)), strict=True)
    return Series(label, tuple(mine), (reference,)), Series(reference, tuple(others))


def _ms(work: Work) -> float:
    gc.collect()
    began = time.perf_counter_ns()
    kept = work()
    took = (time.perf_counter_ns() - began) / 1e6
    del kept
    return took


def _peak_mb(work: Work) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        kept = work()
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        del kept
        return peak
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    print(json.dumps([asdict(figure) for figure in figures(*map(int, sys.argv[1:4]))]))
