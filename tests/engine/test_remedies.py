"""Strategies at work: another agent, one more try for those that wait, the machine, and a person's own strategies."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf

import pytest
from tests.agents import FakeAgent
from tests.rig import Engine, Open

from orchestrator.core.agents import AgentProfile
from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Outcome, Usage
from orchestrator.core.dependencies import Need
from orchestrator.core.events import Event, EventKind, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask
from orchestrator.core.remedies import Act, Choice, Facts, RecoveryRules, Strategy, StrategyError, Use
from orchestrator.core.retry import POLICIES
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.engine import remedies
from orchestrator.engine.resource_wait import ResourceWait

AGENTS = {"claude": AgentProfile("claude", model="big"), "local": AgentProfile("local", model="small", spare=True)}


def failed(kind: FailureKind, cost_usd: float = 0.01) -> Outcome:
    return Failed(kind, f"it was {kind}", AgentReport(exit_code=1, usage=Usage(cost_usd=cost_usd)))


def rules(**strategies: tuple[Strategy, ...]) -> RecoveryRules:
    return RecoveryRules(strategies)


REASSIGN = Strategy(Use.REASSIGNMENT)
BACKOFF = Strategy(Use.BACKOFF)


class FakeMachine:
    """Implements the port `Machine`: it lacks what it is told."""

    def __init__(self) -> None:
        self.missing = ""

    async def lacks(self, kind: str) -> str:
        return self.missing


class FakeStrategies:
    """Implements the port `Strategies`: each is a function of the facts. *asked* are the facts, in order."""

    def __init__(self, known: Mapping[str, Callable[[Facts], object]]) -> None:
        self.known = known
        self.asked: list[Facts] = []

    async def ask(self, name: str, facts: Facts) -> object:
        self.asked.append(facts)
        try:
            return self.known[name](facts)
        except (ArithmeticError, LookupError) as error:
            raise StrategyError(repr(error)) from None


async def events_of(engine: Engine, task: Task, *kinds: EventKind) -> list[Event]:
    return [event for event in await engine.store.events_of(task.uid, limit=100) if event.kind in kinds]


async def warnings(engine: Engine) -> list[str]:
    events = await engine.store.events_after(0, limit=1000)
    return [str(event.data["detail"]) for event in events if event.kind is EventKind.WARNING]


async def test_another_agent_takes_over_in_a_session_of_its_own_and_that_is_told_everywhere(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.CRASH)]})
    async with open_engine(agent, agents=AGENTS, recovery=rules(agent=(REASSIGN,))) as engine:
        task = await engine.add("t", model="huge")
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        first, second = agent.starts
        assert (first.agent, first.model, second.agent, second.model) == ("claude", "huge", "local", "small")
        assert (second.resume, second.session_id != first.session_id) == (False, True)
        (retry,) = await events_of(engine, task, EventKind.RETRY)
        told = {key: retry.data[key] for key in ("reason", "strategy", "from_agent", "to_agent", "why")}
        assert told == {
            "reason": "crash",
            "strategy": "reassignment",
            "from_agent": "claude",
            "to_agent": "local",
            "why": "claude failed with crash",
        }
        result = json.loads((engine.root / "results" / "t_result.json").read_text())
        assert [row["agent"] for row in result["attempts"]] == ["claude", "local"]
        assert result["attempts"][0]["recovery"]["to_agent"] == "local"
        summary = (engine.root / "summaries" / "t_summary.txt").read_text()
        assert "then: reassignment to local - claude failed with crash" in summary


async def test_each_agent_has_a_task_at_most_once_and_then_the_built_in_policy_decides(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.GAVE_UP)] * 5})
    async with open_engine(agent, agents=AGENTS, recovery=rules(gave_up=(REASSIGN,))) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert [order.agent for order in agent.starts] == ["claude", "local"]
        assert (await engine.task(task.uid)).state is State.FAILED


async def test_backoff_first_means_another_agent_only_when_the_tries_are_used_up(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.EMPTY_ANSWER)] * 2})
    async with open_engine(agent, agents=AGENTS, recovery=rules(validation=(BACKOFF, REASSIGN))) as engine:
        await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert [order.agent for order in agent.starts] == ["claude", "claude", "local"]


async def test_an_agent_that_nobody_is_logged_in_to_is_held_and_its_task_goes_on_without_losing_a_try(
    open_engine: Open,
) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.AUTH)]})
    async with open_engine(agent, agents=AGENTS, recovery=rules(auth=(REASSIGN, BACKOFF))) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.tries, ended.attempt, ended.agent) == (State.SUCCEEDED, 1, 2, "local")
        assert [pause.scope for pause in await engine.store.pauses()] == ["claude"]


@pytest.mark.parametrize(
    "local",
    [
        AgentProfile("local", enabled=False),
        AgentProfile("local", takes_over=("fix",)),
    ],
)
async def test_an_agent_that_is_off_or_for_other_types_takes_nothing_over(
    open_engine: Open, local: AgentProfile
) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.GAVE_UP)]})
    agents = {**AGENTS, "local": local}
    async with open_engine(agent, agents=agents, recovery=rules(agent=(REASSIGN,))) as engine:
        await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert [order.agent for order in agent.starts] == ["claude"]


async def test_a_task_that_wants_no_other_try_is_given_to_no_other_agent(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.CRASH)]})
    async with open_engine(agent, agents=AGENTS, recovery=rules(agent=(REASSIGN,))) as engine:
        await engine.add("t", retries=0)
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert len(agent.starts) == 1


async def test_no_agent_gets_more_than_what_is_left_of_the_budget(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.GAVE_UP, 1.5)], "u": [failed(FailureKind.GAVE_UP, 0.5)]})
    agents = {**AGENTS, "claude": AgentProfile("claude", budget_usd=1.0)}
    async with open_engine(agent, agents=agents, recovery=rules(agent=(REASSIGN,))) as engine:
        await engine.add("t")
        await engine.add("u")
        await engine.run_until(lambda: engine.archived("t") and engine.archived("u"), "both")
        assert [order.agent for order in agent.starts if order.task_id == "t"] == ["claude"]
        assert [order.budget_usd for order in agent.starts if order.task_id == "u"] == [1.0, 0.5]


async def waits_for(engine: Engine, task_id: str, on: Task) -> Task:
    """Add a task that waits for *on*."""
    spec = TaskSpec(task_id, "analyze", Priority.MEDIUM, task_id, "Do it.", depends_on=(on.spec.id,))
    uid, now = engine.clock.new_uid(), engine.clock.now()
    events = [Event(kind, now, uid) for kind in (EventKind.RECEIVED, EventKind.PARSED, EventKind.BLOCKED)]
    new = NewTask(Task(uid, task_id, spec, "1" * 64, now), b"", events, [Need(uid, on.id_key, on.uid)])
    return (await engine.store.accept([new]))[0]


@pytest.mark.parametrize("row", ["agent", "dependency"])
@pytest.mark.parametrize(("times", "ends"), [(1, State.SUCCEEDED), (2, State.FAILED)])
async def test_a_task_that_others_wait_for_gets_one_more_try_before_it_fails_them(
    open_engine: Open, times: int, ends: State, row: str
) -> None:
    agent = FakeAgent({"first": [failed(FailureKind.GAVE_UP)] * times})
    repair = rules(**{row: (BACKOFF, Strategy(Use.DEPENDENCY_REPAIR))})
    async with open_engine(agent, recovery=repair) as engine:
        first = await engine.add("first")
        await waits_for(engine, "second", first)
        await engine.run_until(lambda: engine.archived("first"), "the end of first")
        assert (await engine.task(first.uid)).state is ends
        assert [order.resume for order in agent.starts] == [False, False]
        (retry,) = await events_of(engine, first, EventKind.RETRY)
        assert (retry.data["strategy"], retry.data["why"]) == ("dependency_repair", "1 task waits for it")


async def test_a_task_that_nobody_waits_for_is_not_repaired(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.GAVE_UP)]})
    async with open_engine(agent, recovery=rules(agent=(Strategy(Use.DEPENDENCY_REPAIR),))) as engine:
        await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert len(agent.starts) == 1


async def test_a_task_that_the_machine_had_no_memory_for_goes_on_when_there_is_some(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.KILLED)]})
    wait = rules(killed=(Strategy(Use.RESOURCE_WAIT, up_to_s=3600.0),))
    async with open_engine(agent, recovery=wait) as engine:
        machine = FakeMachine()
        machine.missing = "memory: 12 MiB of 512 MiB are free"
        task = await engine.add("t")
        part = ResourceWait(
            store=engine.store, machine=machine, clock=engine.clock, policy=lambda: engine.policy, look_every_s=0.02
        )

        async def waits() -> bool:
            return (await engine.task(task.uid)).state is State.RETRY_WAIT

        await engine.run_until(lambda: engine.agent.left, "the first attempt")
        while not await waits():
            await engine.run_until(lambda: True, "the verdict")
        left_s = (await engine.task(task.uid)).not_before - engine.clock.now()
        assert 3500 < left_s <= 3600
        assert await part.look() == 0
        machine.missing = ""
        stopping = asyncio.Event()
        beside = asyncio.create_task(part.run(stopping))
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        stopping.set()
        await beside
        (released,) = await events_of(engine, task, EventKind.RELEASED)
        assert released.data["detail"] == "the machine has again what it lacked"


async def test_a_shortage_that_is_over_lets_the_agent_go_too(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.SHORTAGE)]})
    wait = rules(shortage=(Strategy(Use.RESOURCE_WAIT),))
    async with open_engine(agent, recovery=wait) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.agent.left, "the first attempt")
        while (await engine.task(task.uid)).state is not State.RETRY_WAIT:
            await engine.run_until(lambda: True, "the verdict")
        machine = FakeMachine()
        part = ResourceWait(store=engine.store, machine=machine, clock=engine.clock, policy=lambda: engine.policy)
        assert await part.look() == 1
        assert await engine.store.pauses() == []
        assert (await engine.task(task.uid)).state is State.QUEUED
        assert (await engine.task(task.uid)).tries == 0


async def test_who_only_waits_for_a_time_is_not_let_go_by_the_machine(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.KILLED)]})
    slow = {FailureKind.KILLED: replace(POLICIES[FailureKind.KILLED], first_delay_s=600.0, cap_s=600.0)}
    async with open_engine(agent, recovery=rules(killed=(BACKOFF,)), retries=slow) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.agent.left, "the first attempt")
        while (await engine.task(task.uid)).state is not State.RETRY_WAIT:
            await engine.run_until(lambda: True, "the verdict")
        part = ResourceWait(store=engine.store, machine=FakeMachine(), clock=engine.clock, policy=lambda: engine.policy)
        assert await part.look() == 0


async def test_a_strategy_of_ones_own_decides_by_the_facts(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.CRASH)]})
    own = FakeStrategies({"mine": lambda facts: Choice(Act.REASSIGN, agent=facts.agents[0], why="a better one")})
    recovery = rules(agent=(Strategy("mine"),))
    async with open_engine(agent, agents=AGENTS, recovery=recovery, strategies=own) as engine:
        task = await engine.add("t", budget_usd=2.0)
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert [order.agent for order in agent.starts] == ["claude", "local"]
        (facts,) = own.asked
        assert (facts.task_id, facts.kind, facts.error_class, facts.tries) == ("t", "crash", "agent", 1)
        assert (facts.spent_usd, facts.budget_usd, facts.gives_up) == (0.01, 2.0, False)
        (retry,) = await events_of(engine, task, EventKind.RETRY)
        assert (retry.data["strategy"], retry.data["why"]) == ("mine", "a better one")


async def test_a_strategy_may_pass_to_the_next_one_or_give_up(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.CRASH)], "u": [failed(FailureKind.CRASH)]})
    own = FakeStrategies({"mine": lambda facts: Choice(Act.NEXT if facts.task_id == "t" else Act.GIVE_UP)})
    recovery = rules(agent=(Strategy("mine"), REASSIGN))
    async with open_engine(agent, agents=AGENTS, recovery=recovery, strategies=own) as engine:
        await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        other = await engine.add("u")
        await engine.run_until(lambda: engine.archived("u"), "the end of u")
        assert [(order.task_id, order.agent) for order in agent.starts] == [
            ("t", "claude"),
            ("t", "local"),
            ("u", "claude"),
        ]
        assert (await engine.task(other.uid)).state is State.FAILED


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _: 1 / 0, "ZeroDivisionError"),
        (lambda _: None, "it answered NoneType, not Choice"),
        (lambda _: Choice(Act.REASSIGN, agent="nobody"), "it chose"),
        (lambda _: Choice(Act.TRY_AGAIN, delay_s=inf), "delay_s is from 0"),
    ],
)
async def test_a_strategy_that_breaks_or_talks_nonsense_is_told_once_and_the_built_in_policy_decides(
    open_engine: Open, answer: Callable[[Facts], object], said: str
) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.CRASH)] * 9})
    own = FakeStrategies({"mine": answer})
    async with open_engine(agent, recovery=rules(agent=(Strategy("mine"),)), strategies=own) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert len(agent.starts) == 3, "as many tries as without it"
        assert (await engine.task(task.uid)).state is State.FAILED
        (warning,) = await warnings(engine)
        assert warning.startswith("the recovery strategy mine: ")
        assert said in warning
        assert warning.endswith("; the built-in policy decides instead")


async def test_a_reassignment_outlives_the_daemon(open_engine: Open) -> None:
    agent = FakeAgent({"t": [failed(FailureKind.CRASH)]})
    async with open_engine(agent, agents=AGENTS, recovery=rules(agent=(REASSIGN,))) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.agent.left, "the first attempt")
        while (await engine.task(task.uid)).attempt < 1 or (await engine.task(task.uid)).state is State.CHECKING:
            await engine.run_until(lambda: True, "the verdict")
        uid = TaskUid(task.uid)
    async with open_engine(agent, agents=AGENTS) as engine:
        await engine.recover()
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert (await engine.task(uid)).agent == "local"
        first, *others = [order.agent for order in agent.starts]
        assert (first, set(others)) == ("claude", {"local"})  # one that had begun when the daemon ended is begun again


async def test_a_strategy_of_the_users_own_that_is_not_told_how_often_does_not_decide_for_ever(
    open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remedies, "OWN_TIMES", 2)
    own = FakeStrategies({"mine": lambda _: Choice(Act.WAIT, delay_s=0.01)})
    agent = FakeAgent({"t": [failed(FailureKind.KILLED)] * 20})
    async with open_engine(agent, recovery=rules(killed=(Strategy("mine"),)), strategies=own) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "its end")
        assert (await engine.task(task.uid)).state is State.FAILED
        assert len(own.asked) == 2
