"""Quiet hours, quitting time and deadlines, on real bridges; the clock is the machine's, the spans are set about it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest
from tests.agents import FakeAgent
from tests.harness import until
from tests.rig import Engine, Open

from orchestrator.core.attempt import AgentReport, Failed, FailureKind
from orchestrator.core.events import EventKind
from orchestrator.core.hours import QUIET, QUITTING, Hours, span_in
from orchestrator.core.lifecycle import State
from orchestrator.core.plan import EVERYTHING
from orchestrator.core.task import Task
from orchestrator.engine.daemon import Signals

ALWAYS = (span_in("00:00-24:00"),)
IN_QUIET, AFTER_QUITTING = Hours(quiet=ALWAYS, timezone="UTC"), Hours(quitting=ALWAYS, timezone="UTC")


def set_hours(engine: Engine, hours: Hours) -> None:
    engine.policy = replace(engine.policy, hours=hours)
    engine.bell.ring()


async def kinds(engine: Engine, task: Task) -> list[EventKind]:
    return [event.kind for event in await engine.store.events_of(task.uid, limit=1000)]


async def is_queued(engine: Engine, task: Task, attempt: int) -> bool:
    now = await engine.task(task.uid)
    return now.state is State.QUEUED and now.attempt == attempt


async def reached(fact: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await fact():
            await asyncio.sleep(0.01)


async def test_in_quiet_hours_nothing_is_started_and_what_runs_goes_on(open_engine: Open) -> None:
    async with open_engine() as engine:
        engine.agent.gates["runs"] = gate = asyncio.Event()
        await engine.add("runs")
        signals = Signals()
        running = asyncio.create_task(engine.daemon().run(signals, {}))
        await until(lambda: engine.agent.alive, what="the start")
        set_hours(engine, IN_QUIET)
        late = await engine.add("late")
        gate.set()
        await until(lambda: engine.archived("runs"), what="the end of what ran")
        (pause,) = await engine.service.holding(EVERYTHING)
        assert (pause.scope, pause.reason) == (EVERYTHING, QUIET)
        assert "the queue is held: quiet hours, until " in await engine.service.waits_for(late)
        assert [one.reason for one in (await engine.service.status()).pauses] == [QUIET]
        assert [order.task_id for order in engine.agent.starts] == ["runs"]
        resumed = await engine.service.resume()
        assert (resumed.changed, [one.reason for one in resumed.still]) == (False, [QUIET])  # told, and not ended by it
        set_hours(engine, Hours())
        await until(lambda: engine.archived("late"), what="the late one")
        signals.stop()
        await running
        assert EventKind.INTERRUPTED not in await kinds(engine, late)


async def test_at_quitting_time_what_runs_is_interrupted_and_resumed_when_it_is_over(open_engine: Open) -> None:
    async with open_engine(max_interruptions=2) as engine:
        engine.agent.gates["runs"] = gate = asyncio.Event()
        task = await engine.add("runs", retries=0)
        signals = Signals()
        running = asyncio.create_task(engine.daemon().run(signals, {}))
        for day in range(1, 5):  # more often than a task may be interrupted
            await until(lambda: engine.agent.alive, what="the start")
            set_hours(engine, AFTER_QUITTING)
            await reached(partial(is_queued, engine, task, day))
            assert not engine.agent.alive
            assert (await engine.service.waits_for(task)).startswith("the queue is held: quitting time, until ")
            set_hours(engine, Hours())
        gate.set()
        await until(lambda: engine.archived("runs"), what="the end")
        signals.stop()
        await running
        ended = await engine.task(task.uid)
        assert (ended.state, ended.tries, ended.attempt) == (State.SUCCEEDED, 1, 5)
        first, *others = engine.agent.starts
        assert [(order.resume, order.session_id) for order in others] == [(True, first.session_id)] * 4
        told = [one for one in await engine.store.events_of(task.uid, limit=99) if one.kind is EventKind.INTERRUPTED]
        assert all(str(one.data["detail"]).startswith(f"{QUITTING}: quitting time, until ") for one in told)


async def test_a_daemon_that_starts_after_quitting_time_starts_nothing(open_engine: Open) -> None:
    async with open_engine(hours=AFTER_QUITTING) as engine:
        task = await engine.add("late")
        signals = Signals()
        running = asyncio.create_task(engine.daemon().run(signals, {}))
        seen = engine.bell.count
        for _ in range(3):
            engine.bell.ring()
            await asyncio.sleep(0.02)
        assert engine.bell.count > seen
        assert (await engine.task(task.uid)).state is State.QUEUED
        assert engine.agent.starts == []
        signals.stop()
        await running


async def test_what_a_person_cancels_after_quitting_time_is_cancelled(open_engine: Open) -> None:
    async with open_engine() as engine:
        engine.agent.gates["runs"] = asyncio.Event()
        task = await engine.add("runs")
        signals = Signals()
        running = asyncio.create_task(engine.daemon().run(signals, {}))
        await until(lambda: engine.agent.alive, what="the start")
        await engine.service.cancel("runs")
        set_hours(engine, AFTER_QUITTING)
        await until(lambda: engine.archived("runs"), what="the end")
        signals.stop()
        await running
        assert (await engine.task(task.uid)).state is State.CANCELLED


async def with_deadline(engine: Engine, task_id: str, ahead_s: float) -> Task:
    """Accept a task whose deadline is *ahead_s* from now."""
    task = await engine.add(task_id)
    (edited,) = await engine.store.events_of(task.uid, limit=1)
    ends = engine.clock.now() + ahead_s
    after = replace(edited, kind=EventKind.UPDATED, seq=0)
    return await engine.store.revise(replace(task, deadline_ts=ends), b"body of " + task_id.encode(), after)


@pytest.mark.parametrize(("ahead_s", "timeout_s"), [(90.0, {89, 90}), (9_000.0, {300}), (1.5, {1})])
async def test_the_time_of_an_attempt_is_cut_to_the_deadline(
    open_engine: Open, ahead_s: float, timeout_s: set[int]
) -> None:
    async with open_engine() as engine:
        set_hours(engine, IN_QUIET)
        await with_deadline(engine, "t", ahead_s)
        set_hours(engine, Hours())
        await engine.run_until(lambda: engine.archived("t"), "the end")
        assert engine.agent.starts[0].timeout_s in timeout_s


@pytest.mark.parametrize(("ahead_s", "reason"), [(0.9, "deadline"), (9_000.0, "timeout")])
async def test_an_attempt_that_runs_into_the_deadline_fails_for_it_and_is_not_tried_again(
    open_engine: Open, ahead_s: float, reason: str
) -> None:
    took_too_long = Failed(FailureKind.TIMEOUT, "ended after 1 s", AgentReport(exit_code=1))
    async with open_engine(FakeAgent({"t": [took_too_long] * 3})) as engine:
        task = await with_deadline(engine, "t", ahead_s)
        await engine.run_until(lambda: engine.archived("t"), "the end")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason, len(engine.agent.starts)) == (
            State.FAILED,
            reason,
            1 if reason == "deadline" else 2,
        )


async def test_a_task_whose_deadline_has_passed_is_never_started(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await with_deadline(engine, "t", -1.0)
        await engine.add("other")
        await engine.run_until(lambda: engine.archived("other"), "the other one")
        assert [order.task_id for order in engine.agent.starts] == ["other"]
        assert (await engine.task(task.uid)).attempt == 0
