"""What is salvaged from a damaged database is what was there, and all of it that the damage has spared."""

import asyncio
import hashlib
import random
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ports.outbox_contract import notice
from tests.ports.sample_tasks import event, new
from tests.ports.store_jobs_contract import waiting

from orchestrator.bridges.rebuild import fill, put_events
from orchestrator.bridges.salvage import Salvage, salvaged, tables_of
from orchestrator.bridges.sqlite import open_store
from orchestrator.bridges.sqlite_file import connect, prepare
from orchestrator.bridges.sqlite_health import problems_of, refuse_damaged
from orchestrator.bridges.sqlite_pages import found_rows
from orchestrator.core.errors import StoreError
from orchestrator.core.events import EventKind
from orchestrator.core.ports import NewTask

TASKS = 120
PAGE = 4096


def sample(number: int, size: int) -> NewTask:
    return whole(new(number), f"{number} ".encode() * size)


def whole(one: NewTask, body: bytes = b"x") -> NewTask:
    return replace(one, task=replace(one.task, sha256=hashlib.sha256(body).hexdigest()), body=body)


def live(path: Path, *, folded: bool) -> dict[str, set[tuple[object, ...]]]:
    """Make a database of some size; return its rows. *folded*: with nothing left in its write-ahead log."""

    async def work() -> None:
        async with open_store(path, checkpoint=False) as store:
            for number in range(TASKS):
                size = 4000 if number % 10 == 0 else 5  # some are longer than a page
                (task,) = await store.accept([sample(number, size)])
                if number % 3 == 0:
                    await store.commit([event(EventKind.STARTED, task)])
                    await store.outbox.owe([("web", notice(number))], through=number)
                if number % 9 == 0:
                    await store.outbox.sending([number // 3 + 1], f"message {number}")

    asyncio.run(work())
    with closing(sqlite3.connect(path)) as con:
        if folded:
            con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        tables = ("task", "content", "attempt", "event", "outbox")
        return {name: set(con.execute(f"SELECT * FROM {name}")) for name in tables}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, set[tuple[object, ...]]]]:
    path = tmp_path_factory.mktemp("sound") / "store.db"
    return path, live(path, folded=True)


def rebuilt(path: Path, into: Path) -> tuple[Salvage, list[str]]:
    """Salvage and rebuild. Returns what was found, and what is wrong with the new database."""
    prepare(into, busy_timeout_s=1)
    with closing(connect(into, busy_timeout_s=1, writable=True)) as con:
        tables = tables_of(con)
        found = salvaged(path, tables)
        con.execute("BEGIN")
        fill(con, found, tables)
        put_events(con, found.rows["event"], {})
        con.execute("COMMIT")
    return found, list(problems_of(into))


def test_every_row_is_found_by_pages_alone(sound: tuple[Path, dict[str, set[tuple[object, ...]]]]) -> None:
    path, rows = sound
    found = [row for row in found_rows(path) if row.rowid is not None]
    keyed = {(row.rowid, *row.values[1:]) for row in found}
    for table in ("content", "event", "task", "outbox"):
        assert rows[table] <= keyed, table


def test_what_was_committed_to_the_log_only_is_found(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"

    async def work() -> set[str]:
        async with open_store(path, checkpoint=False) as store:
            for number in range(30):
                await store.accept([sample(number, 5)])
            for ending in ("", "-wal"):
                Path(f"{copy}{ending}").write_bytes(Path(f"{path}{ending}").read_bytes())
        return {sample(number, 5).task.uid for number in range(30)}

    uids = asyncio.run(work())
    copy.write_bytes(b"\xff" * copy.stat().st_size)  # all that is left is the log
    by_pages = {row.values[1] for row in found_rows(copy) if row.rowid is not None and len(row.values) > 20}
    assert by_pages == uids
    found, problems = rebuilt(copy, tmp_path / "new.db")
    assert (found.count("task"), found.count("event"), problems) == (30, 60, [])


SEED = int(time.time())


@pytest.mark.parametrize("round_", range(12))
def test_whatever_pages_are_lost_the_rest_is_salvaged_true_and_the_new_database_is_sound(
    sound: tuple[Path, dict[str, set[tuple[object, ...]]]], tmp_path: Path, round_: int
) -> None:
    path, rows = sound
    chance = random.Random(SEED + round_)
    data = bytearray(path.read_bytes())
    pages = chance.sample(range(len(data) // PAGE), chance.randint(1, 12))
    for page in pages:
        piece = bytes(PAGE) if chance.random() < 0.5 else chance.randbytes(PAGE)
        data[page * PAGE : (page + 1) * PAGE] = piece
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(data)
    note = f"seed {SEED + round_}, pages {sorted(pages)}"
    found, problems = rebuilt(damaged, tmp_path / "new.db")
    assert problems == [], note
    for name in ("task", "content", "attempt", "event", "outbox"):
        assert set(found.rows[name].values()) <= rows[name], note
    spared = {
        (row.rowid, *row.values[1:])
        for row in found_rows(damaged)
        if row.rowid is not None and (row.rowid, *row.values[1:]) in rows["event"]
    }
    assert set(found.rows["event"].values()) == spared, note
    assert len(spared) > len(rows["event"]) // 10, note  # twelve lost pages of chance may hold most of the rows


def test_what_is_owed_to_people_is_salvaged_and_still_owed(
    sound: tuple[Path, dict[str, set[tuple[object, ...]]]], tmp_path: Path
) -> None:
    new_file = tmp_path / "new.db"
    found, problems = rebuilt(sound[0], new_file)
    assert (found.count("outbox"), problems) == (TASKS // 3, [])

    async def owed() -> tuple[int, list[str], int]:
        async with open_store(new_file) as store:
            rows = await store.outbox.owed("web", limit=TASKS)
            return len(rows), [row.message for row in rows if row.sending][:2], await store.outbox.told_through()

    assert asyncio.run(owed()) == (TASKS // 3, ["message 0", "message 9"], TASKS - 3)


def test_a_body_that_is_not_the_one_accepted_is_not_believed(
    sound: tuple[Path, dict[str, set[tuple[object, ...]]]], tmp_path: Path
) -> None:
    data = sound[0].read_bytes()
    at = data.index(b"77 77 77 77 77")
    spoilt = tmp_path / "spoilt.db"
    spoilt.write_bytes(data[:at] + b"X" + data[at + 1 :])
    refuse_damaged(spoilt)  # no page is wrong: a daemon cannot see it
    assert "the text of task" in problems_of(spoilt)[0]
    found, problems = rebuilt(spoilt, tmp_path / "new.db")
    assert (found.bodies_lost, found.count("task"), problems) == (1, TASKS - 1, [])


def test_a_damaged_file_is_refused_naming_the_command_that_mends_it(
    sound: tuple[Path, dict[str, set[tuple[object, ...]]]], tmp_path: Path
) -> None:
    data = bytearray(sound[0].read_bytes())
    data[8 * PAGE : 9 * PAGE] = bytes(PAGE)
    spoilt = tmp_path / "spoilt.db"
    spoilt.write_bytes(data)
    with pytest.raises(StoreError, match=r"the database is damaged .*(?s:.)*doctor --repair") as caught:
        refuse_damaged(spoilt)
    assert caught.value.lasting
    refuse_damaged(tmp_path / "missing.db")


def test_who_waits_for_others_waits_for_them_though_that_was_lost(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def work() -> None:
        async with open_store(path) as store:
            parent, _ = await store.accept([whole(new(1)), whole(new(2, task_id="first"))])
            blocked = waiting(3, "first")
            spec = replace(blocked.task.spec, depends_on=("first",))
            await store.accept([whole(replace(blocked, task=replace(blocked.task, spec=spec)))])
            for kind in (EventKind.STARTED, EventKind.FINISHED):
                (parent,) = await store.commit([event(kind, parent)])
            child = whole(new(4))
            child = replace(child, task=replace(child.task, parent=parent.uid, root=parent.uid, depth=1))
            await store.split([event(EventKind.SPLIT, parent)], [child])
            await store.memorize({"grant:x": "1"}, ts=1.0)

    asyncio.run(work())
    with closing(sqlite3.connect(path)) as con:
        con.execute("DELETE FROM need")
        con.commit()
    _, problems = rebuilt(path, tmp_path / "new.db")
    with closing(sqlite3.connect(tmp_path / "new.db")) as con:
        needs = con.execute("SELECT substr(uid, -2), kind, substr(on_uid, -2), met FROM need ORDER BY 1").fetchall()
        memo = con.execute("SELECT key, value FROM memo").fetchall()
    assert (needs, problems) == ([("01", "child", "04", 0), ("03", "after", "02", 0)], [])
    assert memo == [("grant:x", "1")]
