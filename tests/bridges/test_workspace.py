"""The work area in place: who may work where, and what is seen to have changed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.claude_orders import order

from orchestrator.bridges.workspace import InPlaceWorkspace
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.events import TaskUid
from orchestrator.core.evidence import Changes


@pytest.fixture
def area(tmp_path: Path) -> Path:
    area = tmp_path / "cwd"
    area.mkdir()
    return area


def workspace(tmp_path: Path, *own: Path, max_files: int = 1000) -> InPlaceWorkspace:
    return InPlaceWorkspace(base_cwd=lambda: tmp_path / "cwd", own=frozenset(own), max_files=max_files)


async def recorded(tmp_path: Path, *own: Path, max_files: int = 1000) -> tuple[InPlaceWorkspace, WorkOrder]:
    """Return a workspace that remembers how the area looks now."""
    space, asked = workspace(tmp_path, *own, max_files=max_files), order(tmp_path)
    await space.record(asked)
    return space, asked


async def test_the_base_folder_is_made_and_any_other_has_to_be_there(tmp_path: Path) -> None:
    space = workspace(tmp_path)
    base = str(tmp_path / "cwd")
    assert await space.real(base, base) == str((tmp_path / "cwd").resolve())
    with pytest.raises(WorkAreaError, match="cannot be used: No such file"):
        await space.real(f"{base}/nowhere", base)


@pytest.mark.parametrize("name", ["cwd", "cwd/inner"])
async def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    with pytest.raises(WorkAreaError):
        await workspace(tmp_path).real(str(path), str(tmp_path))


async def test_a_link_inside_the_allowed_root_is_followed_and_one_that_leaves_it_refused(
    tmp_path: Path, area: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (area / "real").mkdir()
    (area / "fine").symlink_to(area / "real")
    (area / "escape").symlink_to(outside)
    (area / "loop").symlink_to(area / "loop")
    space = workspace(tmp_path)
    assert await space.real(str(area / "fine"), str(area)) == str((area / "real").resolve())
    with pytest.raises(WorkAreaError, match="by a symbolic link"):
        await space.real(str(area / "escape"), str(area))
    with pytest.raises(WorkAreaError, match="cannot be used"):
        await space.real(str(area / "loop"), str(area))


async def test_what_was_made_changed_and_removed_is_seen(tmp_path: Path, area: Path) -> None:
    for name in ("same", "edited", "removed", "replaced"):
        (area / name).write_text("before")
    (area / "deep" / "er").mkdir(parents=True)
    space, asked = await recorded(tmp_path)
    (area / "edited").write_text("afterwards")
    (area / "removed").unlink()
    (area / "new").write_text("")
    (area / "replaced").unlink()
    (area / "replaced").symlink_to("same")
    (area / "deep" / "er" / "file").write_text("")
    assert await space.changes(asked) == Changes(
        created=("deep/er/file", "new"), modified=("edited", "replaced"), deleted=("removed",)
    )


async def test_nothing_done_is_nothing_seen(tmp_path: Path, area: Path) -> None:
    (area / "a").write_text("a")
    (area / "a").chmod(0o600)
    (area / "dangling").symlink_to("nowhere")
    os.mkfifo(area / "pipe")
    space, asked = await recorded(tmp_path)
    assert (area / "a").read_text() == "a"
    changes = await space.changes(asked)
    assert not changes
    assert changes.complete


async def test_folders_that_tools_fill_and_our_own_say_nothing(tmp_path: Path, area: Path) -> None:
    space, asked = await recorded(tmp_path, area / "results")
    for name in (".git", "node_modules", "__pycache__", "results"):
        (area / name).mkdir()
        (area / name / "file").write_text("")
    (area / "sub" / "results").mkdir(parents=True)
    (area / "sub" / "results" / "file").write_text("")
    assert (await space.changes(asked)).created == ("sub/results/file",)


async def test_a_name_that_is_not_utf8_is_seen_all_the_same(tmp_path: Path, area: Path) -> None:
    space, asked = await recorded(tmp_path)
    (Path(os.fsdecode(os.fsencode(area) + b"/caf\xe9"))).write_text("")
    assert (await space.changes(asked)).created == ("caf\\xe9",)


async def test_an_area_too_large_to_compare_says_so(tmp_path: Path, area: Path) -> None:
    for n in range(5):
        (area / f"f{n}").write_text("")
    space, asked = await recorded(tmp_path, max_files=5)
    assert (await space.changes(asked)).complete
    (area / "f5").write_text("")
    changes = await space.changes(asked)
    assert (changes.complete, changes.detail) == (False, "more than 5 files: only a part was compared")
    (area / "a0").write_text("")  # pushes the last name over the edge of the listing: nothing happened to that one
    assert (await space.changes(asked)).deleted == ()


async def test_an_area_that_was_never_recorded_proves_nothing(tmp_path: Path, area: Path) -> None:
    changes = await workspace(tmp_path).changes(order(tmp_path))
    assert not changes
    assert not changes.complete
    assert "was not recorded" in changes.detail


async def test_an_area_that_is_gone_is_an_area_without_files(tmp_path: Path, area: Path) -> None:
    (area / "a").write_text("")
    space, asked = await recorded(tmp_path)
    (area / "a").unlink()
    area.rmdir()
    assert (await space.changes(asked)).deleted == ("a",)


async def test_what_was_recorded_outlives_the_daemon(tmp_path: Path, area: Path) -> None:
    _, asked = await recorded(tmp_path)
    (area / "new").write_text("")
    assert (await workspace(tmp_path).changes(asked)).created == ("new",)


def _order(cwd: Path, uid: str) -> WorkOrder:
    folder = cwd.parent / "attempts" / f"{uid}.1"
    return WorkOrder(TaskUid(uid), 1, 1, uid, "claude", "Do it.", str(cwd), "s", str(folder), ())


async def test_who_left_is_nobodys_neighbour_any_more(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    workspace = InPlaceWorkspace(base_cwd=lambda: work, own=frozenset())
    cancelled, neighbour, last = (_order(work, uid) for uid in "abc")
    await workspace.record(cancelled)
    await workspace.record(neighbour)
    workspace.leave(cancelled)
    assert not (await workspace.changes(neighbour)).alone
    workspace.leave(neighbour)
    await workspace.record(last)
    assert (await workspace.changes(last)).alone


async def test_the_daemons_own_folders_are_left_out_also_where_a_link_leads_to_the_root(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    (real / "logs").mkdir(parents=True)
    link.symlink_to(real)
    workspace = InPlaceWorkspace(base_cwd=lambda: link, own=frozenset({link / "logs"}))
    order = WorkOrder(TaskUid("u"), 1, 1, "t", "claude", "Do it.", str(link), "s", str(tmp_path / "attempt"), ())
    order = replace(order, cwd=await workspace.real(str(link), str(link)))
    await workspace.record(order)
    (real / "logs" / "events.ndjson").write_text("ours")
    assert not await workspace.changes(order)
    (real / "made.txt").write_text("the agent's")
    assert (await workspace.changes(order)).created == ("made.txt",)
