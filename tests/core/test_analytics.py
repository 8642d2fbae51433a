"""The figures on a job are what a person would count on paper."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.measured_tasks import BEGAN, job, run, task

from orchestrator.core.analytics import (
    Bar,
    Sum,
    analyse,
    edges_of,
    in_order,
    longest_chain,
    nearest_rank,
    summed,
    timeline,
)
from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.measures import Measured, as_one, measured
from orchestrator.core.proof import CheckKind, CheckSpec
from orchestrator.core.task import Criterion, Priority, Task, TaskSpec

LATER = BEGAN + 1000


def uids(*names: str) -> tuple[TaskUid, ...]:
    return tuple(TaskUid(name) for name in names)


def shown(bars: tuple[Bar, ...]) -> list[tuple[str, int, float, float]]:
    return [(bar.name, bar.slot, bar.start_ts - BEGAN, bar.waited_s) for bar in bars]


def test_an_attempt_takes_the_lowest_slot_that_is_free_when_it_begins() -> None:
    tasks = [task("a", run(0, 10)), task("b", run(0, 4)), task("c", run(4, 6)), task("d", run(5, 7))]
    assert shown(timeline(tasks, LATER)) == [("a", 1, 0, 0), ("b", 2, 0, 0), ("c", 2, 4, 4), ("d", 3, 5, 5)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=40))
def test_no_slot_holds_two_attempts_at_once_and_none_is_without_need(spans: list[tuple[int, int]]) -> None:
    bars = timeline([task(f"t{n}", run(at, at + for_s)) for n, (at, for_s) in enumerate(spans)], LATER)
    for one in bars:
        same = [bar for bar in bars if bar.slot == one.slot and bar is not one]
        assert all(bar.end_ts <= one.start_ts or bar.start_ts >= one.end_ts for bar in same)
        at_once = sum(bar.start_ts <= one.start_ts < bar.end_ts for bar in bars)
        assert one.slot <= at_once


def test_what_a_task_waited_for_others_is_not_what_it_waited_for_a_slot() -> None:
    found = analyse([task("a", run(2, 10)), task("b", run(13, 14), needs=("a",))], LATER)
    assert [bar.waited_s for bar in found.bars] == [2, 3]
    assert (found.use.waited_s, found.use.blocked_s) == (5, 10)


def test_before_a_second_attempt_the_wait_is_since_the_first_one_ended() -> None:
    found = analyse([task("a", run(1, 3), run(33, 40, 2))], LATER)
    assert [bar.waited_s for bar in found.bars] == [1, 30]
    assert found.use.waited_s == 1


def test_a_predecessor_that_was_passed_over_was_not_waited_for() -> None:
    tasks = [task("slow", run(0, 50)), task("b", run(5, 6), needs=("slow",))]
    assert [bar.waited_s for bar in timeline(tasks, LATER)] == [0, 5]


def test_parallel_efficiency_is_work_by_time_and_slots() -> None:
    one = analyse([task("a", run(0, 10)), task("b", run(0, 5))], LATER).efficiency
    assert (one.work_s, one.wall_s, one.slots, one.value) == (15, 10, 2, 0.75)


def test_one_slot_that_never_rests_is_wholly_efficient() -> None:
    assert analyse([task("a", run(0, 10)), task("b", run(10, 15))], LATER).efficiency.value == 1


def test_without_an_attempt_nothing_is_claimed() -> None:
    found = analyse([task("a", state=State.QUEUED)], LATER)
    assert (found.efficiency.value, found.per_hour, found.bottleneck.path) == (None, None, ())
    assert found.bars == ()


def test_what_still_runs_counts_until_now() -> None:
    found = analyse([task("a", run(0, 0.0), state=State.RUNNING)], BEGAN + 30)
    assert (found.bars[0].running, found.efficiency.work_s, found.ended) == (True, 30, 0)


def test_the_bottleneck_is_the_chain_with_the_most_work_and_not_the_longest_one() -> None:
    tasks = [
        task("a", run(0, 2)),
        task("b", run(2, 4), needs=("a",)),
        task("c", run(4, 6), needs=("b",)),
        task("long", run(0, 9)),
        task("end", run(9, 10), needs=("long",)),
    ]
    found = analyse(tasks, LATER).bottleneck
    assert found.path == uids("long", "end")
    assert (found.seconds, found.of_wall, found.of_work) == (10, 1, 10 / 16)


def test_a_task_that_split_comes_after_its_sub_tasks_and_they_after_what_it_waited_for() -> None:
    tasks = [
        task("first", run(0, 5)),
        task("parent", run(5, 6), run(20, 21, 2), needs=("first", "child", "other")),
        task("child", run(6, 16), parent="parent", depth=1),
        task("other", run(6, 8), parent="parent", depth=1),
    ]
    assert edges_of(tasks)[TaskUid("child")] == uids("first")
    found = analyse(tasks, LATER)
    assert found.bottleneck.path == uids("first", "child", "parent")
    assert found.bottleneck.seconds == 17
    assert {bar.name: bar.waited_s for bar in found.bars if bar.number == 1}["parent"] == 0


def test_sub_tasks_of_sub_tasks_wait_for_what_the_first_of_them_waited_for() -> None:
    tasks = [
        task("first", run(0, 5)),
        task("top", run(5, 6), needs=("first", "middle")),
        task("middle", run(6, 7), needs=("leaf",), parent="top"),
        task("leaf", run(7, 8), parent="middle"),
    ]
    assert edges_of(tasks)[TaskUid("leaf")] == uids("first")
    assert analyse(tasks, LATER).bottleneck.path == uids("first", "leaf", "middle", "top")


def test_a_task_that_was_run_again_is_one_task_and_all_that_was_spent_on_it_counts() -> None:
    first = task("a", run(2, 5, failure="timeout"), state=State.FAILED)
    again = task("again", run(60, 64), created_ts=BEGAN + 50, needs=("b",))
    one = as_one([first, again])
    assert (one.uid, one.state, one.created_ts, one.needs, len(one.runs)) == ("again", "succeeded", BEGAN, ("b",), 2)
    found = analyse([one], LATER)
    assert (found.tasks, found.ended, found.succeeded, found.use.attempts) == (1, 1, 1, 2)
    assert (found.use.work_s, found.use.cost_usd.known, found.use.waited_s) == (7, 1, 2)


def test_what_never_ran_is_neither_work_done_in_an_hour_nor_a_part_of_the_bottleneck() -> None:
    ran = [task("a", run(0, 1800)), task("b", run(1800, 3600), needs=("a",))]
    skipped = [task(f"s{n}", needs=(f"s{n - 1}" if n else "b",), state=State.CANCELLED) for n in range(98)]
    found = analyse([*ran, *skipped], BEGAN + 9000)
    assert found.ended == 100
    assert found.per_hour == pytest.approx(2.0)
    assert found.bottleneck.path == uids("a", "b")


def test_needs_of_tasks_outside_are_no_edges() -> None:
    assert edges_of([task("a", run(0, 1), needs=("elsewhere", "a"))]) == {TaskUid("a"): ()}


def test_a_circle_ends_no_report() -> None:
    edges = {TaskUid("a"): uids("b"), TaskUid("b"): uids("a"), TaskUid("c"): uids("a"), TaskUid("d"): ()}
    assert list(in_order(edges)) == ["d"]
    assert longest_chain(edges, dict.fromkeys(edges, 1.0)) in [("c",), ("d",)]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.data())
def test_no_chain_costs_more_than_the_one_that_is_told(costs: list[int], data: st.DataObject) -> None:
    names = uids(*(f"t{n}" for n in range(len(costs))))
    edges = {name: tuple(data.draw(st.sets(st.sampled_from(names[:n])))) if n else () for n, name in enumerate(names)}
    cost = dict(zip(names, map(float, costs), strict=True))

    def most(uid: TaskUid) -> float:
        return cost[uid] + max((most(need) for need in edges[uid]), default=0.0)

    chain = longest_chain(edges, cost)
    assert sum(cost[uid] for uid in chain) == max(map(most, names))
    assert all(before in edges[after] for before, after in pairwise(chain))


def test_an_unknown_cost_makes_the_sum_unknown_and_never_smaller() -> None:
    assert summed([0.5, None, 0.25]) == Sum(0.75, 1)
    assert summed([0.5, None]).total is None
    assert summed([0.5, 0.25]).total == 0.75
    found = analyse([task("a", run(0, 1)), task("b", run(1, 2, cost_usd=None))], LATER)
    assert (found.use.cost_usd.total, found.use.cost_usd.known) == (None, 0.5)
    assert found.by_type[0].median_cost_usd == 0.5


def test_rates_are_told_by_type_and_by_model() -> None:
    tasks = [
        task("a", run(0, 10), runnable=2, proven=2, believed=True),
        task("b", run(0, 20), runnable=2, proven=1, state=State.FAILED),
        task("c", run(0, 30), type="docs", model="haiku"),
        task("queued", type="docs", state=State.QUEUED),
    ]
    found = analyse(tasks, LATER)
    docs, fix = found.by_type
    assert (fix.tasks, fix.succeeded, fix.proven_tasks, fix.runnable, fix.proven) == (2, 1, 1, 4, 3)
    assert (fix.median_s, fix.p90_s) == (10, 20)
    assert (docs.tasks, docs.runnable) == (1, 0)
    assert [group.key for group in found.by_model] == ["haiku", "opus"]
    assert (found.ended, found.succeeded, found.per_hour) == (3, 2, 3 * 3600 / 30)


def test_agents_tell_how_many_of_them_worked_at_once() -> None:
    local = run(0, 5, agent="ollama")
    found = {
        one.agent: one
        for one in analyse([task("a", run(0, 10)), task("b", run(5, 10)), task("c", local)], LATER).agents
    }
    assert (found["claude"].most, found["claude"].at_work, found["claude"].attempts) == (2, 1.5, 2)
    assert (found["ollama"].most, found["ollama"].at_work) == (1, 0.5)


def test_failures_count_attempts_and_not_tasks() -> None:
    timed_out = run(0, 1, failure="timeout", outcome="failed")
    found = analyse([task("a", timed_out, run(2, 3, 2)), task("b", run(0, 0.0), state=State.RUNNING)], BEGAN + 5)
    assert (dict(found.failures), found.ended_runs) == ({"timeout": 1}, 2)


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 1), (0.5, 2), (0.75, 3), (0.76, 4), (1.0, 4)])
def test_a_rank_is_a_value_that_was_measured(share: float, wanted: int) -> None:
    assert nearest_rank([4, 1, 3, 2], share) == wanted


def test_there_is_no_rank_of_nothing() -> None:
    assert nearest_rank([], 0.5) is None


def test_figures_on_ten_thousand_tasks_count_each_of_them() -> None:
    found = analyse(job(10_000, slots=8, layers=50), LATER)
    assert (found.tasks, len(found.bars), found.efficiency.slots) == (10_000, 10_000, 8)
    assert len(found.bottleneck.path) == 50


# --- from what the store keeps -----------------------------------------------------------------------------------

RUNS = CheckSpec(CheckKind.COMMAND, ("true",))
SPEC = TaskSpec(
    "a",
    "fix",
    Priority.HIGH,
    "A",
    "Do.",
    criteria=(
        Criterion("runs", check=RUNS),
        Criterion("in words"),
        Criterion("looks", check=CheckSpec(CheckKind.HUMAN)),
    ),
)


def kept(task_state: State = State.SUCCEEDED, reason: str = "", **given: Any) -> Measured:
    spec = Task(TaskUid("u"), "a", SPEC, "", BEGAN, state=task_state, reason=reason, ended_ts=BEGAN + 9)
    plain: dict[str, Any] = {"outcome": {"kind": "finished", "report": {"model": "opus", "usage": {"turns": 3}}}}
    return measured(spec, [AttemptRecord(spec.uid, 1, 1, "claude", "s", BEGAN, BEGAN + 5, **(plain | given))])


def test_an_attempt_is_read_as_the_store_keeps_it() -> None:
    (one,) = kept().runs
    assert (one.model, one.turns, one.input_tokens, one.cost_usd, one.outcome) == ("opus", 3, None, None, "finished")


def test_only_criteria_that_name_a_check_of_ours_count() -> None:
    verdict = {
        "passed": True,
        "criteria": [
            {"verdict": "proven", "check": {"kind": "command"}},
            {"verdict": "holds", "check": {"kind": "file_exists"}},
            {"verdict": "failed", "check": {"kind": "command"}},
            {"verdict": "human", "check": {"kind": "human"}},
            {"verdict": "unproven", "check": None},
        ],
    }
    found = kept(verdict=verdict)
    assert (found.runnable, found.proven, found.held, found.broken) == (3, 1, 1, 1)


def test_criteria_of_a_task_that_was_never_judged_count_as_not_proven() -> None:
    assert (kept().runnable, kept().proven) == (1, 0)


@pytest.mark.parametrize(
    ("verdict", "state", "reason", "wanted"),
    [
        ({"passed": False}, State.FAILED, "no_changes", "no_changes"),
        ({"passed": False}, State.RETRY_WAIT, "no_changes", "not_believed"),
        ({"passed": False, "question": {"question": "?"}}, State.NEEDS_INPUT, "", "asked_a_question"),
        ({"passed": True}, State.SUCCEEDED, "", ""),
    ],
)
def test_an_attempt_that_was_not_believed_says_why(
    verdict: dict[str, Any], state: State, reason: str, wanted: str
) -> None:
    assert kept(state, reason, verdict=verdict).runs[0].failure == wanted


def test_a_failed_attempt_keeps_its_own_reason() -> None:
    found = kept(State.FAILED, "timeout", outcome={"kind": "failed", "failure": "timeout", "report": {}})
    assert found.runs[0].failure == "timeout"


@pytest.mark.parametrize("broken", [{"report": 3}, {"report": {"usage": []}}, {"kind": 7, "failure": None}, {}])
def test_a_record_of_another_release_ends_no_report(broken: dict[str, Any]) -> None:
    (one,) = kept(outcome=broken, verdict={"criteria": "none"}).runs
    assert (one.cost_usd, one.failure) == (None, "")
