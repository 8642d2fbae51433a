"""What a running worker has asked for by its tool: to split its own task. Read back from the events of its attempts."""

from collections.abc import Sequence

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.events import Event, EventKind
from orchestrator.core.planning import last_stage
from orchestrator.core.ports import Store
from orchestrator.core.subtask import Plan, read_plan
from orchestrator.core.task import Task

_EVENTS = 10_000  # of one task


async def wished(store: Store, task: Task, attempts: Sequence[AttemptRecord]) -> Plan | None:
    """Return the last split that the agent of *task* asked for and that nothing has come of yet, None without one.

    An attempt that was cut off after it had asked has asked all the same: its session believes so.
    """
    last = last_stage(attempts[:-1])
    done = last.number if last else 0
    asked = [
        event
        for event in await store.events_of(task.uid, limit=_EVENTS)
        if event.kind is EventKind.SPLIT_REQUESTED and done < event.attempt <= task.attempt
    ]
    return plan_of(asked[-1]) if asked else None


def plan_of(event: Event) -> Plan:
    """Return the plan that a `split_requested` event holds. One that was cut for its size, or cannot be read any more,
    has no sub-tasks, and is refused for that."""
    facts = {key: value for key, value in event.data.items() if key != "truncated"}
    plan, faults = read_plan(facts)
    return Plan((), plan.summary) if faults or event.data.get("truncated") else plan
