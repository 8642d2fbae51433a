"""From the store to files: nothing is lost when the disk refuses, nothing is written twice."""

import asyncio
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.rig import Engine, Open

from orchestrator.bridges.event_file import EventFile
from orchestrator.bridges.files import ArtifactFiles
from orchestrator.core.lifecycle import State
from orchestrator.engine import projector as projector_module
from orchestrator.engine.projector import Projector
from orchestrator.validation.schema import file_problems


class FullDisk:
    """Artifacts on a disk that refuses *times* writes."""

    def __init__(self, root: Path, times: int) -> None:
        self._files = ArtifactFiles(root)
        self.times = times

    async def write(self, relative: str, data: bytes) -> None:
        if self.times:
            self.times -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), relative)
        await self._files.write(relative, data)

    async def read(self, relative: str) -> bytes | None:
        return await self._files.read(relative)

    async def exists(self, relative: str) -> bool:
        return await self._files.exists(relative)

    async def remove(self, relative: str) -> bool:
        return await self._files.remove(relative)

    async def names(self, folder: str) -> Sequence[str]:
        return await self._files.names(folder)


def on_full_disk(engine: Engine, times: int) -> Projector:
    return Projector(
        store=engine.store,
        artifacts=FullDisk(engine.root, times),
        events=EventFile(engine.root / "logs" / "events.ndjson"),
        inbox=engine.inbox,
        clock=engine.clock,
        bell=engine.bell,
        redact=lambda value: value,
    )


def lines_of(engine: Engine) -> list[bytes]:
    return (engine.root / "logs" / "events.ndjson").read_bytes().splitlines()


async def stored(engine: Engine) -> int:
    return await engine.store.last_seq()


async def ended(engine: Engine, *names: str) -> None:
    """Let tasks run to their end."""
    for name in names:
        await engine.add(name)
    await engine.run_until(lambda: all(engine.archived(name) for name in names), "their end")


async def test_every_line_is_one_object_and_their_numbers_have_no_gap(open_engine: Open) -> None:
    async with open_engine() as engine:
        await ended(engine, "a", "b")
        found = [json.loads(line) for line in lines_of(engine)]
        assert [line["seq"] for line in found] == list(range(1, await stored(engine) + 1))
        for line in found:
            assert {"seq", "ts", "event", "data"} <= line.keys()
            assert line["ts"].endswith("Z")
        mine = [line for line in found if line.get("task_id") == "a"]
        assert {line["name"] for line in mine} == {"a"}
        assert [line["event"] for line in mine][-1] == "task_archived"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is owed may be tried again at the very next look."""
    monkeypatch.setattr(projector_module, "RETRY_S", 1e-6)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_disk_that_refuses_delays_and_loses_nothing(open_engine: Open, times: int) -> None:
    async with open_engine() as engine:
        engine.projector = on_full_disk(engine, times=10_000)
        task = await engine.add("t")
        state: list[State] = []

        async def look() -> None:
            while not state or state[-1] is not State.SUCCEEDED:
                state.append((await engine.task(task.uid)).state)
                await engine.clock.sleep(0.01)

        looking = asyncio.create_task(look())
        await engine.run_until(lambda: State.SUCCEEDED in state, "the end of the work")
        await looking
        assert not (engine.root / "results" / "t_result.json").exists()
        assert not engine.archived("t"), "a task file is not put away before its result is there"
        later = on_full_disk(engine, times)
        assert [await later.catch_up() for _ in range(times + 1)] == [False] * times + [True]
        assert file_problems((engine.root / "results" / "t_result.json").read_bytes()) == []
        assert engine.archived("t")
        assert len(lines_of(engine)) == await stored(engine)


async def test_a_running_projector_tries_again_by_itself(open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector_module, "RETRY_S", 0.02)
    async with open_engine() as engine:
        engine.projector = on_full_disk(engine, times=3)
        await ended(engine, "t")
        assert (engine.root / "results" / "t_result.json").exists()


@pytest.mark.usefixtures("soon")
async def test_a_file_in_the_place_of_a_folder_is_waited_for(open_engine: Open) -> None:
    async with open_engine() as engine:
        (engine.root / "results").rmdir()
        (engine.root / "results").write_text("in the way")
        task = await engine.add("t")
        await engine.service.cancel("t")
        assert await engine.projector.catch_up() is False
        assert not (await engine.task(task.uid)).artifacts
        (engine.root / "results").unlink()
        assert await engine.projector.catch_up() is True
        assert (engine.root / "results" / "t_result.json").exists()


async def test_a_torn_last_line_is_cut_off_and_written_again(open_engine: Open) -> None:
    async with open_engine() as engine:
        await ended(engine, "t")
        path = engine.root / "logs" / "events.ndjson"
        whole = path.read_bytes()
    for torn in (whole[:-1], whole[:-20], whole + b'{"seq":', whole[: len(whole) // 2], b""):
        path.write_bytes(torn)
        async with open_engine() as engine:
            await engine.recover()
        assert path.read_bytes() == whole


async def test_a_lost_event_log_is_written_again_from_the_store(open_engine: Open) -> None:
    async with open_engine() as engine:
        await ended(engine, "t")
        path = engine.root / "logs" / "events.ndjson"
        whole = path.read_bytes()
        path.unlink()
    async with open_engine() as engine:
        await engine.recover()
        assert path.read_bytes() == whole


async def test_a_task_that_was_never_started_gets_its_summary_too(open_engine: Open) -> None:
    async with open_engine() as engine:
        await engine.add("t")
        await engine.service.cancel("t")
        await engine.run_until(lambda: engine.archived("t"), "the archive")
        summary = (engine.root / "summaries" / "t_summary.txt").read_text()
        assert summary.startswith("t: CANCELLED")
        assert "It was never started." in summary
