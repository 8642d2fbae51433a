"""One account for a lineage, the breaker and the night, kept to by a real engine."""

import asyncio
from dataclasses import replace

from tests.agents import FakeAgent
from tests.engine.plan_rig import RULES, TWO, TYPES, of_type, planner, until_state
from tests.engine.test_budgets import crash, over, told, used
from tests.harness import until
from tests.rig import Engine, Open

from orchestrator.core.attempt import Failed, FailureKind, Finished, Outcome
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.hours import span_in
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask, Pause
from orchestrator.core.split import SplitRules
from orchestrator.core.task import Task


async def a_tree(engine: Engine, *children: str, budget_usd: float | None = None) -> tuple[Task, list[Task]]:
    """Return a root that waits for *children*, which may start."""
    root = await engine.add("root", tree_budget_usd=budget_usd)
    root = (await engine.store.commit([engine.executor.starting(root)]))[0]
    end: dict[str, Json] = {"outcome": {"kind": "finished", "report": {"usage": {"cost_usd": 0.0}}}}
    finished = Event(EventKind.FINISHED, engine.clock.now(), root.uid, 1, 1, end)
    (root,) = await engine.store.commit([finished])
    new = []
    for name in children:
        uid, now = engine.clock.new_uid(), engine.clock.now()
        task = Task(uid, name, replace(root.spec, id=name, tree_budget_usd=None), "0" * 64, now)
        task = replace(task, parent=root.uid, root=root.uid, depth=1)
        events = [Event(EventKind.RECEIVED, now, uid), Event(EventKind.PARSED, now, uid)]
        new.append(NewTask(task, b"", events))
    split = Event(EventKind.SPLIT, engine.clock.now(), root.uid, 1, 1)
    root, *stored = await engine.store.split([split], new)
    return root, stored


async def test_sub_tasks_draw_on_one_account_which_closes_once_with_one_message(open_engine: Open) -> None:
    outcomes: dict[str, list[Outcome]] = {
        "a": [Failed(FailureKind.GAVE_UP, "no", used(1.5))],
        "b": [Finished(used(1.5))],
        "c": [Finished(used(1))],
    }
    async with open_engine(FakeAgent(outcomes), slots=1) as engine:
        root, (_, _, last) = await a_tree(engine, "a", "b", "c", budget_usd=3.0)
        await engine.run_until(lambda: engine.archived("b"), "the second")
        pauses = await engine.store.pauses()
        assert [(pause.scope, pause.reason) for pause in pauses] == [(f"tree:{root.uid[-8:]}", "tree_budget")]
        assert [order.budget_usd for order in engine.agent.starts] == [3.0, 1.5]
        assert len(await told(engine, EventKind.AGENT_HELD)) == 1
        assert (await engine.task(last.uid)).state is State.QUEUED
        await engine.add("elsewhere")
        await engine.run_until(lambda: engine.archived("elsewhere"), "a task of another lineage")
        await engine.service.resume(pauses[0].scope)
        await engine.run_until(lambda: engine.archived("c"), "the third, after as much was given again")
        assert engine.agent.starts[-1].budget_usd == 3.0


async def test_a_sub_task_that_used_up_its_share_goes_on_when_there_is_more(open_engine: Open) -> None:
    outcomes: dict[str, list[Outcome]] = {"a": [over(1.0), Finished(used(0.5))], "b": [Finished(used(0.1))]}
    async with open_engine(FakeAgent(outcomes), slots=2) as engine:
        await a_tree(engine, "a", "b", budget_usd=2.0)
        await engine.run_until(lambda: all(map(engine.archived, "ab")), "both ends")
        assert [event.data["reason"] for event in await told(engine, EventKind.LIMITED)] == ["tree_budget"]
        assert next(order.budget_usd for order in engine.agent.starts if order.task_id == "a") == 1.0


async def test_an_attempt_of_unknown_cost_counts_as_its_cap(open_engine: Open) -> None:
    async with open_engine(FakeAgent({"a": [crash(None)], "b": [Finished(used(1))]}), slots=1) as engine:
        await a_tree(engine, "a", "b", budget_usd=2.0)
        log = engine.root / "logs" / "events.ndjson"
        await engine.run_until(lambda: log.exists() and b"agent_held" in log.read_bytes(), "the hold")
        assert [pause.reason for pause in await engine.store.pauses()] == ["tree_budget"]
        assert [order.task_id for order in engine.agent.starts] == ["a"]


async def test_the_configured_budget_of_trees_holds_where_the_root_says_nothing(open_engine: Open) -> None:
    rules = SplitRules(tree_budget_usd=4.0)
    async with open_engine(FakeAgent({"a": [Finished(used(1))]}), slots=1, splits=rules) as engine:
        await a_tree(engine, "a")
        await engine.run_until(lambda: engine.archived("a"), "the end")
        assert [order.budget_usd for order in engine.agent.starts] == [4.0]


async def test_the_breaker_of_a_lineage_opens_on_money_without_a_proven_step(open_engine: Open) -> None:
    gave_up: Outcome = Failed(FailureKind.GAVE_UP, "no", used(1.0))
    outcomes: dict[str, list[Outcome]] = {"a": [gave_up], "b": [gave_up], "c": [Finished(used(1))]}
    async with open_engine(FakeAgent(outcomes), slots=1, unproven_usd=2.0) as engine:
        root, _ = await a_tree(engine, "a", "b", "c")
        await engine.run_until(lambda: all(map(engine.archived, "ab")), "two failures")
        await engine.add("elsewhere")
        await engine.run_until(lambda: engine.archived("elsewhere"), "another lineage")
        (held,) = await told(engine, EventKind.AGENT_HELD)
        assert (held.data["agent"], held.data["reason"]) == (f"tree:{root.uid[-8:]}", "unproven_spend")
        await engine.service.resume(str(held.data["agent"]))
        await engine.run_until(lambda: engine.archived("c"), "the third")
        assert len(await told(engine, EventKind.AGENT_HELD)) == 1


async def test_the_breaker_of_the_queue_holds_everything_and_a_success_keeps_it_closed(open_engine: Open) -> None:
    gave_up: Outcome = Failed(FailureKind.GAVE_UP, "no", used(1.0))
    outcomes: dict[str, list[Outcome]] = {
        "a": [gave_up],
        "good": [Finished(used(1))],
        "b": [gave_up],
        "c": [gave_up],
        "d": [gave_up],
    }
    async with open_engine(FakeAgent(outcomes), slots=1, unproven_total_usd=2.0) as engine:
        for name in outcomes:
            await engine.add(name)
        await engine.run_until(lambda: engine.archived("c"), "two failures after a success")
        await engine.run_until(lambda: True, "another look")
        assert [pause.scope for pause in await engine.store.pauses()] == ["*"]
        assert [order.task_id for order in engine.agent.starts] == ["a", "good", "b", "c"]


async def test_a_night_has_its_own_budget(open_engine: Open) -> None:
    always = (span_in("00:00-24:00"),)
    outcomes: dict[str, list[Outcome]] = {"a": [Finished(used(3))], "b": [Finished(used(1))]}
    async with open_engine(FakeAgent(outcomes), slots=1, night_budget_usd=3.0, night=always) as engine:
        await engine.add("a")
        await engine.run_until(lambda: engine.archived("a"), "the first")
        await engine.add("b")
        await engine.run_until(lambda: True, "a look")
        (pause,) = await engine.store.pauses()
        assert (pause.scope, pause.reason, pause.until > engine.clock.now()) == ("night", "night_budget", True)
        assert engine.agent.starts[0].budget_usd == 3.0
        await engine.service.resume("night")
        await engine.run_until(lambda: engine.archived("b"), "the second, after as much was given again")


async def test_the_budget_of_a_night_that_was_raised_counts_at_once(open_engine: Open) -> None:
    always = (span_in("00:00-24:00"),)
    async with open_engine(
        FakeAgent({"a": [Finished(used(3))]}), slots=1, night_budget_usd=3.0, night=always
    ) as engine:
        await engine.add("a")
        await engine.run_until(lambda: engine.archived("a"), "the first")
        await engine.add("b")
        await engine.run_until(lambda: True, "a look")
        engine.policy = replace(engine.policy, night_budget_usd=5.0)
        await engine.run_until(lambda: engine.archived("b"), "the second")


async def test_held_lineages_do_not_hide_the_work_behind_them(open_engine: Open) -> None:
    async with open_engine(FakeAgent({}), slots=1) as engine:
        root, _ = await a_tree(engine, *(f"c{number}" for number in range(60)))
        held = Pause(f"tree:{root.uid[-8:]}", 0.0, "tree_budget", "")
        await engine.store.pause(held, Event(EventKind.AGENT_HELD, engine.clock.now(), data={"agent": held.scope}))
        await engine.add("elsewhere")
        await engine.run_until(lambda: engine.archived("elsewhere"), "a task behind 60 of a held lineage")


async def test_what_an_account_has_not_for_one_task_now_leaves_the_slot_to_others(open_engine: Open) -> None:
    async with open_engine(FakeAgent({}), slots=2) as engine:
        _, (_, b) = await a_tree(engine, "a", "b", budget_usd=2.0)
        engine.agent.gates["a"] = asyncio.Event()
        await engine.service.hold(b.uid)

        async def another_comes() -> None:
            await until(lambda: engine.agent.alive, what="the start of a")
            await engine.service.resume(b.uid)  # all of the account is reserved by a
            await engine.add("elsewhere")

        async with asyncio.TaskGroup() as group:
            group.create_task(another_comes())
            await engine.run_until(lambda: engine.archived("elsewhere"), "a task of another lineage")
        assert [order.task_id for order in engine.agent.starts] == ["a", "elsewhere"]


async def test_planning_draws_on_the_account_of_the_tree_that_it_begins(open_engine: Open) -> None:
    async with open_engine(planner(TWO), **of_type()) as engine:
        task = await engine.add("t", type="orchestrate", prompt="Build it.", tree_budget_usd=3.0)
        await until_state(engine, task, State.SUCCEEDED)
        assert engine.agent.starts[0].budget_usd == 3.0
    rules = replace(RULES, tree_budget_usd=4.0)
    async with open_engine(planner(TWO), types=TYPES, splits=rules) as engine:
        task = await engine.add("t", type="orchestrate", prompt="Build it.")
        await until_state(engine, task, State.SUCCEEDED)
        assert engine.agent.starts[0].budget_usd == 4.0


async def test_of_sub_tasks_that_were_to_start_together_none_does_when_the_account_closes(open_engine: Open) -> None:
    outcomes: dict[str, list[Outcome]] = {"a": [Finished(used(3))], "b": [Finished(used(1))], "c": [Finished(used(1))]}
    async with open_engine(FakeAgent(outcomes), slots=3) as engine:
        _, tasks = await a_tree(engine, "a", "b", "c", budget_usd=3.0)
        for task in tasks[1:]:
            await engine.service.hold(task.uid)
        await engine.run_until(lambda: engine.archived("a"), "the first")
        for task in tasks[1:]:
            await engine.service.resume(task.uid)
        log = engine.root / "logs" / "events.ndjson"
        await engine.run_until(lambda: b"agent_held" in log.read_bytes(), "the hold")
        assert [order.task_id for order in engine.agent.starts] == ["a"]
        assert len(await told(engine, EventKind.AGENT_HELD)) == 1
