"""What every `Inbox`, `Artifacts` and `EventSink` promises: held by the real folders and by those in memory."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.fake_folders import MemoryArtifacts, MemoryFolder, MemoryInbox, MemoryLog

from orchestrator.bridges.event_file import EventFile
from orchestrator.bridges.files import ArtifactFiles
from orchestrator.bridges.inbox import TaskFolder
from orchestrator.core.errors import ConflictError, TaskFileError, UsageError
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Artifacts, EventSink, FileBytes, Inbox, NotReady
from orchestrator.core.task import Priority, Task, TaskSpec

UID = TaskUid("0190aaaabbbbccccddddeeee12345678")
OTHER = TaskUid("0190aaaabbbbccccddddeeee99999999")
SPEC = TaskSpec(id="x", type="fix", priority=Priority.LOW, title="x", prompt="do")
X = "x.task.md"


@dataclass
class Tasks:
    """An inbox, how a person writes into its folder, and what lies there."""

    inbox: Inbox
    write: Callable[[str, bytes], None]
    files: Callable[[], Mapping[str, bytes]]

    async def task(self, name: str = X, body: bytes = b"body", uid: TaskUid = UID) -> Task:
        """Return the task of a file that is dropped now."""
        self.write(name, body)
        read = (await self.inbox.read([name], limit=99))[name]
        assert isinstance(read, FileBytes)
        return Task(uid, "x", SPEC, "", 0.0, file_name=name, stamp=read.entry.stamp)


@pytest.fixture(params=["disk", "memory"])
def tasks(request: pytest.FixtureRequest, tmp_path: Path) -> Tasks:
    if request.param == "memory":
        folder = MemoryFolder()
        return Tasks(MemoryInbox(folder), folder.write, lambda: folder.files)
    top = tmp_path / "tasks"
    top.mkdir()

    def write(path: str, body: bytes) -> None:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).unlink(missing_ok=True)
        (top / path).write_bytes(body)

    def files() -> Mapping[str, bytes]:
        return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}

    return Tasks(TaskFolder(tmp_path, state=tmp_path / "state"), write, files)


async def test_a_scan_sees_the_task_files_and_nothing_else(tasks: Tasks) -> None:
    for path in (X, "y.task.md", "notes.md", ".hidden.task.md", "running/u/z.task.md"):
        tasks.write(path, b"1")
    first = await tasks.inbox.scan()
    assert sorted(first.entries) == [X, "y.task.md"]
    tasks.write("y.task.md", b"22")
    second = await tasks.inbox.scan()
    assert second.entries[X] == first.entries[X]
    assert second.entries["y.task.md"] != first.entries["y.task.md"]
    assert second.identity == first.identity


async def test_each_file_is_read_or_its_absence_or_size_told(tasks: Tasks) -> None:
    tasks.write(X, b"body")
    tasks.write("big.task.md", b"x" * 11)
    found = await tasks.inbox.read([X, "big.task.md", "no.task.md"], limit=10)
    assert isinstance(read := found[X], FileBytes)
    assert (read.body, read.entry) == (b"body", (await tasks.inbox.scan()).entries[X])
    assert isinstance(found["big.task.md"], TaskFileError)
    assert found["no.task.md"] == NotReady("gone", 0.0)


async def test_a_file_starts_only_as_it_was_stored(tasks: Tasks) -> None:
    task = await tasks.task()
    assert await tasks.inbox.unchanged(task)
    tasks.write(X, b"edited")
    assert not await tasks.inbox.unchanged(task)
    tasks.write(X, b"body")
    assert await tasks.inbox.unchanged(replace(task, sha256=hashlib.sha256(b"body").hexdigest()))
    assert not await tasks.inbox.unchanged(replace(task, file_name="gone.task.md"))
    assert await tasks.inbox.unchanged(replace(task, file_name=""))
    await tasks.inbox.claim(task, b"body")
    assert await tasks.inbox.unchanged(task)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_claim_moves_the_file_and_may_be_repeated(tasks: Tasks, times: int) -> None:
    task = await tasks.task()
    assert not await tasks.inbox.holds(task)
    for _ in range(times):
        assert await tasks.inbox.claim(task, b"body") == "moved"
    assert await tasks.inbox.holds(task)
    assert tasks.files() == {f"running/{UID}/{X}": b"body"}


async def test_an_edited_file_is_kept_beside_what_runs(tasks: Tasks) -> None:
    task = await tasks.task()
    tasks.write(X, b"edited")
    for _ in range(2):
        assert await tasks.inbox.claim(task, b"body") == "edited"
    own = f"running/{UID}/{X}"
    assert tasks.files() == {own: b"body", f"{own}.edited": b"edited"}
    assert await tasks.inbox.archive(task, b"body", "failed") == f"tasks/failed/{X}"
    assert tasks.files() == {f"failed/{X}": b"body", f"failed/{X}.edited": b"edited"}


@pytest.mark.parametrize("name", [X, ""])
async def test_what_is_nowhere_is_made_again_from_its_bytes(tasks: Tasks, name: str) -> None:
    task = Task(UID, "x", SPEC, "", 0.0, file_name=name)
    assert await tasks.inbox.claim(task, b"body") == "recreated"
    assert tasks.files() == {f"running/{UID}/{X}": b"body"}
    other = replace(task, uid=OTHER)
    assert await tasks.inbox.archive(other, b"other", "processed") == f"tasks/processed/{X}"
    assert tasks.files() == {f"running/{UID}/{X}": b"body", f"processed/{X}": b"other"}


@pytest.mark.parametrize("claimed", [True, False])
async def test_an_archive_takes_the_file_from_wherever_it_is_and_may_be_repeated(tasks: Tasks, claimed: bool) -> None:
    task = await tasks.task()
    if claimed:
        await tasks.inbox.claim(task, b"body")
    for _ in range(2):
        assert await tasks.inbox.archive(task, b"body", "processed") == f"tasks/processed/{X}"
    assert tasks.files() == {f"processed/{X}": b"body"}


async def test_the_file_of_a_task_that_is_accepted_moves_from_failed_to_processed(tasks: Tasks) -> None:
    tasks.write(f"failed/{X}", b"another one")
    task = await tasks.task()
    await tasks.inbox.claim(task, b"body")
    failed = replace(task, state=State.FAILED)
    assert await tasks.inbox.archive(failed, b"body", "failed") == "tasks/failed/x-12345678.task.md"
    accepted = replace(failed, state=State.SUCCEEDED)
    for _ in range(2):
        assert await tasks.inbox.archive(accepted, b"body", "processed") == "tasks/processed/x-12345678.task.md"
    assert tasks.files() == {f"failed/{X}": b"another one", "processed/x-12345678.task.md": b"body"}


async def test_no_archived_file_is_overwritten_and_no_later_file_of_the_name_taken(tasks: Tasks) -> None:
    tasks.write(f"processed/{X}", b"an earlier one")
    task = await tasks.task()
    await tasks.inbox.claim(task, b"body")
    tasks.write(X, b"a later one")
    for _ in range(2):
        assert await tasks.inbox.archive(task, b"body", "processed") == "tasks/processed/x-12345678.task.md"
    assert tasks.files() == {
        X: b"a later one",
        f"processed/{X}": b"an earlier one",
        "processed/x-12345678.task.md": b"body",
    }


async def test_a_refused_file_lies_in_failed_with_its_error_beside_it(tasks: Tasks) -> None:
    for uid, name in ((UID, X), (OTHER, "x-99999999.task.md")):
        tasks.write(X, uid.encode())
        entry = (await tasks.inbox.scan()).entries[X]
        for _ in range(2):
            note = await tasks.inbox.reject(entry, {"code": "empty_file", "uid": uid}, uid)
            assert note == f"tasks/failed/{name}.error.json"
        assert tasks.files()[f"failed/{name}"] == uid.encode()
    assert len(tasks.files()) == 4
    assert await tasks.inbox.rejected_in_place() == []


async def test_a_file_is_put_whole_and_never_over_another(tasks: Tasks) -> None:
    assert await tasks.inbox.put(X, b"body") == f"tasks/{X}"
    with pytest.raises(ConflictError):
        await tasks.inbox.put(X, b"other")
    with pytest.raises(UsageError):
        await tasks.inbox.put("x.md", b"other")
    assert tasks.files() == {X: b"body"}


@pytest.mark.parametrize(
    ("found", "mended"),
    [(b"bo", True), (b"\0\0\0\0", True), (b"body", False), (b"mine", False), (b"body, edited", False)],
)
async def test_a_torn_file_is_made_whole_and_an_edited_one_left_alone(tasks: Tasks, found: bytes, mended: bool) -> None:
    tasks.write(X, found)
    assert await tasks.inbox.mend(f"tasks/{X}", b"body", create=True) is mended
    assert tasks.files() == {X: b"body" if mended else found}


@pytest.mark.parametrize("create", [True, False])
async def test_a_missing_file_is_made_again_only_where_that_is_asked(tasks: Tasks, create: bool) -> None:
    assert await tasks.inbox.mend(f"tasks/{X}", b"body", create=create) is create
    assert tasks.files() == ({X: b"body"} if create else {})


async def test_it_is_known_whether_names_came_or_went_since_the_last_look(tasks: Tasks) -> None:
    assert not await tasks.inbox.same_names()
    tasks.write(X, b"1")
    await tasks.inbox.scan()
    tasks.write("y.task.md", b"1")
    assert not await tasks.inbox.same_names()


async def test_files_of_nobody_go_back(tasks: Tasks) -> None:
    for path in (f"running/{UID}/{X}", f"running/{OTHER}/{X}", X):
        tasks.write(path, path.encode())

    async def known(uid: TaskUid) -> bool:
        return uid == UID

    assert await tasks.inbox.adopt_strays(known) == ["tasks/x-99999999.task.md"]
    assert await tasks.inbox.adopt_strays(known) == []
    assert sorted(tasks.files()) == [f"running/{UID}/{X}", "x-99999999.task.md", X]


@pytest.fixture(params=["disk", "memory"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    return MemoryArtifacts() if request.param == "memory" else ArtifactFiles(tmp_path)


async def test_artefacts_are_written_read_listed_and_removed(artifacts: Artifacts) -> None:
    assert await artifacts.read("results/a") is None
    assert await artifacts.names("results") == []
    for data in (b"old", b"new"):
        await artifacts.write("results/a", data)
    await artifacts.write("results/.b", b"")
    assert await artifacts.read("results/a") == b"new"
    assert await artifacts.names("results") == ["a"]
    assert [await artifacts.exists("results/a"), await artifacts.remove("results/a")] == [True, True]
    assert [await artifacts.exists("results/a"), await artifacts.remove("results/a")] == [False, False]
    for outside in ("/etc/passwd", "../x", ""):
        with pytest.raises(ValueError, match="not a path inside"):
            await artifacts.write(outside, b"")


@pytest.fixture(params=["disk", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> EventSink:
    return MemoryLog() if request.param == "memory" else EventFile(tmp_path / "logs" / "events.ndjson")


async def test_the_log_knows_how_far_it_got_and_begins_anew_when_set_aside(log: EventSink) -> None:
    assert (await log.last_seq(), await log.last_line()) == (0, b"")
    lines = [(seq, b'{"seq":%d}' % seq) for seq in range(1, 6)]
    assert await log.append(lines[:3]) == 3
    assert await log.append(lines[1:]) == 5
    assert await log.last_seq() == 5
    assert log.trouble() == ""
    assert await log.set_aside("former") == "logs/former"
    assert await log.last_seq() == 0
    assert await log.append(lines[:1]) == 1
