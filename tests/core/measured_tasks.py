"""Tasks as they were measured, for tests of figures and pictures."""

from dataclasses import replace
from typing import Any

from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.measures import Measured, Run

BEGAN = 1_800_000_000.0


def run(start: float, end: float, number: int = 1, **given: Any) -> Run:
    """Return an attempt; times are seconds after BEGAN, an *end* of 0.0: it runs."""
    plain = Run(number, "claude", "opus", BEGAN + start, BEGAN + end if end else 0.0, "finished", cost_usd=0.5)
    return replace(plain, **given)


def task(name: str, *runs: Run, needs: tuple[str, ...] = (), state: State = State.SUCCEEDED, **given: Any) -> Measured:
    """Return a task called *name*, its uid as well, that was accepted at BEGAN and ended with its last attempt."""
    ended = runs[-1].end_ts if runs else 0.0
    plain = Measured(TaskUid(name), name, name, f"Do {name}", "fix", "opus", state, "", BEGAN, ended, runs)
    return replace(plain, needs=tuple(TaskUid(need) for need in needs), **given)


def job(count: int, slots: int, layers: int = 1) -> list[Measured]:
    """Return *count* tasks of one to three seconds on so many slots; each layer waits for tasks of the one before."""
    free = [0.0] * slots
    found: list[Measured] = []
    a_layer = -(-count // layers)
    for n in range(count):
        slot = min(range(slots), key=free.__getitem__)
        start, end = free[slot], free[slot] + 1 + n * 7 % 5 / 2
        free[slot] = end
        needs = tuple(f"t{n - a_layer - k}" for k in range(2) if n - a_layer - k >= 0)
        bad = n % 97 == 96
        state = State.FAILED if bad else State.SUCCEEDED
        one = run(start, end, failure="timeout" if bad else "", outcome="failed" if bad else "finished")
        found.append(task(f"t{n}", one, needs=needs, state=state, reason="timeout" if bad else ""))
    return found
