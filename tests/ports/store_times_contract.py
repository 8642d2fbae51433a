"""What every Store promises about templates of schedules and the runs that are made of them."""

import pytest
from tests.ports.sample_tasks import K, event, new, uids

from orchestrator.core.errors import ConflictError, IllegalEventError
from orchestrator.core.events import Event
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import NewTask, Store
from orchestrator.core.task import Task


def template(n: int, next_time: float) -> NewTask:
    plain = new(n)
    begun = Event(K.SCHEDULED, 1.0, plain.task.uid, data={"not_before": next_time})
    return NewTask(plain.task, plain.body, [*plain.events, begun])


def fired(task: Task, next_time: float) -> Event:
    return event(K.FIRED, task, not_before=next_time)


class StoreTimesContract:
    """Run over every implementation by test_store.py."""

    async def test_a_run_is_stored_with_the_event_that_tells_of_it(self, store: Store) -> None:
        (one,) = await store.accept([template(1, 5.0)])
        after, run = await store.fire(fired(one, 9.0), [new(2, task_id="id_1")])
        assert (after.state, after.not_before) == (State.SCHEDULED, 9.0)
        assert (run.state, run.name) == (State.QUEUED, "task_2")
        assert uids(await store.ready(6.0, limit=9)) == [2]  # the template stands before no run of its id
        assert [one.kind for one in await store.events_after(3, limit=9)] == [K.FIRED, K.RECEIVED, K.PARSED]

    async def test_of_a_template_that_is_none_any_more_no_run_is_made(self, store: Store) -> None:
        (one,) = await store.accept([template(1, 5.0)])
        await store.commit([event(K.HELD, one)])
        with pytest.raises(IllegalEventError):
            await store.fire(fired(one, 9.0), [new(2)])
        assert await store.task(new(2).task.uid) is None

    async def test_a_run_that_cannot_be_stored_leaves_its_template_due(self, store: Store) -> None:
        (one, _) = await store.accept([template(1, 5.0), new(2)])
        with pytest.raises(ConflictError):
            await store.fire(fired(one, 9.0), [new(2)])
        assert uids(await store.due(5.0, limit=9)) == [1]

    async def test_a_time_without_a_run_moves_the_template_on(self, store: Store) -> None:
        (one,) = await store.accept([template(1, 5.0)])
        await store.fire(fired(one, 9.0), [])
        assert (await store.due(8.0, limit=9), await store.next_due()) == ([], 9.0)
