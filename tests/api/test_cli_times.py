"""Schedules, moments and deadlines, quiet hours and quitting time, at the command line and in a chat."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.api.world import World
from tests.data.bad_inputs import RULES

from orchestrator.api import telegram_words
from orchestrator.api.render import spec_text
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.hours import Hours, span_in
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.core.taskfile import parse_task_file
from orchestrator.core.zones import shown
from orchestrator.engine.times import timed

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def world() -> World:
    made = World()
    made.clock.wall = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
    return made


async def add(world: World, task_id: str, **fields: Any) -> Task:
    spec = TaskSpec(task_id, "analyze", Priority.MEDIUM, f"Title of {task_id}", "Do.", timezone="Asia/Tokyo", **fields)
    uid, now = world.clock.new_uid(), world.clock.now()
    new = NewTask(Task(uid, task_id, spec, "0" * 64, now), b"", [Event(EventKind.RECEIVED, now, uid)])
    return (await world.store.accept([timed(new, now)]))[0]


async def newest(world: World, task_id: str) -> Task:
    return (await world.store.find(task_id))[0]


async def test_status_lists_the_schedules_and_says_when_what_waits_will_start(world: World) -> None:
    await add(world, "yearly", schedule="0 0 1 1 *")
    await add(world, "nightly", schedule="30 2 * * *")  # 17:30 UTC
    await add(world, "later", after="in 3h")
    _, text, _ = await world.call("status")
    assert "queued 1    scheduled 2" in text
    lines = [line for line in text.splitlines() if line.startswith("scheduled ")]
    assert [line.split()[1] for line in lines] == ["nightly", "yearly"]
    assert "(in 5h30m)             30 2 * * * (at 02:30 every day), Asia/Tokyo" in lines[0]
    (waits,) = [line for line in text.splitlines() if line.startswith("queued ") and "later" in line]
    assert "starts " in waits
    assert waits.endswith("(in 3h00m)")
    told = await world.json("status")
    assert [(one["id"], one["schedule"]) for one in told["scheduled"]] == [
        ("yearly", "0 0 1 1 *"),
        ("nightly", "30 2 * * *"),
    ]


async def test_show_says_when_the_next_run_comes_and_what_came_of_the_last_times(world: World) -> None:
    task = await add(world, "nightly", schedule="30 2 * * *")
    fired: dict[str, Json] = {
        "not_before": task.not_before + DAY,
        "reason": "coalesced",
        "detail": "the run before waits still",
    }
    await world.store.fire(Event(EventKind.FIRED, world.clock.now(), task.uid, data=fired), [])
    _, text, _ = await world.call("show", "nightly")
    assert text.startswith("nightly: scheduled\n")
    assert "schedule: 30 2 * * * (at 02:30 every day), Asia/Tokyo\n" in text
    assert ", 2026-11-29 02:30 JST\n" in text
    assert f"its time came: coalesced, the run before waits still, next {shown(task.not_before + DAY)}" in text
    assert (await world.json("show", "nightly"))["task"]["schedule"] == "30 2 * * *"


async def test_show_says_when_a_task_starts_and_by_when_it_must_be_done(world: World) -> None:
    task = await add(world, "later", after="02:00", deadline="06:00")
    _, text, _ = await world.call("show", "later")
    assert ", 2026-11-28 02:00 JST\n" in text
    assert "starts: " in text
    assert ", 2026-11-28 06:00 JST\n" in text
    assert f"not started yet: waits for its time, {shown(task.not_before)}\n" in text
    assert (await world.json("show", "later"))["task"]["deadline_ts"] == task.deadline_ts


async def test_a_template_is_held_released_cancelled_and_made_anew_like_a_task(world: World) -> None:
    task = await add(world, "nightly", schedule="30 2 * * *")
    await world.call("hold", "nightly")
    assert (await newest(world, "nightly")).state is State.HELD
    world.clock.advance(3 * DAY)  # nothing of that is missed: it was held
    await world.call("resume", "nightly")
    again = await newest(world, "nightly")
    assert (again.state, again.not_before) == (State.SCHEDULED, task.not_before + 3 * DAY)
    await world.call("cancel", "nightly")
    assert (await newest(world, "nightly")).state is State.CANCELLED
    _, text, _ = await world.call("retry", "nightly")
    assert text.startswith("nightly.")
    assert "makes its runs again, the next one " in text
    anew = await newest(world, "nightly")
    assert (anew.state, anew.not_before) == (State.SCHEDULED, task.not_before + 3 * DAY)


async def test_a_task_that_is_held_and_released_still_waits_for_its_moment(world: World) -> None:
    task = await add(world, "later", after="in 3h")
    await world.call("hold", "later")
    await world.call("resume", "later")
    again = await newest(world, "later")
    assert (again.state, again.not_before) == (State.QUEUED, task.not_before)


async def test_a_task_that_is_retried_starts_at_once_and_has_no_deadline_that_has_passed(world: World) -> None:
    first = await add(world, "fixed", after="in 3h", deadline="2026-11-28")
    second = await add(world, "each", after="in 3h", deadline="in 1h")
    for task in (first, second):
        await world.call("cancel", task.spec.id)
    world.clock.advance(2 * DAY)
    for task in (first, second):
        await world.call("retry", task.spec.id)
    fixed, each = await newest(world, "fixed"), await newest(world, "each")
    assert (fixed.state, fixed.not_before, fixed.deadline_ts) == (State.QUEUED, 0.0, 0.0)
    assert (each.not_before, each.deadline_ts) == (0.0, world.clock.now() + HOUR)


@pytest.mark.parametrize(("kind", "words"), [("quiet", "quiet_hours: quiet hours"), ("quitting", "quitting_time: qui")])
async def test_status_says_that_the_queue_rests_until_when_and_how_to_change_it(
    world: World, kind: str, words: str
) -> None:
    spans: dict[str, Any] = {kind: (span_in("10:00-14:00"),)}
    world.policy = replace(world.policy, hours=Hours(timezone="UTC", **spans))
    await world.add("waits")
    _, text, _ = await world.call("status")
    assert "held: the queue, resumes " in text
    assert f"(in 2h00m) ({words}" in text
    assert f"earlier: change hours.{kind} in config/orchestrator.yaml" in text
    assert "waits for the queue until " in text
    (hold,) = (await world.json("status"))["holds"]
    assert hold["until"] == world.clock.now() + 2 * HOUR
    _, text, _ = await world.call("show", "waits")
    assert "not started yet: the queue is held: qui" in text


async def test_a_chat_is_told_of_schedules_too(world: World) -> None:
    await add(world, "nightly", schedule="30 2 * * *")
    await add(world, "later", after="in 3h")
    async with world.program().open_service() as service:
        text = telegram_words.status(await service.status(), world.clock.now()).text
        assert "go on" not in text
        assert telegram_words.status(await service.status(), world.clock.now(), 1).text.startswith("1 job goes on\n")
        assert telegram_words.status(await service.status(), world.clock.now(), 3).text.startswith("3 jobs go on\n")
    assert "Scheduled (1)\n· nightly next run " in text
    assert "· later queued: waits for its time, " in text


def test_check_shows_the_times_that_were_read() -> None:
    text = b"---\nschedule: 30 2 * * *\ntimezone: UTC\ndeadline: in 2h\n---\nDo it."
    told = spec_text(parse_task_file(text, file_name="a.task.md", rules=RULES))
    assert "schedule  30 2 * * *\ntimezone  UTC\ndeadline  in 2h\n" in told


async def test_resume_says_what_a_task_that_was_held_waits_for_now(world: World) -> None:
    for name, fields in (("nightly", {"schedule": "@daily"}), ("later", {"after": "in 3h"}), ("soon", {})):
        await add(world, name, **fields)
        await world.call("hold", name)
    resumed = {name: (await world.call("resume", name))[1] for name in ("nightly", "later", "soon")}
    assert resumed["nightly"] == "nightly makes its runs again.\n"
    assert resumed["later"].startswith("later is queued: it waits for its time, ")
    assert resumed["soon"] == "soon is queued: it waits for a slot only.\n"


async def test_resume_does_not_say_that_a_queue_in_quiet_hours_is_free(world: World) -> None:
    world.policy = replace(world.policy, hours=Hours(quiet=(span_in("00:00-24:00"),), timezone="UTC"))
    _, text, _ = await world.call("resume")
    assert text.splitlines()[0] == "The queue stays held: no command ends that."
    assert "change hours.quiet in config/orchestrator.yaml" in text
