"""Files that are not what a task file should be: each gets its answer, alone, and the good ones beside it run."""

import asyncio
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.engine.intake_rig import Rig, body

from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State

# The rows of the catalogue of bad inputs that are decided by the intake and shown here.
ROWS_COVERED = frozenset({1, 35, 37, 38, 39, 69, 70, 72, 73, 74, 75, 76, 77, 78})


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.inbox.close()


@dataclass(frozen=True)
class Case:
    """One bad input: how it comes about, how often it is looked at, and what must be said of it."""

    row: int
    name: str
    make: Callable[[Path], object]
    reason: str = ""  # of the refusal; "" when it becomes a task or is none
    notice: str = ""  # of the task it becomes
    ignored: str = ""  # told once
    looks: int = 2


def _write(data: bytes = b"") -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _link(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def _hard_link(path: Path) -> None:
    other = path.parents[1] / "other"
    other.write_bytes(body("linked"))
    os.link(other, path)


def _escape(path: Path) -> None:
    (path.parents[1] / "work" / "out").symlink_to("/etc")
    path.write_bytes(body("escape", targets=["a.py", "out/passwd"]))


NOBODY = 65534
LONG = "n" * 247 + ".task.md"
NOT_UTF8 = os.fsdecode(b"caf\xe9.task.md")

CASES = [
    Case(1, "x.task.md", _write(), reason="empty_file", looks=5),
    Case(69, "x.task.md", _write(body("t", targets=["src/none.py"])), notice="target_missing"),
    Case(70, "x.task.md", _escape, reason="target_symlink_escape"),
    Case(72, "file.task.md", _link("/etc/hostname"), reason="not_regular"),
    Case(72, "folder.task.md", _link("/etc"), reason="not_regular"),
    Case(72, "zero.task.md", _link("/dev/zero"), reason="not_regular"),
    Case(72, "self.task.md", _link("self.task.md"), reason="not_regular"),
    Case(73, "pipe.task.md", os.mkfifo, ignored="fifo"),
    Case(73, "dir.task.md", Path.mkdir, ignored="directory"),
    Case(74, "x.task.md", _hard_link, notice="multiple_links"),
    Case(75, NOT_UTF8, _write(body("t"))),
    Case(75, NOT_UTF8, _write(b"---\nid: t\n"), reason="front_matter_unterminated"),
    Case(75, "a\nb.task.md", _write(body("t"))),
    Case(75, "a\nb.task.md", _write(b"---\nid: t\n"), reason="front_matter_unterminated"),
    Case(75, LONG, _write(body("t"))),
    Case(75, LONG, _write(b"---\nid: t\n"), reason="front_matter_unterminated"),
    Case(75, "x.Task.MD", _write(body("t")), ignored="suffix_case"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row}-{case.reason or case.notice or case.ignored}")
async def test_a_bad_file_gets_its_answer_and_the_good_one_beside_it_is_taken(rig: Rig, case: Case) -> None:
    case.make(rig.tasks_path / case.name)
    rig.drop("good.task.md", body("good"))
    for _ in range(case.looks):
        await rig.scan(1)
    found = {task.file_name: task for task in await rig.tasks()}
    assert found.pop("good.task.md").state is State.QUEUED
    ignored = [event.data["reason"] for event in await rig.events(EventKind.FILE_IGNORED)]
    assert ignored == ([case.ignored] if case.ignored else [])
    if case.ignored:
        assert found == {}
        return
    task = found.pop(case.name)
    assert found == {}
    assert task.reason == case.reason
    assert case.notice in ["", *(notice.code for notice in task.spec.notices)]
    if case.reason:
        assert (task.state, task.archived) == (State.REJECTED, True)
        (note,) = (rig.tasks_path / "failed").glob("*.error.json")
        error = json.loads(note.read_bytes())
        assert (error["code"], error["uid"], error["sha256"]) == (case.reason, task.uid, task.sha256)
        assert error["message"]
        assert error["hint"]
        assert os.path.lexists(rig.tasks_path / "failed" / case.name)
        assert not os.path.lexists(rig.tasks_path / case.name)
    else:
        assert task.state is State.QUEUED


async def test_an_empty_file_is_given_two_seconds(rig: Rig) -> None:
    """Row 1: programs create a file first and fill it then."""
    path = rig.tasks_path / "x.task.md"
    path.write_bytes(b"")
    for _ in range(3):
        assert (await rig.scan(0.6)).rejected == 0
    path.write_bytes(body("x"))
    assert (await rig.scan(0.6)).accepted == 1


async def test_an_id_that_differs_only_in_case_from_one_that_waits_is_refused(rig: Rig) -> None:
    """Row 35, also when both come in one look."""
    rig.drop("a.task.md", body("task_1"))
    os.utime(rig.tasks_path / "a.task.md", (1, 1))
    rig.drop("b.task.md", body("Task_1"))
    await rig.scan()
    rig.drop("c.task.md", body("TASK_1"))
    await rig.scan(1)
    states = {task.file_name: (task.state, task.reason) for task in await rig.tasks()}
    assert states == {
        "a.task.md": (State.QUEUED, ""),
        "b.task.md": (State.REJECTED, "id_conflict"),
        "c.task.md": (State.REJECTED, "id_conflict"),
    }


async def test_an_id_that_differs_only_in_case_from_one_long_done_is_taken(rig: Rig) -> None:
    """Row 35 speaks of tasks that are still under way."""
    rig.drop("a.task.md", body("task_1"))
    await rig.scan()
    await rig.succeeded(await rig.only())
    rig.drop("b.task.md", body("Task_1"))
    assert (await rig.scan(1)).accepted == 1


async def test_the_id_of_a_task_that_waits_or_runs_is_queued_behind_it(rig: Rig) -> None:
    """Row 37, also when both come in one look; never two at once."""
    rig.drop("a.task.md", body("t", "One."))
    os.utime(rig.tasks_path / "a.task.md", (1, 1))
    rig.drop("b.task.md", body("t", "Two."))
    await rig.scan()
    first, second = sorted(await rig.tasks(), key=lambda task: task.order)
    assert first.file_name == "a.task.md"
    (event,) = await rig.events(EventKind.DUPLICATE_ID)
    assert (event.uid, event.data["behind"]) == (second.uid, first.uid)
    assert [task.uid for task in await rig.store.ready(0.0, limit=10)] == [first.uid]
    await rig.started(first)
    rig.drop("c.task.md", body("t", "Three."))
    await rig.scan(1)
    assert len(await rig.events(EventKind.DUPLICATE_ID)) == 2
    assert await rig.store.ready(0.0, limit=10) == []


async def test_exactly_the_file_of_a_task_that_succeeded_is_refused(rig: Rig) -> None:
    """Row 38."""
    rig.drop("a.task.md", body("t"))
    await rig.scan()
    first = await rig.succeeded(await rig.only())
    rig.drop("again.task.md", body("t"))
    assert (await rig.scan(1)).rejected == 1
    error = rig.error("again.task.md")
    assert error["code"] == "duplicate_content"
    assert first.uid in error["message"]
    assert first.name in error["message"]


async def test_a_file_that_asks_for_it_is_done_again(rig: Rig) -> None:
    """Row 38."""
    again = body("t", extra="rerun: true\n")
    rig.drop("a.task.md", again)
    await rig.scan()
    await rig.succeeded(await rig.only())
    rig.drop("a.task.md", again)
    assert (await rig.scan(1)).accepted == 1


async def test_a_file_whose_earlier_run_was_cancelled_is_taken_again(rig: Rig) -> None:
    """Row 38 speaks of success only."""
    path = rig.drop("a.task.md", body("t"))
    await rig.scan()
    path.unlink()
    await rig.scan(1)
    await rig.scan(6)
    rig.drop("a.task.md", body("t"))
    assert (await rig.scan(1)).accepted == 1


async def test_a_new_file_with_an_old_id_is_a_new_task_and_both_keep_their_names(rig: Rig) -> None:
    """Row 39."""
    rig.drop("a.task.md", body("t", "One."))
    await rig.scan()
    first = await rig.succeeded(await rig.only())
    rig.drop("a.task.md", body("t", "Two."))
    assert (await rig.scan(1)).accepted == 1
    second = next(task for task in await rig.tasks() if task.uid != first.uid)
    assert (first.name, second.name) == ("a", f"a.{second.uid[-8:]}")
    await rig.succeeded(second)
    assert rig.files() == {
        "processed/a.task.md": body("t", "One."),
        f"processed/a-{second.uid[-8:]}.task.md": body("t", "Two."),
    }


async def test_targets_are_looked_at_where_they_really_are(rig: Rig) -> None:
    """Rows 69 and 70: a link that stays inside the root is as good as a file."""
    work = rig.root / "work"
    (work / "real.py").write_bytes(b"")
    (work / "link.py").symlink_to("real.py")
    rig.drop("x.task.md", body("t", targets=["link.py", "real.py"]))
    await rig.scan()
    assert (await rig.only()).spec.notices == ()


async def test_the_target_of_a_link_is_neither_read_nor_moved(rig: Rig) -> None:
    """Row 72."""
    secret = rig.root / "secret"
    secret.write_bytes(body("secret"))
    (rig.tasks_path / "x.task.md").symlink_to(secret)
    await rig.scan()
    task = await rig.only()
    assert (task.reason, task.sha256, await rig.store.body(task.uid)) == ("not_regular", "", b"")
    assert (rig.tasks_path / "failed" / "x.task.md").is_symlink()
    assert secret.read_bytes() == body("secret")


async def test_what_can_never_be_a_task_is_told_once(rig: Rig) -> None:
    """Row 73."""
    (rig.tasks_path / "x.task.md").mkdir()
    for _ in range(4):
        await rig.scan(10)
    assert len(await rig.events(EventKind.FILE_IGNORED)) == 1
    (rig.tasks_path / "x.task.md").rmdir()
    rig.drop("x.task.md", body("x"))
    assert (await rig.scan(1)).accepted == 1


async def test_the_other_name_of_a_file_is_left_alone(rig: Rig) -> None:
    """Row 74."""
    _hard_link(rig.tasks_path / "x.task.md")
    await rig.scan()
    await rig.succeeded(await rig.only())
    assert (rig.root / "other").read_bytes() == body("linked")
    assert rig.files() == {"processed/x.task.md": body("linked")}


@pytest.mark.parametrize(
    "name",
    [
        ".x.task.md.swp",
        "x.task.md~",
        "#x.task.md#",
        ".#x.task.md",
        ".x.task.md.AbC123",
        "x.task.md.part",
        "x.task.md.crdownload",
        "x.task.md.tmp",
        ".syncthing.x.task.md.tmp",
        "4913",
        "README.md",
    ],
)
async def test_the_leftovers_of_editors_and_transfers_are_no_tasks(rig: Rig, name: str) -> None:
    """Row 76."""
    (rig.tasks_path / name).write_bytes(body("t"))
    await rig.scan()
    await rig.scan(10)
    assert await rig.tasks() == []
    assert await rig.events(EventKind.FILE_IGNORED) == []
    assert (rig.tasks_path / name).exists()


async def test_a_file_held_open_is_waited_for_and_given_up_after_ten_minutes(rig: Rig) -> None:
    """Row 77; while something is still written the ten minutes begin anew."""
    with (rig.tasks_path / "x.task.md").open("wb", buffering=0) as writer:
        for _ in range(10):
            writer.write(b"---\n")
            assert (await rig.scan(100)).waiting == 1
        for _ in range(6):
            assert (await rig.scan(99)).rejected == 0
        assert (await rig.scan(100)).rejected == 1
    assert rig.error("x.task.md")["code"] == "incomplete_file"


async def test_a_file_held_open_is_looked_at_at_least_twice_a_second(rig: Rig) -> None:
    """Row 77: the end of the writing is not notified, and yet the file is taken within a second of it."""
    stop = asyncio.Event()
    with (rig.tasks_path / "x.task.md").open("wb", buffering=0) as writer:
        writer.write(body("x"))
        running = asyncio.create_task(rig.intake.run(stop))
        while len(rig.silent.waits) < 30:
            await asyncio.sleep(0)
    while not await rig.tasks():
        await asyncio.sleep(0)
    stop.set()
    await running
    assert max(rig.silent.waits[1:30]) <= 0.5


async def test_a_file_that_cannot_be_moved_is_refused_in_place_and_only_once(rig: Rig) -> None:
    """Row 78: never a hot loop, also not after a restart; looked at again when its metadata changes."""
    (rig.tasks_path / "failed").write_bytes(b"in the way")  # not even root gets a file into that
    path = rig.drop("x.task.md", b"---\nid: x\n")
    assert (await rig.scan()).rejected == 1
    for _ in range(5):
        assert (await rig.scan(10)).rejected == 0
    rig.restarted()
    assert (await rig.scan(10)).rejected == 0
    (note,) = (rig.root / ".orchestrator" / "rejects").iterdir()
    error = json.loads(note.read_bytes())
    assert (error["code"], error["not_moved"]) == ("front_matter_unterminated", "Not a directory")
    assert path.exists()
    path.chmod(0o640)
    assert (await rig.scan(1)).rejected == 1


@pytest.fixture
def nobodys_rig() -> Iterator[Rig]:
    """A rig whose daemon is not root, who may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        is_root = os.geteuid() == 0
        if is_root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            made = Rig(Path(folder))
            yield made
            made.inbox.close()
        finally:
            if is_root:
                os.seteuid(0)


async def test_a_file_that_may_not_be_read_is_refused_and_may_be_given_again(nobodys_rig: Rig) -> None:
    """Row 78."""
    path = nobodys_rig.drop("x.task.md", body("x"))
    path.chmod(0)
    assert (await nobodys_rig.scan()).rejected == 1
    assert ((await nobodys_rig.only()).reason, (await nobodys_rig.only()).sha256) == ("unreadable", "")
    assert "EACCES" in nobodys_rig.error("x.task.md")["message"]
    nobodys_rig.drop("x.task.md", body("x"))
    assert (await nobodys_rig.scan(1)).accepted == 1


async def test_a_file_in_a_folder_that_may_not_be_changed_is_refused_in_place(nobodys_rig: Rig) -> None:
    """Row 78; when its permissions are mended it is taken, wherever its error lies."""
    path = nobodys_rig.drop("x.task.md", body("x"))
    path.chmod(0)
    nobodys_rig.tasks_path.chmod(0o500)
    for _ in range(4):
        await nobodys_rig.scan(10)
    assert (await nobodys_rig.only()).reason == "unreadable"
    path.chmod(0o600)
    assert (await nobodys_rig.scan(1)).accepted == 1
    nobodys_rig.tasks_path.chmod(0o700)


def test_every_row_named_as_covered_is_shown_above() -> None:
    shown = re.findall(r"Case\((\d+),|Rows? (\d+)(?: and (\d+))?", Path(__file__).read_text(encoding="utf-8"))
    assert {int(number) for numbers in shown for number in numbers if number} == ROWS_COVERED
