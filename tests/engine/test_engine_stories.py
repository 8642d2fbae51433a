"""What the random lives of test_engine_machine.py have found, each as a story of its own."""

from collections.abc import Iterator

import pytest
from tests.engine.test_engine_machine import DAY_S, text
from tests.engine.world import Process, World

from orchestrator.core.lifecycle import State


def anything(process: Process) -> None:
    """Let every agent start."""


@pytest.fixture
def world() -> Iterator[World]:
    there = World(anything)
    yield there
    there.close()


def test_a_waiting_file_is_not_taken_twice_when_the_clock_was_set_back_before_it_came(world: World) -> None:
    """Its task was then taken for older than the one that had used the name before, which still ran."""
    daemon = world.born()
    world.folder.write("x.task.md", text("first", "Do it.", "claude"))
    world.loop.advance(24.0, steps=8)
    assert [process.order.task_id for process in world.alive()] == ["first"]
    world.loop.done(world.door().pause("*"))
    world.clock.wall -= DAY_S
    world.folder.write("x.task.md", text("second", "Do it.", "claude"))
    world.loop.advance(24.0, steps=8)
    world.dies(daemon, None)
    world.born()
    world.loop.advance(30.0)
    tasks = world.loop.done(world.store.tasks(list(State), limit=9))
    assert sorted(task.spec.id for task in tasks) == ["first", "second"]


def test_the_end_of_an_earlier_attempt_does_not_cancel_the_one_that_runs(world: World) -> None:
    """A daemon that had stood still heard of the cancellation, and said of another's attempt that it was over."""
    first = world.born()
    world.folder.write("x.task.md", text("x", "Do it.", "claude"))
    world.loop.advance(24.0, steps=8)
    first.life.thawed.clear()
    world.born()
    world.loop.settle()
    assert [process.order.attempt for process in world.alive()] == [2]
    world.loop.done(world.door().cancel("x"))
    first.owner, first.life.may_start = False, False
    first.signals.stop()
    first.signals.stop()
    first.life.thawed.set()
    world.loop.settle()
    (task,) = world.loop.done(world.store.tasks(list(State), limit=9))
    assert (task.state, [process.order.attempt for process in world.alive()]) == (State.CANCELLING, [2])
    world.loop.advance(5.0)
    (task,) = world.loop.done(world.store.tasks(list(State), limit=9))
    assert (task.state, world.alive()) == (State.CANCELLED, [])
