"""What a running worker has asked for by its tool: to split its own task. Read back from the events of its attempts."""

import re
from collections.abc import Mapping, Sequence

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.codec import spec_from_json
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.planning import last_stage
from orchestrator.core.ports import Store
from orchestrator.core.subtask import KEY_CHARS, Plan, SubTask, read_plan
from orchestrator.core.task import Task, TaskSpec

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
    return plan_of(asked[-1], task) if asked else None


def plan_of(event: Event, task: Task) -> Plan:
    """Return the plan that a `split_requested` event asks for; its sub-tasks are those of a plan, or whole specs.

    One that cannot be read any more has no sub-tasks, and is refused for that."""
    told = event.data.get("tasks")
    whole = isinstance(told, Sequence) and not isinstance(told, str) and not event.data.get("truncated")
    rows: Sequence[Json] = told if whole and isinstance(told, Sequence) else ()
    why = str(event.data.get("why", ""))
    if rows and all(isinstance(row, Mapping) and "priority" in row for row in rows):
        return Plan(_of_specs([spec_from_json(row) for row in rows], task), why)
    plan, faults = read_plan({"summary": why, "tasks": list(rows)})
    return Plan((), why) if faults else plan


def _of_specs(specs: Sequence[TaskSpec], task: Task) -> tuple[SubTask, ...]:
    keys = {spec.id: _key(spec.id, task.spec.id, number) for number, spec in enumerate(specs, 1)}
    return tuple(
        SubTask(
            key=keys[spec.id],
            title=spec.title,
            prompt=spec.prompt,
            type=spec.type,
            target_files=spec.target_files,
            criteria=tuple(criterion.text for criterion in spec.criteria),
            depends_on=tuple(keys[one] for one in spec.depends_on if one in keys),
        )
        for spec in specs
    )


def _key(child: str, parent: str, number: int) -> str:
    plain = re.sub(r"[^a-z0-9_-]+", "-", child.removeprefix(f"{parent}.").rpartition(".")[2].lower()).strip("-_")
    return plain[:KEY_CHARS] or f"part-{number}"
