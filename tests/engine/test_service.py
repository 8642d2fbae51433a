"""What every door says: names, conflicts, status, following, reloading."""

import asyncio
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.agents import FakeAgent
from tests.rig import Engine, Open

from orchestrator.core.attempt import AgentReport, Failed, FailureKind
from orchestrator.core.errors import AmbiguousError, ConfigError, ConflictError, NotFoundError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask, Pause
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.engine.service import KNOWN_TASKS, Orchestrator
from orchestrator.engine.times import run_of as time_run_of
from orchestrator.engine.times import timed


async def test_a_task_is_found_by_every_name_it_has(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await engine.add("Fix_DB")
        for key in ("Fix_DB", "fix_db", task.uid, task.uid[:20], task.uid[-8:]):
            assert (await engine.service.task(key)).uid == task.uid
        for key in ("nobody", "", task.uid[:3], "*", "%"):
            with pytest.raises(NotFoundError):
                await engine.service.task(key)


async def test_of_two_tasks_of_one_name_the_newest_is_meant_and_of_two_uids_none(open_engine: Open) -> None:
    async with open_engine() as engine:
        old = await engine.add("same")
        await engine.service.cancel(old.uid)
        new = await engine.add("same")
        assert (await engine.service.task("same")).uid == new.uid
        with pytest.raises(AmbiguousError, match=rf"fits 2 tasks: .*{new.uid[-8:]} \(same\)"):
            await engine.service.task(new.uid[:4])


async def test_the_name_of_a_schedule_is_that_of_the_template_for_who_stops_it_and_of_the_last_run_for_who_takes_it(
    open_engine: Open,
) -> None:
    async with open_engine() as engine:
        service, now = engine.service, engine.clock.now()
        spec = TaskSpec("nightly", "analyze", Priority.MEDIUM, "A title", "Look", schedule="0 2 * * *")
        uids = [engine.clock.new_uid() for _ in range(2)]
        blank = [Task(uid, "nightly", spec, "0" * 64, now) for uid in uids]
        first = NewTask(blank[0], b"body", [Event(EventKind.RECEIVED, now, uids[0])])
        (template,) = await engine.store.accept([timed(first, now)])
        (run,) = await engine.store.accept([time_run_of(template, b"body", now, task=blank[1], now=now)])
        assert (await service.task("nightly")).uid == run.uid
        assert (await service.going_on("nightly")).uid == template.uid
        assert (await service.going_on(run.name)).uid == run.uid
        assert [(await act("nightly")).task for act in (service.hold, service.resume)] == [
            replace(template, state=state) for state in (State.HELD, State.SCHEDULED)
        ]
        assert (await service.cancel("nightly")).uid == template.uid
        assert (await service.cancel("nightly")).uid == run.uid
        again = await service.retry("nightly")
        assert (again.rerun_of, again.state) == (template.uid, State.SCHEDULED)


async def test_only_an_ended_task_has_a_result(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await engine.add("t")
        with pytest.raises(ConflictError, match="has no result: it is queued"):
            await engine.service.result(task)
        await engine.run_until(lambda: engine.archived("t"), "the end")
        told = await engine.service.result(await engine.task(task.uid))
        assert told == json.loads((engine.root / "results" / "t_result.json").read_text())


async def test_retry_asks_for_a_task_that_has_ended(open_engine: Open) -> None:
    async with open_engine() as engine:
        await engine.add("t")
        with pytest.raises(ConflictError, match="has not ended: it is queued"):
            await engine.service.retry("t")
        with pytest.raises(NotFoundError):
            await engine.service.retry("nobody")


async def test_a_retry_of_a_retry_keeps_its_names_short(open_engine: Open) -> None:
    async with open_engine() as engine:
        names = [(await engine.add("t")).name]
        for _ in range(3):
            await engine.service.cancel("t")
            names.append((await engine.service.retry("t")).name)
        assert len(set(names)) == 4
        assert all(name == "t" or len(name) == len("t.") + 8 for name in names)


async def test_cancelling_twice_is_told_the_second_time_by_what_it_did(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await engine.add("t")
        await engine.store.commit([engine.executor.starting(task)])
        assert (await engine.service.cancel("t")).state is State.CANCELLING
        assert (await engine.service.cancel("t")).state is State.CANCELLING
        await engine.recover()
        with pytest.raises(ConflictError, match="has already ended: cancelled"):
            await engine.service.cancel("t")


async def test_many_cancels_at_once_end_a_task_once(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await engine.add("t")
        tries = [asyncio.ensure_future(engine.service.cancel("t")) for _ in range(8)]
        await asyncio.wait(tries)
        assert sum(done.exception() is None for done in tries) == 1
        assert {type(done.exception()) for done in tries} == {type(None), ConflictError}
        kinds = [event.kind for event in await engine.store.events_of(task.uid, limit=100)]
        assert kinds.count(EventKind.CANCELLED) == 1


async def test_status_lists_what_waits_in_the_order_it_will_run(open_engine: Open) -> None:
    async with open_engine() as engine:
        for task_id, priority in (("low", Priority.LOW), ("first", Priority.HIGH), ("mid", Priority.MEDIUM)):
            await engine.add(task_id, priority=priority)
        held = Event(EventKind.AGENT_HELD, engine.clock.now())
        await engine.store.pause(Pause("claude", 1.0, "auth", "not logged in"), held)
        look = await engine.service.status(limit=2)
        assert [task.spec.id for task in look.waiting] == ["first", "mid"]
        assert look.counts[State.QUEUED] == 3
        assert [pause.scope for pause in look.pauses] == ["claude"]
        assert look.last_seq == await engine.store.last_seq()


async def test_recent_events_are_the_last_ones_oldest_first(open_engine: Open) -> None:
    async with open_engine() as engine:
        await engine.add("a")
        await engine.add("b")
        assert [event.seq for event in await engine.service.recent_events(lines=3)] == [2, 3, 4]
        assert [event.seq for event in await engine.service.recent_events(lines=9, key="a")] == [1, 2]
        with pytest.raises(NotFoundError):
            await engine.service.recent_events(lines=1, key="nobody")


async def test_who_follows_sees_every_event_once_and_only_of_his_task(open_engine: Open) -> None:
    async with open_engine() as engine:
        first = await engine.add("a")
        seen: list[Event] = []

        async def follow() -> None:
            async for event in engine.service.follow(0, uid=first.uid):
                seen.append(event)
                if event.kind is EventKind.ARCHIVED:
                    return

        following = asyncio.create_task(follow())
        await engine.add("b")
        await engine.run_until(following.done, "the end of the first")
        await following
        assert {event.uid for event in seen} == {first.uid}
        assert [event.seq for event in seen] == sorted({event.seq for event in seen})
        assert [event.kind for event in seen][:2] == [EventKind.RECEIVED, EventKind.PARSED]


async def test_artifacts_cleaned_once_are_not_offered_again(open_engine: Open) -> None:
    async with open_engine() as engine:
        await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end")
        assert [one async for piece in engine.service.ended_before(0.0) for one in piece] == []
        (old,) = [one async for piece in engine.service.ended_before(engine.clock.now() + 1) for one in piece]
        await engine.service.cleaned([old])
        await engine.service.cleaned([])
        assert [one async for piece in engine.service.ended_before(engine.clock.now() + 1) for one in piece] == []


def reloading(engine: Engine, answers: Sequence[Sequence[str] | ConfigError]) -> Orchestrator:
    """Return a service whose configuration gives these *answers*, one at each reload."""
    left = list(answers)

    def reload() -> Sequence[str]:
        answer = left.pop(0)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    return Orchestrator(
        store=engine.store,
        clock=engine.clock,
        bell=engine.bell,
        policy=lambda: engine.policy,
        reload=reload,
        redact=lambda value: value,
    )


async def test_a_reload_is_an_event_when_something_changed_or_is_wrong(open_engine: Open) -> None:
    async with open_engine() as engine:
        service = reloading(engine, [(), ("pool.max_concurrent_tasks",), ConfigError("1 setting is not valid")])
        assert list(await service.reload_from_env()) == []
        assert await engine.store.last_seq() == 0
        rung = engine.bell.count
        assert list(await service.reload_from_env()) == ["pool.max_concurrent_tasks"]
        assert engine.bell.count > rung, "a free slot is used at once"
        with pytest.raises(ConfigError):
            await service.reload_from_env()
        told = await engine.store.events_after(0, limit=10)
        assert [event.kind for event in told] == [EventKind.CONFIG_RELOADED, EventKind.CONFIG_INVALID]
        assert told[0].data["changed"] == ["pool.max_concurrent_tasks"]


async def test_a_failed_task_is_told_with_its_reason_and_what_to_do(open_engine: Open) -> None:
    agent = FakeAgent({"t": [Failed(FailureKind.BUDGET, "the budget of $1 is used up", AgentReport(exit_code=1))]})
    async with open_engine(agent) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end")
        told = await engine.service.result(await engine.task(task.uid))
        assert (told["status"], told["reason"]) == ("failed", "budget")
        assert "raise budget_usd" in str(told["hint"])


async def test_telling_of_many_tasks_keeps_few_of_them_in_memory(open_engine: Open) -> None:
    size, tasks = 100_000, 4 * KNOWN_TASKS
    async with open_engine() as engine:
        for number in range(tasks):
            await engine.add(f"t{number}", prompt=f"{number:09}." * (size // 10))
        tracemalloc.start()
        try:
            for event in await engine.store.events_after(0, limit=10_000):
                assert await engine.service.task_of(event) is not None
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < tasks * size / 2


async def test_a_sub_task_that_is_run_anew_stays_in_its_job_and_tree_and_a_root_begins_its_own(
    open_engine: Open,
) -> None:
    async with open_engine() as engine:
        root = await engine.add("root")
        uid, now = engine.clock.new_uid(), engine.clock.now()
        child = Task(uid, "child", root.spec, "2" * 64, now, parent=root.uid, root=root.uid, depth=1)
        await engine.store.accept([NewTask(replace(child, spec=replace(root.spec, id="child")), b"", ())])
        for name in ("root", "child"):
            await engine.service.cancel(name)
        again, anew = await engine.service.retry("child"), await engine.service.retry("root")
        assert (again.parent, again.root, again.depth, again.lineage) == (root.uid, root.uid, 1, root.uid)
        assert (anew.parent, anew.root, anew.lineage) == ("", "", anew.uid)
