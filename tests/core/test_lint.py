"""Lint before bed: what is said about one task, and about tasks side by side."""

from collections.abc import Mapping
from math import inf

import pytest

from orchestrator.core.agents import AgentProfile
from orchestrator.core.events import Json
from orchestrator.core.finding import passed, warned
from orchestrator.core.hours import Hours, span_in
from orchestrator.core.lifecycle import State
from orchestrator.core.lint import (
    Checked,
    LintTask,
    Refused,
    Remark,
    Weight,
    check_remarks,
    counted,
    never_run,
    sorted_remarks,
    task_remarks,
)
from orchestrator.core.lint_batch import (
    Money,
    Repository,
    agent_remarks,
    dependency_remarks,
    finding_remarks,
    forecast_remarks,
    id_remarks,
    money_remarks,
    overlap_remarks,
    question_remarks,
    repository_remarks,
)
from orchestrator.core.lint_times import time_remarks
from orchestrator.core.ports import Pause
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec
from orchestrator.core.task import Criterion, Notice, Priority, TaskSpec

TESTS = CheckSpec(CheckKind.COMMAND, argv=("pytest", "-q"))
LINES = CheckSpec(CheckKind.FILE_EXISTS, path="a.py")
FAIL, WARN, NOTE = Weight.FAIL, Weight.WARN, Weight.NOTE


def task(
    task_id: str = "one",
    *criteria: Criterion,
    changes: bool = True,
    on: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
    file: str = "",
    notices: tuple[Notice, ...] = (),
    policy: str = "block",
    after: str = "",
    deadline: str = "",
    schedule: str = "",
) -> LintTask:
    spec = TaskSpec(
        task_id,
        "fix",
        Priority.MEDIUM,
        "T",
        "Do.",
        criteria=criteria,
        notices=notices,
        depends_on=on,
        after=after,
        deadline=deadline,
        schedule=schedule,
        timezone="UTC",
    )
    return LintTask(file or f"{task_id}.task.md", spec, "/w", targets, expects_changes=changes, policy=policy)


def checked(check: CheckSpec = TESTS, *, mandatory: bool = True) -> Criterion:
    return Criterion("the tests pass", line=7, check=check, mandatory=mandatory)


def said(remarks: list[Remark]) -> list[tuple[Weight, str]]:
    return [(one.weight, one.code) for one in remarks]


# --- one task ---------------------------------------------------------------------------------------------------------


def test_a_task_that_is_to_change_something_and_names_no_criterion_is_warned_about() -> None:
    (remark,) = task_remarks(task())
    assert (remark.weight, remark.code, remark.file) == (WARN, "criteria_missing", "one.task.md")
    assert "docs/task-files.md" in remark.fix


def test_without_criteria_a_task_that_only_reads_is_fine() -> None:
    assert said(task_remarks(task(changes=False))) == [(NOTE, "criteria_missing")]


def test_criteria_that_nothing_can_run_are_warned_about_once() -> None:
    words = [Criterion(f"it is good {n}", line=n) for n in (4, 5)]
    (remark,) = task_remarks(task("one", *words))
    assert (remark.weight, remark.code, remark.line) == (WARN, "criteria_not_executable", 4)
    assert "none of its 2 criteria has a check: nothing can run them" in remark.message


def test_criteria_that_all_wait_for_a_person_are_said_to() -> None:
    human = Criterion("(human) it looks right", check=CheckSpec(CheckKind.HUMAN))
    assert "a person has to look at them" in task_remarks(task("one", human))[0].message


def test_beside_a_check_each_mandatory_criterion_in_words_is_noted() -> None:
    remarks = task_remarks(task("one", checked(), Criterion("it is nice", line=9), Criterion("or so", mandatory=False)))
    assert [(one.code, one.line) for one in remarks] == [("criterion_not_executable", 9)]


def test_what_looks_like_a_check_and_is_none_is_a_warning_with_its_line() -> None:
    notice = Notice("criterion_in_words", "`make` is not run", 12)
    (remark,) = task_remarks(task("one", checked(), notices=(notice, Notice("front_matter_missing", "words"))))
    assert (remark.weight, remark.line, remark.message) == (WARN, 12, "`make` is not run")


def run(*, passed: bool | None, detail: str = "") -> CheckRun:
    return CheckRun(passed, "c0ffee", detail=detail)


def test_where_every_check_passes_already_there_is_nothing_to_prove() -> None:
    two = task("one", checked(), checked(LINES))
    runs = {TESTS: run(passed=True), LINES: run(passed=True)}
    (remark,) = check_remarks(two, Checked(two.file, "c0ffee", runs))
    assert (remark.weight, remark.code) == (WARN, "nothing_to_prove")
    assert "all its 2 checks pass already" in remark.message


def test_a_check_that_passes_already_beside_one_that_fails_only_guards() -> None:
    two = task("one", checked(), checked(LINES))
    runs = {TESTS: run(passed=False), LINES: run(passed=True)}
    assert said(check_remarks(two, Checked(two.file, "c0ffee", runs))) == [(NOTE, "check_passes_already")]


def test_a_check_that_fails_on_the_base_is_as_it_should_be() -> None:
    one = task("one", checked())
    assert check_remarks(one, Checked(one.file, "c0ffee", {TESTS: run(passed=False)})) == []


def test_a_check_without_an_answer_is_told_apart_from_one_that_was_not_run() -> None:
    two = task("one", checked(), checked(LINES))
    runs = {TESTS: run(passed=None, detail="no such program"), LINES: never_run("no time was left for it")}
    broken, skipped = check_remarks(two, Checked(two.file, "c0ffee", runs))
    assert (broken.weight, broken.code) == (WARN, "check_gives_no_answer")
    assert "no such program" in broken.message
    assert (skipped.weight, skipped.code) == (NOTE, "check_not_run")
    assert skipped.message.endswith("was not run: no time was left for it")
    assert counted([Checked(two.file, "c0ffee", runs)]) == (1, 1)


def test_it_says_that_no_check_was_run_and_why() -> None:
    one = task("one", checked())
    (remark,) = check_remarks(one, Checked(one.file, why_not="--no-run was given"))
    assert (remark.weight, remark.message) == (NOTE, "its 1 check was not run: --no-run was given")
    assert check_remarks(task("two"), Checked("two.task.md", why_not="x")) == []


# --- ids and dependencies ---------------------------------------------------------------------------------------------


def test_the_second_file_of_an_id_is_warned_about_and_names_the_first() -> None:
    remarks = id_remarks([task("a", file="x"), task("a", file="y")], {})
    assert [(one.weight, one.code, one.file) for one in remarks] == [(WARN, "id_duplicate", "y")]
    assert remarks[0].message.startswith("x has the id a too")


@pytest.mark.parametrize("known", [{}, {"A": State.QUEUED}])
def test_ids_that_differ_only_in_case_fail(known: Mapping[str, State]) -> None:
    files = [task("a", file="y")] if known else [task("A", file="x"), task("a", file="y")]
    assert [(one.weight, one.code, one.file) for one in id_remarks(files, known)] == [(FAIL, "id_conflict", "y")]


def test_a_file_that_was_done_before_fails() -> None:
    (remark,) = id_remarks([task("a")], {}, {"a.task.md": "a-2"})
    assert (remark.weight, remark.code) == (FAIL, "duplicate_content")


def test_an_id_that_is_at_work_already_is_noted() -> None:
    assert said(id_remarks([task("a")], {"a": State.RUNNING})) == [(NOTE, "id_open")]


def test_a_dependency_that_nobody_has_the_id_of_fails() -> None:
    tasks = [task("a", on=("b", "old"))]
    (remark,) = dependency_remarks(tasks, {"old": State.SUCCEEDED})
    assert (remark.weight, remark.code) == (FAIL, "dependency_unknown")
    assert "it waits for b, and nobody has that id" in remark.message
    wrong = Refused("b.task.md", Remark(FAIL, "type_invalid", "x", file="b.task.md"))
    assert "b.task.md" in dependency_remarks(tasks, {}, [wrong])[0].fix


def test_ids_are_the_same_in_other_case_for_who_waits_too() -> None:
    assert dependency_remarks([task("a", on=("B",)), task("b")], {}) == []
    assert said(dependency_remarks([task("a", on=("B",)), task("b", on=("A",))], {})) == [(FAIL, "dependency_cycle")]


@pytest.mark.parametrize(
    ("policy", "words"), [("block", "it would not start"), ("skip", "it would be cancelled"), ("run_anyway", "")]
)
def test_a_dependency_on_what_failed_before_says_what_would_follow(policy: str, words: str) -> None:
    remarks = dependency_remarks([task("a", on=("b",), policy=policy)], {"b": State.FAILED})
    assert [(one.weight, one.code) for one in remarks] == ([(FAIL, "dependency_failed")] if words else [])
    assert all(one.message.startswith(words) and "retry b" in one.fix for one in remarks)


def test_a_dependency_on_an_id_of_two_files_fails() -> None:
    tasks = [task("a", on=("b",)), task("b", file="x"), task("b", file="y")]
    assert said(dependency_remarks(tasks, {})) == [(FAIL, "dependency_ambiguous")]


def test_a_cycle_over_files_is_spelled_out() -> None:
    tasks = [task("a", on=("b",)), task("b", on=("c",)), task("c", on=("a",)), task("d", on=("a",))]
    (remark,) = dependency_remarks(tasks, {})
    assert (remark.weight, remark.code, remark.file) == (FAIL, "dependency_cycle", "a.task.md")
    assert remark.message.endswith("a → b → c → a")


def test_a_task_that_waits_for_itself_and_a_second_cycle_are_each_found() -> None:
    tasks = [task("a", on=("a",)), task("b", on=("c",)), task("c", on=("b",))]
    cycles = [one.message.rpartition(": ")[2] for one in dependency_remarks(tasks, {})]
    assert cycles == ["a → a", "b → c → b"]


def test_ten_thousand_tasks_in_one_chain_are_looked_at_without_a_remark() -> None:
    chain = [task(f"t{n}", on=(f"t{n - 1}",) if n else (), targets=("/w/x",)) for n in range(10_000)]
    assert dependency_remarks(chain, {}) == []
    assert overlap_remarks(chain) == []
    assert time_remarks(chain, Hours(), "UTC", 0.0) == []


# --- target files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ("/w/a.py", "/w/a.py", True),
        ("/w/src", "/w/src/a.py", True),
        ("/w/src/a.py", "/w/src/", True),
        ("/w/a.py", "/w/a.pyc", False),
        ("/w/src", "/w/src2/a.py", False),
    ],
)
def test_tasks_on_one_target_are_said_to_run_one_after_the_other(first: str, second: str, meet: bool) -> None:
    remarks = overlap_remarks([task("a", targets=(first,)), task("b", targets=(second,))])
    assert said(remarks) == ([(WARN, "targets_overlap")] if meet else [])
    if meet:
        assert remarks[0].file == "b.task.md"
        assert "they run one after the other" in remarks[0].message
        assert remarks[0].fix == "Let one wait for the other: `depends_on: [a]`"


def test_tasks_that_wait_for_each_other_anyhow_may_share_a_target() -> None:
    tasks = [task("a", targets=("/w/x",)), task("b", on=("a",)), task("c", targets=("/w/x",), on=("b",))]
    assert overlap_remarks(tasks) == []
    assert overlap_remarks([task("c", targets=("/w/x",), on=("a",)), task("a", targets=("/w/x",))]) == []


def test_many_tasks_on_one_target_are_each_told_about_once() -> None:
    tasks = [task(f"t{n}", targets=("/w/x", "/w/x/deep")) for n in range(50)]
    assert len(overlap_remarks(tasks)) == 49


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
