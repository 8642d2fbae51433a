"""Every Store keeps the promises of the port; the one on disk keeps them between processes too."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes import MemoryStore
from tests.ports.sample_tasks import event, new
from tests.ports.store_jobs_contract import StoreJobsContract
from tests.ports.store_money_contract import StoreMoneyContract
from tests.ports.store_reads_contract import StoreReadsContract
from tests.ports.store_times_contract import StoreTimesContract
from tests.ports.store_writes_contract import StoreWritesContract

from orchestrator.bridges.sqlite import open_store
from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Store

RACER = Path(__file__).with_name("store_racer.py")


class EveryPromise(StoreWritesContract, StoreReadsContract, StoreMoneyContract, StoreJobsContract, StoreTimesContract):
    """The whole port."""


class TestMemoryStore(
    StoreWritesContract, StoreReadsContract, StoreMoneyContract, StoreJobsContract, StoreTimesContract
):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class TestSqliteStore(
    StoreWritesContract, StoreReadsContract, StoreMoneyContract, StoreJobsContract, StoreTimesContract
):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        async with open_store(tmp_path / "store.db") as opened:
            yield opened

    async def test_everything_is_there_after_opening_again(self, tmp_path: Path) -> None:
        path = tmp_path / "again.db"
        async with open_store(path) as store:
            (task,) = await store.accept([new(1)])
            (running,) = await store.commit([event(EventKind.STARTED, task)])
            events = await store.events_after(0, limit=9)
        async with open_store(path) as again:
            assert await again.task(task.uid) == running
            assert await again.events_after(0, limit=9) == events
            assert again.root_uuid == store.root_uuid

    async def test_another_store_on_the_file_sees_every_commit(self, tmp_path: Path) -> None:
        path = tmp_path / "shared.db"
        async with open_store(path) as daemon, open_store(path, checkpoint=False) as command:
            await daemon.changed()
            (task,) = await command.accept([new(1)])
            assert await daemon.changed()
            assert await daemon.task(task.uid) == task

    async def test_processes_racing_for_tasks_start_none_twice(self, tmp_path: Path) -> None:
        path = tmp_path / "race.db"
        number = 200
        async with open_store(path) as store:
            await store.accept([new(n) for n in range(number)])
            racers = [await _racer(path) for _ in range(4)]
            lines = b"".join([(await racer.communicate())[0] for racer in racers]).split()
            assert [racer.returncode for racer in racers] == [0] * 4
            assert sorted(int(uid[-8:], 16) for uid in lines) == list(range(number))
            assert (await store.counts())[State.RUNNING] == number
            started = [e for e in await store.events_after(0, limit=10**6) if e.kind is EventKind.STARTED]
            assert len(started) == number
            assert await store.last_seq() == 3 * number

    async def test_processes_making_the_file_together_make_one(self, tmp_path: Path) -> None:
        path = tmp_path / "fresh.db"
        racers = [await _racer(path) for _ in range(4)]
        for racer in racers:
            await racer.communicate()
        assert [racer.returncode for racer in racers] == [0] * 4
        async with open_store(path) as store:
            assert await store.integrity() == []


async def _racer(path: Path) -> asyncio.subprocess.Process:
    start = asyncio.create_subprocess_exec
    return await start(sys.executable, str(RACER), str(path), stdout=asyncio.subprocess.PIPE)
