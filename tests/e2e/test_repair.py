"""A damaged database: the daemon refuses it, `doctor --repair` keeps it and loses no task."""

import json
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.command_root import GOOD, CommandRoot
from tests.harness import wait_until

DONE = ("done_0", "done_1", "done_2", "done_3")
WAITING = ("waits_0", "waits_1", "waits_2")
RUNNING = "runs"
PAGE = 4096
KEPT = (".orchestrator", "tasks", "results", "summaries", "logs")


def database(root: CommandRoot) -> Path:
    return root.path / ".orchestrator" / "orchestrator.db"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandRoot, Path]:
    """A root on which tasks have ended, one runs and others wait, whose daemon was killed; and a copy of it all."""
    path = tmp_path_factory.mktemp("root")
    root = CommandRoot(path)
    root.env["SCRIPTED_JOURNAL"] = str(path / "journal")
    (path / "config").mkdir()
    (path / "config" / "orchestrator.yaml").write_text("agents:\n  claude:\n    env: [SCRIPTED_JOURNAL]\n")
    with root.daemon() as running:
        for name in DONE:
            root.drop(name, GOOD)
        root.wait(*DONE)
        root.drop(RUNNING, root.waiting_prompt())
        root.wait_event("claude_started", len(DONE) + 1)
        root.call("pause")
        for name in WAITING:
            root.drop(name, GOOD)
        root.wait_event("task_received", len(DONE) + 1 + len(WAITING))
        wait_until(lambda: root.archived(RUNNING, "running/*"), what="the claim")
        running.kill()
    saved = path / "saved"
    for name in KEPT:
        shutil.copytree(path / name, saved / name)
    return root, saved


@pytest.fixture
def root(lived: tuple[CommandRoot, Path]) -> CommandRoot:
    """The root as its killed daemon left it."""
    found, saved = lived
    for name in KEPT:
        shutil.rmtree(found.path / name)
        shutil.copytree(saved / name, found.path / name)
    found.gate.unlink(missing_ok=True)
    (found.path / "journal").unlink(missing_ok=True)
    return found


def fold_in(root: CommandRoot) -> None:
    """Move the write-ahead log into the file, so that damage to the file is damage to all there is."""
    with closing(sqlite3.connect(database(root))) as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def truncated(root: CommandRoot) -> None:
    fold_in(root)
    data = database(root).read_bytes()
    database(root).write_bytes(data[: len(data) * 3 // 5])


def garbage_header(root: CommandRoot) -> None:
    fold_in(root)
    with database(root).open("r+b") as file:
        file.write(random.Random(1).randbytes(PAGE))


def tasks_zeroed(root: CommandRoot) -> None:
    """Lose the root pages of the tables of tasks and texts."""
    fold_in(root)
    with closing(sqlite3.connect(database(root))) as con:
        rows = con.execute("SELECT rootpage FROM sqlite_master WHERE name IN ('task', 'content')").fetchall()
    with database(root).open("r+b") as file:
        for (page,) in rows:
            file.seek((page - 1) * PAGE)
            file.write(bytes(PAGE))


def all_garbage(root: CommandRoot) -> None:
    database(root).write_bytes(b"not a database at all " * 500)
    for ending in ("-wal", "-shm"):
        Path(f"{database(root)}{ending}").unlink(missing_ok=True)


def oracle(root: CommandRoot, *, again: frozenset[str] = frozenset()) -> None:
    """Run all to its end: nothing is lost, what had ended is not run again, every event is in the log once."""
    root.open_gate()
    names = {*DONE, *WAITING, RUNNING}
    with root.daemon() as running:
        root.wait_event("daemon_started", 1)
        root.call("resume", code=None)
        root.wait(*names)
        assert running.stop() == 0
    lying = Counter(path.name.removesuffix(".task.md") for path in (root.path / "tasks").rglob("*.task.md"))
    assert lying == dict.fromkeys(names, 1)
    results = [json.loads(path.read_text()) for path in (root.path / "results").glob("*_result.json")]
    assert {one["task"]["id"] for one in results} == names
    assert {one["status"] for one in results} == {"succeeded"}
    started = {
        line.split()[1] for line in (root.path / "journal").read_text().splitlines() if line.startswith("start ")
    }
    new_ones = {one["task"]["id"] for one in results if one["task"]["uid"] in started}
    assert new_ones & set(DONE) == again
    with closing(sqlite3.connect(database(root))) as con:
        stored = con.execute("SELECT seq, kind FROM event ORDER BY seq").fetchall()
        assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    logged = [(event["seq"], event["event"]) for event in root.events()]
    assert logged == stored
    assert [seq for seq, _ in stored] == list(range(1, len(stored) + 1))


def repaired(root: CommandRoot) -> dict[str, Any]:
    """Repair, look at what was kept, and repair again, which changes nothing."""
    names = ("orchestrator.db", "orchestrator.db-wal")  # the third is an index of the second, made by who opens it
    before = {path.name: path.read_bytes() for path in database(root).parent.iterdir() if path.name in names}
    report: dict[str, Any] = root.json("doctor", "--repair")["repair"]
    assert report["problems"]
    if before:
        kept = root.path / report["kept_in"]
        assert {path.name: path.read_bytes() for path in kept.iterdir() if path.name in names} == before
    after = database(root).read_bytes()
    assert root.json("doctor", "--repair")["repair"]["problems"] == []
    assert "nothing was changed" in root.call("doctor", "--repair").stdout
    assert database(root).read_bytes() == after
    return report


@pytest.mark.parametrize("damage", [truncated, garbage_header, tasks_zeroed, all_garbage])
@pytest.mark.timeout(300)
def test_whatever_the_damage_the_daemon_refuses_it_and_after_the_repair_no_task_is_lost(
    root: CommandRoot, damage: Callable[[CommandRoot], None]
) -> None:
    damage(root)
    spoilt = database(root).read_bytes()
    refused = root.call("run", code=74)
    assert f"{root.command} doctor --repair" in refused.stderr
    assert database(root).read_bytes() == spoilt
    told = root.call("doctor", code=None).stdout
    assert f"fix: Stop the daemon, then: {root.command} doctor --repair" in told
    report = repaired(root)
    if damage is garbage_header:
        assert report["salvaged"] == {"task": 8, "attempt": 5, "event": report["salvaged"]["event"], "pause": 1}
        assert (report["lost"], report["requeued"]) == (0, [])
    if damage is all_garbage:
        assert report["salvaged"]["task"] == 0
        assert report["requeued"] == [f"tasks/{RUNNING}.task.md"]
    oracle(root)


@pytest.mark.timeout(300)
def test_a_database_whose_last_writes_were_lost_takes_them_from_the_event_log(root: CommandRoot) -> None:
    with closing(sqlite3.connect(database(root))) as con:
        (last,) = con.execute("SELECT max(seq) FROM event").fetchone()
        held = [(row[0],) for row in con.execute("SELECT uid FROM task WHERE state = 'running'")]
        con.execute("PRAGMA foreign_keys=OFF")
        con.execute("DELETE FROM event WHERE seq > ?", (last - 5,))  # as if the last transactions never were
        con.commit()
    assert held
    report = root.json("doctor", "--repair")["repair"]
    assert (report["from_log"], report["kept_in"]) == (5, "")
    assert root.json("doctor", "--repair")["repair"]["problems"] == []
    oracle(root)


@pytest.mark.timeout(300)
def test_a_deleted_database_is_made_again_and_what_ran_is_queued(root: CommandRoot) -> None:
    for path in database(root).parent.glob("orchestrator.db*"):
        path.unlink()
    report = root.json("doctor", "--repair")["repair"]
    assert report["requeued"] == [f"tasks/{RUNNING}.task.md"]
    assert report["from_log"] > 20
    assert root.json("doctor", "--repair")["repair"]["problems"] == []
    oracle(root)


def test_a_repair_is_refused_beside_a_daemon(root: CommandRoot) -> None:
    with root.daemon() as running:
        root.wait_event("daemon_started", 2)
        assert f"pid {running.process.pid}" in root.call("doctor", "--repair", code=75).stderr
        running.kill()


def test_a_sound_database_is_left_as_it_is(root: CommandRoot) -> None:
    fold_in(root)
    before = database(root).read_bytes()
    assert root.call("doctor", "--repair").stdout == "The database is sound: nothing was changed.\n"
    assert database(root).read_bytes() == before
    assert list(database(root).parent.glob("damaged-*")) == []
