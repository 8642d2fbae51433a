"""Tasks that are planned, on real bridges: an engine with a type that plans, and what its agent answers."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.agents import DONE, FakeAgent
from tests.rig import FIX, READ, Engine

from orchestrator.core.attempt import Finished, Outcome
from orchestrator.core.events import Json
from orchestrator.core.lifecycle import TERMINAL, State
from orchestrator.core.planning import plan_in
from orchestrator.core.split import SplitRules
from orchestrator.core.task import Task, TaskType
from orchestrator.engine.daemon import Signals
from orchestrator.engine.unblocking import Unblocking

PLANS = TaskType("orchestrate", ("Read", "Glob"), expects_changes=False, plans=True)
TYPES = {"analyze": READ, "fix": FIX, "orchestrate": PLANS}
RULES = SplitRules(default_type="analyze")


def sub_task(key: str, **changes: Json) -> dict[str, Json]:
    plain: dict[str, Json] = {"id": key, "title": f"Part {key}", "prompt": f"Do {key}.", "type": "analyze"}
    return plain | changes


def planned(*tasks: Json, summary: str = "In parts.", **more: Json) -> Finished:
    """Return how an agent ends that gave this plan."""
    plan = {"summary": summary, "tasks": list(tasks), **more}
    return replace(DONE, report=replace(DONE.report, answer=json.dumps(plan), structured=json.dumps(plan)))


TWO = planned(sub_task("a"), sub_task("b", depends_on=["a"]))


def planner(*outcomes: Outcome, **others: Sequence[Outcome]) -> FakeAgent:
    """Return an agent whose first attempts at the task `t` end with *outcomes*; *others* by the key of a sub-task."""
    return FakeAgent({"t": list(outcomes), **{f"t.{key}": ended for key, ended in others.items()}})


def of_type(**changes: Any) -> dict[str, Any]:
    """Return the policy of an engine whose tasks may be planned."""
    return {"types": TYPES, "splits": replace(RULES, **changes)}


async def until_state(engine: Engine, task: Task, *states: State) -> Task:
    """Run a daemon, with what unblocks tasks, until *task* is in one of *states*."""
    signals, stopping = Signals(), asyncio.Event()
    given: dict[str, Any] = {"clock": engine.clock, "bell": engine.bell, "cancel": engine.service.cancel}
    unblocking = Unblocking(store=engine.store, policy=lambda: engine.policy, **given)
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        group.create_task(engine.daemon().run(signals, {}))
        group.create_task(unblocking.run(stopping))
        while (now := await engine.task(task.uid)).state not in states:
            assert now.state not in TERMINAL, f"{now.state}: {now.reason} {now.detail}"
            await asyncio.sleep(0.02)
        signals.stop()
        stopping.set()
        engine.bell.ring()
    return await engine.task(task.uid)


async def children(engine: Engine, task: Task) -> dict[str, Task]:
    """Return the sub-tasks of *task* by the last part of their ids."""
    return {child.spec.id.rpartition(".")[2]: child for child in await engine.store.children(task.uid)}


async def told(engine: Engine, task: Task) -> list[Mapping[str, Any]]:
    """Return what the verdicts on *task* tell of splits."""
    return [plan_in(record) for record in await engine.store.attempts(task.uid)]
