"""What to start now."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.agents import AgentProfile
from orchestrator.core.events import TaskUid
from orchestrator.core.plan import Capacity, in_force, plan, switched_off, target_paths, targets_in
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


PATHS = ("a", "a/b", "a/b/c", "./a//b", "x/../a", "/w/a/b", "d", "d/e", "dd", "/elsewhere/a")


def _with_targets(number: int, targets: Sequence[str]) -> Task:
    task = _task(number)
    return replace(task, spec=replace(task.spec, target_files=tuple(targets)))


def _meet(one: str, other: str) -> bool:
    """Say the same in another way: what one of them is, or lies in, is the other."""
    first, second = (PurePosixPath(posixpath.normpath(posixpath.join("/w", path))) for path in (one, other))
    return first.is_relative_to(second) or second.is_relative_to(first)


@given(
    wanted=st.lists(st.lists(st.sampled_from(PATHS), max_size=2), min_size=1, max_size=6),
    active=st.lists(st.sampled_from(PATHS), max_size=2),
    slots=st.integers(1, 6),
)
def test_tasks_that_name_the_same_target_files_never_run_at_once_and_keep_their_order(
    wanted: Sequence[Sequence[str]], active: Sequence[str], slots: int
) -> None:
    tasks = [_with_targets(number, targets) for number, targets in enumerate(wanted)]
    running = _with_targets(99, active)
    capacity = Capacity(slots, (), {}, targets_in([running], "/w"))
    chosen = plan(
        tasks,
        now=NOW,
        capacity=capacity,
        pauses=(),
        agent_of=lambda _: "claude",
        targets_of=lambda task: target_paths(task, "/w"),
    )
    started = {task.uid for task in chosen.start}
    at_work = [running]
    for task in tasks:
        before = [one for one in [running, *tasks[: tasks.index(task)]] if _any_meet(one, task)]
        if task.uid in started:
            assert not before
            at_work.append(task)
        elif before:
            assert "names the same target file" in chosen.waits[task.uid]
        else:
            assert chosen.waits[task.uid].endswith("are taken")
    assert not any(_any_meet(one, other) for n, one in enumerate(at_work) for other in at_work[n + 1 :])


def _any_meet(one: Task, other: Task) -> bool:
    return any(_meet(a, b) for a in one.spec.target_files for b in other.spec.target_files)


def test_a_task_of_a_held_agent_keeps_nobody_from_its_files() -> None:
    tasks = [_with_targets(1, ["a"]), _with_targets(2, ["a"])]
    chosen = plan(
        tasks,
        now=NOW,
        capacity=Capacity(2, (), {}),
        pauses=[Pause("held", 0.0, "operator", "")],
        agent_of=lambda task: "held" if task.name == "t1" else "claude",
        targets_of=lambda task: target_paths(task, "/w"),
    )
    assert [task.name for task in chosen.start] == ["t2"]


def test_a_job_gives_no_more_places_than_it_has_and_others_pass_it() -> None:
    tasks = [replace(_task(n), job=job) for n, job in enumerate(("x", "x", "x", "y", ""))]
    capacity = Capacity(9, (), {}, per_job={"x": 1})
    found = plan(tasks, now=NOW, capacity=capacity, pauses=(), agent_of=lambda _: "claude")
    assert [task.spec.id for task in found.start] == ["t0", "t3", "t4"]
    assert set(found.waits.values()) == {"as many tasks of its job run as may"}
