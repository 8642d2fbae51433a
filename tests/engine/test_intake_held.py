"""The file of a task that is held: still its author's to edit, to break and to remove."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.intake_rig import Rig, body

from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.inbox.close()


async def held(rig: Rig) -> Task:
    task = await rig.only()
    return (await rig.store.commit([Event(EventKind.HELD, rig.clock.now(), task.uid)]))[0]


async def test_the_file_of_a_held_task_is_edited_like_that_of_a_queued_one(rig: Rig) -> None:
    path = rig.drop("a.task.md", body("a", "Old."))
    await rig.scan()
    first = await held(rig)
    rig.restarted()
    assert (await rig.scan(1)).accepted == 0
    rig.drop("a.task.md", body("a", "New."))
    assert (await rig.scan(1)).updated == 1
    task = await rig.only()
    assert (task.uid, task.state, task.spec.prompt, path.exists()) == (first.uid, State.HELD, "New.", True)
    rig.drop("a.task.md", body("a", extra="priority: urgent\n"))
    assert (await rig.scan(1)).rejected == 1
    assert (await rig.only()).state is State.REJECTED


async def test_a_held_task_whose_file_is_removed_is_cancelled(rig: Rig) -> None:
    path = rig.drop("a.task.md", body("a"))
    await rig.scan()
    await held(rig)
    path.unlink()
    await rig.scan(1)
    assert (await rig.scan(10)).cancelled == 1
    assert (await rig.only()).reason == "file_removed"


async def test_a_file_of_the_id_of_a_held_task_waits_behind_it(rig: Rig) -> None:
    rig.drop("a.task.md", body("a"))
    await rig.scan()
    first = await held(rig)
    rig.drop("again.task.md", body("a", "Something else."))
    assert (await rig.scan(1)).accepted == 1
    (event,) = await rig.events(EventKind.DUPLICATE_ID)
    assert event.data["behind"] == first.uid
    assert await rig.store.ready(rig.clock.now(), limit=9) == []
