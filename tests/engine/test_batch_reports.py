"""The report on a batch: written once, by itself, when the batch has ended; and the same again after a crash."""

import errno
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.rig import Engine, Open

from orchestrator.bridges.files import ArtifactFiles
from orchestrator.core.lifecycle import State
from orchestrator.engine.batch import CALM_S, BatchReports, begins_after, seq_before
from orchestrator.validation.schema import batch_problems


class TornDisk:
    """Artifacts on a disk that takes the first file and refuses the next one, once."""

    def __init__(self, root: Path) -> None:
        self._files = ArtifactFiles(root)
        self.left = 1

    async def write(self, relative: str, data: bytes) -> None:
        if self.left == 0:
            self.left = -1
            raise OSError(errno.ENOSPC, "no space", relative)
        self.left -= self.left > 0
        await self._files.write(relative, data)

    async def read(self, relative: str) -> bytes | None:
        return await self._files.read(relative)

    async def exists(self, relative: str) -> bool:
        return await self._files.exists(relative)

    async def remove(self, relative: str) -> bool:
        return await self._files.remove(relative)

    async def names(self, folder: str) -> Sequence[str]:
        return await self._files.names(folder)


def reports_of(engine: Engine, disk: TornDisk | None = None) -> BatchReports:
    return BatchReports(
        store=engine.store,
        artifacts=disk or ArtifactFiles(engine.root),
        clock=engine.clock,
        report=lambda seq: engine.service.report(after_seq=seq),
    )


def files(engine: Engine) -> list[str]:
    return sorted(path.name for path in (engine.root / "results").glob("report-*"))


def newest(engine: Engine) -> dict[str, Any]:
    paths = sorted((engine.root / "results").glob("report-*.json"), key=lambda path: int(path.stem.split("-")[-1]))
    found: dict[str, Any] = json.loads(paths[-1].read_text())
    assert batch_problems(found) == []
    return found


def names(report: dict[str, Any]) -> list[str]:
    return [row["name"] for key in ("proven", "unproven", "failed", "cancelled") for row in report[key]]


@asynccontextmanager
async def lived(open_engine: Open, *tasks: str) -> AsyncIterator[Engine]:
    """An engine in which *tasks* have run to their end."""
    async with open_engine() as engine:
        for name in tasks:
            await engine.add(name)
        await engine.run_until(lambda: all(engine.archived(name) for name in tasks), "their end")
        yield engine


async def test_a_batch_that_has_ended_is_told_once(open_engine: Open) -> None:
    async with lived(open_engine, "a", "b") as engine:
        reports = reports_of(engine)
        assert await reports.look(last=True) == 0.0
        assert len(files(engine)) == 2
        assert sorted(names(newest(engine))) == ["a", "b"]
        assert await reports.look(last=True) == 0.0
        assert await reports_of(engine).look(last=True) == 0.0, "another life finds it written"
        assert len(files(engine)) == 2


async def test_the_next_batch_tells_of_its_own_tasks_only(open_engine: Open) -> None:
    async with lived(open_engine, "a") as engine:
        await reports_of(engine).look(last=True)
        await engine.add("b")
        await engine.run_until(lambda: engine.archived("b"), "its end")
        await reports_of(engine).look(last=True)
        assert len(files(engine)) == 4
        assert names(newest(engine)) == ["b"]


async def test_while_a_task_waits_nothing_is_written_and_one_that_is_held_is_a_decision(open_engine: Open) -> None:
    async with lived(open_engine, "a") as engine:
        await engine.add("b")
        reports = reports_of(engine)
        assert await reports.look(last=True) == 0.0
        assert files(engine) == []
        await engine.service.hold("b")
        await reports.look(last=True)
        assert [one["what"] for one in newest(engine)["decisions"]] == ["b"]


async def test_it_waits_for_calm_so_that_a_batch_dropped_file_by_file_is_one(open_engine: Open) -> None:
    async with lived(open_engine, "a") as engine:
        rest_s = await reports_of(engine).look()
        assert 0 < rest_s <= CALM_S
        assert files(engine) == []


async def test_a_crash_between_its_two_files_makes_the_same_files_again(open_engine: Open) -> None:
    async with lived(open_engine, "a") as engine:
        disk = TornDisk(engine.root)
        try:
            await reports_of(engine, disk).look(last=True)
        except OSError:
            assert len(files(engine)) == 1
        before = (engine.root / "results" / files(engine)[0]).read_bytes()
        await reports_of(engine).look(last=True)
        assert len(files(engine)) == 2
        assert (engine.root / "results" / next(n for n in files(engine) if n.endswith(".md"))).read_bytes() == before


async def test_a_report_that_a_power_cut_emptied_is_written_again(open_engine: Open) -> None:
    async with lived(open_engine, "a") as engine:
        await reports_of(engine).look(last=True)
        (path,) = (engine.root / "results").glob("report-*.json")
        whole = path.read_bytes()
        path.write_bytes(whole[:40])
        await reports_of(engine).look(last=True)
        assert path.read_bytes() == whole


async def test_a_report_of_another_store_is_not_taken_for_ours(open_engine: Open) -> None:
    """The database was deleted, and the new one counts its events from 1 again."""
    async with lived(open_engine, "a") as engine:
        await reports_of(engine).look(last=True)
        former = newest(engine)
        former["period"]["until"] = "2020-01-01T00:00:00.000Z"
        for path in list((engine.root / "results").glob("report-*")):
            path.rename(path.with_name(f"report-20200101T000000Z-{path.name.split('-')[-1]}"))
        (path,) = (engine.root / "results").glob("report-*.json")
        path.write_text(json.dumps(former))
        await reports_of(engine).look(last=True)
        assert len(files(engine)) == 4


async def test_the_running_daemon_writes_it_by_itself(open_engine: Open) -> None:
    async with open_engine() as engine:
        engine.projector._reports = reports_of(engine)
        await engine.add("a")
        await engine.run_until(lambda: engine.archived("a"), "its end")
        assert names(newest(engine)) == ["a"]


async def test_what_was_cleaned_is_told_no_more(open_engine: Open) -> None:
    async with lived(open_engine, "a") as engine:
        await engine.service.cleaned(await engine.store.tasks([State.SUCCEEDED], limit=1))
        await reports_of(engine).look(last=True)
        assert files(engine) == []


async def test_asked_for_without_a_time_it_is_the_batch_that_goes_on_else_the_last_one(open_engine: Open) -> None:
    async with lived(open_engine, "a") as engine:
        assert await begins_after(engine.store, []) == 0
        await reports_of(engine).look(last=True)
        seq = newest(engine)["period"]["through_seq"]
        written = files(engine)
        assert await begins_after(engine.store, written) == 0
        await engine.add("b")
        assert await begins_after(engine.store, written) == 0, "nothing has ended in it"
        await engine.run_until(lambda: engine.archived("b"), "its end")
        assert await begins_after(engine.store, written) == seq


async def test_the_event_before_a_time_is_found_by_halves(open_engine: Open) -> None:
    async with lived(open_engine, "a", "b") as engine:
        events = await engine.store.events_after(0, limit=1000)
        for event in events:
            before = [one.seq for one in events if one.ts < event.ts]
            assert await seq_before(engine.store, event.ts) == (before[-1] if before else 0)
        assert await seq_before(engine.store, events[-1].ts + 1) == events[-1].seq
