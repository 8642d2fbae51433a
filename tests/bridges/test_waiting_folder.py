"""The folder `tasks/waiting/`: read when nobody writes, never overwritten, never followed elsewhere."""

from pathlib import Path

import pytest

from orchestrator.bridges.settled import Lease
from orchestrator.bridges.waiting_folder import WaitingFolder

NAME = "t.question.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tasks" / "waiting"
    path.mkdir(parents=True)
    return path


async def test_where_the_system_cannot_tell_a_file_has_to_look_the_same_for_a_while(folder: Path) -> None:
    now = [0.0]
    given = {"settle_s": 1.0, "monotonic": lambda: now[0], "lease": lambda _: Lease.UNKNOWN}
    files = WaitingFolder(folder.parent.parent, **given)  # type: ignore[arg-type]
    (folder / NAME).write_bytes(b"half")
    assert await files.read(NAME) is None
    now[0] = 0.9
    (folder / NAME).write_bytes(b"the whole")
    assert await files.read(NAME) is None
    now[0] = 1.8
    assert await files.read(NAME) is None
    now[0] = 2.0
    assert await files.read(NAME) == b"the whole"


async def test_a_file_is_made_whole_and_never_in_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    files = WaitingFolder(tmp_path)
    assert await files.scan() == {}
    assert await files.create(NAME, b"asked")
    assert not await files.create(NAME, b"asked again")
    assert (tmp_path / "tasks" / "waiting" / NAME).read_bytes() == b"asked"
    assert list(await files.scan()) == [NAME]


async def test_only_the_file_that_was_seen_is_removed(folder: Path) -> None:
    files = WaitingFolder(folder.parent.parent)
    (folder / NAME).write_bytes(b"asked")
    seen = (await files.scan())[NAME]
    (folder / NAME).write_bytes(b"asked and answered")
    assert not await files.remove(NAME, seen)
    assert await files.remove(NAME, (await files.scan())[NAME])
    assert not await files.remove(NAME, seen)


async def test_what_is_set_aside_gets_a_name_of_its_own_each_time(folder: Path) -> None:
    files = WaitingFolder(folder.parent.parent)
    for number in range(3):
        (folder / NAME).write_bytes(b"%d" % number)
        await files.set_aside(NAME)
    assert await files.set_aside(NAME) == ""
    names = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert names == {"t.late.md": b"0", "t-2.late.md": b"1", "t-3.late.md": b"2"}


async def test_links_folders_copies_and_what_is_too_large_are_not_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"## Answer\nsecret\n")
    (folder / "link.question.md").symlink_to(tmp_path / "secret")
    (folder / "folder.question.md").mkdir()
    (folder / "large.question.md").write_bytes(b"x" * ((1 << 20) + 1))
    for name in (".t.question.md.swp", "~t.question.md", "t.question.md~", "t.question (1).md", "notes.md"):
        (folder / name).write_bytes(b"x")
    files = WaitingFolder(tmp_path)
    assert list(await files.scan()) == ["large.question.md"]
    assert await files.conflicts() == ["t.question (1).md"]
    for name in ("link.question.md", "folder.question.md", "large.question.md", "gone.question.md"):
        assert await files.read(name) is None
