"""Hooks before a task: what they see, that a refusal holds it, and that nothing starts while they are asked."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.fakes_of_hooks import ScriptedHooks
from tests.rig import Engine, Open

from orchestrator.core.events import Event, EventKind
from orchestrator.core.hooks import REFUSED, HookRun
from orchestrator.core.lifecycle import State
from orchestrator.core.notice import NoticeKind
from orchestrator.core.notice_words import kind_of, notice_from
from orchestrator.core.task import Task
from orchestrator.engine.daemon import Signals


def agrees(_: Mapping[str, Any]) -> str:
    return ""


class SlowHooks(ScriptedHooks):
    """Agrees, when it is let go. *asked* is set when it was asked for the first time."""

    def __init__(self) -> None:
        super().__init__(before={"slow": agrees})
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def before(self, task: Mapping[str, Any]) -> HookRun | None:
        self.asked.set()
        await self.go.wait()
        return await super().before(task)


async def events_of(engine: Engine, task: Task, kind: EventKind) -> list[Event]:
    return [event for event in await engine.store.events_of(task.uid, limit=100) if event.kind is kind]


async def test_a_task_starts_when_its_hooks_agree(open_engine: Open) -> None:
    hooks = ScriptedHooks(before={"one": agrees, "two": agrees})
    async with open_engine() as engine:
        engine.hooked(hooks)
        await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
    assert hooks.ran == [("before_task", "one", "t"), ("before_task", "two", "t")]


async def test_a_hook_is_told_where_the_task_comes_from_and_which_attempt_is_to_begin(open_engine: Open) -> None:
    seen: list[Mapping[str, Any]] = []
    hooks = ScriptedHooks(before={"mine": lambda task: seen.append(task) or ""})  # type: ignore[func-returns-value]
    async with open_engine() as engine:
        engine.hooked(hooks)
        task = await engine.add("t", tags=("one",))
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
    (told,) = seen
    assert (told["uid"], told["attempt"], told["agent"], told["state"]) == (task.uid, 1, "claude", "queued")
    assert (told["tags"], told["job"], told["parent"], told["depth"]) == (["one"], "", "", 0)


async def test_a_hook_that_refuses_holds_the_task_with_its_words_and_no_try_is_lost(open_engine: Open) -> None:
    hooks = ScriptedHooks(before={"mine": lambda task: f"not {task['id']}" if task["id"] == "bad" else ""})
    async with open_engine() as engine:
        engine.hooked(hooks)
        task, _ = await engine.add("bad"), await engine.add("good")
        await engine.run_until(lambda: engine.archived("good") and hooks.ran, "the end of good")
        held = await engine.task(task.uid)
        assert (held.state, held.attempt, held.tries) == (State.HELD, 0, 0)
        assert held.detail == "the hook mine refused it: not bad"
        (event,) = await events_of(engine, task, EventKind.HELD)
        assert (event.data["reason"], event.data["hook"]) == (REFUSED, "mine")
        assert kind_of(event) is NoticeKind.NEEDS_YOU
        notice = notice_from(event, NoticeKind.NEEDS_YOU, held, None, "main.py")
        assert notice.commands[0] == f"main.py resume {task.uid[-8:]}"
        assert "not bad" in notice.text
        assert [order.task_id for order in engine.agent.starts] == ["good"]


async def test_a_task_that_was_refused_is_asked_again_when_it_is_resumed(open_engine: Open) -> None:
    answers = iter(["the freeze is on", ""])
    hooks = ScriptedHooks(before={"mine": lambda _: next(answers)})
    async with open_engine() as engine:
        engine.hooked(hooks)
        task = await engine.add("t")

        async def held() -> bool:
            return (await engine.task(task.uid)).state is State.HELD

        await engine.run_until(lambda: len(hooks.ran) == 1, "the refusal")
        assert await held()
        await engine.service.resume(task.uid)
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert (await engine.task(task.uid)).detail == ""


async def test_a_hold_by_a_person_is_no_news_to_the_person() -> None:
    assert kind_of(Event(EventKind.HELD, 1.0, data={"detail": "held by request"})) is None


async def test_a_slow_hook_holds_up_its_own_task_only(open_engine: Open) -> None:
    hooks = SlowHooks()
    async with open_engine(slots=2) as engine:
        engine.hooked(hooks)
        await engine.add("a")
        await engine.add("b")
        await engine.add("c")
        seen: list[int] = []

        def at_work() -> bool:
            seen.append(len(engine.agent.starts))
            if hooks.asked.is_set():
                hooks.go.set()
            return all(map(engine.archived, "abc"))

        await engine.run_until(at_work, "all three")
        assert seen[0] == 0


async def test_a_task_that_is_cancelled_while_its_hook_runs_is_not_started(open_engine: Open) -> None:
    hooks = SlowHooks()
    async with open_engine() as engine:
        engine.hooked(hooks)
        task = await engine.add("t")
        cancelled: list[Task] = []

        async def cancel() -> None:
            await hooks.asked.wait()
            cancelled.append(await engine.service.cancel("t"))
            hooks.go.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(cancel())
            await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert (await engine.task(task.uid)).state is State.CANCELLED
        assert engine.agent.starts == []


async def test_a_daemon_that_is_stopped_while_a_hook_runs_starts_nothing_and_asks_again(open_engine: Open) -> None:
    hooks = SlowHooks()
    async with open_engine() as engine:
        engine.hooked(hooks)
        task = await engine.add("t")
        await engine.run_until(hooks.asked.is_set, "the hook")
        assert (await engine.task(task.uid)).state is State.QUEUED
        hooks.go.set()
        await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert engine.agent.starts[0].attempt == 1


async def test_a_hook_that_the_machine_cannot_run_now_says_nothing_about_the_task(open_engine: Open) -> None:
    hooks = ScriptedHooks(before={"mine": lambda _: "no space left"})
    hooks.later = True
    async with open_engine() as engine:
        engine.hooked(hooks)
        task = await engine.add("t")
        await engine.run_until(lambda: hooks.ran, "the hook")
        assert (await engine.task(task.uid)).state is State.QUEUED


async def test_a_task_that_is_edited_while_its_hook_runs_is_asked_about_again_as_it_is_now(open_engine: Open) -> None:
    hooks = SlowHooks()
    async with open_engine() as engine:
        engine.hooked(hooks)
        task = await engine.add("t")

        async def edit() -> None:
            await hooks.asked.wait()
            edited = replace(task, spec=replace(task.spec, prompt="Do something else."), sha256="9" * 64)
            await engine.store.revise(edited, b"new", Event(EventKind.UPDATED, engine.clock.now(), task.uid))
            hooks.go.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(edit())
            await engine.run_until(lambda: engine.archived("t"), "the end of t")
        assert len(hooks.ran) == 2
        (order,) = engine.agent.starts
        assert "Do something else." in order.prompt


async def test_a_hook_that_agrees_while_the_daemon_drains_starts_nothing_more(open_engine: Open) -> None:
    hooks = SlowHooks()
    async with open_engine(drain_s=10.0) as engine:
        engine.hooked(hooks)
        task = await engine.add("t")
        signals = Signals()
        running = asyncio.create_task(engine.daemon().run(signals, {}))
        await hooks.asked.wait()
        signals.stop()
        for _ in range(5):
            await asyncio.sleep(0.01)
        hooks.go.set()
        await running
        assert (await engine.task(task.uid)).state is State.QUEUED
        assert engine.agent.starts == []


async def test_tasks_whose_hooks_agree_at_once_share_what_is_left_of_the_day(open_engine: Open) -> None:
    hooks = SlowHooks()
    async with open_engine(slots=2, day_budget_usd=2.0) as engine:
        engine.hooked(hooks)
        for name in "ab":
            engine.agent.gates[name] = asyncio.Event()
            await engine.add(name)

        def at_work() -> bool:
            if hooks.asked.is_set():
                hooks.go.set()
            return bool(engine.agent.starts)

        await engine.run_until(at_work, "the first start")
        assert sum(order.budget_usd for order in engine.agent.starts) <= 2.0
