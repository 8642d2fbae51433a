"""Moves in `tasks/` that survive a crash at any instant; refusals, new files and strays."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bridges.inbox_rig import ODD_NAMES, UID, everything, task

from orchestrator.bridges import archive, files
from orchestrator.bridges.inbox import TaskFolder
from orchestrator.core import failpoint
from orchestrator.core.errors import ConflictError, UsageError
from orchestrator.core.events import TaskUid
from orchestrator.core.ports import InboxEntry
from orchestrator.core.task import Task
from orchestrator.kit import failpoints


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


async def test_a_rejected_file_that_was_moved_keeps_its_error_though_the_sync_was_refused(
    root: Path, inbox: TaskFolder
) -> None:
    (root / "tasks" / "x.task.md").write_bytes(b"bad")
    entry = (await inbox.scan()).entries["x.task.md"]
    failpoint.install(failpoints.act_of("files.renamed:2:enospc"))  # the first is that of the error itself
    try:
        note = await inbox.reject(entry, {"code": "empty_file", "uid": UID}, UID)
    finally:
        failpoint.install(None)
    assert note == "tasks/failed/x.task.md.error.json"
    assert set(everything(root)) == {"failed/x.task.md", "failed/x.task.md.error.json"}


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
