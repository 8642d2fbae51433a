"""Folders that a sync tool or an editor writes into: one task for one file, and none for what they leave beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.data.sync_names import CONFLICTS, TASKS, TEMPORARY
from tests.engine.intake_rig import Rig, body

from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.inbox.close()


Dance = Callable[[Path, bytes], None]


def through(name: str) -> Dance:
    """Write under another name in the same folder, then rename, as most of them do."""

    def dance(path: Path, data: bytes) -> None:
        temporary = path.with_name(name)
        temporary.write_bytes(data)
        temporary.rename(path)

    return dance


def vim(path: Path, data: bytes) -> None:
    """Keep a backup by renaming, then write a new file."""
    path.with_name(f".{path.name}.swp").write_bytes(b"b0VIM")
    if path.exists():
        path.rename(path.with_name(f"{path.name}~"))
    path.write_bytes(data)


def in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


DANCES: dict[str, Dance] = {
    "Syncthing": through(".syncthing.fix.task.md.tmp"),
    "Syncthing on Windows": through("~syncthing~fix.task.md.tmp"),
    "rsync": through(".fix.task.md.Xy12Zq"),
    "Nextcloud": through(".fix.task.md.~3f2a"),
    "Google Drive": through("fix.task.md.tmp"),
    "OneDrive": through("fix.task.md~RF4e1b2c.TMP"),
    "JetBrains": through("fix.task.md___jb_tmp___"),
    "gedit": through(".goutputstream-AB12CD"),
    "vim": vim,
    "Dropbox": in_place,
}


@pytest.mark.parametrize("who", DANCES)
async def test_a_file_and_its_edit_are_one_task_however_they_are_written(rig: Rig, who: str) -> None:
    path = rig.tasks_path / "fix.task.md"
    DANCES[who](path, body("fix"))
    await rig.scan(1)
    DANCES[who](path, body("fix", "Fix the logout."))
    await rig.scan(1)
    (task,) = await rig.tasks()
    assert (task.state, task.spec.prompt, task.revision) == (State.QUEUED, "Fix the logout.", 2)


async def test_nothing_that_is_left_beside_a_task_is_taken_and_second_versions_are_told_of(rig: Rig) -> None:
    for name, _ in (*TEMPORARY, *CONFLICTS):
        (rig.tasks_path / name).write_bytes(body("fix"))
    rig.drop("fix.task.md", body("fix"))
    for _ in range(2):
        await rig.scan(1)
    (task,) = await rig.tasks()
    assert task.file_name == "fix.task.md"
    told = [event.data for event in await rig.events(EventKind.FILE_IGNORED)]
    assert {str(one["file"]) for one in told} == {name for name, _ in CONFLICTS}
    assert {one["reason"] for one in told} == {"conflict_copy"}
    assert len(told) == len(CONFLICTS), "each once"


async def test_names_that_a_person_may_choose_are_tasks(rig: Rig) -> None:
    for number, name in enumerate(TASKS):
        rig.drop(name, body(f"t{number}"))
    await rig.scan(1)
    assert {task.file_name for task in await rig.tasks()} == set(TASKS)
