"""Limits of the account: told once, kept over restarts, probed by one, let go with the account."""

import asyncio
from dataclasses import replace

import pytest
from tests.agents import FakeAgent
from tests.fakes import FakeClock, MemoryStore
from tests.rig import Engine, Open

from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Outcome
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Pause
from orchestrator.core.retry import POLICIES, RetryDecision, decide_retry
from orchestrator.engine.holds import Holds

NOW = 1_800_000_000.0


def limit(resets_at: float = 0.0, kind: FailureKind = FailureKind.USAGE_LIMIT) -> Failed:
    return Failed(kind, "You've hit your limit", AgentReport(exit_code=1), resets_at)


async def told(engine: Engine, kind: EventKind) -> list[Event]:
    return [event for event in await engine.store.events_after(0, limit=10_000) if event.kind is kind]


@pytest.mark.parametrize("known", [True, False])
async def test_three_attempts_that_hit_one_limit_together_tell_it_once(open_engine: Open, known: bool) -> None:
    names = ("a", "b", "c")
    slow = {**POLICIES, FailureKind.USAGE_LIMIT: replace(POLICIES[FailureKind.USAGE_LIMIT], first_delay_s=300.0)}
    async with open_engine(slots=3, retries=slow) as engine:
        gate = asyncio.Event()
        until = engine.clock.now() + 3600
        for n, name in enumerate(names):
            outcomes: list[Outcome] = [limit(until + n if known else 0.0)]
            engine.agent._script[name], engine.agent.gates[name] = outcomes, gate
            await engine.add(name, retries=0)

        def fact() -> bool:
            if len(engine.agent.alive) == 3:
                gate.set()
            return gate.is_set() and not engine.agent.alive

        await engine.run_until(fact, "three limits")
        tasks = await engine.store.tasks([State.RETRY_WAIT], limit=9)
        (pause,) = await engine.store.pauses()
        assert [task.tries for task in tasks] == [0, 0, 0]
        assert {task.not_before for task in tasks} == {pause.until + 1.0}
        assert len(await told(engine, EventKind.AGENT_HELD)) == 1


class World:
    """Holds on a store in memory and a clock that stands still."""

    def __init__(self) -> None:
        self.clock, self.store, self.account = FakeClock(NOW), MemoryStore(), "one"
        self.holds = Holds(
            store=self.store,
            clock=self.clock,
            policy=lambda: None,  # type: ignore[arg-type, return-value]
            redact=lambda value: value,
            account_of=lambda _: self.account,
        )

    def decided(self, failure: Failed) -> RetryDecision:
        return decide_retry(failure, tries=1, uncharged=0, retries=0, now=self.clock.now(), chance=0.5)

    async def fails(self, failure: Failed) -> float:
        return await self.holds.after("claude", failure, self.decided(failure))

    async def events(self) -> list[EventKind]:
        return [event.kind for event in await self.store.events_after(0, limit=99)]


async def test_a_failing_probe_extends_the_hold_and_releases_nobody() -> None:
    world = World()
    first = await world.fails(limit(NOW + 600))
    world.clock.advance(601)
    second = await world.fails(limit(NOW + 600))  # the provider says the same again: at least a minute
    assert (first, second) == (NOW + 600, NOW + 601 + 60)
    assert [pause.until for pause in await world.store.pauses()] == [second]
    assert await world.events() == [EventKind.AGENT_HELD] * 2


async def test_another_limit_with_a_later_reset_is_told() -> None:
    world = World()
    await world.fails(limit(NOW + 600))
    await world.fails(limit(NOW + 86_400))
    assert [pause.until for pause in await world.store.pauses()] == [NOW + 86_400]
    assert await world.events() == [EventKind.AGENT_HELD] * 2


async def test_another_account_is_not_held_for_the_limits_of_the_first() -> None:
    world = World()
    await world.fails(limit(NOW + 600))
    await world.holds.of_another_account()
    assert len(await world.store.pauses()) == 1
    world.account = ""  # nobody knows: nothing is let go
    await world.holds.of_another_account()
    assert len(await world.store.pauses()) == 1
    world.account = "two"
    await world.holds.of_another_account()
    assert await world.store.pauses() == []
    assert await world.events() == [EventKind.AGENT_HELD, EventKind.AGENT_RELEASED]


@pytest.mark.parametrize("pause", [Pause("claude", 0.0, "paused", ""), Pause("claude", NOW + 9, "agent_missing", "")])
async def test_what_has_nothing_to_do_with_an_account_outlives_it(pause: Pause) -> None:
    world = World()
    await world.store.pause(pause, Event(EventKind.AGENT_HELD, NOW))
    world.account = "two"
    await world.holds.of_another_account()
    assert await world.store.pauses() == [pause]


async def test_a_hold_outlives_the_daemon_and_nothing_is_started_before_its_end(open_engine: Open) -> None:
    async with open_engine() as engine:
        engine.agent._script["t"] = [limit(engine.clock.now() + 3600)]
        await engine.add("t", retries=0)
        await engine.run_until(lambda: engine.agent.starts and not engine.agent.alive, "the limit")
    async with open_engine(FakeAgent()) as engine:
        await engine.recover()
        other = await engine.add("other")
        looks = iter(range(30))
        await engine.run_until(lambda: next(looks, None) is None, "some looks")
        assert engine.agent.starts == []
        waits = (await engine.service.status()).waits
        assert waits[other.uid] == "claude is held: You've hit your limit"
