"""Lint before bed: what is said about one task, and about tasks side by side."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.core.lint_rig import said, task

from orchestrator.core.hours import Hours
from orchestrator.core.lifecycle import State
from orchestrator.core.lint import (
    Checked,
    Refused,
    Remark,
    Weight,
    check_remarks,
    counted,
    never_run,
    task_remarks,
)
from orchestrator.core.lint_batch import (
    dependency_remarks,
    id_remarks,
    overlap_remarks,
)
from orchestrator.core.lint_times import time_remarks
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec
from orchestrator.core.task import Criterion, Notice

TESTS = CheckSpec(CheckKind.COMMAND, argv=("pytest", "-q"))
LINES = CheckSpec(CheckKind.FILE_EXISTS, path="a.py")
FAIL, WARN, NOTE = Weight.FAIL, Weight.WARN, Weight.NOTE


def checked(check: CheckSpec = TESTS, *, mandatory: bool = True) -> Criterion:
    return Criterion("the tests pass", line=7, check=check, mandatory=mandatory)


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
    assert "a person has to look at them" in task_remarks(task("one", human, human))[0].message
    assert "its only criterion has no check: a person has to look at it" in task_remarks(task("one", human))[0].message


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
    assert "it waits for b, and nobody has that id: it would wait until somebody brings it" in remark.message
    (of_many,) = dependency_remarks([replace(tasks[0], group="t.json", file="t.json: a")], {"old": State.SUCCEEDED})
    assert of_many.message == "it waits for b, and nobody has that id: its file would be refused"
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


def test_an_id_means_a_sibling_of_the_same_job_before_anybody_else() -> None:
    jobs = [task("b", file=f"{job}: b", group=job) for job in ("x", "y")]
    tasks = [*jobs, task("a", on=("b",), file="x: a", group="x"), task("c", on=("b",))]
    assert [(one.code, one.file) for one in dependency_remarks(tasks, {})] == [("dependency_ambiguous", "c.task.md")]
    crossed = [task("a", on=("b",), file="x: a", group="x"), task("b", on=("a",), file="y: b", group="y")]
    assert said(dependency_remarks(crossed, {})) == [(FAIL, "dependency_cycle")]
