"""Files that depend on others: accepted blocked, tied to a job, refused where they would wait for themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.intake_rig import Rig, body

from orchestrator.core.events import Event, EventKind
from orchestrator.core.jobfile import NO_CYCLE
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task

E = EventKind


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.inbox.close()


def file(task_id: str, *on: str, job: str = "", more: str = "") -> bytes:
    extra = f"depends_on: [{', '.join(on)}]\n" if on else ""
    return body(task_id, extra=extra + (f"job: {job}\n" if job else "") + more)


async def dropped(rig: Rig, *files: bytes) -> None:
    for number, data in enumerate(files):
        path = rig.drop(f"{rig.clock.new_uid()[-6:]}.task.md", data)
        assert path.exists()
        rig.clock.advance(float(number))
    await rig.scan()


async def named(rig: Rig, task_id: str) -> Task:
    return (await rig.store.find(task_id))[0]


async def on_of(rig: Rig, task_id: str) -> dict[str, str]:
    task = await named(rig, task_id)
    found = (await rig.store.needs([task.uid])).get(task.uid, ())
    return {need.on_key: need.on_uid for need in found}


async def test_a_file_that_depends_on_others_is_accepted_blocked_and_waits_for_them(rig: Rig) -> None:
    await dropped(rig, file("a"), file("b", "A"))
    a, b = await named(rig, "a"), await named(rig, "b")
    assert (a.state, b.state) == (State.QUEUED, State.BLOCKED)
    assert await on_of(rig, "b") == {"a": a.uid}
    (event,) = await rig.events(E.BLOCKED)
    assert event.data == {"on": ["A"], "policy": ""}


async def test_an_id_that_no_task_has_is_waited_for_and_said(rig: Rig) -> None:
    await dropped(rig, file("b", "later"))
    b = await named(rig, "b")
    assert (b.state, [notice.code for notice in b.spec.notices]) == (State.BLOCKED, ["dependency_unknown"])
    (parsed,) = await rig.events(E.PARSED)
    assert "no task has the id later yet" in str(parsed.data["notices"])
    await dropped(rig, file("later"))
    assert await on_of(rig, "b") == {"later": (await named(rig, "later")).uid}


async def test_the_file_that_closes_a_cycle_is_refused_with_it_spelled_out(rig: Rig) -> None:
    await dropped(rig, file("a", "b"))
    await dropped(rig, file("B", "c"))
    await dropped(rig, file("c", "a"))
    assert [(await named(rig, one)).state for one in "aB"] == [State.BLOCKED, State.BLOCKED]
    (failed,) = (rig.tasks_path / "failed").glob("*.error.json")
    error = rig.error(failed.name.removesuffix(".error.json"))
    assert (error["code"], error["message"]) == ("dependency_cycle", "it would wait for itself: c → a → B → c")
    line = file("c", "a").decode().splitlines()[error["line"] - 1]
    assert (line.startswith("depends_on"), error["excerpt"], error["expected"]) == (True, line, NO_CYCLE)


async def test_of_two_files_dropped_together_the_later_one_is_refused(rig: Rig) -> None:
    rig.drop("1.task.md", file("a", "b"))
    rig.drop("2.task.md", file("b", "a"))
    await rig.scan()
    assert [(task.file_name, task.state) for task in await rig.tasks()] in (
        [("1.task.md", State.BLOCKED), ("2.task.md", State.REJECTED)],
        [("2.task.md", State.BLOCKED), ("1.task.md", State.REJECTED)],
    )


async def test_a_file_that_depends_on_itself_by_its_name_is_refused(rig: Rig) -> None:
    rig.drop("me.task.md", b"---\ndepends_on: me\n---\n\n# T\n\nFix it.\n")
    await rig.scan()
    assert rig.error("me.task.md")["message"] == "it would wait for itself: me → me"


async def test_a_corrected_file_that_would_close_a_cycle_is_refused_also_where_the_old_one_failed(rig: Rig) -> None:
    await dropped(rig, file("a"))
    await rig.store.commit([event_of(E.CANCELLED, await named(rig, "a"))])
    await dropped(rig, file("b", "a"))
    await dropped(rig, file("a", "b"))
    assert (await rig.events(E.REJECTED))[-1].data["detail"] == "it would wait for itself: a → b → a"


async def test_a_new_run_of_what_succeeded_may_depend_on_what_came_after_it(rig: Rig) -> None:
    await dropped(rig, file("a"))
    a = await rig.succeeded(await named(rig, "a"))
    await dropped(rig, file("b", "a"))
    await dropped(rig, file("a", "b", more="rerun: true\n"))
    assert (await on_of(rig, "b"), (await named(rig, "a")).state) == ({"a": a.uid}, State.BLOCKED)


async def test_a_job_is_joined_while_it_is_open_and_another_one_made_after_its_end(rig: Rig) -> None:
    await dropped(rig, file("a", job="the night"), file("b", "a", job="the night"))
    await dropped(rig, file("c", job="the night"), file("d"))
    (job,) = await rig.store.job("the night")
    assert [task.spec.id for task in await rig.store.job_tasks(job.uid)] == ["a", "b", "c"]
    assert (job.door, (await named(rig, "d")).job) == ("folder", "")
    for task in await rig.store.job_tasks(job.uid):
        await rig.store.commit([event_of(E.CANCELLED, task)])
    await dropped(rig, file("e", job="the night"))
    assert len(await rig.store.job("the night")) == 2
    assert (await named(rig, "e")).job != job.uid


async def test_an_edited_file_changes_what_is_waited_for_and_the_job(rig: Rig) -> None:
    await dropped(rig, file("a"), file("b"))
    path = rig.drop("t.task.md", file("t", "a"))
    await rig.scan()
    a, b = await named(rig, "a"), await named(rig, "b")
    path.write_bytes(file("t", "b", job="night"))
    await rig.scan(1.0)
    assert (await on_of(rig, "t"), (await named(rig, "t")).state) == ({"b": b.uid}, State.BLOCKED)
    (job,) = await rig.store.job("night")
    assert (await named(rig, "t")).job == job.uid
    path.write_bytes(file("t"))
    await rig.scan(1.0)
    task = await named(rig, "t")
    assert (task.state, task.job, await rig.store.open_needs()) == (State.QUEUED, "", [])
    path.write_bytes(file("t", "a", "b"))
    await rig.scan(1.0)
    assert (await on_of(rig, "t"), (await named(rig, "t")).state) == ({"a": a.uid, "b": b.uid}, State.BLOCKED)


async def test_an_edited_file_that_would_close_a_cycle_is_refused(rig: Rig) -> None:
    await dropped(rig, file("a", "b"))
    path = rig.drop("b.task.md", file("b"))
    await rig.scan()
    path.write_bytes(file("b", "c", "a"))
    await rig.scan(1.0)
    assert rig.error("b.task.md")["message"] == "it would wait for itself: b → a → b"


async def test_a_template_of_a_schedule_waits_for_nobody_itself(rig: Rig) -> None:
    await dropped(rig, file("a"), file("t", "a", job="night", more="schedule: '0 2 * * *'\n"))
    assert (await on_of(rig, "t"), await rig.store.job("night")) == ({}, [])


def event_of(kind: EventKind, task: Task) -> Event:
    return Event(kind, 1.0, task.uid, task.attempt, task.epoch)
