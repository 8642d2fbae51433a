"""What to start now. A pure function of facts and time; the pool carries it out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.agents import AgentProfile
from orchestrator.core.budget import BUDGET_SCOPE
from orchestrator.core.ports import Pause
from orchestrator.core.task import Task

EVERYTHING = "*"
CRASH_LOOP = "crash_loop"  # the reason of a pause that a daemon has put which dies again and again
ROOT_COPIED = "root_copied"  # the same, of a root that is a copy of another one
HELD_BY_US = frozenset({CRASH_LOOP, ROOT_COPIED})
SWITCHED_OFF = "switched_off"  # the reason of a pause that is a setting


@dataclass(frozen=True, slots=True)
class Capacity:
    """*slots* in all; *per_agent* narrows single agents. *running* is (uid, agent, id_key) of what runs now."""

    slots: int
    running: Sequence[tuple[str, str, str]]
    per_agent: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, in order, and for everything looked at and not started the reason why not."""

    start: tuple[Task, ...]
    waits: Mapping[str, str]


def plan(
    tasks: Sequence[Task], *, now: float, capacity: Capacity, pauses: Sequence[Pause], agent_of: Callable[[Task], str]
) -> Plan:
    """Choose from *tasks*, which come by priority and age, what starts now.

    A paused agent starts nothing until its time; then exactly one task probes it until that one's end releases
    the pause. Tasks of one id never run at once. *agent_of* names the agent of a task.
    """
    agents = [agent for _, agent, _ in capacity.running]
    keys = {key for _, _, key in capacity.running}
    start: list[Task] = []
    waits: dict[str, str] = {}
    for task in tasks:
        agent = agent_of(task)
        why = _why_not(task, agent, agents, keys, now=now, capacity=capacity, pauses=pauses)
        if why:
            waits[task.uid] = why
            continue
        start.append(task)
        agents.append(agent)
        keys.add(task.id_key)
    return Plan(tuple(start), waits)


def switched_off(agents: Mapping[str, AgentProfile]) -> tuple[Pause, ...]:
    """Return a pause without end for every agent that the configuration has switched off."""
    off = [name for name, agent in agents.items() if not agent.enabled]
    return tuple(Pause(name, 0.0, SWITCHED_OFF, f"agents.{name}.enabled is false") for name in off)


def in_force(pauses: Iterable[Pause], now: float, *scopes: str) -> tuple[Pause, ...]:
    """Return the *pauses* that keep anything in *scopes* from being started now; a day without money holds it all."""
    scopes = (*scopes, BUDGET_SCOPE)
    return tuple(pause for pause in pauses if pause.scope in scopes and (pause.until == 0 or pause.until > now))


def _name(scope: str) -> str:
    return {EVERYTHING: "the queue", BUDGET_SCOPE: "the budget of the day"}.get(scope, scope)


def _why_not(
    task: Task,
    agent: str,
    agents: Sequence[str],
    keys: set[str],
    *,
    now: float,
    capacity: Capacity,
    pauses: Sequence[Pause],
) -> str:
    if task.not_before > now:
        return "waits for its time"
    if task.id_key in keys:
        return f"waits for another task with the id {task.spec.id}"
    for pause in pauses:
        if pause.scope not in (EVERYTHING, BUDGET_SCOPE, agent):
            continue
        if pause.until == 0 or pause.until > now:
            return f"{_name(pause.scope)} is held: {pause.detail or pause.reason}"
        if pause.scope == agent and agent in agents:
            return f"{pause.scope} is being probed after: {pause.reason}"
    if agents.count(agent) >= capacity.per_agent.get(agent, capacity.slots):
        return f"all places of {agent} are taken"
    if len(agents) >= capacity.slots:
        return "all slots are taken"
    return ""
