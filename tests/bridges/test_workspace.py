"""What changed in a work area, seen on real folders."""

from dataclasses import replace
from pathlib import Path

from orchestrator.bridges.workspace import InPlaceWorkspace
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.events import TaskUid


def _order(cwd: Path, uid: str) -> WorkOrder:
    folder = cwd.parent / "attempts" / f"{uid}.1"
    return WorkOrder(TaskUid(uid), 1, 1, uid, "claude", "Do it.", str(cwd), "s", str(folder), ())


async def test_who_left_is_nobodys_neighbour_any_more(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    workspace = InPlaceWorkspace(base_cwd=work, own=frozenset())
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
    workspace = InPlaceWorkspace(base_cwd=link, own=frozenset({link / "logs"}))
    order = WorkOrder(TaskUid("u"), 1, 1, "t", "claude", "Do it.", str(link), "s", str(tmp_path / "attempt"), ())
    order = replace(order, cwd=await workspace.prepare(str(link), str(link)))
    await workspace.record(order)
    (real / "logs" / "events.ndjson").write_text("ours")
    assert not await workspace.changes(order)
    (real / "made.txt").write_text("the agent's")
    assert (await workspace.changes(order)).created == ("made.txt",)
