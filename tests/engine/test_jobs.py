"""A job as a whole: how far it is, ending it, doing again what did not succeed, also over two levels of a tree."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.test_unblocking import Waiting

from orchestrator.core.account import tree_scope
from orchestrator.core.dependencies import NeedKind
from orchestrator.core.errors import AmbiguousError, ConflictError, NotFoundError
from orchestrator.core.events import Event, EventKind, TaskUid
from orchestrator.core.job import Job, JobState
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Pause
from orchestrator.core.task import Task
from orchestrator.engine.times import timed

E = EventKind
JOB = Job(f"{1:024x}{7:08x}", "night", 1.0, "test")


async def with_job(*tasks: tuple[str, ...], job: Job = JOB) -> tuple[Waiting, list[Task]]:
    world = Waiting()
    new = [world.new(task_id, *on, job=job.uid) for task_id, *on in tasks]
    return world, list(await world.store.accept(new, [job]))


async def states(world: Waiting) -> dict[str, str]:
    look = await world.service.jobs.look("night")
    return {task.spec.id: task.state.value for task in look.tasks}


async def test_a_job_is_found_by_its_name_and_the_end_of_its_uid() -> None:
    world, _ = await with_job(("a",))
    for key in ("night", "00000007", JOB.uid, "job_00000007"):
        assert await world.service.jobs.find(key) == JOB
    with pytest.raises(NotFoundError, match="no job is called 'day'"):
        await world.service.jobs.find("day")
    await world.store.accept([], [Job(f"{1:024x}{8:08x}", "other", 2.0, "test")])
    with pytest.raises(AmbiguousError, match="fits 2 jobs"):
        await world.service.jobs.find("0000")


async def test_a_job_tells_how_far_it_is_and_what_its_tasks_wait_for() -> None:
    world, (a, b, c) = await with_job(("a",), ("b", "a"), ("c", "b", "later"))
    (listed,) = await world.service.jobs.list()
    assert (listed.progress.state, listed.progress.total, listed.progress.waiting) == (JobState.QUEUED, 3, 3)
    await world.failed(a)
    look = await world.service.jobs.look("night")
    assert (look.progress.state, look.progress.failed) == (JobState.WAITING, 1)
    assert look.waits == {
        b.uid: "waits for a (failed)",
        c.uid: "waits for b (blocked), later (nobody has submitted it)",
    }
    assert await world.service.waits_for(b) == "waits for a (failed)"
    refused = world.new("later")
    event = Event(E.REJECTED, world.clock.now(), refused.task.uid, data={"reason": "type_invalid", "detail": "x"})
    await world.store.accept([replace(refused, events=[refused.events[0], event])])
    assert await world.service.waits_for(c) == "waits for b (blocked), later (its file was refused)"
    template = world.new("later")
    template = replace(template, task=replace(template.task, spec=replace(template.task.spec, schedule="@daily")))
    await world.store.accept([timed(template, world.clock.now())])
    assert await world.service.waits_for(c) == "waits for b (blocked), later (a schedule that has made no run yet)"


async def test_a_job_with_some_successes_is_partial() -> None:
    world, (a, b) = await with_job(("a",), ("b",))
    await world.done(a)
    await world.failed(b)
    assert (await world.service.jobs.look("night")).progress.state is JobState.PARTIAL


async def test_a_job_is_cancelled_as_a_whole_waiting_tasks_first_and_running_ones_too() -> None:
    world, (a, b, c) = await with_job(("a",), ("b", "a"), ("c",))
    await world.done(a)
    await world.commit(c, E.STARTED)
    look = await world.service.jobs.cancel("night")
    assert await states(world) == {"a": "succeeded", "b": "cancelled", "c": "cancelling"}
    assert (look.progress.state, (await world.events(b, E.CANCELLED))[0].data["reason"]) == (
        JobState.RUNNING,
        "job_cancelled",
    )
    (running,) = await world.store.tasks([State.CANCELLING], limit=9)
    await world.commit(running, E.CANCELLED, reason="job_cancelled")
    with pytest.raises(ConflictError, match="has already ended") as caught:
        await world.service.jobs.cancel("night")
    assert "job retry" in caught.value.hint


async def test_a_retry_of_a_job_does_again_what_failed_and_what_was_skipped_and_nothing_else() -> None:
    job = Job(JOB.uid, "night", 1.0, "test", on_dependency="skip")
    world, (ok, a, b, c) = await with_job(("ok",), ("a",), ("b", "a"), ("c", "b", "ok"), job=job)
    await world.done(ok)
    await world.failed(a)
    while await world.part.look():
        continue
    assert await states(world) == {"ok": "succeeded", "a": "failed", "b": "cancelled", "c": "cancelled"}
    again = await world.service.jobs.retry("night")
    assert [(task.spec.id, task.rerun_of, task.job) for task in again] == [
        (task.spec.id, task.uid, JOB.uid) for task in (a, b, c)
    ]
    assert await states(world) == {"ok": "succeeded", "a": "queued", "b": "blocked", "c": "blocked"}
    for task in again:
        await world.part.look()
        await world.done((await world.store.task(task.uid)) or task)
    look = await world.service.jobs.look("night")
    assert (look.progress.state, look.progress.total) == (JobState.SUCCEEDED, 4)
    with pytest.raises(ConflictError, match="nothing of the job night"):
        await world.service.jobs.retry("night")


async def test_who_waits_for_a_failed_task_waits_for_its_new_run() -> None:
    world, (a, b) = await with_job(("a",), ("b", "a"))
    await world.failed(a)
    (again,) = await world.service.jobs.retry("night")
    assert [need.on_uid for need in (await world.store.needs([b.uid]))[b.uid]] == [again.uid]
    await world.done(again)
    await world.part.look()
    assert await states(world) == {"a": "succeeded", "b": "queued"}


async def grown(world: Waiting, parent: Task, *ids: str) -> tuple[Task, ...]:
    """Let *parent* split into sub-tasks of its own job."""
    parent = await world.commit(parent, E.STARTED, E.FINISHED)
    place: dict[str, Any] = {"parent": parent.uid, "root": parent.lineage, "depth": parent.depth + 1, "job": parent.job}
    made = [world.new(one) for one in ids]
    made = [replace(one, task=replace(one.task, **place)) for one in made]
    event = Event(E.SPLIT, world.clock.now(), parent.uid, parent.attempt, parent.epoch)
    return tuple(await world.store.split([event], made))


async def joined(world: Waiting, parent: Task, *kinds: EventKind) -> Task:
    await world.part.look()
    found = await world.store.task(parent.uid)
    assert found is not None
    assert (found.state, found.reason) == (State.QUEUED, "joined")
    return await world.commit(found, *kinds, reason="children_failed")


async def children_of(world: Waiting, uid: TaskUid) -> list[TaskUid]:
    needs = (await world.store.needs([uid]))[uid]
    return sorted(need.on_uid for need in needs if need.kind is NeedKind.CHILD)


async def test_a_parent_of_failed_sub_tasks_joins_once_more_what_succeeded_and_their_new_runs() -> None:
    world, (root,) = await with_job(("root",))
    root, good, bad = await grown(world, root, "good", "bad")
    bad, deep_good, deep_bad = await grown(world, bad, "deep_good", "deep_bad")
    for task, end in ((good, world.done), (deep_good, world.done), (deep_bad, world.failed)):
        await end(task)
    await joined(world, bad, E.STARTED, E.FINISHED, E.VALIDATED, E.FAILED)
    await joined(world, root, E.STARTED, E.FINISHED, E.VALIDATED, E.FAILED)
    assert (await world.service.jobs.look("night")).progress.state is JobState.PARTIAL

    again = {task.spec.id: task for task in await world.service.jobs.retry("night")}
    assert {task_id: task.state for task_id, task in again.items()} == {
        "root": State.BLOCKED,
        "bad": State.BLOCKED,
        "deep_bad": State.QUEUED,
    }
    assert await children_of(world, again["root"].uid) == sorted([good.uid, again["bad"].uid])
    assert await children_of(world, again["bad"].uid) == sorted([deep_good.uid, again["deep_bad"].uid])
    assert {(task.root, task.depth) for task in again.values()} == {(root.uid, 0), (root.uid, 1), (root.uid, 2)}
    await world.done(again["deep_bad"])
    await joined(world, again["bad"], E.STARTED, E.FINISHED, E.VALIDATED, E.SUCCEEDED)
    await joined(world, again["root"], E.STARTED, E.FINISHED, E.VALIDATED, E.SUCCEEDED)
    look = await world.service.jobs.look("night")
    assert (look.progress.state, look.progress.total) == (JobState.SUCCEEDED, 5)


async def test_a_parent_may_be_done_again_a_second_time() -> None:
    world, (root,) = await with_job(("root",))
    root, good, bad = await grown(world, root, "good", "bad")
    await world.done(good)
    await world.failed(bad)
    await joined(world, root, E.STARTED, E.FINISHED, E.VALIDATED, E.FAILED)
    for _ in range(2):
        parent, child = sorted(await world.service.jobs.retry("night"), key=lambda task: task.depth)
        await world.failed(child)
        await joined(world, parent, E.STARTED, E.FINISHED, E.VALIDATED, E.FAILED)
    parent, child = sorted(await world.service.jobs.retry("night"), key=lambda task: task.depth)
    assert await children_of(world, parent.uid) == sorted([good.uid, child.uid])


async def test_a_tree_that_was_cancelled_is_done_again_from_its_leaves() -> None:
    world, (root,) = await with_job(("root",))
    root, _one, _two = await grown(world, root, "one", "two")
    await world.service.jobs.cancel("night")
    assert await states(world) == {"root": "cancelled", "one": "cancelled", "two": "cancelled"}
    again = await world.service.jobs.retry("night")
    assert [(task.spec.id, task.state) for task in again] == [
        ("root", State.BLOCKED),
        ("one", State.QUEUED),
        ("two", State.QUEUED),
    ]


async def test_a_single_retry_stays_in_its_job_and_waits_for_what_its_file_names() -> None:
    world, (a, b) = await with_job(("a",), ("b", "a"))
    await world.done(a)
    await world.part.look()
    await world.failed((await world.store.task(b.uid)) or b)
    again = await world.service.retry("b")
    assert (again.job, again.state) == (JOB.uid, State.BLOCKED)
    await world.part.look()
    assert await world.state(again) is State.QUEUED


async def test_a_retry_that_would_come_to_wait_for_itself_is_refused_with_the_cycle() -> None:
    world = Waiting()
    await world.done(await world.add("b"))
    a = await world.add("a", "b")
    await world.part.look()
    await world.failed((await world.store.task(a.uid)) or a)
    later = await world.add("b", "a")
    with pytest.raises(ConflictError, match="a → b → a"):
        await world.service.retry(a.uid)
    await world.service.cancel(later.uid)
    assert (await world.service.retry(a.uid)).state is State.BLOCKED


class Splits(Waiting):
    """Here a running task splits at the very moment at which its job is cancelled."""

    async def cancelled(self, root: Task) -> None:
        commit = self.store.commit

        async def split_first(events: Sequence[Event]) -> Sequence[Task]:
            self.store.commit = commit  # type: ignore[method-assign]
            made = replace(self.new("late", job=root.job), task=replace(self.new("late").task, parent=root.uid))
            made = replace(made, task=replace(made.task, job=root.job, uid=made.events[0].uid))
            event = Event(E.SPLIT, self.clock.now(), root.uid, root.attempt, root.epoch)
            await self.store.split([event], [made])
            return await commit(events)

        self.store.commit = split_first  # type: ignore[method-assign]
        await self.service.jobs.cancel("night")


async def test_a_task_that_splits_while_its_job_is_cancelled_is_cancelled_with_its_sub_tasks() -> None:
    world = Splits()
    root, _ = await world.store.accept([world.new("root", job=JOB.uid), world.new("other", job=JOB.uid)], [JOB])
    await world.cancelled(await world.commit(root, E.STARTED, E.FINISHED))
    await world.part.look()
    assert await states(world) == {"root": "cancelled", "other": "cancelled", "late": "cancelled"}


@pytest.mark.parametrize("whole", [True, False])
async def test_a_job_that_is_held_until_a_person_acts_waits_and_says_on_what(whole: bool) -> None:
    world, (root,) = await with_job(("root",))
    root, a, b = await grown(world, root, "a", "b")
    await world.done(a)
    scope = "*" if whole else tree_scope(root.lineage)
    event = Event(E.AGENT_HELD, 1.0, data={"agent": scope, "reason": "budget"})
    for until in (world.clock.now() + 60, 0.0):
        look = await world.service.jobs.look("night")
        assert (look.progress.state, look.holds) == (JobState.RUNNING, ()), "what ends by itself needs no person"
        await world.store.pause(Pause(scope, until, "budget", "its $1.00 are spent"), event)
    look = await world.service.jobs.look("night")
    assert (look.progress.state, look.holds) == (JobState.WAITING, ((scope, "its $1.00 are spent"),))
    (listed,) = await world.service.jobs.list()
    assert (listed.progress.state, listed.tasks) == (JobState.WAITING, ())
    await world.commit(b, E.STARTED)
    assert (await world.service.jobs.look("night")).progress.state is JobState.RUNNING, "what runs goes on"


async def test_a_parent_waits_for_no_sub_task_that_has_ended() -> None:
    world, (root,) = await with_job(("root",))
    root, a, _, c = await grown(world, root, "a", "b", "c")
    await world.done(a)
    await world.failed(c)
    assert await world.service.waits_for(root) == "waits for its sub-tasks b (queued)"
