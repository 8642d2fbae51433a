"""Moving a task file to `tasks/cancelled/` cancels its task, whatever the task does at that time."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.agents import DONE, FakeAgent
from tests.harness import until
from tests.rig import Engine, Open

from orchestrator.bridges.cancelled_folder import CancelledFolder
from orchestrator.bridges.settled import stamp_of
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.engine.cancelled_files import CancelledByFile
from orchestrator.engine.daemon import Signals

ASKS = replace(DONE, report=replace(DONE.report, answer="Which of the two should I use?"))


def cancelling(engine: Engine) -> CancelledByFile:
    return CancelledByFile(store=engine.store, files=CancelledFolder(engine.root), cancel=engine.service.cancel)


async def dropped(engine: Engine, name: str = "t") -> Task:
    """Accept a task whose file lies in tasks/, as the intake would."""
    path = engine.root / "tasks" / f"{name}.task.md"
    path.write_bytes(body := f"Do {name}.".encode())
    uid, now = engine.clock.new_uid(), engine.clock.now()
    spec = TaskSpec(id=name, type="analyze", priority=Priority.MEDIUM, title=name, prompt="Do it.")
    task = Task(uid, name, spec, "0" * 64, now, file_name=path.name, stamp=stamp_of(path.stat()))
    events = [Event(EventKind.RECEIVED, now, uid), Event(EventKind.PARSED, now, uid)]
    return (await engine.store.accept([NewTask(task, body, events)]))[0]


def cancelled(engine: Engine) -> Path:
    folder = engine.root / "tasks" / "cancelled"
    folder.mkdir(exist_ok=True)
    return folder


async def state(engine: Engine, task: Task) -> State:
    return (await engine.task(task.uid)).state


async def test_a_queued_task_is_cancelled_and_its_file_stays_where_it_was_put(open_engine: Open) -> None:
    async with open_engine() as engine:
        many = [await dropped(engine, f"t{number}") for number in range(5)]
        for task in many[:4]:  # more than a mishap of the folder would be believed to be
            (engine.root / "tasks" / task.file_name).rename(cancelled(engine) / task.file_name)
        assert await cancelling(engine).look() == 4
        assert [await state(engine, task) for task in many] == [State.CANCELLED] * 4 + [State.QUEUED]
        await engine.run_until(lambda: (engine.root / "results" / "t0_result.json").exists(), "the results")
        assert sorted(path.name for path in cancelled(engine).iterdir()) == [f"t{n}.task.md" for n in range(4)]


async def test_a_running_task_is_ended_and_one_that_waits_for_an_answer_too(open_engine: Open) -> None:
    agent = FakeAgent({"asks": [ASKS]})
    agent.gates["runs"] = asyncio.Event()
    async with open_engine(agent) as engine:
        runs, asks = await dropped(engine, "runs"), await dropped(engine, "asks")
        stopping, signals = asyncio.Event(), Signals()
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.daemon().run(signals, {}))
            group.create_task(cancelling(engine).run(stopping))
            waiting = engine.root / "tasks" / "waiting" / "asks.question.md"
            await until(lambda: agent.alive and waiting.exists(), what="one that runs and one that asks")
            for task in (runs, asks):
                claimed = engine.root / "tasks" / "running" / task.uid / task.file_name
                claimed.rename(cancelled(engine) / task.file_name)
            results = [engine.root / "results" / f"{name}_result.json" for name in ("runs", "asks")]
            await until(lambda: all(path.exists() for path in results), what="both results")
            await until(lambda: not waiting.exists(), what="the question to go")
            stopping.set()
            signals.stop()
        assert [await state(engine, task) for task in (runs, asks)] == [State.CANCELLED] * 2
        assert agent.alive == set()
        assert sorted(path.name for path in cancelled(engine).iterdir()) == ["asks.task.md", "runs.task.md"]


async def test_a_copy_cancels_nothing_until_the_original_is_gone_as_sync_tools_move(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await dropped(engine)
        part = cancelling(engine)
        original = engine.root / "tasks" / task.file_name
        (cancelled(engine) / task.file_name).write_bytes(original.read_bytes())
        assert await part.look() == 0
        assert await state(engine, task) is State.QUEUED
        original.unlink()
        assert await part.look() == 1
        assert await state(engine, task) is State.CANCELLED


async def test_what_was_cancelled_before_the_task_was_accepted_says_nothing(open_engine: Open) -> None:
    async with open_engine() as engine:
        (cancelled(engine) / "t.task.md").write_bytes(b"Do t.")
        await until(lambda: engine.clock.now() > cancelled(engine).stat().st_ctime + 0.02, what="a later time")
        task = await dropped(engine)
        (engine.root / "tasks" / task.file_name).unlink()  # the intake decides on that
        assert await cancelling(engine).look() == 0
        assert await state(engine, task) is State.QUEUED


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
async def test_what_is_no_file_says_nothing(open_engine: Open, kind: str) -> None:
    async with open_engine() as engine:
        task = await dropped(engine)
        (engine.root / "tasks" / task.file_name).unlink()
        path = cancelled(engine) / task.file_name
        if kind == "link":
            path.symlink_to("/etc/hosts")
        else:
            (os.mkdir if kind == "folder" else os.mkfifo)(path)
        assert await cancelling(engine).look() == 0
        assert await state(engine, task) is State.QUEUED


async def test_a_folder_that_is_missing_or_as_before_costs_one_look_at_it(open_engine: Open) -> None:
    async with open_engine() as engine:
        now = [0.0]
        files = CancelledFolder(engine.root, monotonic=lambda: now[0])
        assert not await files.changed()
        cancelled(engine)
        assert await files.changed()
        now[0] = 59.0
        assert await files.changed(), "a sync tool may be about to remove the original"
        now[0] = 61.0
        assert not await files.changed()
        (cancelled(engine) / "x.task.md").write_bytes(b"x")
        assert await files.changed()
