"""Pausing the queue, an agent, a task; letting go again; the switch and the headroom of an agent."""

import asyncio
from dataclasses import replace

import pytest
from tests.agents import FakeAgent
from tests.ports.store_jobs_contract import waiting
from tests.rig import Engine, Open

from orchestrator.core.agents import AgentProfile
from orchestrator.core.attempt import AgentMessage, AgentReport, Failed, FailureKind, MessageKind
from orchestrator.core.errors import ConflictError, IllegalEventError, NotFoundError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.plan import EVERYTHING
from orchestrator.core.ports import Pause
from orchestrator.core.task import Task


async def kinds(engine: Engine, *wanted: EventKind) -> list[EventKind]:
    return [event.kind for event in await engine.store.events_after(0, limit=10_000) if event.kind in wanted]


async def limited(engine: Engine, task_id: str, until: float, reason: str = "usage_limit") -> Task:
    """Return a task that waits for the end of a hold of its agent."""
    task = await engine.add(task_id)
    starting = engine.executor.starting(task)
    data: dict[str, Json] = {"reason": reason, "detail": "", "not_before": until}
    waits = Event(EventKind.LIMITED, engine.clock.now(), task.uid, 1, 1, data)
    return (await engine.store.commit([starting, waits]))[0]


@pytest.mark.parametrize("scope", [EVERYTHING, "claude"])
async def test_a_pause_starts_nothing_more_lets_what_runs_go_on_and_is_lifted_by_resume(
    open_engine: Open, scope: str
) -> None:
    async with open_engine() as engine:
        engine.agent.gates["runs"] = gate = asyncio.Event()
        await engine.add("runs")
        steps: list[str] = []

        async def people() -> None:
            while not engine.agent.alive:
                await asyncio.sleep(0.01)
            assert (await engine.service.pause(scope)).changed
            await engine.add("late")
            gate.set()
            while not engine.archived("runs"):
                await asyncio.sleep(0.01)
            steps.extend(order.task_id for order in engine.agent.starts)
            assert (await engine.service.resume(scope)).changed

        acting = asyncio.create_task(people())
        await engine.run_until(lambda: acting.done() and engine.archived("late"), "the late one")
        await acting
        assert steps == ["runs"]
        assert [order.task_id for order in engine.agent.starts] == ["runs", "late"]
        assert await kinds(engine, EventKind.INTERRUPTED, EventKind.CANCELLED) == []


async def test_a_pause_outlives_the_daemon(open_engine: Open) -> None:
    async with open_engine() as engine:
        await engine.service.pause()
    async with open_engine() as engine:
        await engine.add("t")
        assert [pause.scope for pause in (await engine.service.status()).pauses] == ["*"]
        looks = iter(range(10))
        await engine.run_until(lambda: next(looks, None) is None, "ten looks")
        assert engine.agent.starts == []


@pytest.mark.parametrize("scope", [EVERYTHING, "claude", "t"])
async def test_saying_it_twice_changes_nothing_the_second_time(open_engine: Open, scope: str) -> None:
    async with open_engine() as engine:
        await engine.add("t")
        told = [(await engine.service.pause(scope)).changed for _ in range(2)]
        seq = await engine.store.last_seq()
        told += [(await engine.service.resume(scope)).changed for _ in range(2)]
        assert told == [True, False, True, False]
        assert seq == 3
        assert await engine.store.last_seq() == 4


async def test_a_held_task_is_passed_over_shown_and_goes_on_when_it_is_released(open_engine: Open) -> None:
    async with open_engine(slots=1) as engine:
        for name in ("held", "next"):
            await engine.add(name)
        done = await engine.service.hold("held")
        assert (done.scope, done.changed, done.task and done.task.state) == ("", True, State.HELD)
        await engine.run_until(lambda: engine.archived("next"), "the other one")
        look = await engine.service.status()
        assert [task.spec.id for task in look.held] == ["held"]
        assert look.counts[State.HELD] == 1
        assert look.waiting == []
        await engine.service.resume("held")
        await engine.run_until(lambda: engine.archived("held"), "the one that was held")
        assert [order.task_id for order in engine.agent.starts] == ["next", "held"]


async def test_a_held_task_can_be_cancelled(open_engine: Open) -> None:
    async with open_engine() as engine:
        await engine.add("t")
        await engine.service.hold("t")
        assert (await engine.service.cancel("t")).state is State.CANCELLED


async def test_what_runs_or_has_ended_cannot_be_held_and_what_has_ended_not_resumed(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await engine.add("t")
        await engine.store.commit([engine.executor.starting(task)])
        with pytest.raises(ConflictError, match="cannot be held: it is running") as caught:
            await engine.service.pause("t")
        assert f"cancel {task.uid[-8:]}" in caught.value.hint
        assert not (await engine.service.resume("t")).changed
        await engine.service.cancel("t")
        await engine.recover()
        for act in (engine.service.hold, engine.service.pause, engine.service.resume):
            with pytest.raises(ConflictError, match="has already ended: cancelled"):
                await act("t")


async def test_a_scope_that_is_neither_agent_nor_task_is_told_what_there_is(open_engine: Open) -> None:
    async with open_engine() as engine:
        for act in (engine.service.pause, engine.service.resume):
            with pytest.raises(NotFoundError, match="no agent and no task is called 'clause'") as caught:
                await act("clause")
            assert caught.value.hint.startswith("Agents: claude.")
        with pytest.raises(NotFoundError, match="nothing is held for the budget, and no task is called so") as caught:
            await engine.service.resume("budget")
        assert "status" in caught.value.hint


async def test_an_agent_is_meant_before_a_task_of_its_name(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await engine.add("claude")
        assert (await engine.service.pause("claude")).scope == "claude"
        assert (await engine.service.pause(task.uid)).task is not None


async def test_a_start_and_a_hold_at_once_leave_a_task_running_or_held_and_never_both(open_engine: Open) -> None:
    async with open_engine() as engine:
        for number in range(20):
            task = await engine.add(f"t{number}")
            start = asyncio.ensure_future(engine.store.commit([engine.executor.starting(task)]))
            hold = asyncio.ensure_future(engine.service.hold(task.uid))
            await asyncio.wait([start, hold] if number % 2 else [hold, start])
            refused = {type(done.exception()) for done in (start, hold)} - {type(None)}
            state = (await engine.task(task.uid)).state
            assert (state, refused) in ((State.HELD, {IllegalEventError}), (State.RUNNING, {ConflictError}))


async def test_releasing_an_agent_early_lets_those_go_that_only_waited_for_it(open_engine: Open) -> None:
    async with open_engine() as engine:
        late = engine.clock.now() + 3600
        waits = await limited(engine, "waits", late)
        other = await limited(engine, "other", late, reason="transient")
        held = Event(EventKind.AGENT_HELD, engine.clock.now())
        await engine.store.pause(Pause("claude", late, "usage_limit", "used up"), held)
        done = await engine.service.resume("claude")
        assert (done.changed, done.freed, done.pause and done.pause.reason) == (True, 1, "usage_limit")
        freed = await engine.task(waits.uid)
        assert (freed.state, freed.not_before, freed.reason, freed.tries) == (State.QUEUED, 0.0, "usage_limit", 0)
        assert await engine.task(other.uid) == other
        await engine.run_until(lambda: engine.archived("waits"), "the freed one")
        assert engine.agent.starts[0].resume, "its session goes on"


async def test_a_task_that_waits_for_its_next_try_is_tried_at_once_when_it_is_resumed(open_engine: Open) -> None:
    async with open_engine() as engine:
        await limited(engine, "t", engine.clock.now() + 3600, reason="transient")
        assert (await engine.service.resume("t")).changed
        await engine.run_until(lambda: engine.archived("t"), "its end")


async def test_what_still_holds_a_task_is_told_with_its_release(open_engine: Open) -> None:
    async with open_engine() as engine:
        await engine.add("t")
        for scope in ("t", "claude", EVERYTHING):
            await engine.service.pause(scope)
        assert [pause.scope for pause in (await engine.service.resume("t")).still] == ["*", "claude"]
        assert [pause.scope for pause in (await engine.service.resume()).still] == ["claude"]
        assert (await engine.service.resume("claude")).still == ()


async def test_a_persons_pause_is_not_lifted_by_success_nor_replaced_by_a_limit(open_engine: Open) -> None:
    async with open_engine(slots=2) as engine:
        limit = Failed(FailureKind.USAGE_LIMIT, "used up", AgentReport(exit_code=1), engine.clock.now() + 3600)
        engine.agent._script["bad"] = [limit]
        gates = {name: asyncio.Event() for name in ("good", "bad")}
        engine.agent.gates.update(gates)
        good, bad = await engine.add("good"), await engine.add("bad")
        signalled: list[object] = []

        def fact() -> bool:
            if len(engine.agent.alive) == 2 and not signalled:
                signalled.append(asyncio.ensure_future(pause_then_open()))
            return engine.archived("good") and bad.uid in waiting

        waiting: set[TaskUid] = set()

        async def pause_then_open() -> None:
            await engine.service.pause("claude")
            for gate in gates.values():
                gate.set()
            while (await engine.task(bad.uid)).state is not State.RETRY_WAIT:
                await asyncio.sleep(0.01)
            waiting.add(bad.uid)

        await engine.run_until(fact, "one success and one limit")
        assert (await engine.task(good.uid)).state is State.SUCCEEDED
        assert await engine.store.pauses() == [Pause("claude", 0.0, "paused", "paused by request")]


async def test_an_agent_that_is_switched_off_starts_nothing_until_it_is_switched_on(open_engine: Open) -> None:
    off = {"claude": AgentProfile("claude", enabled=False)}
    async with open_engine(agents=off) as engine:
        await engine.add("t")
        (pause,) = (await engine.service.status()).pauses
        assert (pause.scope, pause.until, pause.reason) == ("claude", 0.0, "switched_off")
        assert (await engine.service.resume("claude")).still == (pause,)
        looks: list[int] = []

        def fact() -> bool:
            looks.append(len(engine.agent.starts))
            if len(looks) == 10:
                engine.policy = replace(engine.policy, agents={"claude": AgentProfile("claude")})
                engine.bell.ring()
            return engine.archived("t")

        await engine.run_until(fact, "its end")
        assert looks[:10] == [0] * 10


def used(percent: float, resets_at: float, window: str = "five_hour", status: str = "allowed") -> AgentMessage:
    data: dict[str, Json] = {"status": status, "window": window, "resets_at": resets_at, "utilization": percent / 100}
    return AgentMessage(MessageKind.LIMIT, "a word on the allowance", data)


async def test_beyond_the_headroom_nothing_more_is_started_until_the_reset(open_engine: Open) -> None:
    profile = {"claude": AgentProfile("claude", headroom_percent=85)}
    async with open_engine(agents=profile, slots=1) as engine:
        resets_at = engine.clock.now() + 0.6
        engine.agent.says = {"first": [used(84, resets_at), used(86, resets_at), used(90, resets_at + 0.1)]}
        for name in ("first", "second"):
            await engine.add(name)
        await engine.run_until(lambda: engine.archived("second"), "both")
        events = await engine.store.events_after(0, limit=1000)
        (held,) = [event for event in events if event.kind is EventKind.AGENT_HELD]
        assert (held.data["reason"], held.data["until"]) == ("headroom", resets_at)
        assert held.data["detail"] == "the five hour allowance is 86% used, more than 85%"
        second = [event for event in events if event.kind is EventKind.STARTED][1]
        assert second.ts >= resets_at
        assert "a word on the allowance" not in [event.data.get("text") for event in events]
        assert await engine.store.pauses() == []


@pytest.mark.parametrize(
    ("percent", "headroom", "in_s", "status"),
    [
        (99, 100, 3600, "allowed_warning"),  # off
        (85, 85, 3600, "allowed_warning"),  # not above
        (90, 85, -1, "allowed_warning"),  # a reset that is over
        (100, 85, 3600, "rejected"),  # the attempt itself will end by it
    ],
)
async def test_the_headroom_holds_nobody_without_need(
    open_engine: Open, percent: float, headroom: float, in_s: float, status: str
) -> None:
    async with open_engine(agents={"claude": AgentProfile("claude", headroom_percent=headroom)}) as engine:
        engine.agent.says = {"t": [used(percent, engine.clock.now() + in_s, status=status)]}
        await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "its end")
        assert await kinds(engine, EventKind.AGENT_HELD) == []


async def test_who_overrules_the_headroom_is_not_held_again_for_the_same_reset(open_engine: Open) -> None:
    async with open_engine(FakeAgent(), agents={"claude": AgentProfile("claude", headroom_percent=50)}) as engine:
        resets_at = engine.clock.now() + 3600
        engine.agent.says = {name: [used(60, resets_at)] for name in ("first", "second")}
        await engine.add("first")
        await engine.run_until(lambda: engine.archived("first"), "the first")
        assert [pause.until for pause in await engine.store.pauses()] == [resets_at]
        await engine.service.resume("claude")
        await engine.add("second")
        await engine.run_until(lambda: engine.archived("second"), "the second")
        assert await engine.store.pauses() == []
        assert await kinds(engine, EventKind.AGENT_HELD) == [EventKind.AGENT_HELD]


async def test_a_held_task_that_waits_for_another_waits_again_when_it_is_released(open_engine: Open) -> None:
    async with open_engine() as engine:
        (task,) = await engine.store.accept([waiting(1, "later")])
        assert (await engine.service.hold(task.uid)).changed
        released = await engine.service.resume(task.uid)
        assert released.task is not None
        assert released.task.state is State.BLOCKED
