"""What may be spent, kept to by a real engine: of a task over its attempts, of a day over all tasks."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.agents import FakeAgent
from tests.rig import Engine, Open

from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Finished, Interrupted, Outcome, Usage
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State


def used(usd: float | None) -> AgentReport:
    return AgentReport(answer="Done.", exit_code=0, usage=Usage(1, 1, 1, 0, 0, usd, usd), tool_calls={"Read": 1})


def crash(usd: float | None) -> Outcome:
    return Failed(FailureKind.CRASH, "it crashed", used(usd))


def over(usd: float | None) -> Outcome:
    return Failed(FailureKind.BUDGET, "Reached maximum budget", used(usd))


async def told(engine: Engine, *kinds: EventKind) -> list[Event]:
    return [event for event in await engine.store.events_after(0, limit=10_000) if event.kind in kinds]


@pytest.mark.parametrize(
    ("outcomes", "caps"),
    [
        ([crash(0.25), crash(0.5), Finished(used(0.1))], [1.0, 0.75, 0.25]),
        ([crash(0.25), crash(None)], [1.0, 0.75]),  # nobody knows what the second has cost: all of its cap
        ([crash(1.5)], [1.0]),  # the last answer went beyond
        ([over(1.0)], [1.0]),
    ],
)
async def test_the_budget_of_a_task_holds_over_all_its_attempts(
    open_engine: Open, outcomes: Sequence[Outcome], caps: list[float]
) -> None:
    async with open_engine(FakeAgent({"t": outcomes})) as engine:
        task = await engine.add("t", budget_usd=1.0)
        await engine.run_until(lambda: engine.archived("t"), "the end")
        assert [order.budget_usd for order in engine.agent.starts] == pytest.approx(caps)
        ended = await engine.task(task.uid)
        good = isinstance(outcomes[-1], Finished)
        assert (ended.state, ended.reason) == ((State.SUCCEEDED, "") if good else (State.FAILED, "budget"))


async def test_an_interrupted_attempt_of_unknown_cost_closes_the_budget_of_its_task(open_engine: Open) -> None:
    async with open_engine() as engine:
        engine.agent.gates["t"] = asyncio.Event()
        task = await engine.add("t", budget_usd=1.0)
        engine.agent.left[f"{task.uid}.1"] = Interrupted("stopped", used(None))
        await engine.run_until(lambda: engine.agent.alive, "the start")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason) == (State.FAILED, "budget")
        assert ended.detail.startswith("the budget of the task, $1 for all its attempts, is used up")


async def test_a_day_that_is_paid_up_starts_nothing_and_says_so_once_until_the_setting_is_raised(
    open_engine: Open,
) -> None:
    async with open_engine(FakeAgent({"a": [Finished(used(0.6))]}), day_budget_usd=0.5, slots=1) as engine:
        await engine.add("a")
        await engine.run_until(lambda: engine.archived("a"), "a")
        late = await engine.add("late")
        looks = iter(range(30))
        await engine.run_until(lambda: next(looks, None) is None, "some looks")
        assert [order.budget_usd for order in engine.agent.starts] == [0.5]
        (held,) = await told(engine, EventKind.AGENT_HELD)
        assert (held.data["agent"], held.data["reason"]) == ("budget", "day_budget")
        look = await engine.service.status()
        assert look.waits[late.uid].startswith("the budget of the day is held: $0.60 is spent")
        assert look.budget is not None
        assert (look.budget.spent_usd, look.budget.limit_usd, look.budget.ends) == (0.6, 0.5, held.data["until"])
    async with open_engine(FakeAgent(), day_budget_usd=0.5, slots=1) as engine:  # a restart forgets nothing
        looks = iter(range(30))
        await engine.run_until(lambda: next(looks, None) is None, "some looks")
        assert engine.agent.starts == []
    async with open_engine(FakeAgent(), day_budget_usd=2.0, slots=1) as engine:
        await engine.run_until(lambda: engine.archived("late"), "late")
        assert [order.budget_usd for order in engine.agent.starts] == pytest.approx([1.4])
        assert len(await told(engine, EventKind.AGENT_HELD)) == 1
        assert (await engine.task(late.uid)).tries == 1


async def test_resume_lets_the_day_begin_anew(open_engine: Open) -> None:
    async with open_engine(FakeAgent({"a": [Finished(used(None))]}), slots=1) as engine:
        await engine.add("a")  # without a cap and of unknown cost
        await engine.run_until(lambda: engine.archived("a"), "a")
    async with open_engine(FakeAgent({"b": [Finished(used(0.2))]}), day_budget_usd=0.5, slots=1) as engine:
        await engine.add("b")
        resumed: list[asyncio.Task[object]] = []

        async def resume() -> None:
            while not await told(engine, EventKind.AGENT_HELD):
                await asyncio.sleep(0.01)
            control = await engine.service.resume("budget")
            assert control.changed
            assert control.pause is not None
            assert "nobody knows" in control.pause.detail

        def fact() -> bool:
            if not resumed:
                resumed.append(asyncio.ensure_future(resume()))
            return engine.archived("b")

        await engine.run_until(fact, "b")
        await resumed[0]
        look = await engine.service.status()
        assert look.budget is not None
        assert look.budget.spent_usd == 0.2


async def test_attempts_at_once_share_the_day_and_what_ends_by_its_share_goes_on_uncharged(open_engine: Open) -> None:
    agent = FakeAgent({"a": [over(0.3), Finished(used(0.1))], "b": [Finished(used(0.05))]})
    async with open_engine(agent, day_budget_usd=0.6, slots=2) as engine:
        gate = asyncio.Event()
        tasks = [await engine.add(name, retries=0) for name in ("a", "b")]
        agent.gates["a"] = agent.gates["b"] = gate

        def fact() -> bool:
            if len(agent.alive) == 2:
                gate.set()
            return engine.archived("a") and engine.archived("b")

        await engine.run_until(fact, "both")
        assert [order.budget_usd for order in agent.starts[:2]] == pytest.approx([0.3, 0.3])
        assert [(await engine.task(task.uid)).tries for task in tasks] == [1, 1]
        (limited,) = await told(engine, EventKind.LIMITED)
        assert limited.data["reason"] == "day_budget"
        assert agent.starts[2].resume
        assert await told(engine, EventKind.AGENT_HELD) == []


async def test_while_what_runs_has_reserved_the_rest_others_wait_and_are_told_why(open_engine: Open) -> None:
    async with open_engine(day_budget_usd=0.6, slots=1) as engine:
        engine.agent.gates["a"] = gate = asyncio.Event()
        await engine.add("a")
        waiting = await engine.add("b")
        looks = iter(range(30))
        whys: list[str] = []

        async def ask() -> None:
            whys.append((await engine.service.status()).waits[waiting.uid])
            gate.set()

        def fact() -> bool:
            if engine.agent.alive and engine.policy.slots == 1:  # all of the day is reserved by the only slot
                engine.policy = replace(engine.policy, slots=2)
                engine.bell.ring()
            if engine.policy.slots == 2 and not gate.is_set() and next(looks, None) is None and not whys:
                assert [order.task_id for order in engine.agent.starts] == ["a"]
                whys.append("asked")
                asking.append(asyncio.ensure_future(ask()))
            return engine.archived("b")

        asking: list[asyncio.Task[None]] = []
        await engine.run_until(fact, "both")
        assert whys == ["asked", "what is left of the day's budget is reserved by what runs"]
        assert await told(engine, EventKind.AGENT_HELD) == []
