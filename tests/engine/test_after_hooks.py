"""Hooks after a task: for each result, in their order, at least once over any death, and never for a result's harm."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import FakeClock
from tests.fakes_of_hooks import ScriptedHooks
from tests.harness import until
from tests.ports.sample_tasks import DONE, K, event, go, new
from tests.rig import Open

from orchestrator.bridges.sqlite import SqliteStore, open_store
from orchestrator.core.events import EventKind, Json
from orchestrator.core.hooks import UNTOLD, HookRun
from orchestrator.core.task import Task
from orchestrator.engine.after_hooks import PLACE, AfterHooks
from orchestrator.engine.bell import Bell


def silent(_: Mapping[str, Any]) -> str:
    return ""


class DyingHooks(ScriptedHooks):
    """The daemon dies when the hooks of *dies_at* have run, before anything is noted."""

    def __init__(self, dies_at: str) -> None:
        super().__init__(after={"mine": silent})
        self.dies_at = dies_at

    async def after(self, task: Mapping[str, Json], result: Mapping[str, Json]) -> list[HookRun]:
        ran = list(await super().after(task, result))
        if task["id"] == self.dies_at:
            self.dies_at = ""
            raise asyncio.CancelledError
        return ran


class EndlessHooks(ScriptedHooks):
    """Never ends by itself. *ended* counts how often it was ended."""

    def __init__(self) -> None:
        super().__init__(after={"mine": silent})
        self.begun, self.ended = asyncio.Event(), 0

    async def after(self, task: Mapping[str, Json], result: Mapping[str, Json]) -> list[HookRun]:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1
        return []


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(path / "store.db") as store:
        yield store


def hooked(store: SqliteStore, hooks: ScriptedHooks, *, last_s: float = 1.0) -> AfterHooks:
    return AfterHooks(
        store=store,
        places=store,
        hooks=hooks,
        clock=FakeClock(),
        bell=Bell(),
        redact=lambda value: value,
        agent_of=lambda _: "claude",
        last_s=last_s,
    )


async def ended(store: SqliteStore, n: int) -> Task:
    """Bring a task to its end, with its result written."""
    (task,) = await store.accept([new(n)])
    return await go(store, task, *DONE, K.ARTIFACTS_WRITTEN)


def ids(hooks: ScriptedHooks) -> list[str]:
    return [task_id for _, _, task_id in hooks.ran]


async def test_each_result_has_its_hooks_run_once_in_the_order_of_the_log(tmp_path: Path) -> None:
    hooks = ScriptedHooks(after={"mine": silent})
    async with opened(tmp_path) as store:
        after = hooked(store, hooks)
        await after.begin()
        for n in (3, 1, 2):
            await ended(store, n)
        await after.catch_up()
        await after.catch_up()
        assert ids(hooks) == ["id_3", "id_1", "id_2"]
        assert hooks.results[0]["status"] == "succeeded"


async def test_what_ended_before_there_were_hooks_is_left_alone(tmp_path: Path) -> None:
    hooks = ScriptedHooks()
    async with opened(tmp_path) as store:
        after = hooked(store, hooks)
        await after.begin()
        await ended(store, 1)
        await after.catch_up()
        assert await store.recall(PLACE) == {}
        hooks.acts.update(ScriptedHooks(after={"mine": silent}).acts)
        await after.catch_up()
        await ended(store, 2)
        await after.catch_up()
        assert ids(hooks) == ["id_2"]


async def test_what_ended_while_nobody_ran_has_its_hooks_run_by_the_next_start(tmp_path: Path) -> None:
    hooks = ScriptedHooks(after={"mine": silent})
    async with opened(tmp_path) as store:
        await hooked(store, hooks).begin()
        await ended(store, 1)
        await hooked(store, hooks).catch_up()
        assert ids(hooks) == ["id_1"]


async def test_a_daemon_that_dies_before_it_is_noted_runs_the_hooks_of_that_task_again_and_of_no_other(
    tmp_path: Path,
) -> None:
    hooks = DyingHooks("id_2")
    async with opened(tmp_path) as store:
        dying = hooked(store, hooks)
        await dying.begin()
        for n in (1, 2, 3):
            await ended(store, n)
        with pytest.raises(asyncio.CancelledError):
            await dying.catch_up()
        await hooked(store, hooks).catch_up()
        assert ids(hooks) == ["id_1", "id_2", "id_2", "id_3"]


async def test_a_hook_that_fails_is_a_warning_and_the_result_stays(tmp_path: Path) -> None:
    hooks = ScriptedHooks(after={"bad": lambda _: "no network", "good": silent})
    async with opened(tmp_path) as store:
        after = hooked(store, hooks)
        await after.begin()
        before = await ended(store, 1)
        await after.catch_up()
        (warning,) = [e for e in await store.events_after(0, limit=100) if e.kind is EventKind.WARNING]
        assert (warning.data["reason"], warning.data["hook"]) == (UNTOLD, "bad")
        assert warning.data["detail"] == "the hook bad after task_1: no network"
        assert await store.task(before.uid) == before
        assert [name for _, name, _ in hooks.ran] == ["bad", "good"]


async def test_a_result_that_a_person_accepts_is_a_new_end(tmp_path: Path) -> None:
    hooks = ScriptedHooks(after={"mine": silent})
    async with opened(tmp_path) as store:
        after = hooked(store, hooks)
        await after.begin()
        (task,) = await store.accept([new(1)])
        task = await go(store, task, *DONE[:3])
        (task,) = await store.commit([event(K.FAILED, task, reason="unproven")])
        task = await go(store, task, K.ARTIFACTS_WRITTEN, K.ACCEPTED, K.ARTIFACTS_WRITTEN)
        await after.catch_up()
        assert len(hooks.ran) == 2


async def test_the_last_result_of_a_daemon_has_its_hooks_run_before_its_end(open_engine: Open) -> None:
    hooks = ScriptedHooks(after={"mine": silent})
    async with open_engine(drain_s=10.0) as engine:
        await engine.hooked(hooks).begin()
        task = await engine.add("t")

        await engine.run_until(lambda: engine.agent.starts, "the start of t")
        assert (await engine.task(task.uid)).artifacts
        assert ids(hooks) == ["t"]


async def test_a_hook_that_does_not_end_is_ended_with_the_daemon_and_run_again_by_the_next(tmp_path: Path) -> None:
    hooks = EndlessHooks()
    async with opened(tmp_path) as store:
        after, written = hooked(store, hooks, last_s=0.05), asyncio.Event()
        await after.begin()
        await ended(store, 1)
        running = asyncio.create_task(after.run(written))
        await until(hooks.begun.is_set, what="the hook")
        written.set()
        await running
        assert hooks.ended == 1
        usual = ScriptedHooks(after={"mine": silent})
        await hooked(store, usual).catch_up()
        assert ids(usual) == ["id_1"]


async def test_a_part_that_is_cancelled_leaves_no_hook_running(tmp_path: Path) -> None:
    hooks = EndlessHooks()
    async with opened(tmp_path) as store:
        after = hooked(store, hooks)
        await after.begin()
        await ended(store, 1)
        running = asyncio.create_task(after.run(asyncio.Event()))
        await until(hooks.begun.is_set, what="the hook")
        running.cancel()
        await asyncio.wait([running])
        assert hooks.ended == 1
