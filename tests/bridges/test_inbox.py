"""The folder `tasks/`: what is seen in it, and moves that survive a crash at any instant."""

import hashlib
import json
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.bridges import archive, files
from orchestrator.bridges.inbox import TaskFolder, is_task_name
from orchestrator.bridges.settled import Lease
from orchestrator.core.errors import ConflictError, TaskFileError, UsageError
from orchestrator.core.events import TaskUid
from orchestrator.core.ports import FileBytes, InboxEntry, NotReady
from orchestrator.core.task import FileStamp, Priority, Task, TaskSpec

UID = TaskUid("0190aaaabbbbccccddddeeee12345678")
LIMIT = 1024 * 1024
SPEC = TaskSpec(id="x", type="fix", priority=Priority.LOW, title="x", prompt="do")
ODD_NAMES = ["x.task.md", "a\nb.task.md", "n" * 247 + ".task.md", os.fsdecode(b"\xff.task.md"), "ü🙂.task.md"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    return tmp_path


@pytest.fixture
def inbox(root: Path) -> Iterator[TaskFolder]:
    folder = TaskFolder(root, state=root / ".orchestrator")
    yield folder
    folder.close()


def task(root: Path, name: str = "x.task.md", *, attempt: int = 0) -> Task:
    """A task as the intake makes it of a file that lies in `tasks/`, or lay there."""
    path = root / "tasks" / name
    stamp = FileStamp()
    if name and path.exists():
        facts = path.lstat()
        stamp = FileStamp(facts.st_ino, facts.st_mtime_ns, facts.st_size)
    return Task(uid=UID, name="x", spec=SPEC, sha256="", created_ts=0.0, file_name=name, stamp=stamp, attempt=attempt)


def everything(root: Path) -> dict[str, bytes]:
    """Every file under `tasks/` by its path there."""
    found = (root / "tasks").rglob("*")
    return {str(path.relative_to(root / "tasks")): path.read_bytes() for path in found if path.is_file()}


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
    assert good.recent
    reasons = [answer.reason for answer in list(found.values())[1:] if isinstance(answer, TaskFileError | NotReady)]
    assert reasons == ["not_regular", "file_too_large", "open_writer", "gone"]


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


class Crash(BaseException):
    """Ends the program at one point."""


Move = Callable[[TaskFolder, Task], Awaitable[object]]
MOVES: dict[str, Move] = {
    "claim": lambda inbox, one: inbox.claim(one, b"body"),
    "archive": lambda inbox, one: inbox.archive(one, b"body", "processed"),
    "reject": lambda inbox, one: inbox.reject(
        InboxEntry(one.file_name, one.stamp), {"code": "empty_file", "uid": one.uid}, one.uid
    ),
}


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("name", MOVES)
async def test_a_move_interrupted_at_any_step_is_brought_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, edited: bool
) -> None:
    """Every rename, folder and file creation of the move is a place to crash; afterwards the move is done again."""
    ends = []
    for crash_at in range(12):
        root = tmp_path / str(crash_at)
        (root / "tasks").mkdir(parents=True)
        (root / "tasks" / "x.task.md").write_bytes(b"edited" if edited else b"body")
        inbox, one = TaskFolder(root, state=root / "s"), task(root)
        with monkeypatch.context() as patch:
            _crash_at(patch, crash_at)
            try:
                await MOVES[name](inbox, one)
            except Crash:
                kept = everything(root).values()
                assert (b"edited" if edited else b"body") in kept
        await MOVES[name](inbox, one)
        ends.append({path: body for path, body in everything(root).items() if files.TEMPORARY not in path})
    assert ends == [ends[-1]] * len(ends)


def _crash_at(patch: pytest.MonkeyPatch, number: int) -> None:
    left = [number]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise Crash
            return real(*arguments, **options)

        return step

    for module in (archive, files):
        for name in ("rename_new", "create_new", "open_below", "sync_folder", "_move"):
            if hasattr(module, name):
                patch.setattr(module, name, counted(getattr(module, name)))


# reject


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_rejected_file_lies_in_failed_with_its_error_beside_it(
    root: Path, inbox: TaskFolder, name: str
) -> None:
    (root / "tasks" / name).write_bytes(b"bad")
    entry = (await inbox.scan()).entries[name]
    note = await inbox.reject(entry, {"code": "empty_file", "uid": UID}, UID)
    assert note == await inbox.reject(entry, {"code": "empty_file", "uid": UID}, UID)
    assert json.loads((root / note).read_bytes())["code"] == "empty_file"
    assert (root / "tasks" / "failed" / name).read_bytes() == b"bad"
    assert len(everything(root)) == 2
    assert await inbox.rejected_in_place() == []


async def test_a_rejected_link_is_moved_itself(root: Path, inbox: TaskFolder) -> None:
    (root / "target").write_bytes(b"t")
    (root / "tasks" / "x.task.md").symlink_to(root / "target")
    entry = (await inbox.scan()).entries["x.task.md"]
    await inbox.reject(entry, {"code": "not_regular", "uid": UID}, UID)
    assert (root / "tasks" / "failed" / "x.task.md").is_symlink()
    assert (root / "target").read_bytes() == b"t"


async def test_a_second_rejected_file_of_a_name_gets_a_name_of_its_own(root: Path, inbox: TaskFolder) -> None:
    for uid in (UID, TaskUid("0190aaaabbbbccccddddeeee99999999")):
        (root / "tasks" / "x.task.md").write_bytes(uid.encode())
        entry = (await inbox.scan()).entries["x.task.md"]
        await inbox.reject(entry, {"code": "empty_file", "uid": uid}, uid)
    assert set(everything(root)) == {
        "failed/x.task.md",
        "failed/x.task.md.error.json",
        "failed/x-99999999.task.md",
        "failed/x-99999999.task.md.error.json",
    }


async def test_a_file_that_cannot_be_moved_is_rejected_in_place(root: Path, inbox: TaskFolder) -> None:
    (root / "tasks" / "x.task.md").write_bytes(b"bad")
    (root / "tasks" / "failed").write_bytes(b"not a folder")
    entry = (await inbox.scan()).entries["x.task.md"]
    note = await inbox.reject(entry, {"code": "unreadable", "uid": UID}, UID)
    assert note == f".orchestrator/rejects/{UID}.error.json"
    assert json.loads((root / note).read_bytes())["not_moved"]
    assert (root / "tasks" / "x.task.md").read_bytes() == b"bad"
    assert await inbox.rejected_in_place() == [entry]


# put, adopt_strays


async def test_a_task_file_is_created_whole_and_never_over_another(root: Path, inbox: TaskFolder) -> None:
    assert await inbox.put("x.task.md", b"body") == "tasks/x.task.md"
    with pytest.raises(ConflictError, match="exists already"):
        await inbox.put("x.task.md", b"other")
    assert everything(root) == {"x.task.md": b"body"}


@pytest.mark.parametrize("name", ["x.md", "../x.task.md", "a/b.task.md", ".x.task.md", "n" * 260 + ".task.md"])
async def test_no_file_is_created_under_a_name_that_would_not_be_taken(
    root: Path, inbox: TaskFolder, name: str
) -> None:
    with pytest.raises(UsageError):
        await inbox.put(name, b"body")
    assert everything(root) == {}


async def test_a_claimed_file_that_no_task_owns_goes_back(root: Path, inbox: TaskFolder) -> None:
    other = "0190aaaabbbbccccddddeeee99999999"
    for uid in (UID, other):
        (root / "tasks" / "running" / uid).mkdir(parents=True)
        (root / "tasks" / "running" / uid / "x.task.md").write_bytes(uid.encode())
    (root / "tasks" / "x.task.md").write_bytes(b"in the way")

    async def known(uid: TaskUid) -> bool:
        return uid == UID

    assert await inbox.adopt_strays(known) == ["tasks/x-99999999.task.md"]
    assert everything(root) == {
        "x.task.md": b"in the way",
        "x-99999999.task.md": other.encode(),
        f"running/{UID}/x.task.md": UID.encode(),
    }
    assert await inbox.adopt_strays(known) == []
