"""What to start now."""

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.agents import AgentProfile
from orchestrator.core.events import TaskUid
from orchestrator.core.plan import Capacity, in_force, plan, switched_off
from orchestrator.core.ports import Pause
from orchestrator.core.task import Priority, Task, TaskSpec

NOW = 1_800_000_000.0


def _task(number: int, task_id: str = "", not_before: float = 0.0) -> Task:
    spec = TaskSpec(id=task_id or f"t{number}", type="fix", priority=Priority.MEDIUM, title="", prompt="p")
    return Task(TaskUid(f"{number:032x}"), f"t{number}", spec, "", NOW, not_before=not_before)


def _started(
    tasks: Sequence[Task],
    *,
    slots: int = 3,
    running: Sequence[tuple[str, str, str]] = (),
    pauses: Sequence[Pause] = (),
    per_agent: Mapping[str, int] | None = None,
) -> list[str]:
    capacity = Capacity(slots, running, per_agent or {})
    chosen = plan(tasks, now=NOW, capacity=capacity, pauses=pauses, agent_of=lambda _: "claude")
    assert {task.uid for task in chosen.start} | set(chosen.waits) == {task.uid for task in tasks}
    return [task.spec.id for task in chosen.start]


def test_tasks_start_in_the_order_given_while_slots_are_free() -> None:
    assert _started([_task(n) for n in range(5)], slots=3) == ["t0", "t1", "t2"]


def test_running_attempts_take_slots() -> None:
    assert _started([_task(1), _task(2)], slots=2, running=[("u", "claude", "other")]) == ["t1"]


def test_a_task_whose_time_has_not_come_does_not_hold_up_the_next() -> None:
    assert _started([_task(1, not_before=NOW + 1), _task(2)]) == ["t2"]


def test_two_tasks_of_one_id_never_start_together() -> None:
    assert _started([_task(1, "same"), _task(2, "Same"), _task(3)]) == ["same", "t3"]
    assert _started([_task(2, "Same")], running=[("u", "claude", "same")]) == []


def test_a_held_agent_starts_nothing() -> None:
    for until in (NOW + 1, 0.0):
        assert _started([_task(1)], pauses=[Pause("claude", until, "usage_limit", "")]) == []
        assert _started([_task(1)], pauses=[Pause("*", until, "operator", "")]) == []
        assert _started([_task(1)], pauses=[Pause("other", until, "usage_limit", "")]) == ["t1"]


def test_after_a_hold_exactly_one_task_probes() -> None:
    over = [Pause("claude", NOW - 1, "usage_limit", "")]
    assert _started([_task(1), _task(2)], pauses=over) == ["t1"]
    assert _started([_task(2)], pauses=over, running=[("u", "claude", "t1")]) == []


def test_an_agent_has_no_more_than_its_own_places() -> None:
    assert _started([_task(1), _task(2)], per_agent={"claude": 1}) == ["t1"]


def test_an_agent_that_is_switched_off_is_paused_without_end_and_no_other() -> None:
    agents = {"claude": AgentProfile("claude", enabled=False), "other": AgentProfile("other")}
    (off,) = switched_off(agents)
    assert (off.scope, off.until) == ("claude", 0.0)
    assert _started([_task(1)], pauses=[off]) == []


def test_a_pause_is_in_force_until_its_time_and_in_its_scope_only() -> None:
    over, lasting, timed = Pause("a", NOW, "r", ""), Pause("b", 0.0, "r", ""), Pause("c", NOW + 1, "r", "")
    assert in_force([over, lasting, timed], NOW, "a", "b", "c") == (lasting, timed)
    assert in_force([over, lasting, timed], NOW, "c") == (timed,)


@given(st.integers(1, 8), st.lists(st.sampled_from("abcdefgh"), max_size=20), st.integers(0, 8))
def test_never_more_than_the_slots_and_never_one_id_twice(slots: int, ids: list[str], taken: int) -> None:
    running = [(f"r{n}", "claude", f"running{n}") for n in range(taken)]
    started = _started([_task(n, task_id) for n, task_id in enumerate(ids)], slots=slots, running=running)
    assert len(started) <= max(0, slots - taken)
    assert len(set(started)) == len(started)
