"""A file in tasks/ that says when: it waits for its moment, or stays as a template, and may be edited and removed."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.engine.intake_rig import Rig, body
from tests.ports.sample_tasks import go

from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State

BERLIN = "timezone: Europe/Berlin\n"
NIGHTLY = f"schedule: 30 2 * * *\n{BERLIN}"
HOUR = 3600.0


def berlin(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


def rig_at(tmp_path: Path, text: str) -> Rig:
    rig = Rig(tmp_path)
    rig.clock.wall = berlin(text)
    return rig


async def test_a_task_waits_for_its_moment_and_no_longer(tmp_path: Path) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    rig.drop("a.task.md", body("a", extra=f"after: 22:00\ndeadline: in 8h\n{BERLIN}"))
    await rig.scan()
    task = await rig.only()
    assert (task.state, task.not_before) == (State.QUEUED, berlin("2026-11-27T22:00"))
    assert task.deadline_ts == berlin("2026-11-28T06:00")
    assert await rig.store.ready(berlin("2026-11-27T21:59"), limit=9) == []
    assert await rig.store.ready(berlin("2026-11-27T22:00"), limit=9) == [task]


async def test_the_configured_zone_is_that_of_a_file_that_names_none(tmp_path: Path) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    rig.rules = replace(rig.rules, timezone="Asia/Tokyo")
    rig.drop("a.task.md", body("a", extra="after: 2026-12-01T09:00\n"))
    rig.drop("b.task.md", body("b", extra=f"after: 2026-12-01T09:00\n{BERLIN}"))
    rig.drop("c.task.md", body("c"))
    await rig.scan()
    times = {task.spec.id: (task.spec.timezone, task.not_before) for task in await rig.tasks()}
    assert times["a"] == ("Asia/Tokyo", berlin("2026-12-01T01:00"))
    assert times["b"] == ("Europe/Berlin", berlin("2026-12-01T09:00"))
    assert times["c"] == ("", 0.0)


async def test_a_file_with_a_schedule_is_a_template_that_stays_there(tmp_path: Path) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    rig.drop("nightly.task.md", body("nightly", extra=NIGHTLY))
    await rig.scan()
    task = await rig.only()
    assert (task.state, task.not_before) == (State.SCHEDULED, berlin("2026-11-28T02:30"))
    (told,) = await rig.events(EventKind.SCHEDULED)
    assert told.data["not_before"] == task.not_before
    await rig.restarted().scan_once()
    await rig.scan(30.0)
    assert [one.state for one in await rig.tasks()] == [State.SCHEDULED]


async def test_a_schedule_that_begins_later_begins_then(tmp_path: Path) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    rig.drop("a.task.md", body("a", extra=f"after: 2026-12-01T02:30\n{NIGHTLY}"))
    rig.drop("b.task.md", body("b", extra=f"after: 2026-12-01\n{NIGHTLY}"))
    await rig.scan()
    assert [task.not_before for task in await rig.tasks()] == [berlin("2026-12-01T02:30")] * 2


@pytest.mark.parametrize("held", [False, True])
async def test_an_edited_schedule_counts_from_then_on(tmp_path: Path, held: bool) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    rig.drop("nightly.task.md", body("nightly", extra=NIGHTLY))
    await rig.scan()
    task = await rig.only()
    if held:
        await go(rig.store, task, EventKind.HELD)
    rig.drop("nightly.task.md", body("nightly", extra=f"schedule: '@hourly'\n{BERLIN}"))
    assert (await rig.scan(1.0)).updated == 1
    task = await rig.only()
    assert task.state is (State.HELD if held else State.SCHEDULED)
    assert (task.spec.schedule, task.not_before) == ("@hourly", berlin("2026-11-27T17:00"))


async def test_other_words_in_the_file_leave_its_times_as_they_are(tmp_path: Path) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    rig.drop("a.task.md", body("a", extra="after: in 2h\ndeadline: in 1h\n"))
    await rig.scan()
    rig.drop("a.task.md", body("a", "Fix it well.", extra="after: in 2h\ndeadline: in 1h\n"))
    await rig.scan(HOUR)
    task = await rig.only()
    assert (task.revision, task.spec.prompt) == (2, "Fix it well.")
    assert (task.not_before, task.deadline_ts) == (berlin("2026-11-27T18:00"), berlin("2026-11-27T19:00"))


async def test_a_template_without_its_schedule_is_a_task_like_others_and_the_other_way_round(tmp_path: Path) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    rig.drop("a.task.md", body("a", extra=NIGHTLY))
    rig.drop("b.task.md", body("b"))
    await rig.scan()
    rig.drop("a.task.md", body("a", extra=f"after: 22:00\n{BERLIN}"))
    rig.drop("b.task.md", body("b", extra=NIGHTLY))
    await rig.scan(1.0)
    a, b = await rig.tasks()
    assert (a.state, a.not_before) == (State.QUEUED, berlin("2026-11-27T22:00"))
    assert (b.state, b.not_before) == (State.SCHEDULED, berlin("2026-11-28T02:30"))
    assert await rig.store.ready(berlin("2026-11-27T21:00"), limit=9) == []


async def test_a_template_whose_file_is_removed_is_cancelled(tmp_path: Path) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    path = rig.drop("nightly.task.md", body("nightly", extra=NIGHTLY))
    await rig.scan()
    path.unlink()
    await rig.scan(1.0)
    await rig.scan(30.0)
    assert (await rig.only()).state is State.CANCELLED
    assert await rig.store.next_due() == 0.0


async def test_a_template_whose_edited_file_is_wrong_makes_no_more_runs(tmp_path: Path) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    rig.drop("nightly.task.md", body("nightly", extra=NIGHTLY))
    await rig.scan()
    rig.drop("nightly.task.md", body("nightly", extra="schedule: whenever\n"))
    await rig.scan(1.0)
    assert (await rig.only()).state is State.REJECTED
    assert rig.error("nightly.task.md")["code"] == "schedule_invalid"
    assert await rig.store.next_due() == 0.0


async def test_a_template_stands_before_nobody_and_may_come_again_after_its_runs(tmp_path: Path) -> None:
    rig = rig_at(tmp_path, "2026-11-27T16:00")
    path = rig.drop("nightly.task.md", body("nightly", extra=NIGHTLY))
    rig.drop("once.task.md", body("nightly", "Fix it once."))
    await rig.scan()
    assert await rig.events(EventKind.DUPLICATE_ID) == []
    (once,) = await rig.store.ready(rig.clock.now(), limit=9)
    assert once.file_name == "once.task.md"
    path.unlink()
    await rig.scan(1.0)
    await rig.scan(30.0)
    rig.drop("nightly.task.md", body("nightly", extra=NIGHTLY))
    await rig.scan()
    assert [task.file_name for task in await rig.tasks(State.SCHEDULED)] == ["nightly.task.md"]
