"""Lint before bed: where tasks work, what agents, money and clocks say, and the order of it all."""

from collections.abc import Mapping
from math import inf

import pytest
from tests.core.lint_rig import said, task

from orchestrator.core.agents import AgentProfile
from orchestrator.core.events import Json
from orchestrator.core.finding import passed, warned
from orchestrator.core.hours import Hours, span_in
from orchestrator.core.lint import (
    Remark,
    Weight,
    sorted_remarks,
)
from orchestrator.core.lint_batch import (
    Money,
    Repository,
    agent_remarks,
    finding_remarks,
    forecast_remarks,
    money_remarks,
    question_remarks,
    repository_remarks,
)
from orchestrator.core.lint_times import time_remarks
from orchestrator.core.ports import Pause
from orchestrator.core.proof import CheckKind, CheckSpec

TESTS = CheckSpec(CheckKind.COMMAND, argv=("pytest", "-q"))
LINES = CheckSpec(CheckKind.FILE_EXISTS, path="a.py")
FAIL, WARN, NOTE = Weight.FAIL, Weight.WARN, Weight.NOTE


# --- what all need ----------------------------------------------------------------------------------------------------


def test_a_dirty_repository_is_told_once_and_a_dirty_target_at_its_task() -> None:
    where = Repository("/w", uncommitted=("a.py", "new/"))
    tasks = [task("a", targets=("/w/a.py",)), task("b", targets=("/w/c.py",))]
    remarks = repository_remarks(tasks, dict.fromkeys(("a.task.md", "b.task.md"), where))
    assert [(one.code, one.file) for one in remarks] == [("target_uncommitted", "a.task.md"), ("repository_dirty", "")]
    assert "2 paths are not committed" in remarks[1].message


@pytest.mark.parametrize(
    ("where", "changes", "weight", "code"),
    [
        (Repository(missing=True, why="No such file"), True, FAIL, "folder_missing"),
        (Repository(why="no commit yet", refused=True), True, FAIL, "not_cloneable"),
        (Repository(why="it is a partial clone"), True, WARN, "works_in_place"),
        (Repository(why="it is a partial clone"), False, NOTE, "works_in_place"),
        (Repository("/w", unknown="git broke"), True, NOTE, "uncommitted_unknown"),
    ],
)
def test_where_a_task_cannot_be_cloned_is_said(where: Repository, changes: bool, weight: Weight, code: str) -> None:
    (remark,) = repository_remarks([task("a", changes=changes)], {"a.task.md": where})
    assert (remark.weight, remark.code) == (weight, code)
    assert where.why in remark.message


CLAUDE = {"claude": AgentProfile("claude"), "local": AgentProfile("local", enabled=False)}


def test_a_held_queue_fails_and_says_what_to_type() -> None:
    (remark,) = agent_remarks([task()], CLAUDE, "claude", [Pause("*", 0.0, "paused", "you paused it")], 100.0)
    assert (remark.weight, remark.fix) == (FAIL, "python main.py resume")
    assert "the queue is held: you paused it; all tasks would not start" in remark.message


def test_an_agent_that_waits_for_its_reset_is_warned_about_with_the_time() -> None:
    pauses = [Pause("claude", 700.0, "limit", "usage limit"), Pause("local", 0.0, "x", "y")]
    (remark,) = agent_remarks([task()], CLAUDE, "claude", pauses, 100.0)
    assert remark.weight is WARN
    assert "one.task.md would start in 10 minutes at the earliest" in remark.message


def test_an_agent_that_is_off_fails_only_where_a_task_needs_it() -> None:
    assert agent_remarks([task()], CLAUDE, "claude", [], 0.0) == []
    assert said(agent_remarks([task()], CLAUDE, "local", [], 0.0)) == [(FAIL, "agent_off")]


@pytest.mark.parametrize(
    ("money", "expected"),
    [
        (Money(0.0, 0.0, inf), []),
        (Money(10.0, 4.0, 3.0), []),
        (Money(10.0, 4.0, 5.0), [(WARN, "budget_small")]),
        (Money(10.0, 4.0, inf), []),
        (Money(10.0, 0.0, 1.0), [(FAIL, "budget_used_up")]),
    ],
)
def test_the_budget_of_the_day_is_held_against_what_tasks_may_cost(
    money: Money, expected: list[tuple[Weight, str]]
) -> None:
    assert said(money_remarks(money)) == expected


COSTS: Json = {"p10": 1.0, "p50": 2.0, "p90": 5.0}


@pytest.mark.parametrize(
    ("left", "words"), [(6.0, ""), (3.0, "may not be enough"), (1.5, "would not be enough"), (0.0, "")]
)
def test_what_is_left_of_the_day_is_held_against_the_forecast(left: float, words: str) -> None:
    remarks = forecast_remarks({"cost_usd": COSTS}, Money(10.0, left, inf))
    assert [(one.weight, one.code) for one in remarks] == ([(WARN, "forecast_over_budget")] if words else [])
    assert all(words in one.message and "$5.00" in one.message for one in remarks)


@pytest.mark.parametrize("told", [None, {"cost_usd": None}, {}])
def test_without_a_forecast_of_cost_nothing_is_said_about_it(told: Mapping[str, Json] | None) -> None:
    assert forecast_remarks(told, Money(10.0, 1.0, inf)) == []


def test_questions_that_nobody_hears_of_are_warned_about() -> None:
    assert question_remarks(["a"], told=True) == question_remarks([], told=False) == []
    assert said(question_remarks(["a"], told=False)) == [(WARN, "questions_unheard")]


def test_what_the_doctor_objects_to_and_what_nobody_knows_are_remarks() -> None:
    findings = [passed("git", "version", "2.47"), passed("sleep", "settings", "not known: no systemd")]
    remarks = finding_remarks([*findings, warned("file system", "space", "few", "df")])
    assert [(one.weight, one.code, one.fix) for one in remarks] == [
        (NOTE, "machine_sleep", ""),
        (WARN, "machine_file_system", "df"),
    ]


NOON = 1_767_225_600.0 + 43_200  # of 2026-01-01, UTC
NIGHT = Hours(quiet=(span_in("11:00-22:00"),), quitting=(span_in("23:00-24:00"),), timezone="UTC")


def test_a_deadline_that_has_passed_or_lies_before_the_first_start_fails() -> None:
    passed_one = task("a", deadline="2025-12-31 10:00")
    late = task("b", after="2026-01-03 10:00", deadline="2026-01-03 09:00")
    fine = task("c", deadline="2026-01-03 09:00")
    remarks = time_remarks([passed_one, late, fine], Hours(), "UTC", NOON)
    assert [(one.weight, one.code, one.file) for one in remarks] == [
        (FAIL, "deadline_passed", "a.task.md"),
        (FAIL, "deadline_cannot_be_met", "b.task.md"),
    ]
    assert "can start at 2026-01-03 10:00 UTC at the earliest" in remarks[1].message


def test_hours_of_rest_and_what_it_waits_for_count_for_the_earliest_start() -> None:
    evening = task("a", deadline="in 2h")
    assert "deadline_cannot_be_met" in {one.code for one in time_remarks([evening], NIGHT, "UTC", NOON)}
    waits = [task("b", on=("c",), deadline="in 2h"), task("c", on=("d",)), task("d", after="in 3h")]
    codes = [(one.code, one.file) for one in time_remarks(waits, Hours(), "UTC", NOON)]
    assert ("deadline_cannot_be_met", "b.task.md") in codes


def test_hours_of_rest_now_and_in_the_night_are_noted() -> None:
    remarks = time_remarks([], NIGHT, "UTC", NOON)
    assert [(one.weight, one.code) for one in remarks] == [(NOTE, "hours_quiet"), (NOTE, "hours_quitting")]
    assert time_remarks([task()], Hours(), "UTC", NOON) == []


def test_a_time_of_its_own_and_a_schedule_are_noted() -> None:
    remarks = time_remarks([task("a", after="in 2h"), task("b", schedule="0 3 * * *")], Hours(), "UTC", NOON)
    assert [(one.weight, one.code) for one in remarks] == [(NOTE, "starts_later"), (NOTE, "scheduled")]
    assert "03:00 UTC" in remarks[1].message


def test_remarks_are_grouped_by_file_the_worst_first() -> None:
    given = [
        Remark(NOTE, "n", "", file="a"),
        Remark(WARN, "w", "", file="b"),
        Remark(FAIL, "f", "", file="c"),
        Remark(NOTE, "n", "", file="c"),
        Remark(WARN, "w", "", file="a"),
        Remark(NOTE, "n", ""),
    ]
    ordered = [(one.file, one.code) for one in sorted_remarks(given)]
    assert ordered == [("c", "f"), ("c", "n"), ("a", "w"), ("a", "n"), ("b", "w"), ("", "n")]
