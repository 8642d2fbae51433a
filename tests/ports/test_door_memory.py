"""What a door remembers, and requests that are carried out once, however often and by whomever they are brought."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.ports.sample_tasks import event, new

from orchestrator.bridges.sqlite import SqliteStore, open_store
from orchestrator.core.errors import IllegalEventError, RepeatedError
from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path / "store.db") as opened:
        yield opened


async def test_a_memory_is_kept_replaced_forgotten_and_found_by_its_beginning(store: SqliteStore) -> None:
    await store.memorize({"a:2": "two", "a:1": "one", "b:1": "other", "a": "itself"}, ts=1)
    await store.memorize({"a:2": "zwei", "b:1": None}, ts=2)
    assert dict(await store.recall("a:")) == {"a:1": "one", "a:2": "zwei"}
    assert list(await store.recall("")) == ["a", "a:1", "a:2"]
    assert await store.recall("b") == {}


async def test_old_memories_go_and_young_ones_stay(store: SqliteStore) -> None:
    await store.memorize({"a:1": "old", "b:1": "old, of another"}, ts=1)
    await store.memorize({"a:2": "young"}, ts=5)
    assert await store.forget(["a:"], before_ts=5) == 1
    assert list(await store.recall("")) == ["a:2", "b:1"]


async def test_what_is_remembered_outlives_the_process(store: SqliteStore, tmp_path: Path) -> None:
    await store.memorize({"a": "kept"}, ts=1)
    async with open_store(tmp_path / "store.db") as other:
        assert await other.recall("a") == {"a": "kept"}


async def test_a_request_makes_its_task_once_and_remembers_which(store: SqliteStore, tmp_path: Path) -> None:
    (task,) = await store.once("door:7", ts=1).accept([new(1)])
    async with open_store(tmp_path / "store.db") as another_life:
        with pytest.raises(RepeatedError):
            await another_life.once("door:7", ts=2).accept([new(2)])
    assert await store.recall("door:7") == {"door:7": task.uid}
    assert len(await store.tasks([State.QUEUED], limit=9)) == 1


async def test_a_request_that_was_refused_leaves_no_mark_and_may_come_again(store: SqliteStore) -> None:
    (task,) = await store.accept([new(1)])
    request = store.once("door:8", ts=1)
    with pytest.raises(IllegalEventError):
        await request.commit([event(EventKind.RELEASED, task)])
    assert await store.recall("door:8") == {}
    await request.commit([event(EventKind.CANCELLED, task)])
    assert await store.recall("door:8") == {"door:8": task.uid}


async def test_one_request_may_write_several_times(store: SqliteStore) -> None:
    request = store.once("door:9", ts=1)
    await request.accept([new(1)])
    await request.accept([new(2)])
    assert len(await request.tasks([State.QUEUED], limit=9)) == 2
