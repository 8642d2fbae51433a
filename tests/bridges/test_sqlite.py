"""The database file: its schema, its settings, its speed by index, its write-ahead log."""

import asyncio
import sqlite3
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.ports.sample_tasks import event, new

from orchestrator.bridges import sqlite_file, sqlite_jobs, sqlite_lane, sqlite_read
from orchestrator.bridges.sqlite import open_store
from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State

SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def schema(path: Path) -> object:
    with closing(sqlite3.connect(path)) as con:
        return con.execute(SCHEMA).fetchall(), con.execute("PRAGMA user_version").fetchone()


async def made(path: Path) -> None:
    async with open_store(path) as store:
        await store.accept([new(1)])


async def until(fact: Callable[[], bool]) -> None:
    """Wait until *fact* is true; the test's own time limit ends a vain wait."""
    while not fact():
        await asyncio.sleep(0.01)


# Schema


@pytest.mark.parametrize("version", range(len(sqlite_file.migrations())))
async def test_a_file_of_every_earlier_schema_becomes_a_fresh_one(path: Path, version: int) -> None:
    await made(path.with_name("fresh.db"))
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        sqlite_file.migrate(con, sqlite_file.migrations()[:version])
    await made(path)
    assert schema(path) == schema(path.with_name("fresh.db"))


def test_only_steps_that_are_new_to_the_file_are_applied() -> None:
    steps = [*sqlite_file.migrations(), "CREATE TABLE later (x);\nINSERT INTO later VALUES (1);"]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as con:
        sqlite_file.migrate(con, steps[:1])
        uuid = sqlite_read.root_uuid(con)
        for _ in range(2):
            sqlite_file.migrate(con, steps)
        assert con.execute("SELECT count(*) FROM later").fetchone() == (1,)
        assert con.execute("PRAGMA user_version").fetchone() == (len(steps),)
        assert sqlite_read.root_uuid(con) == uuid


def test_a_step_that_fails_leaves_the_file_as_it_was() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as con:
        sqlite_file.migrate(con, sqlite_file.migrations())
        before = con.execute(SCHEMA).fetchall(), con.execute("PRAGMA user_version").fetchone()
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            sqlite_file.migrate(con, [*sqlite_file.migrations(), "CREATE TABLE later (x);\nDROP TABLE nowhere;"])
        assert (con.execute(SCHEMA).fetchall(), con.execute("PRAGMA user_version").fetchone()) == before


async def test_the_file_of_a_newer_release_is_refused_and_kept(path: Path) -> None:
    await made(path)
    with closing(sqlite3.connect(path)) as con:
        con.execute("PRAGMA user_version=999")
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="install that release or a later one"):
            async with open_store(path, read_only=read_only):
                pass
    assert path.read_bytes() == before


async def test_the_database_of_another_program_is_refused_and_kept(path: Path) -> None:
    with closing(sqlite3.connect(path)) as con:
        con.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        async with open_store(path):
            pass
    assert path.read_bytes() == before


# Opening


async def test_what_people_asked_is_readable_by_its_owner_alone(path: Path) -> None:
    async with open_store(path) as store:
        await store.accept([new(1)])
        modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


@pytest.mark.parametrize("writable", [True, False])
async def test_every_connection_has_the_safe_settings(path: Path, writable: bool) -> None:
    await made(path)
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "wal_autocheckpoint": 0,
        "busy_timeout": 1500,
        "query_only": 0 if writable else 1,
    }
    with closing(sqlite_file.connect(path, busy_timeout_s=1.5, writable=writable)) as con:
        assert {name: con.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted


async def test_a_copy_is_told_from_another_root(path: Path) -> None:
    async with open_store(path) as one, open_store(path.with_name("other.db")) as other:
        assert one.root_uuid != other.root_uuid


async def test_a_store_for_reading_only_reads_and_refuses_to_write(path: Path) -> None:
    await made(path)
    async with open_store(path, read_only=True) as store:
        assert (await store.task(new(1).task.uid)) is not None
        with pytest.raises(StoreError, match="reading only"):
            await store.accept([new(2)])


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_missing_folder_is_told(path: Path, read_only: bool) -> None:
    with pytest.raises(StoreError, match=r"nowhere/store\.db: the database cannot be opened"):
        async with open_store(path.parent / "nowhere" / path.name, read_only=read_only):
            pass


async def test_reading_only_makes_no_file(path: Path) -> None:
    with pytest.raises(StoreError):
        async with open_store(path, read_only=True):
            pass
    assert list(path.parent.iterdir()) == []


MOUNTS = textwrap.dedent("""\
    /dev/vda / ext4 rw 0 0
    nas:/home /home nfs4 rw 0 0
    /dev/vdb /home/me/local xfs rw 0 0
    //nas/share /mnt/my\\040share cifs rw 0 0
    host: /mnt/sshfs fuse.sshfs rw 0 0
    ntfs /mnt/usb fuseblk rw 0 0
    C: /mnt/c 9p rw 0 0
    tmpfs /mnt/c tmpfs rw 0 0
""")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/data/store.db", ""),
        ("/home/me/store.db", "nfs4"),
        ("/home/me/local/store.db", ""),
        ("/homes/store.db", ""),
        ("/mnt/my share/store.db", "cifs"),
        ("/mnt/sshfs/a/store.db", "fuse.sshfs"),
        ("/mnt/usb/store.db", ""),
        ("/mnt/c/store.db", ""),
    ],
)
def test_a_network_filesystem_is_recognised(path: str, kind: str) -> None:
    assert sqlite_file.network_filesystem(Path(path), MOUNTS) == kind


# Speed: no statement that runs all the time reads more rows than it returns


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (sqlite_read.FIRST_AGENT, "USING COVERING INDEX task_ready"),
        (sqlite_read.NEXT_AGENT, "USING COVERING INDEX task_ready (agent>?)"),
        (sqlite_read.READY, "USING COVERING INDEX task_ready (agent=?)"),
        (sqlite_read.READY, "SEARCH a USING INDEX task_active (id_key=?)"),
        (sqlite_read.READY, "SEARCH w USING COVERING INDEX task_ahead (id_key=? AND ord<?)"),
        (sqlite_read.WAKE, "USING INDEX task_wake (not_before>?)"),
        (sqlite_read.UNPROJECTED, "INDEX task_unprojected"),
        (sqlite_read.ENDED, "SEARCH task USING INTEGER PRIMARY KEY (rowid>?)"),
        (sqlite_read.FILES, "USING COVERING INDEX task_waiting_file"),
    ],
)
def test_a_query_is_served_by_its_index_and_sorts_nothing(query: str, index: str) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as con:
        sqlite_file.migrate(con, sqlite_file.migrations())
        values = (0,) * query.count("?")
        plan = "\n".join(row[3] for row in con.execute(f"EXPLAIN QUERY PLAN {query}", values))
    assert index in plan
    assert "TEMP B-TREE" not in plan


def test_taking_the_place_of_a_task_costs_what_waits_for_it_not_what_is_stored() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as con:
        sqlite_file.migrate(con, sqlite_file.migrations())
        given = {"uid": "", "key": "", "before": "", "job": ""}
        plan = [row[3] for row in con.execute(f"EXPLAIN QUERY PLAN {sqlite_jobs.TAKE_PLACE}", given)]
    assert not [line for line in plan if line.startswith("SCAN") or "LIST" in line]


# The WAL


async def test_the_wal_is_emptied_when_nothing_is_written(path: Path) -> None:
    async with open_store(path, idle_s=0.01) as store:
        await store.accept([new(n) for n in range(50)])
        await until(lambda: path.with_name("store.db-wal").stat().st_size == 0)
        assert (await store.task(new(1).task.uid)) is not None


async def test_the_wal_does_not_grow_without_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_lane, "WAL_BYTES", 100_000)
    async with open_store(path, idle_s=1000) as store:
        for n in range(100):
            await store.accept([new(n)])
        assert path.with_name("store.db-wal").stat().st_size < 400_000


async def test_a_short_lived_command_leaves_the_wal_to_the_daemon(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_lane, "WAL_BYTES", 0)
    async with open_store(path, checkpoint=False, idle_s=0) as store:
        await store.accept([new(1)])
        for _ in range(100):  # a turn of the loop each, in which a checkpoint would have been begun
            await store.last_seq()
        assert path.with_name("store.db-wal").stat().st_size > 0


async def test_a_reader_in_the_way_of_the_checkpoint_holds_up_nobody(path: Path) -> None:
    async with open_store(path, idle_s=0) as store:
        await store.accept([new(1)])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM task").fetchall()
            await store.accept([new(2)])
            async with asyncio.timeout(5):
                await store.accept([new(3)])
        assert (await store.counts())[State.QUEUED] == 3


# Integrity, cancellation


async def test_a_sound_file_has_no_problems_and_a_gap_in_the_log_is_one(path: Path) -> None:
    async with open_store(path) as store:
        await store.accept([new(1), new(2)])
        assert await store.integrity() == []
        assert await store.schema_version() == len(sqlite_file.migrations())
    with closing(sqlite3.connect(path)) as con:
        con.execute("DELETE FROM event WHERE seq = 2")
        con.commit()
    async with open_store(path) as store:
        assert await store.integrity() == ["the event log ends at 4 but holds 3 events"]


async def test_a_write_that_is_cancelled_has_ended_when_the_caller_is_told(path: Path) -> None:
    async with open_store(path) as store:
        (task,) = await store.accept([new(1)])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(store.commit([event(EventKind.STARTED, task)]))
                await asyncio.sleep(0)
                writing.cancel()
                await asyncio.sleep(0)
                assert not writing.done()
                other.execute("ROLLBACK")
        assert writing.cancelled()
        assert await store.last_seq() == 3


async def test_data_that_cannot_be_stored_changes_nothing(path: Path) -> None:
    async with open_store(path) as store:
        with pytest.raises(TypeError):
            await store.commit([Event(EventKind.WARNING, 1.0), Event(EventKind.WARNING, 1.0, data={"x": {1}})])  # type: ignore[dict-item]
        assert await store.last_seq() == 0
