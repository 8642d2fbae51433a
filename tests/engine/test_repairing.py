"""What blocked tasks wait for is run anew, once, within its budget, where that is configured."""

from typing import Any

import pytest
from tests.agents import FakeAgent
from tests.engine.test_remedies import failed, waits_for
from tests.rig import Engine, Open

from orchestrator.core.attempt import FailureKind
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.remedies import RecoveryRules, Strategy, Use
from orchestrator.core.task import Task
from orchestrator.engine.repairing import Repairing

REPAIR = RecoveryRules({"dependency": (Strategy(Use.DEPENDENCY_REPAIR),)})


def repairing(engine: Engine) -> Repairing:
    return Repairing(store=engine.store, policy=lambda: engine.policy, retry=engine.service.retry)


async def ended(engine: Engine, task_id: str, **asked: Any) -> Task:
    """Run a task to its end."""
    task = await engine.add(task_id, **asked)
    await engine.run_until(lambda: engine.archived(task_id), f"the end of {task_id}")
    return task


async def runs_of(engine: Engine, task: Task) -> list[Task]:
    return [one for one in await engine.store.find(task.spec.id) if one.rerun_of]


async def test_a_failed_task_that_others_came_to_wait_for_is_run_anew_and_takes_its_place(open_engine: Open) -> None:
    agent = FakeAgent({"first": [failed(FailureKind.GAVE_UP)]})
    async with open_engine(agent, recovery=REPAIR) as engine:
        first = await ended(engine, "first")
        second = await waits_for(engine, "second", first)
        assert await repairing(engine).look() == 1
        (again,) = await runs_of(engine, first)
        assert again.rerun_of == first.uid
        assert again.lineage == first.uid, "it draws on the same account"
        assert [need.on_uid for need in (await engine.store.needs([second.uid]))[second.uid]] == [again.uid]
        assert await repairing(engine).look() == 0, "it is under way"


async def test_a_run_that_is_a_repair_is_not_repaired_when_it_fails_too(open_engine: Open) -> None:
    agent = FakeAgent({"first": [failed(FailureKind.GAVE_UP)] * 9})
    async with open_engine(agent, recovery=REPAIR) as engine:
        first = await ended(engine, "first")
        await waits_for(engine, "second", first)
        await repairing(engine).look()
        (again,) = await runs_of(engine, first)
        await engine.run_until(lambda: len(agent.starts) > 1 and not agent.alive, "the second run")
        while (await engine.task(again.uid)).state is not State.FAILED:
            await engine.run_until(lambda: True, "its verdict")
        assert await repairing(engine).look() == 0
        assert len(agent.starts) == 2


async def test_a_repair_has_what_is_left_of_the_budget_and_none_is_made_of_nothing(open_engine: Open) -> None:
    agent = FakeAgent({"dear": [failed(FailureKind.GAVE_UP, 2.0)], "cheap": [failed(FailureKind.GAVE_UP, 0.75)]})
    async with open_engine(agent, recovery=REPAIR) as engine:
        for name in ("dear", "cheap"):
            await waits_for(engine, f"after_{name}", await ended(engine, name, budget_usd=2.0))
        assert await repairing(engine).look() == 1
        (again,) = [task for task in await engine.store.find("cheap") if task.rerun_of]
        assert again.spec.budget_usd == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("kind", "recovery", "asked"),
    [
        (FailureKind.GAVE_UP, RecoveryRules(), {}),
        (FailureKind.BAD_REQUEST, RecoveryRules({"validation": REPAIR.strategies["dependency"]}), {}),
        (FailureKind.GAVE_UP, REPAIR, {"retries": 0}),
    ],
)
async def test_nothing_is_repaired_unasked_in_vain_or_against_the_tasks_own_wish(
    open_engine: Open, kind: FailureKind, recovery: RecoveryRules, asked: dict[str, object]
) -> None:
    async with open_engine(FakeAgent({"first": [failed(kind)]}), recovery=recovery) as engine:
        await waits_for(engine, "second", await ended(engine, "first", **asked))
        assert await repairing(engine).look() == 0


async def test_repairs_of_repairs_are_counted_together(open_engine: Open) -> None:
    twice = RecoveryRules({"dependency": (Strategy(Use.DEPENDENCY_REPAIR, times=2),)})
    async with open_engine(recovery=twice) as engine:
        first = await engine.add("first")
        await waits_for(engine, "second", first)
        for number in range(4):
            run = max(await engine.store.find("first"), key=lambda one: one.order)
            (run,) = await engine.store.commit([engine.executor.starting(run)])
            for kind in (EventKind.FINISHED, EventKind.FAILED):
                data: dict[str, Json] = {"reason": "gave_up", "detail": "no"}
                (run,) = await engine.store.commit([Event(kind, engine.clock.now(), run.uid, 1, run.epoch, data)])
            repaired = await repairing(engine).look()
            assert repaired == (number < 2), f"after {number + 1} runs"
            if not repaired:
                break
        assert len(await runs_of(engine, first)) == 2
