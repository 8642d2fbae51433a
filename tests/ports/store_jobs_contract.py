"""What every Store promises about jobs, dependencies, trees and times."""

from dataclasses import replace
from typing import Any

import pytest
from tests.ports.sample_tasks import DONE, K, event, go, new, uids

from orchestrator.core.dependencies import Need, NeedKind
from orchestrator.core.errors import ConflictError, IllegalEventError
from orchestrator.core.events import Event, TaskUid
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask, Store


def waiting(n: int, *on: str, job: str = "", **given: Any) -> NewTask:
    """Task number *n*, blocked, which waits for tasks of the ids *on*."""
    plain = new(n, **given)
    task = replace(plain.task, job=job)
    begun = [*plain.events, Event(K.BLOCKED, 1.0, task.uid, data={"on": list(on)})]
    return NewTask(task, plain.body, begun, [Need(task.uid, key) for key in on])


def of_job(n: int, job: str, path: float = 0.0) -> NewTask:
    plain = new(n)
    return replace(plain, task=replace(plain.task, job=job, path=path))


def a_job(n: int, name: str = "night") -> Job:
    return Job(f"{n:024x}{n:08x}", name, float(n), "test")


async def on_of(store: Store, n: int) -> list[str]:
    uid = new(n).task.uid
    return [need.on_uid[-2:] for need in (await store.needs([uid])).get(uid, ())]


class StoreJobsContract:
    """Run over every implementation by test_store.py."""

    async def test_a_task_that_waits_for_another_is_not_ready_and_cannot_be_started(self, store: Store) -> None:
        unsaid = waiting(3, "id_1")
        first, second, queued = await store.accept(
            [new(1), waiting(2, "id_1"), replace(unsaid, events=unsaid.events[:-1])]
        )
        assert (second.state, queued.state) == (State.BLOCKED, State.QUEUED)
        assert uids(await store.ready(9.0, limit=9)) == [1, 3]
        with pytest.raises(IllegalEventError, match="id_1"):
            await store.commit([event(K.STARTED, queued)])
        await go(store, first, *DONE)

    async def test_no_task_is_queued_that_still_waits_for_another(self, store: Store) -> None:
        """It would never start, and nobody would look at it again."""
        first, task = await store.accept([new(1), waiting(2, "id_1")])
        with pytest.raises(IllegalEventError, match="id_1"):
            await store.commit([event(K.HELD, task), event(K.RELEASED, task)])
        (task,) = await store.commit([event(K.HELD, task), event(K.RELEASED, task), event(K.BLOCKED, task)])
        await go(store, first, *DONE)
        (queued,) = await store.commit([event(K.UNBLOCKED, task)])
        with pytest.raises(IllegalEventError, match="id_9"):  # its file was edited while it was blocked
            await store.revise(task, b"new", event(K.UPDATED, task), needs=[Need(task.uid, "id_9")])
        assert (await store.task(task.uid), await store.open_needs()) == (queued, [])

    async def test_a_task_goes_on_only_if_it_waits_for_nothing_that_was_not_looked_at(self, store: Store) -> None:
        first, task = await store.accept([new(1), waiting(2, "id_1")])
        await go(store, first, *DONE)
        needs = [Need(task.uid, "id_1"), Need(task.uid, "id_9")]
        task = await store.revise(task, b"new", event(K.UPDATED, task), needs=needs)
        with pytest.raises(IllegalEventError, match="id_9"):  # decided a moment before the file was edited
            await store.commit([event(K.UNBLOCKED, task, met=["id_1"], passed_over=[])])
        (task,) = await store.commit([event(K.UNBLOCKED, task, met=["id_1"], passed_over=["id_9"])])
        assert (task.state, await store.open_needs()) == (State.QUEUED, [])

    async def test_nobody_waits_for_a_template_but_for_the_next_of_its_runs(self, store: Store) -> None:
        await store.accept([waiting(1, "nightly"), new(2, task_id="nightly")])
        assert await on_of(store, 1) == ["02"]
        template = await store.task(new(2).task.uid)
        assert template is not None
        at = Event(K.SCHEDULED, 1.0, template.uid, data={"not_before": 30.0})
        template = await store.revise(template, b"new", event(K.UPDATED, template), then=[at])
        await store.fire(Event(K.FIRED, 1.0, template.uid, data={"not_before": 60.0}), [new(3, task_id="nightly")])
        assert await on_of(store, 1) == ["03"]
        plain = new(4, task_id="daily")
        await store.accept(
            [waiting(5, "daily"), replace(plain, events=[*plain.events, replace(at, uid=plain.task.uid)])]
        )
        assert await on_of(store, 5) == [""]
        await store.accept([new(6, task_id="daily")])
        assert await on_of(store, 5) == ["06"]

    async def test_a_corrected_file_takes_the_place_of_what_tasks_of_a_job_wait_for(self, store: Store) -> None:
        job = a_job(90)
        outside, *_ = await store.accept([new(1, task_id="x"), waiting(2, "x", job=job.uid)], [job])
        await go(store, outside, *DONE[:-1], K.FAILED)
        await store.accept([new(3, task_id="x")])
        assert await on_of(store, 2) == ["03"]

    async def test_a_task_that_is_given_another_id_is_what_others_waited_for(self, store: Store) -> None:
        (task, *_) = await store.accept([new(1, task_id="b"), waiting(2, "a")])
        await store.revise(replace(task, spec=replace(task.spec, id="a")), b"new", event(K.UPDATED, task))
        assert await on_of(store, 2) == ["01"]

    async def test_of_a_held_lineage_nothing_is_ready_but_what_joins_its_sub_tasks(self, store: Store) -> None:
        parent, other = await store.accept([new(1), new(2)])
        parent = await go(store, parent, K.STARTED, K.FINISHED)
        child = new(3)
        child = replace(child, task=replace(child.task, parent=parent.uid, root=parent.uid, depth=1))
        parent, child_task = await store.split([event(K.SPLIT, parent)], [child])
        held = [parent.uid[-8:]]
        assert uids(await store.ready(9.0, limit=9, trees=held)) == [2]
        assert uids(await store.ready(9.0, limit=9, trees=[other.uid[-8:]])) == [3]
        await go(store, child_task, *DONE)
        await store.commit([event(K.JOINED, parent)])
        assert uids(await store.ready(9.0, limit=9, trees=held)) == [1, 2]

    async def test_what_is_unblocked_may_start(self, store: Store) -> None:
        first, second = await store.accept([new(1), waiting(2, "id_1")])
        await go(store, first, *DONE)
        assert uids(await store.dependents([first.uid])) == [2]
        (second,) = await store.commit([event(K.UNBLOCKED, second)])
        assert (await store.dependents([first.uid]), await store.open_needs()) == ([], [])
        assert (await go(store, second, K.STARTED)).state is State.RUNNING
        assert [need.met for need in (await store.needs([second.uid]))[second.uid]] == [True]

    async def test_a_need_is_of_the_newest_task_of_that_id_its_own_job_first(self, store: Store) -> None:
        job = a_job(90)
        await store.accept([new(1, task_id="a")])
        in_job = of_job(2, job.uid)
        in_job = replace(in_job, task=replace(in_job.task, spec=replace(in_job.task.spec, id="A")))
        await store.accept([waiting(3, "a", job=job.uid), in_job], [job])
        await store.accept([new(4, task_id="a"), waiting(5, "a")])
        assert (await on_of(store, 3), await on_of(store, 5)) == (["02"], ["04"])

    async def test_a_task_nobody_has_submitted_is_waited_for_until_it_comes(self, store: Store) -> None:
        await store.accept([waiting(1, "later")])
        assert await on_of(store, 1) == [""]
        await store.accept([new(2, task_id="Later")])
        assert await on_of(store, 1) == ["02"]

    async def test_a_run_anew_and_a_corrected_file_take_the_place_of_what_failed(self, store: Store) -> None:
        (first,) = await store.accept([new(1, task_id="a")])
        await store.accept([waiting(2, "a")])
        await store.accept([new(3, task_id="a")])
        assert await on_of(store, 2) == ["01"]  # it has not failed
        await go(store, first, K.CANCELLED)
        await store.accept([new(4, task_id="a")])
        assert await on_of(store, 2) == ["04"]
        again = new(5, task_id="other")
        again = replace(
            again, task=replace(again.task, rerun_of=TaskUid(new(4).task.uid), spec=new(4, task_id="a").task.spec)
        )
        await store.accept([again])
        assert await on_of(store, 2) == ["05"]

    async def test_a_parent_and_its_sub_tasks_are_stored_together(self, store: Store) -> None:
        (parent,) = await store.accept([new(1)])
        parent = await go(store, parent, K.STARTED, K.FINISHED)
        child = new(2)
        child = replace(child, task=replace(child.task, parent=parent.uid, root=parent.uid, depth=1))
        with pytest.raises(ConflictError):
            await store.split([event(K.SPLIT, parent)], [child, new(1)])
        assert (await store.task(parent.uid)) == parent
        split, stored = await store.split([event(K.SPLIT, parent)], [child])
        assert (split.state, split.tries, split.epoch) == (State.SPLIT, 0, parent.epoch + 1)
        assert (stored.parent, stored.lineage, stored.depth) == (parent.uid, parent.uid, 1)
        assert [uids(await store.children(parent.uid)), uids(await store.tree(parent.uid))] == [[2], [1, 2]]
        assert uids(await store.dependents([stored.uid])) == uids(await store.blocked(limit=9)) == [1]
        (need,) = (await store.needs([parent.uid]))[parent.uid]
        assert (need.kind, need.on_uid) == (NeedKind.CHILD, stored.uid)
        assert [record.uid for record in await store.tree_attempts(parent.uid)] == [parent.uid]
        (joined,) = await store.commit([event(K.JOINED, split)])
        assert (joined.state, joined.reason) == (State.QUEUED, "joined")
        assert await store.blocked(limit=9) == []

    async def test_what_is_waited_for_is_told_with_its_state(self, store: Store) -> None:
        first, second, _ = await store.accept([new(1), waiting(2, "id_1", "later"), waiting(3, "id_1")])
        (told,) = (await store.standing([first.uid, second.uid])).values()
        assert [(need.on_key, state) for need, state in told] == [("id_1", State.QUEUED), ("later", None)]
        assert uids(await store.stirred(limit=9)) == []
        await go(store, first, *DONE)
        assert uids(await store.stirred(limit=9)) == [3]  # the other one waits for somebody that nobody has submitted
        assert uids(await store.stirred(after=3, limit=9)) == []

    async def test_what_failed_or_waits_for_a_person_stirs_who_depends_on_it(self, store: Store) -> None:
        first, *_ = await store.accept([new(1), waiting(2, "id_1", "later")])
        held = await go(store, first, K.HELD)
        assert uids(await store.stirred(limit=9)) == [2]
        (released,) = await store.commit([event(K.RELEASED, held)])
        assert uids(await store.stirred(limit=9)) == []
        await go(store, released, K.CANCELLED)
        assert uids(await store.stirred(limit=9)) == [2]

    async def test_sub_tasks_whose_parent_ended_before_it_joined_them_are_found(self, store: Store) -> None:
        (parent,) = await store.accept([new(1)])
        parent = await go(store, parent, K.STARTED, K.FINISHED)
        children = [replace(one, task=replace(one.task, parent=parent.uid)) for one in (new(2), new(3))]
        parent, first, second = await store.split([event(K.SPLIT, parent)], children)
        assert await store.abandoned() == []
        await go(store, first, K.CANCELLED)
        await go(store, parent, K.CANCELLED)
        assert await store.abandoned() == await store.abandoned([parent.uid]) == [second.uid]
        assert await store.abandoned([first.uid]) == []

    async def test_a_run_anew_of_a_parent_goes_on_when_its_sub_tasks_have_ended(self, store: Store) -> None:
        (child,) = await store.accept([new(1)])
        again = waiting(2)
        need = Need(again.task.uid, "id_1", child.uid, NeedKind.CHILD)
        (parent,) = await store.accept([replace(again, needs=[need])])
        assert uids(await store.stirred(limit=9)) == []
        await go(store, child, K.CANCELLED)
        assert uids(await store.stirred(limit=9)) == [2]
        (joined,) = await store.commit([event(K.JOINED, parent)])
        assert (joined.state, joined.reason) == (State.QUEUED, "joined")
        assert (await store.standing([parent.uid]), await store.open_needs()) == ({}, [])

    async def test_a_job_is_found_by_name_and_uid_and_has_its_tasks(self, store: Store) -> None:
        job, other = a_job(0xABCDEF12), a_job(2, "day")
        await store.accept([of_job(1, job.uid), new(2)], [job, other])
        await store.accept([of_job(3, job.uid)], [replace(job, name="another")])
        assert await store.job("night") == await store.job("abcdef12") == await store.job(job.uid) == [job]
        assert await store.job("another") == await store.job("") == []
        assert uids(await store.job_tasks(job.uid)) == [1, 3]
        assert await store.job_tasks("") == []
        assert await store.jobs(limit=9) == [other, job]
        with pytest.raises(ConflictError):
            await store.accept([of_job(4, "no such job")])

    async def test_a_job_keeps_its_place_and_in_it_the_longest_chain_comes_first(self, store: Store) -> None:
        job = a_job(90)
        await store.accept([new(1), of_job(2, job.uid, 1.0), of_job(3, job.uid, 9.0)], [job])
        await store.accept([new(4), of_job(5, job.uid, 5.0)])
        found = await store.ready(9.0, limit=9)
        assert uids(found)[1:4] == [3, 5, 2] or uids(found)[:3] == [3, 5, 2]
        assert uids(found)[-1] == 4
        assert uids(await store.ready(9.0, limit=9, jobs=[job.uid])) == [1, 4]

    async def test_an_edited_file_changes_what_is_waited_for(self, store: Store) -> None:
        (task,) = await store.accept([waiting(1, "a")])
        after = await store.revise(
            replace(task, deadline_ts=50.0), b"new", event(K.UPDATED, task), needs=[Need(task.uid, "b")]
        )
        assert (after.state, after.deadline_ts) == (State.BLOCKED, 50.0)
        assert [need.on_key for need in await store.open_needs()] == ["b"]
        after = await store.revise(after, b"newer", event(K.UPDATED, after), then=[event(K.UNBLOCKED, after)])
        assert after.state is State.QUEUED
        assert await store.open_needs() == []

    async def test_an_edited_file_may_change_the_job(self, store: Store) -> None:
        job = a_job(90)
        await store.accept([], [job])
        (task, _) = await store.accept([new(1), new(2)])
        after = await store.revise(replace(task, job=job.uid), b"new", event(K.UPDATED, task))
        assert (after.job, uids(await store.job_tasks(job.uid))) == (job.uid, [1])
        after = await store.revise(replace(after, job=""), b"newer", event(K.UPDATED, after))
        assert (after.job, uids(await store.job_tasks(job.uid))) == ("", [])
        with pytest.raises(ConflictError):
            await store.revise(replace(after, job="no such job"), b"newest", event(K.UPDATED, after))

    async def test_templates_and_deadlines_are_found_when_their_time_has_come(self, store: Store) -> None:
        plain = new(1)
        scheduled = Event(K.SCHEDULED, 1.0, plain.task.uid, data={"not_before": 30.0})
        late = new(2)
        late = replace(late, task=replace(late.task, deadline_ts=20.0))
        template, other = await store.accept([replace(plain, events=[*plain.events, scheduled]), late])
        assert (template.state, template.not_before) == (State.SCHEDULED, 30.0)
        assert await store.next_due() == 20.0
        assert [*await store.due(29.0, limit=9), *await store.overdue(19.0, limit=9)] == []
        assert uids(await store.due(30.0, limit=9)) == [1]
        assert uids(await store.overdue(20.0, limit=9)) == [2]
        await go(store, other, K.CANCELLED)
        (template,) = await store.commit([event(K.FIRED, template, not_before=60.0)])
        assert (await store.next_due(), await store.overdue(99.0, limit=9)) == (60.0, [])
        assert uids(await store.ready(99.0, limit=9)) == []

    async def test_a_template_does_not_stand_in_the_way_of_its_runs(self, store: Store) -> None:
        plain = new(1, task_id="nightly")
        scheduled = Event(K.SCHEDULED, 1.0, plain.task.uid, data={"not_before": 30.0})
        await store.accept([replace(plain, events=[*plain.events, scheduled]), new(2, task_id="nightly")])
        assert uids(await store.ready(99.0, limit=9)) == [2]

    async def test_who_waits_for_a_schedule_that_came_later_waits_for_its_next_run(self, store: Store) -> None:
        plain = new(2, task_id="nightly")
        scheduled = Event(K.SCHEDULED, 1.0, plain.task.uid, data={"not_before": 30.0})
        await store.accept([waiting(1, "nightly")])
        await store.accept([replace(plain, events=[*plain.events, scheduled])])
        assert await on_of(store, 1) == [""]
        await store.accept([new(3, task_id="nightly")])
        assert await on_of(store, 1) == ["03"]

    async def test_who_waits_for_a_task_that_became_a_schedule_waits_for_its_next_run(self, store: Store) -> None:
        (plain,) = await store.accept([new(1, task_id="nightly")])
        await store.accept([waiting(2, "nightly")])
        assert await on_of(store, 2) == ["01"]
        await store.commit([event(K.SCHEDULED, plain, not_before=30.0)])
        await store.accept([new(3, task_id="nightly")])
        assert await on_of(store, 2) == ["03"]
