"""What every `Workspace` holds: the real ones, in each kind, and the fake of the engine's tests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.bridges.git_rig import WORDS, Rig, needs_git, repository
from tests.engine.world import NoArea

from orchestrator.core.attempt import WorkOrder
from orchestrator.core.ports import Workspace
from orchestrator.core.work import Isolation

pytestmark = needs_git


@dataclass
class Subject:
    """A workspace, the same as a later daemon has it, and an order for a folder with one file in it."""

    space: Workspace
    later: Workspace
    order: WorkOrder
    allowed: str


def _rig(tmp_path: Path, mode: str) -> Subject:
    top = repository(tmp_path / "project", data="d\n")
    rig = Rig(tmp_path, mode=mode)
    return Subject(rig.space, rig.later(), rig.order(top), str(tmp_path))


def _fake(tmp_path: Path) -> Subject:
    top = repository(tmp_path / "project", data="d\n")
    return Subject(NoArea(), NoArea(), Rig(tmp_path).order(top), str(tmp_path))


KINDS: dict[str, Callable[[Path], Subject]] = {
    "clone": lambda path: _rig(path, "auto"),
    "copy": lambda path: _rig(path, "copy"),
    "in_place": lambda path: _rig(path, "in_place"),
    "fake": _fake,
}


@pytest.fixture(params=list(KINDS))
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return KINDS[request.param](tmp_path)


async def test_an_area_is_a_folder_with_what_the_persons_has_and_the_start_lies_in_it(subject: Subject) -> None:
    area = await subject.space.prepare(subject.order, subject.allowed, fresh=True)
    assert Path(area.cwd).is_relative_to(area.root)
    assert Path(area.cwd, "data").read_text() == "d\n"
    assert area.source == subject.order.cwd
    assert (area.root == area.source) is (area.isolation is Isolation.IN_PLACE)


async def test_nothing_done_is_nothing_changed(subject: Subject) -> None:
    await subject.space.prepare(subject.order, subject.allowed, fresh=True)
    await subject.space.keep(subject.order)
    assert not await subject.space.changes(subject.order)


async def test_what_is_kept_or_delivered_again_is_the_same_also_by_a_later_daemon(subject: Subject) -> None:
    area = await subject.space.prepare(subject.order, subject.allowed, fresh=True)
    Path(area.root, "new").write_text("n\n")
    kept = await subject.space.keep(subject.order)
    assert await subject.later.keep(subject.order) == kept
    made = await subject.space.deliver(subject.order, WORDS)
    assert await subject.later.deliver(subject.order, WORDS) == made
    assert await subject.later.area(subject.order) == await subject.space.area(subject.order)
    isolated = area.isolation is not Isolation.IN_PLACE
    for delivery in (kept, made):
        assert (delivery is not None) is isolated
        assert delivery is None or [one.path for one in delivery.files] == ["new"]


async def test_who_leaves_twice_or_never_came_does_no_harm(subject: Subject) -> None:
    subject.space.leave(subject.order)
    await subject.space.prepare(subject.order, subject.allowed, fresh=True)
    subject.space.leave(subject.order)
    subject.space.leave(subject.order)
