"""What goes wrong with the database is said in words, and the file is kept."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.ports.sample_tasks import event, new

from orchestrator.bridges import sqlite_file
from orchestrator.bridges.sqlite import open_store
from orchestrator.core.errors import StoreError
from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Store
from orchestrator.core.task import Task

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def test_a_lock_that_is_not_given_back_is_told(path: Path) -> None:
    async with open_store(path, busy_timeout_s=0.05) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"(?s)locked.*Nothing was changed") as caught:
                await store.accept([new(1)])
            assert caught.value.where == str(path)
        assert len(await store.accept([new(1)])) == 1, "the next write is tried"


async def test_a_file_that_is_no_database_is_told_and_kept(path: Path) -> None:
    path.write_bytes(b"not a database at all " * 500)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="no database, or a damaged one") as caught:
        async with open_store(path):
            pass
    assert "doctor" in caught.value.hint
    assert path.read_bytes() == before


async def test_a_damaged_file_is_told_and_kept(path: Path) -> None:
    async with open_store(path) as store:
        for n in range(300):
            await store.accept([new(n)])
    pages = bytearray(path.read_bytes())
    for start in range(8 * 4096, len(pages) - 4096, 4096):
        pages[start : start + 64] = b"\xff" * 64
    path.write_bytes(pages)
    with pytest.raises(StoreError, match="damaged") as caught:
        async with open_store(path) as store:
            await store.tasks(sorted(State), limit=999)
    assert "doctor" in caught.value.hint
    assert path.exists()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE event SET kind = 'from_the_future'", "event 1"),
        ("UPDATE event SET data = '{'", "event 1"),
        ("UPDATE task SET state = 'from_the_future'", "task 0"),
        ("UPDATE content SET spec = '[]'", "task 0"),
        ("UPDATE attempt SET outcome = ''", "attempt 1 of task 0"),
    ],
)
async def test_a_row_that_this_release_cannot_read_is_named(path: Path, change: str, what: str) -> None:
    async def read(store: Store, task: Task) -> None:
        await store.events_after(0, limit=1)
        await store.task(task.uid)
        await store.attempts(task.uid)

    async with open_store(path) as store:
        (task,) = await store.accept([new(1)])
        await store.commit([event(EventKind.STARTED, task)])
        await read(store, task)
        with closing(sqlite3.connect(path, isolation_level=None)) as con:
            con.execute(change)
        with pytest.raises(StoreError, match=rf"{what}.* cannot be read"):
            await read(store, task)


async def test_a_full_disk_is_told(path: Path) -> None:
    sqlite_file.prepare(path, busy_timeout_s=1)
    with closing(sqlite3.connect(path)) as con:
        (pages,) = con.execute("PRAGMA page_count").fetchone()
        con.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreError, match=r"(?s)disk is full.*Free some space"), sqlite_file.told(path):
            con.execute("CREATE TABLE more AS SELECT zeroblob(100000)")


DISK = """
import asyncio, resource, sys
from pathlib import Path
from orchestrator.bridges.sqlite import open_store
from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Store
from orchestrator.core.task import Task
from tests.ports.sample_tasks import new

async def main(path):
    async with open_store(path) as store:
        await store.accept([new(1)])
        limit = path.with_name(path.name + "-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for n in (2, 3):
            try:
                await store.accept([new(n)])
            except StoreError as error:
                print(error.message)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(len(await store.find("task_1")), await store.integrity())

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_after_an_io_error_nothing_is_written_until_a_new_start(path: Path) -> None:
    """The limit on file sizes makes real writes fail; the second write would succeed, and is refused all the same."""
    start = asyncio.create_subprocess_exec
    child = await start(
        sys.executable,
        "-c",
        DISK,
        str(path),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    lines = (await child.communicate())[0].decode().splitlines()
    assert len(lines) == 3
    assert lines[0] == lines[1]
    assert "the disk refused to read or write (SQLITE_IOERR" in lines[0]
    assert lines[2] == "1 []"
    async with open_store(path) as store:
        assert await store.integrity() == []
        assert len(await store.accept([new(2)])) == 1
