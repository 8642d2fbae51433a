"""Jobs on the command line: as people read them, and as a session for scripts."""

import json
from dataclasses import replace

import pytest
from tests.api.world import World

from orchestrator.core.dependencies import Need
from orchestrator.core.errors import UsageError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.job import Job
from orchestrator.core.ports import NewTask
from orchestrator.core.task import Priority, Task, TaskSpec

E = EventKind


async def with_job() -> World:
    world = World()
    job = Job(f"{1:024x}{0xABCD:08x}", "night", world.clock.now() - 60, "job_file", request="All of it.")
    new = []
    for task_id, on in (("task-1", ()), ("task-2", ("task-1",))):
        uid = world.clock.new_uid()
        spec = TaskSpec(task_id, "analyze", Priority.MEDIUM, f"Title of {task_id}", "Do it.", depends_on=on, branch="b")
        events = [Event(E.RECEIVED, 1.0, uid)] + [Event(E.BLOCKED, 1.0, uid, data={"on": list(on)}) for _ in on]
        task = replace(Task(uid, task_id, spec, "0" * 64, 1.0), job=job.uid)
        new.append(NewTask(task, b"", events, [Need(uid, one) for one in on]))
    await world.store.accept(new, [job])
    return world


async def test_a_job_is_shown_with_what_each_task_waits_for() -> None:
    world = await with_job()
    code, out, _ = await world.call("job", "show", "night")
    assert code == 0
    assert "night (0000abcd): queued, 0 of 2 succeeded, 2 waiting" in out
    assert "request: All of it." in out
    assert "blocked  task-2  task-1      waits for task-1 (queued)" in out
    assert "job cancel 0000abcd" in out
    _, out, _ = await world.call("jobs")
    assert "queued  0000abcd  night  0/2   0       0        1m00s ago" in out


async def test_a_job_is_a_session_for_programs() -> None:
    world = await with_job()
    _, out, _ = await world.call("job", "show", "night", "--json")
    told = json.loads(out)
    numbers = {
        key: told[key] for key in ("status", "total_tasks", "completed_tasks", "failed_tasks", "in_progress_tasks")
    }
    assert numbers == {
        "status": "queued",
        "total_tasks": 2,
        "completed_tasks": 0,
        "failed_tasks": 0,
        "in_progress_tasks": 0,
    }
    assert told["session_id"].endswith("0000abcd")
    second = told["tasks"][1]
    assert (second["id"], second["name"], second["branch_name"], second["dependencies"], second["status"]) == (
        "task-2",
        "Title of task-2",
        "b",
        ["task-1"],
        "blocked",
    )
    _, out, _ = await world.call("jobs", "--json")
    assert [one["name"] for one in json.loads(out)["sessions"]] == ["night"]


async def test_a_job_that_is_held_says_so_and_how_it_goes_on() -> None:
    world = await with_job()
    await world.call("pause")
    _, out, _ = await world.call("job", "show", "night")
    assert "night (0000abcd): waiting" in out
    assert "the queue is held: " in out
    assert out.count("resume\n") == 1
    _, out, _ = await world.call("jobs")
    assert "waiting  0000abcd  night" in out


async def test_a_job_is_cancelled_and_done_again() -> None:
    world = await with_job()
    _, out, _ = await world.call("job", "cancel", "0000abcd")
    assert "night (0000abcd): cancelled" in out
    assert "job retry 0000abcd" in out
    _, out, err = await world.call("job", "retry", "night")
    assert "2 tasks of night are queued again." in out
    assert "No daemon runs" in err
    with pytest.raises(UsageError):
        await world.call("job", "frobnicate", "night")


async def test_status_and_show_tell_who_waits_for_whom() -> None:
    world = await with_job()
    _, out, _ = await world.call("status")
    assert "blocked 1" in out
    assert "waits for task-1 (queued)" in out
    _, out, _ = await world.call("show", "task-2")
    assert "job         night (0000abcd)" in out
    assert "depends on  task-1" in out
    assert "not started yet: waits for task-1 (queued)" in out
    _, out, _ = await world.call("show", "task-2", "--json")
    told = json.loads(out)["task"]
    assert (told["depends_on"], told["job_name"], told["children"]) == (["task-1"], "night", [])
