"""What to start now. A pure function of facts and time; the pool carries it out."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.account import tree_scope
from orchestrator.core.agents import AgentProfile
from orchestrator.core.budget import BUDGET_SCOPE, MONEY_SCOPES, NIGHT_SCOPE
from orchestrator.core.paths import is_windows, resolve
from orchestrator.core.ports import Pause
from orchestrator.core.task import JOINED, Task, TaskSpec
from orchestrator.core.zones import shown

EVERYTHING = "*"
CRASH_LOOP = "crash_loop"  # the reason of a pause that a daemon has put which dies again and again
ROOT_COPIED = "root_copied"  # the same, of a root that is a copy of another one
HELD_BY_US = frozenset({CRASH_LOOP, ROOT_COPIED})
JOB_IS_FULL = "as many tasks of its job run as may"
SWITCHED_OFF = "switched_off"  # the reason of a pause that is a setting


@dataclass(frozen=True, slots=True)
class Capacity:
    """*slots* in all; *per_agent* narrows single agents. *running* is (uid, agent, id_key) of what runs now.

    *targets* are the absolute paths that running tasks have named as target files, each with the id of its task.
    *per_job* is how many more tasks of a job may be started, by its uid; of one that is not there any number.
    """

    slots: int
    running: Sequence[tuple[str, str, str]]
    per_agent: Mapping[str, int]
    targets: Sequence[tuple[str, str]] = ()
    per_job: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, in order, and for everything looked at and not started the reason why not."""

    start: tuple[Task, ...]
    waits: Mapping[str, str]


def plan(
    tasks: Sequence[Task],
    *,
    now: float,
    capacity: Capacity,
    pauses: Sequence[Pause],
    agent_of: Callable[[Task], str],
    targets_of: Callable[[Task], Collection[str]] = lambda _: (),
) -> Plan:
    """Choose from *tasks*, which come by priority and age, what starts now.

    A paused agent starts nothing until its time; then exactly one task probes it until that one's end releases
    the pause. Tasks of one id never run at once, nor do tasks that name the same target file, or a folder with it:
    they keep their order. *agent_of* names the agent of a task, *targets_of* the absolute paths of its target files.
    """
    agents = [agent for _, agent, _ in capacity.running]
    keys = {key for _, _, key in capacity.running}
    claimed = [(_parts(path), task_id) for path, task_id in capacity.targets]
    left = dict(capacity.per_job)
    start: list[Task] = []
    waits: dict[str, str] = {}
    for task in tasks:
        agent = agent_of(task)
        why = _held_back(task, agent, agents, keys, now=now, pauses=pauses)
        if not why and left.get(task.job, 1) < 1:
            why = JOB_IS_FULL
        if not why:
            targets = [_parts(path) for path in targets_of(task)]
            why = _other_on(targets, claimed) or _no_place(agent, agents, capacity)
            claimed += [(path, task.spec.id) for path in targets]  # if it waits for a place, others stay behind it
        if why:
            waits[task.uid] = why
            continue
        start.append(task)
        agents.append(agent)
        keys.add(task.id_key)
        if task.job in left:
            left[task.job] -= 1
    return Plan(tuple(start), waits)


def switched_off(agents: Mapping[str, AgentProfile]) -> tuple[Pause, ...]:
    """Return a pause without end for every agent that the configuration has switched off."""
    off = [name for name, agent in agents.items() if not agent.enabled]
    return tuple(Pause(name, 0.0, SWITCHED_OFF, f"agents.{name}.enabled is false") for name in off)


def usual(agents: Mapping[str, AgentProfile]) -> list[str]:
    """Return the names of the agents that are not spare."""
    return [name for name, agent in agents.items() if not agent.spare]


def in_force(pauses: Iterable[Pause], now: float, *scopes: str) -> tuple[Pause, ...]:
    """Return the *pauses* that keep anything in *scopes* from being started now; a day without money holds it all."""
    scopes = (*scopes, *MONEY_SCOPES)
    return tuple(pause for pause in pauses if pause.scope in scopes and (pause.until == 0 or pause.until > now))


def _name(scope: str) -> str:
    names = {EVERYTHING: "the queue", BUDGET_SCOPE: "the budget of the day", NIGHT_SCOPE: "the budget of the night"}
    return names.get(scope, scope)


def _held_back(
    task: Task,
    agent: str,
    agents: Sequence[str],
    keys: set[str],
    *,
    now: float,
    pauses: Sequence[Pause],
) -> str:
    if task.not_before > now:
        return f"waits for its time, {shown(task.not_before)}"
    if task.id_key in keys:
        return f"waits for another task with the id {task.spec.id}"
    tree = tree_scope(task.lineage)
    for pause in pauses:
        joins = pause.scope == tree and task.reason == JOINED  # what its sub-tasks did is put together at no cost
        if joins or pause.scope not in (EVERYTHING, *MONEY_SCOPES, agent, tree):
            continue
        if pause.until == 0 or pause.until > now:
            return f"{_name(pause.scope)} is held: {pause.detail or pause.reason}"
        if pause.scope == agent and agent in agents:
            return f"{pause.scope} is being probed after: {pause.reason}"
    return ""


def _no_place(agent: str, agents: Sequence[str], capacity: Capacity) -> str:
    if agents.count(agent) >= capacity.per_agent.get(agent, capacity.slots):
        return f"all places of {agent} are taken"
    if len(agents) >= capacity.slots:
        return "all slots are taken"
    return ""


def target_paths(task: Task, base_cwd: str) -> tuple[str, ...]:
    """Return the target files that *task* names, as absolute paths by their letters: links are not followed."""
    return spec_paths(task.spec, base_cwd)


def spec_paths(spec: TaskSpec, base_cwd: str) -> tuple[str, ...]:
    """Return the same of a task that is none yet."""
    base = spec.cwd or base_cwd
    top = base[:3] if is_windows(base) else "/"
    full = (resolve(one.rstrip("/"), base=base, root=top) for one in spec.target_files)
    return tuple(path for path in full if path)


def targets_in(tasks: Iterable[Task], base_cwd: str) -> list[tuple[str, str]]:
    """Return the target files of *tasks*, each with the id of its task."""
    return [(path, task.spec.id) for task in tasks for path in target_paths(task, base_cwd)]


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.replace("\\", "/").split("/") if part)


def _other_on(targets: Sequence[tuple[str, ...]], claimed: Sequence[tuple[tuple[str, ...], str]]) -> str:
    """Return why a task with *targets* waits: one before it names the same path, or a folder that one lies in."""
    for path in targets:
        for other, task_id in claimed:
            if path[: len(other)] == other or other[: len(path)] == path:
                named = "/".join(path if len(path) > len(other) else other)
                return f"waits for {task_id}, which names the same target file: /{named}"
    return ""
