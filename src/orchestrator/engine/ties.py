"""What ties a new task to others: those that it depends on, its job, and whether it would come to wait for itself.

Files come at different times, so a cycle may close long after its first task was accepted: what is refused is the task
that would close it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.dependencies import Need, cycle_in, spelled_out
from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import NOBODY, Event, EventKind, Json, TaskUid
from orchestrator.core.job import ENDED_JOB, Job
from orchestrator.core.job_progress import progress_of
from orchestrator.core.jobfile import NO_CYCLE
from orchestrator.core.lifecycle import TERMINAL, State
from orchestrator.core.ports import Clock, NewTask, Store
from orchestrator.core.task import Notice, Task, TaskSpec, id_key

UNKNOWN = "dependency_unknown"
_BADLY = TERMINAL - {State.SUCCEEDED}  # a new task of that id takes its place
_NOT_WAITED_FOR = frozenset({State.SCHEDULED, State.REJECTED})


@dataclass(frozen=True, slots=True)
class Tie:
    """What a task is tied to. *spec* is what was asked, with what deserves a word; *job* the uid of its job, "" for
    none; *policy* what its job wants of dependents that say nothing themselves."""

    spec: TaskSpec
    job: str = ""
    policy: str = ""


class Ties:
    """Decides about new tasks together, each respecting those before it. *max_workers* is what a new job may run at
    once; 0: no bound."""

    def __init__(self, store: Store, clock: Clock, max_workers: Callable[[], int] = lambda: 0) -> None:
        self._store = store
        self._clock = clock
        self._max_workers = max_workers

    async def of(
        self, specs: Sequence[TaskSpec], *, door: str, besides: TaskUid = NOBODY
    ) -> tuple[Sequence[Tie | TaskFileError], Sequence[Job]]:
        """Return what each of *specs* is tied to, or why it is refused (dependency_cycle), and the jobs to be made.
        *besides* is the task that one of them is to replace."""
        made: dict[str, Job] = {}
        joined: dict[str, Job] = {}
        refused = await closing(self._store, specs, besides)
        here = {id_key(spec.id) for spec in specs}
        found: list[Tie | TaskFileError] = []
        for number, spec in enumerate(specs):
            if number in refused:
                found.append(_cycle(refused[number]))
                continue
            told = spec
            if spec.depends_on and not spec.schedule:
                told = replace(spec, notices=(*spec.notices, *await self._unknown(spec, here)))
            if not spec.job or spec.schedule:
                found.append(Tie(told))
                continue
            if spec.job not in joined:
                joined[spec.job] = await open_job(self._store, spec.job) or self._new_job(spec.job, door)
                made |= {spec.job: joined[spec.job]}
            found.append(Tie(told, joined[spec.job].uid, joined[spec.job].on_dependency))
        return found, list(made.values())

    def _new_job(self, name: str, door: str) -> Job:
        return Job(self._clock.new_uid(), name, self._clock.now(), door, max_workers=self._max_workers())

    async def _unknown(self, spec: TaskSpec, here: set[str]) -> Sequence[Notice]:
        missing = [one for one in spec.depends_on if id_key(one) not in here and not await is_known(self._store, one)]
        what = "it waits until a task of this id has succeeded"
        return [Notice(UNKNOWN, f"no task has the id {one} yet: {what}", field="depends_on") for one in missing]


async def is_known(store: Store, task_id: str) -> bool:
    """Return whether anybody has submitted a task of this id that can be waited for."""
    found = await store.find(task_id)
    return any(task.id_key == id_key(task_id) and task.state not in _NOT_WAITED_FOR for task in found)


async def open_job(store: Store, name: str) -> Job | None:
    """Return the newest job of this name that has not ended."""
    for job in await store.job(name):
        if job.name == name and progress_of(await store.job_tasks(job.uid)).state not in ENDED_JOB:
            return job
    return None


def tied(new: NewTask, tie: Tie) -> NewTask:
    """Return *new* as a part of its job, blocked where it depends on others. A template depends on none: its runs do
    that."""
    task = replace(new.task, job=tie.job or new.task.job)
    spec = task.spec
    if not spec.depends_on or spec.schedule:
        return replace(new, task=task)
    data: dict[str, Json] = {"on": list(spec.depends_on), "policy": spec.on_dependency or tie.policy}
    blocked = Event(EventKind.BLOCKED, new.events[-1].ts, task.uid, data=data)
    needs = [Need(task.uid, id_key(one)) for one in spec.depends_on]
    return replace(new, task=task, events=[*new.events, blocked], needs=[*new.needs, *needs])


async def retied(store: Store, task: Task, tie: Tie, now: float) -> tuple[Sequence[Need], Sequence[Event]]:
    """Return what *task*, whose edited file wants *tie*, waits for from now on, and the events that bring it there.
    What it has waited for before is not waited for again."""
    spec = tie.spec
    if spec.schedule:
        return (), ()
    needs = [Need(task.uid, id_key(one)) for one in spec.depends_on]
    met = {need.on_key for need in (await store.needs([task.uid])).get(task.uid, ()) if need.met}
    open_ones = [one for one in spec.depends_on if id_key(one) not in met]
    told: tuple[EventKind, dict[str, Json]] | None = None
    if open_ones and task.state is State.QUEUED:
        told = EventKind.BLOCKED, {"on": list(open_ones), "policy": spec.on_dependency or tie.policy}
    if not open_ones and task.state is State.BLOCKED:
        told = EventKind.UNBLOCKED, {"met": sorted(met), "passed_over": []}
    return needs, [Event(told[0], now, task.uid, task.attempt, task.epoch, told[1])] if told else ()


def _cycle(cycle: Sequence[str]) -> TaskFileError:
    return TaskFileError(
        "dependency_cycle",
        f"it would wait for itself: {spelled_out(cycle)}",
        field="depends_on",
        expected=NO_CYCLE,
        hint="Remove one of these dependencies; the other tasks wait as they are.",
    )


# Cycles


async def closing(store: Store, specs: Sequence[TaskSpec], besides: TaskUid = NOBODY) -> Mapping[int, Sequence[str]]:
    """Return by their numbers those of *specs* that would close a cycle, each with it in ids; the earlier of two that
    close one together is let in. *besides* is a task that one of them is to replace."""
    asked = {number: spec for number, spec in enumerate(specs) if spec.depends_on and not spec.schedule}
    if not asked:
        return {}
    waited_for = {need.on_key for need in await store.open_needs()}
    waited_for |= {id_key(one) for spec in asked.values() for one in spec.depends_on}
    if not any(id_key(spec.id) in waited_for for spec in asked.values()):
        return {}  # nobody waits for any of them
    edges = await _edges(store, asked, besides)
    refused: dict[int, Sequence[str]] = {}
    while cycle := cycle_in(edges):
        last = max(number for number, spec in asked.items() if number not in refused and _node(spec) in cycle)
        refused[last] = await _ids(store, _from(cycle, _node(asked[last])), asked)
        edges[_node(asked[last])] = []
    return refused


def _node(spec: TaskSpec) -> str:
    """Who is not stored yet goes by its id: that is what others wait for."""
    return f"id:{id_key(spec.id)}"


async def _edges(store: Store, asked: Mapping[int, TaskSpec], besides: TaskUid) -> dict[str, list[str]]:
    here = {id_key(spec.id) for spec in asked.values()}
    edges: dict[str, list[str]] = {}
    found: list[TaskUid] = []
    for spec in asked.values():
        edges[_node(spec)] = []
        for one in spec.depends_on:
            key = id_key(one)
            others = () if key in here else (await store.namesakes([(one, "")]))[0]
            stored = [task.uid for task in others if task.state not in TERMINAL and task.uid != besides]
            edges[_node(spec)] += [*stored[:1]] or [f"id:{key}"]
            found += stored[:1]
    while found:
        standing = await store.standing([uid for uid in found if uid not in edges])
        edges |= {uid: [] for uid in found if uid not in edges}
        found = []
        for uid, needs in standing.items():
            for need, state in needs:
                gone = state is None or state in _BADLY or (besides and need.on_uid == besides)
                edges[uid].append(f"id:{need.on_key}" if gone else need.on_uid)
            found += [TaskUid(one) for one in edges[uid] if not one.startswith("id:") and one not in edges]
    return edges


def _from(cycle: Sequence[str], node: str) -> Sequence[str]:
    """Return *cycle* as it begins with *node*."""
    at = cycle.index(node)
    return [*cycle[at:-1], *cycle[:at], node]


async def _ids(store: Store, nodes: Sequence[str], asked: Mapping[int, TaskSpec]) -> Sequence[str]:
    labels = await store.labels([TaskUid(node) for node in nodes if not node.startswith("id:")])
    ids: dict[str, str] = {uid: label.task_id for uid, label in labels.items()}
    ids |= {_node(spec): spec.id for spec in asked.values()}
    return [ids.get(node, node.removeprefix("id:")) for node in nodes]
