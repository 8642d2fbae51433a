"""A forecast as one JSON document (forecast.schema.json). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.events import Json
from orchestrator.core.forecast import Basis, Forecast, Range
from orchestrator.validation.result import iso

SCHEMA_VERSION = 1
KIND = "forecast"
MOST = 2000  # names in the critical path
METHOD = (
    "each task takes what a drawn ended task of the same type, agent and model took, where those are fewer than 3 one"
    " of the same type, else any; the pool is played through; a small sample widens the range; 10th, 50th and 90th"
    " percentile of the rounds; every task is taken to run to its end"
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a forecast stands on: *now*, *slots*, *history* ended tasks; *notes* say what it leaves out."""

    now: float
    slots: int
    history: int
    notes: Sequence[str] = ()


def build_forecast(found: Forecast, ground: Ground, names: Mapping[str, str]) -> dict[str, Json]:
    """Return *found* as JSON; *names* is how the keys of the batch are called."""
    ends = found.time_s
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "from": iso(ground.now),
        "tasks": found.tasks,
        "slots": ground.slots,
        "method": METHOD,
        "rounds": found.rounds,
        "history": ground.history,
        "time_s": _range(found.time_s, 1),
        "ends": {name: iso(ground.now + value) for name, value in _each(ends)} if ends else None,
        "work_s": _range(found.work_s, 1),
        "cost_usd": _range(found.cost_usd, 4),
        "known_cost_usd": _range(found.known_cost_usd, 4),
        "tasks_without_cost": found.tasks_without_cost,
        "basis": [_basis(one) for one in found.basis],
        "critical_path": {
            "tasks": len(found.chain),
            "names": [names.get(key, key) for key in found.chain[:MOST]],
            "median_s": None if found.chain_s is None else round(found.chain_s, 1),
        },
        "notes": list(ground.notes),
        "complete": True,
    }


def _each(one: Range) -> tuple[tuple[str, float], ...]:
    return ("p10", one.p10), ("p50", one.p50), ("p90", one.p90)


def _range(one: Range | None, digits: int) -> Json:
    return {name: round(value, digits) for name, value in _each(one)} if one else None


def _basis(one: Basis) -> dict[str, Json]:
    return {
        "type": one.type,
        "agent": one.agent,
        "model": one.model,
        "tasks": one.tasks,
        "like": one.like,
        "samples": one.samples,
        "samples_with_cost": one.costs,
    }
