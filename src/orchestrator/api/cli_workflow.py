"""The command `show TASK --workflow`: a task in the words of a workflow, with how it came there."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.api.render import Table, call_name, clock_time, short
from orchestrator.core.errors import ExitCode
from orchestrator.core.events import Json
from orchestrator.core.workflow import workflow_facts
from orchestrator.validation.result import iso

SCHEMA_VERSION = 1
MOST_EVENTS = 100_000
_TIMES = frozenset({"timestamp", "start_time", "end_time", "not_before"})


async def show(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Show where one task stands as a workflow, how far it is, and each change with the event behind it."""
    async with program.open_service() as service:
        task = await service.task(args.task)
        events = await service.recent_events(lines=MOST_EVENTS, key=task.uid)
    facts = workflow_facts(task.uid, task.spec.id, task.state, events)
    facts |= {"start_time": task.created_ts, "end_time": task.ended_ts or None}
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "workflow": _dated(facts)})
        return ExitCode.OK
    out.say(f"{call_name(task)}: {facts['status']}, {facts['progress']}% (state {facts['state']})")
    out.say()
    out.table(Table(("WHEN", "FROM", "TO", "BY", "WHY"), tuple(_row(row) for row in _rows(facts["history"]))))
    return ExitCode.OK


def _row(row: Mapping[str, Json]) -> tuple[str, ...]:
    told, ts = row["metadata"], row["timestamp"]
    assert isinstance(told, Mapping)
    assert isinstance(ts, float)
    why = ": ".join(str(told[key]) for key in ("reason", "detail") if told.get(key))
    to_agent = f"on {told['agent']}" if told.get("agent") else ""
    words = ", ".join(part for part in (to_agent, why) if part)
    return clock_time(ts), str(row["from_state"] or "-"), str(row["to_state"]), str(told["event"]), short(words, 60)


def _dated(value: Json) -> Json:
    """Return *value* with its times as dates, as every door tells them to programs."""
    if isinstance(value, Mapping):
        return {
            key: iso(item) if key in _TIMES and isinstance(item, float) else _dated(item) for key, item in value.items()
        }
    return [_dated(item) for item in value] if isinstance(value, (list, tuple)) else value


def _rows(value: Json) -> Sequence[Mapping[str, Json]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []
