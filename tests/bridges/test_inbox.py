"""The folder `tasks/`: what is seen in it, claimed and archived."""

import hashlib
import os
import resource
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.inbox_rig import LIMIT, ODD_NAMES, UID, everything, task
from tests.harness import until

from orchestrator.bridges.inbox import TaskFolder, is_task_name
from orchestrator.bridges.settled import RECENT_NS, Lease
from orchestrator.core.errors import TaskFileError
from orchestrator.core.ports import FileBytes, NotReady


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("x.task.md", True),
        ("a b.task.md", True),
        (os.fsdecode(b"\xff.task.md"), True),
        ("x.TASK.md", False),
        (".task.md", False),
        (".x.task.md", False),
        (".x.task.md.swp", False),
        ("x.task.md~", False),
        ("#x.task.md#", False),
        (".#x.task.md", False),
        (".x.task.md.AbC123", False),
        ("x.task.md.part", False),
        ("x.task.md.crdownload", False),
        ("x.task.md.tmp", False),
        (".syncthing.x.task.md.tmp", False),
        ("~$x.task.md", False),
        ("4913", False),
        ("README.md", False),
        ("x.md", False),
    ],
)
def test_a_task_file_is_known_by_its_name(name: str, taken: bool) -> None:
    assert is_task_name(name) is taken


async def test_a_scan_tells_files_from_what_can_never_be_one(root: Path, inbox: TaskFolder) -> None:
    tasks = root / "tasks"
    (tasks / "x.task.md").write_bytes(b"1")
    (tasks / "link.task.md").symlink_to("/dev/zero")
    (tasks / "folder.task.md").mkdir()
    os.mkfifo(tasks / "pipe.task.md")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tasks / "s.task.md"))
        (tasks / "Big.Task.MD").write_bytes(b"1")
        scan = await inbox.scan()
    assert set(scan.entries) == {"x.task.md", "link.task.md"}
    assert scan.ignored == {
        "folder.task.md": "directory",
        "pipe.task.md": "fifo",
        "s.task.md": "socket",
        "Big.Task.MD": "suffix_case",
    }
    facts = tasks.stat()
    assert scan.identity == (facts.st_dev, facts.st_ino)


async def test_a_second_scan_returns_the_same_objects_for_what_is_unchanged(root: Path, inbox: TaskFolder) -> None:
    (root / "tasks" / "x.task.md").write_bytes(b"1")
    (root / "tasks" / "y.task.md").write_bytes(b"1")
    first = await inbox.scan()
    (root / "tasks" / "y.task.md").chmod(0o640)
    second = await inbox.scan()
    assert second.entries["x.task.md"] is first.entries["x.task.md"]
    assert second.entries["y.task.md"] != first.entries["y.task.md"]


async def test_a_missing_folder_is_trouble_and_not_an_empty_one(root: Path, inbox: TaskFolder) -> None:
    (root / "tasks").rename(root / "away")
    assert (await inbox.scan()).trouble == "missing"
    read = await inbox.read(["x.task.md"], limit=LIMIT)
    assert read == {"x.task.md": NotReady("gone", 0.0)}


async def test_a_folder_made_in_place_of_another_is_another_one(root: Path, inbox: TaskFolder) -> None:
    before = (await inbox.scan()).identity
    for _ in range(3):  # file systems like to give a freed inode number away at once
        (root / "tasks").rmdir()
        (root / "tasks").mkdir()
        after = (await inbox.scan()).identity
        assert after != before
        before = after


async def test_without_file_descriptors_left_nothing_is_seen_and_nothing_is_lost(root: Path, inbox: TaskFolder) -> None:
    (root / "tasks" / "x.task.md").write_bytes(b"body")
    await inbox.scan()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        trouble = (await inbox.scan()).trouble
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert trouble == "no_descriptors"
    assert set((await inbox.scan()).entries) == {"x.task.md"}


async def test_each_file_of_a_batch_gets_its_own_answer(root: Path, inbox: TaskFolder) -> None:
    (root / "tasks" / "good.task.md").write_bytes(b"body")
    (root / "tasks" / "link.task.md").symlink_to("good.task.md")
    (root / "tasks" / "big.task.md").write_bytes(b"x" * 11)
    with (root / "tasks" / "slow.task.md").open("wb"):
        found = await inbox.read(["good.task.md", "link.task.md", "big.task.md", "slow.task.md", "no"], limit=10)
    good = found["good.task.md"]
    assert isinstance(good, FileBytes)
    assert good.body == b"body"
    reasons = [answer.reason for answer in list(found.values())[1:] if isinstance(answer, TaskFileError | NotReady)]
    assert reasons == ["not_regular", "file_too_large", "open_writer", "gone"]


async def test_a_file_read_right_after_its_change_is_called_recent_and_an_old_one_is_not(
    root: Path, inbox: TaskFolder
) -> None:
    path = root / "tasks" / "x.task.md"

    async def recent_after_a_change() -> bool:
        path.write_bytes(b"body")
        answer = (await inbox.read(["x.task.md"], limit=LIMIT))["x.task.md"]
        return isinstance(answer, FileBytes) and answer.recent

    assert any([await recent_after_a_change() for _ in range(100)])  # a busy machine may be slow, not a hundred times
    found = await inbox.read(["x.task.md"], limit=LIMIT)
    while isinstance(answer := found["x.task.md"], FileBytes) and answer.recent:
        found = await inbox.read(["x.task.md"], limit=LIMIT)
    assert isinstance(answer, FileBytes)


async def test_where_there_are_no_leases_a_file_must_look_the_same_for_a_second(root: Path) -> None:
    now = [100.0]
    inbox = TaskFolder(root, state=root / "s", monotonic=lambda: now[0], lease=lambda _: Lease.UNKNOWN)
    path = root / "tasks" / "x.task.md"

    async def answer() -> str:
        found = (await inbox.read(["x.task.md"], limit=LIMIT))["x.task.md"]
        return "read" if isinstance(found, FileBytes) else found.reason

    path.write_bytes(b"half")
    assert await answer() == "settling"
    now[0] += 0.9
    path.write_bytes(b"half and")
    assert await answer() == "settling"
    now[0] += 0.9
    assert await answer() == "settling"
    now[0] += 0.1
    assert await answer() == "read"


# claim


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_claimed_file_lies_in_the_folder_of_its_task(root: Path, inbox: TaskFolder, name: str) -> None:
    (root / "tasks" / name).write_bytes(b"body")
    one = task(root, name)
    assert not await inbox.holds(one)
    assert await inbox.claim(one, b"body") == "moved"
    assert await inbox.claim(one, b"body") == "moved"
    assert everything(root) == {f"running/{UID}/{name}": b"body"}
    assert await inbox.holds(one)


async def test_a_file_that_is_gone_is_made_again_from_what_was_stored(root: Path, inbox: TaskFolder) -> None:
    assert await inbox.claim(task(root), b"body") == "recreated"
    assert everything(root) == {f"running/{UID}/x.task.md": b"body"}


async def test_a_file_edited_at_the_last_moment_is_kept_beside_what_runs(root: Path, inbox: TaskFolder) -> None:
    (root / "tasks" / "x.task.md").write_bytes(b"edited")
    one = task(root)
    assert await inbox.claim(one, b"body") == "edited"
    assert await inbox.claim(one, b"body") == "edited"
    expected = {f"running/{UID}/x.task.md": b"body", f"running/{UID}/x.task.md.edited": b"edited"}
    assert everything(root) == expected
    assert await inbox.archive(one, b"body", "processed") == "tasks/processed/x.task.md"
    assert everything(root) == {"processed/x.task.md": b"body", "processed/x.task.md.edited": b"edited"}


async def test_a_new_file_of_the_same_name_is_not_taken_by_a_task_that_has_its_own(
    root: Path, inbox: TaskFolder
) -> None:
    (root / "tasks" / "x.task.md").write_bytes(b"body")
    one = task(root)
    await inbox.claim(one, b"body")
    (root / "tasks" / "x.task.md").write_bytes(b"new")
    assert await inbox.claim(one, b"body") == "moved"
    await inbox.archive(one, b"body", "processed")
    assert everything(root) == {"x.task.md": b"new", "processed/x.task.md": b"body"}


async def test_a_task_of_another_door_takes_nobodys_file(root: Path, inbox: TaskFolder) -> None:
    (root / "tasks" / "x.task.md").write_bytes(b"somebody's")
    one = task(root, "")
    assert await inbox.claim(one, b"body") == "recreated"
    assert await inbox.archive(one, b"body", "processed") == "tasks/processed/x.task.md"
    assert everything(root) == {"x.task.md": b"somebody's", "processed/x.task.md": b"body"}


async def test_a_task_may_start_while_its_file_holds_what_is_stored(root: Path, inbox: TaskFolder) -> None:
    path = root / "tasks" / "x.task.md"
    path.write_bytes(b"body")
    one = replace(task(root), sha256=hashlib.sha256(b"body").hexdigest())
    assert await inbox.unchanged(one)
    os.utime(path, (1, 1))
    assert await inbox.unchanged(one)
    path.write_bytes(b"edited")
    assert not await inbox.unchanged(one)
    path.unlink()
    assert not await inbox.unchanged(one)
    await inbox.claim(one, b"body")
    assert await inbox.unchanged(one)
    assert await inbox.unchanged(task(root, ""))
    (root / "tasks").rename(root / "away")
    assert not await inbox.unchanged(one)


# archive


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("start", ["running", "tasks", "nowhere"])
async def test_an_archived_file_comes_from_wherever_it_is(root: Path, inbox: TaskFolder, name: str, start: str) -> None:
    if start != "nowhere":
        (root / "tasks" / name).write_bytes(b"body")
    one = task(root, name)
    if start == "running":
        await inbox.claim(one, b"body")
    path = await inbox.archive(one, b"body", "failed")
    assert path == f"tasks/failed/{name}"
    assert await inbox.archive(one, b"body", "failed") == path
    assert everything(root) == {f"failed/{name}": b"body"}
    assert list((root / "tasks" / "running").iterdir()) == []


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_the_archive_never_replaces_a_file(root: Path, inbox: TaskFolder, name: str) -> None:
    (root / "tasks" / "processed").mkdir()
    (root / "tasks" / "processed" / name).write_bytes(b"earlier")
    (root / "tasks" / name).write_bytes(b"body")
    one = task(root, name)
    await inbox.claim(one, b"body")
    path = await inbox.archive(one, b"body", "processed")
    assert path.endswith("-12345678.task.md")
    assert len(os.fsencode(Path(path).name)) <= 255
    assert (root / path).read_bytes() == b"body"
    assert (root / "tasks" / "processed" / name).read_bytes() == b"earlier"
    assert await inbox.archive(one, b"body", "processed") == path


async def test_a_cancelled_task_leaves_a_later_file_of_its_name_alone(root: Path, inbox: TaskFolder) -> None:
    path = root / "tasks" / "x.task.md"
    path.write_bytes(b"body")
    one = task(root)
    path.unlink()
    path.write_bytes(b"something else")
    assert await inbox.archive(one, b"body", "cancelled") == "tasks/cancelled/x.task.md"
    assert everything(root) == {"x.task.md": b"something else", "cancelled/x.task.md": b"body"}


async def test_what_is_written_into_a_file_that_runs_does_not_reach_the_archive(root: Path, inbox: TaskFolder) -> None:
    (root / "tasks" / "x.task.md").write_bytes(b"body")
    one = task(root)
    await inbox.claim(one, b"body")
    (root / "tasks" / "running" / UID / "x.task.md").write_bytes(b"body and an afterthought")
    await inbox.archive(one, b"body", "processed")
    edited = b"body and an afterthought"
    assert everything(root) == {"processed/x.task.md": b"body", "processed/x.task.md.edited": edited}


async def test_the_folder_itself_tells_whether_a_name_came_went_or_was_exchanged(root: Path, inbox: TaskFolder) -> None:
    tasks = root / "tasks"
    assert not await inbox.same_names()  # never looked at

    async def settled() -> None:
        """Scan until the last change is old enough to be told from the next one."""
        await until(lambda: time.time_ns() - tasks.stat().st_mtime_ns > RECENT_NS, what="a settled folder")
        await inbox.scan()

    (tasks / "x.task.md").write_bytes(b"body")
    await inbox.scan()
    assert not await inbox.same_names()  # another change could carry the same time
    await settled()
    assert await inbox.same_names()
    (tasks / "x.task.md").write_bytes(b"other")  # the name stays
    assert await inbox.same_names()
    for change in (
        lambda: (tasks / "y.task.md").touch(),
        lambda: (tasks / "y.task.md").replace(tasks / "x.task.md"),
        lambda: (tasks / "x.task.md").unlink(),
    ):
        change()
        assert not await inbox.same_names()
        await settled()
        assert await inbox.same_names()
    tasks.rename(root / "away")
    assert not await inbox.same_names()
    tasks.mkdir()
    assert not await inbox.same_names()
