"""From a file in the folder to a task in the store: each once, with exactly its bytes, and nothing lost."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine.intake_rig import Rig, body
from tests.fakes import MemoryStore

from orchestrator.bridges.inbox import TaskFolder
from orchestrator.bridges.settled import Lease
from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import FileBytes, InboxEntry, InboxScan, NotReady
from orchestrator.core.task import FileStamp


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.inbox.close()


async def test_a_dropped_file_becomes_a_task_with_exactly_its_bytes(rig: Rig) -> None:
    data = body("t1")
    rig.drop("login fix.task.md", data)
    outcome = await rig.scan()
    task = await rig.only()
    assert (outcome.accepted, outcome.seen) == (1, 1)
    assert (task.state, task.name, task.file_name) == (State.QUEUED, "login-fix", "login fix.task.md")
    assert await rig.store.body(task.uid) == data
    assert task.sha256 == hashlib.sha256(data).hexdigest()
    kinds = [event.kind for event in await rig.store.events_of(task.uid, limit=10)]
    assert kinds == [EventKind.RECEIVED, EventKind.PARSED]
    assert rig.files() == {"login fix.task.md": data}


async def test_a_file_is_accepted_once_however_often_it_is_seen_and_after_a_restart(rig: Rig) -> None:
    rig.drop("a.task.md", body("a"))
    for _ in range(3):
        await rig.scan(1)
    rig.restarted()
    for _ in range(3):
        await rig.scan(1)
    assert len(await rig.tasks()) == 1


async def test_files_are_queued_in_the_order_of_their_age(rig: Rig) -> None:
    for number in (3, 1, 2):
        os.utime(rig.drop(f"{number}.task.md", body(f"t{number}")), (number, number))
    await rig.scan()
    ordered = sorted(await rig.tasks(), key=lambda task: task.order)
    assert [task.spec.id for task in ordered] == ["t1", "t2", "t3"]


# Edits


async def test_an_edited_file_is_a_new_revision_of_the_same_task(rig: Rig) -> None:
    rig.drop("a.task.md", body("a", "Old."))
    await rig.scan()
    first = await rig.only()
    rig.drop("a.task.md", body("a", "New."))
    assert (await rig.scan(1)).updated == 1
    task = await rig.only()
    assert (task.uid, task.revision, task.spec.prompt, task.state) == (first.uid, 2, "New.", State.QUEUED)
    assert await rig.store.body(task.uid) == body("a", "New.")
    assert await rig.inbox.unchanged(task)
    assert len(await rig.events(EventKind.UPDATED)) == 1


async def test_a_file_that_was_only_touched_changes_nothing(rig: Rig) -> None:
    path = rig.drop("a.task.md", body("a"))
    await rig.scan()
    os.utime(path, (1, 1))
    assert (await rig.scan(1)).updated == 0
    assert (await rig.only()).revision == 1
    assert await rig.inbox.unchanged(await rig.only())


class OneTick(TaskFolder):
    """A folder on a file system whose clock stands still: two files of one size look the same."""

    async def scan(self) -> InboxScan:
        found = await super().scan()
        return replace(found, entries={name: self._stopped(entry) for name, entry in found.entries.items()})

    async def read(
        self, file_names: Sequence[str], *, limit: int
    ) -> Mapping[str, FileBytes | NotReady | TaskFileError]:
        found = await super().read(file_names, limit=limit)
        return {
            name: replace(read, entry=self._stopped(read.entry)) if isinstance(read, FileBytes) else read
            for name, read in found.items()
        }

    def _stopped(self, entry: InboxEntry) -> InboxEntry:
        return InboxEntry(entry.file_name, FileStamp(1, 1, entry.stamp.size), 1)


async def test_an_edit_in_the_same_tick_of_the_clock_is_noticed(tmp_path: Path) -> None:
    """A file that is read so soon after its last change is read once more."""
    inbox = OneTick(tmp_path, state=tmp_path / "state")
    rig = Rig(tmp_path, inbox=inbox)
    path = rig.drop("a.task.md", body("a", "Old."))
    while (await rig.scan()).waiting == 0:  # a slow machine looked too late
        rig.store = MemoryStore()
        rig.restarted()
        path.touch()
    path.write_bytes(body("a", "New."))
    assert (await rig.scan(1)).updated == 1
    assert (await rig.only()).spec.prompt == "New."
    inbox.close()


async def test_an_edit_that_is_refused_ends_the_task_and_nothing_of_it_runs(rig: Rig) -> None:
    rig.drop("a.task.md", body("a"))
    await rig.scan()
    rig.drop("a.task.md", body("a", extra="priority: urgent\n"))
    assert (await rig.scan(1)).rejected == 1
    task = await rig.only()
    assert (task.state, task.reason, task.archived) == (State.REJECTED, "priority_invalid", True)
    assert rig.error("a.task.md")["uid"] == task.uid
    rig.drop("a.task.md", body("a"))
    await rig.scan(1)
    assert [one.state for one in await rig.tasks(State.QUEUED)] == [State.QUEUED]


@pytest.mark.parametrize("editor", ["vim", "replace", "truncate", "rsync", "backup"])
async def test_the_way_an_editor_saves_makes_one_task_with_the_last_bytes(rig: Rig, editor: str) -> None:
    tasks, path = rig.tasks_path, rig.tasks_path / "a.task.md"
    path.write_bytes(body("a", "Old."))
    await rig.scan()
    data = body("a", "New words.")
    if editor == "vim":
        (tasks / "4913").write_bytes(b"")
        (tasks / "4913").unlink()
        path.rename(tasks / "a.task.md~")
        await rig.scan(0.01)
        path.write_bytes(data)
        (tasks / "a.task.md~").unlink()
    elif editor == "replace":
        (tasks / ".goutputstream-X1").write_bytes(data)
        (tasks / ".goutputstream-X1").rename(path)
    elif editor == "truncate":
        with path.open("wb") as file:
            await rig.scan(0.01)
            file.write(data)
            file.flush()
            await rig.scan(0.01)
        await rig.scan(1)
    elif editor == "rsync":
        (tasks / ".a.task.md.Xy12Za").write_bytes(data[:20])
        await rig.scan(0.01)
        (tasks / ".a.task.md.Xy12Za").write_bytes(data)
        (tasks / ".a.task.md.Xy12Za").rename(path)
    else:
        shutil.copy(path, tasks / "a.task.md.bak")
        path.write_bytes(data)
    await rig.scan(1)
    task = await rig.only()
    assert (task.state, task.revision, task.spec.prompt) == (State.QUEUED, 2, "New words.")


async def test_a_file_written_slowly_by_another_process_is_read_when_it_is_whole(rig: Rig) -> None:
    data = body("slow", "word " * 2000)
    script = (
        "import sys\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "with open(sys.argv[2], 'wb', buffering=0) as out:\n"
        "    for at in range(0, len(data), 2048):\n"
        "        out.write(data[at:at + 2048])\n"
        "        print(at, flush=True)\n"
        "        sys.stdin.readline()\n"
    )
    (rig.root / "source").write_bytes(data)
    arguments = [sys.executable, "-c", script, str(rig.root / "source"), str(rig.tasks_path / "slow.task.md")]
    writer = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdin is not None
    assert writer.stdout is not None
    while writer.stdout.readline():
        outcome = await rig.scan(0.6)
        assert (outcome.accepted, outcome.rejected) == (0, 0)
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    writer.communicate()
    assert (await rig.scan(0.6)).accepted == 1
    assert await rig.store.body((await rig.only()).uid) == data


async def test_without_leases_a_growing_file_is_read_when_it_has_been_still_for_a_second(tmp_path: Path) -> None:
    rig = Rig(tmp_path, lease=lambda _: Lease.UNKNOWN)
    path = rig.tasks_path / "a.task.md"
    data = body("a", "word " * 100)
    for end in range(50, len(data), 100):
        path.write_bytes(data[:end])
        assert (await rig.scan(0.9)).accepted == 0
    path.write_bytes(data)
    await rig.scan(0.5)
    await rig.scan(0.5)
    assert (await rig.scan(0.5)).accepted == 1
    assert await rig.store.body((await rig.only()).uid) == data
    rig.inbox.close()


# Removal, and folders that come and go


async def test_a_removed_file_cancels_its_task_after_two_looks_five_seconds_apart(rig: Rig) -> None:
    path = rig.drop("a.task.md", body("a"))
    await rig.scan()
    path.unlink()
    assert (await rig.scan(10)).cancelled == 0
    assert (await rig.scan(4.9)).cancelled == 0
    assert (await rig.scan(0.2)).cancelled == 1
    task = await rig.only()
    assert (task.state, task.reason) == (State.CANCELLED, "file_removed")


async def test_a_file_that_comes_back_in_time_is_not_cancelled(rig: Rig) -> None:
    path = rig.drop("a.task.md", body("a"))
    await rig.scan()
    path.rename(rig.root / "away")
    await rig.scan(10)
    (rig.root / "away").rename(path)
    await rig.scan(3)
    await rig.scan(10)
    assert (await rig.only()).state is State.QUEUED


async def test_a_claimed_file_is_not_taken_for_removed(rig: Rig) -> None:
    rig.drop("a.task.md", body("a"))
    await rig.scan()
    task = await rig.started(await rig.only())
    await rig.inbox.claim(task, body("a"))
    await rig.scan(10)
    await rig.scan(10)
    assert (await rig.only()).state is State.RUNNING


class ClaimedWhileRead(TaskFolder):
    """A folder whose *act* happens right after files were read: what the pool may do at any moment."""

    act: Callable[[], Awaitable[object]] | None = None

    async def read(
        self, file_names: Sequence[str], *, limit: int
    ) -> Mapping[str, FileBytes | NotReady | TaskFileError]:
        found = await super().read(file_names, limit=limit)
        act, self.act = self.act, None
        if act is not None:
            await act()
        return found


async def test_a_file_that_is_claimed_while_it_is_read_again_is_no_second_task(tmp_path: Path) -> None:
    inbox = ClaimedWhileRead(tmp_path, state=tmp_path / "state")
    rig = Rig(tmp_path, inbox=inbox)
    path = rig.drop("a.task.md", body("a"))
    await rig.scan()
    task = await rig.only()

    async def start() -> None:
        await inbox.claim(await rig.started(task), body("a"))

    inbox.act = start
    os.chmod(path, 0o640)  # it is read once more
    await rig.scan(1)
    await rig.scan(10)
    assert (await rig.only()).state is State.RUNNING
    rig.drop("a.task.md", body("a", "A later file."))
    assert (await rig.scan(1)).accepted == 1
    inbox.close()


async def test_an_interrupted_task_waits_though_its_file_is_not_in_the_folder(rig: Rig) -> None:
    rig.drop("a.task.md", body("a"))
    await rig.scan()
    task = await rig.started(await rig.only())
    await rig.inbox.claim(task, body("a"))
    await rig.store.commit([Event(EventKind.INTERRUPTED, 0.0, task.uid, task.attempt, task.epoch)])
    rig.restarted()
    for _ in range(4):
        await rig.scan(10)
    assert (await rig.only()).state is State.QUEUED


async def test_a_new_file_under_the_name_of_a_task_that_runs_is_a_new_task(rig: Rig) -> None:
    rig.drop("a.task.md", body("a", "First."))
    await rig.scan()
    first = await rig.started(await rig.only())
    await rig.inbox.claim(first, body("a", "First."))
    rig.drop("a.task.md", body("a", "Second."))
    assert (await rig.scan(1)).accepted == 1
    second = next(task for task in await rig.tasks() if task.uid != first.uid)
    assert (second.state, second.spec.prompt) == (State.QUEUED, "Second.")
    assert second.name != first.name
    assert (await rig.events(EventKind.DUPLICATE_ID))[0].data["behind"] == first.uid


async def test_a_file_changed_between_start_and_claim_is_left_to_the_claim(rig: Rig) -> None:
    rig.drop("a.task.md", body("a", "Stored."))
    await rig.scan()
    task = await rig.started(await rig.only())
    rig.drop("a.task.md", body("a", "Edited."))
    assert (await rig.scan(1)).accepted == 0
    assert await rig.inbox.claim(task, body("a", "Stored.")) == "edited"
    await rig.scan(1)
    assert len(await rig.tasks()) == 1


async def test_a_cancelled_task_whose_file_still_lies_there_is_not_taken_in_again(rig: Rig) -> None:
    path = rig.drop("a.task.md", body("a"))
    await rig.scan()
    task = await rig.only()
    await rig.store.commit([Event(EventKind.CANCELLED, 0.0, task.uid, data={"reason": "by_user"})])
    for _ in range(3):
        path.chmod(0o640 if path.stat().st_mode & 0o777 == 0o600 else 0o600)
        assert (await rig.scan(1)).accepted == 0
    rig.restarted()
    assert (await rig.scan(1)).accepted == 0


@pytest.mark.parametrize("count", [3, 10])
async def test_when_many_files_vanish_at_once_nothing_is_cancelled(rig: Rig, count: int) -> None:
    for number in range(10):
        rig.drop(f"{number}.task.md", body(f"t{number}"))
    await rig.scan()
    for number in range(count):
        (rig.tasks_path / f"{number}.task.md").unlink()
    assert (await rig.scan(1)).paused == "mass_disappearance"
    rig.drop("new.task.md", body("new"))
    assert (await rig.scan(1)).accepted == 0
    assert (await rig.scan(5)).accepted == 1
    for _ in range(5):
        await rig.scan(10)
    assert await rig.tasks(State.CANCELLED) == []
    kinds = [event.kind for event in await rig.events(EventKind.INTAKE_PAUSED, EventKind.INTAKE_RESUMED)]
    assert kinds == [EventKind.INTAKE_PAUSED, EventKind.INTAKE_RESUMED]


async def test_two_of_ten_files_removed_at_once_are_a_wish(rig: Rig) -> None:
    for number in range(10):
        rig.drop(f"{number}.task.md", body(f"t{number}"))
    await rig.scan()
    for number in range(2):
        (rig.tasks_path / f"{number}.task.md").unlink()
    await rig.scan(1)
    assert (await rig.scan(5)).cancelled == 2


async def test_a_folder_renamed_away_and_back_leaves_everything_as_it_was(rig: Rig) -> None:
    rig.drop("a.task.md", body("a"))
    await rig.scan()
    rig.tasks_path.rename(rig.root / "away")
    for _ in range(3):
        assert (await rig.scan(10)).paused == "missing"
    (rig.root / "away").rename(rig.tasks_path)
    assert (await rig.scan(10)).paused == ""
    await rig.scan(10)
    assert (await rig.only()).state is State.QUEUED
    assert len(await rig.events(EventKind.INTAKE_PAUSED)) == 1
    assert len(await rig.events(EventKind.INTAKE_RESUMED)) == 1


@pytest.mark.parametrize("how", ["renamed", "deleted"])
async def test_a_folder_made_again_takes_new_files_and_cancels_no_old_task(rig: Rig, how: str) -> None:
    rig.drop("a.task.md", body("a"))
    await rig.scan()
    if how == "renamed":
        rig.tasks_path.rename(rig.root / "away")
    else:
        shutil.rmtree(rig.tasks_path)
    rig.tasks_path.mkdir()
    rig.drop("b.task.md", body("b"))
    assert (await rig.scan(1)).paused == "folder_changed"
    assert (await rig.scan(1)).accepted == 1
    for _ in range(3):
        await rig.scan(10)
    assert {task.spec.id: task.state for task in await rig.tasks()} == {"a": State.QUEUED, "b": State.QUEUED}
    rig.drop("a.task.md", body("a"))
    await rig.scan(1)
    assert len(await rig.tasks()) == 2


async def test_files_removed_while_no_daemon_ran_cancel_their_tasks(rig: Rig) -> None:
    path = rig.drop("a.task.md", body("a"))
    await rig.scan()
    path.unlink()
    rig.restarted()
    await rig.scan(10)
    assert (await rig.scan(10)).cancelled == 1
