"""From runs and findings to verdicts: what is proven, what only holds, what keeps a task open."""

import json
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.attempt import AgentReport, AttemptRecord, Failed, FailureKind, Finished
from orchestrator.core.codec import to_json
from orchestrator.core.events import TaskUid
from orchestrator.core.evidence import Changes
from orchestrator.core.lifecycle import State
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec, CriterionProof, Finding, Proof, Suspicion
from orchestrator.core.report import summary_text
from orchestrator.core.retry import sent_back
from orchestrator.core.task import Criterion, Priority, Task, TaskSpec, TaskType
from orchestrator.validation.checks import judge
from orchestrator.validation.proof import IN_WORDS, checks_of, is_open, open_because, proofs_of, unchecked
from orchestrator.validation.result import build_result, result_bytes
from orchestrator.validation.schema import file_problems

TESTS = CheckSpec(CheckKind.COMMAND, argv=("pytest", "-q"))
GUIDE = CheckSpec(CheckKind.FILE_EXISTS, path="guide.md")
CHECKED = Criterion("tests pass: `pytest -q`", check=TESTS)
WORDS = Criterion("it is nice")
PERSON = Criterion("(human) it looks right", check=CheckSpec(CheckKind.HUMAN))
DELETED = Finding(Suspicion.TEST_DELETED, "tests/test_a.py", "3 tests are gone")
OUTSIDE = Finding(Suspicion.WROTE_OUTSIDE, "/etc/x", "changed meanwhile", taints=False)
REPORT = AgentReport("Done.", 0, tool_calls={"Edit": 1}, files_changed=("a.py",))


def run(passed: bool | None, commit: str = "c") -> CheckRun:
    code = None if passed is None else int(not passed)
    detail = {True: "", False: "exit code 1", None: "there is no pytest here"}[passed]
    return CheckRun(passed, commit, code, 0.5, f"output on {commit}", detail, "held")


def proof(before: CheckRun | None, after: CheckRun | None, *findings: Finding) -> CriterionProof:
    base, result = ({TESTS: one} if one else {} for one in (before, after))
    (found,) = proofs_of([CHECKED], base=base, result=result, findings=findings)
    assert (found.text, found.check, found.base, found.result) == (CHECKED.text, TESTS, before, after)
    return found


@pytest.mark.parametrize(
    ("before", "after", "verdict", "why"),
    [
        (False, True, Proof.PROVEN, "it fails on the base (exit code 1) and passes on the result"),
        (True, True, Proof.HOLDS, "proves nothing new"),
        (False, False, Proof.FAILED, "it failed on the base too"),
        (True, False, Proof.FAILED, "this work broke it"),
        (None, True, Proof.HOLDS, "it gave no answer on the base: there is no pytest here"),
        (None, False, Proof.FAILED, "it fails on the result: exit code 1"),
        (False, None, Proof.UNPROVEN, "its check gave no answer"),
        (True, None, Proof.UNPROVEN, "there is no pytest here"),
    ],
)
def test_a_verdict_follows_from_base_and_result(
    before: bool | None, after: bool | None, verdict: Proof, why: str
) -> None:
    found = proof(run(before, "b"), run(after, "r"))
    assert found.verdict is verdict
    assert why in found.why


def test_without_a_base_nothing_is_proven_and_a_guard_still_guards() -> None:
    assert proof(None, run(True)).verdict is Proof.HOLDS
    assert proof(None, run(False)).verdict is Proof.FAILED
    assert proof(None, None).verdict is Proof.UNPROVEN


@pytest.mark.parametrize(("before", "after"), list(product([True, False, None], repeat=2)))
def test_what_taints_takes_the_worth_of_every_check_that_passes_and_of_no_other(
    before: bool | None, after: bool | None
) -> None:
    clean, tainted = proof(run(before), run(after)), proof(run(before), run(after), OUTSIDE, DELETED)
    if after:
        assert tainted.verdict is Proof.UNPROVEN
        assert "test deleted: tests/test_a.py: 3 tests are gone" in tainted.why
    else:
        assert tainted == clean
    assert proof(run(before), run(after), OUTSIDE) == clean, "what does not taint changes no verdict"


def test_words_and_people_are_named_as_such() -> None:
    words, person = proofs_of([WORDS, PERSON], base={}, result={})
    assert (words.verdict, words.why) == (Proof.UNPROVEN, IN_WORDS)
    assert person.verdict is Proof.HUMAN
    assert checks_of([WORDS, PERSON, CHECKED, replace(CHECKED, text="again")]) == (TESTS,)


def why_open(*criteria: Criterion, passed: bool | None = True, findings: tuple[Finding, ...] = ()) -> Failed | None:
    found = proofs_of(criteria, base={}, result={TESTS: run(passed), GUIDE: run(True)}, findings=findings)
    return open_because(found, findings, REPORT)


def test_a_task_is_closed_when_every_mandatory_check_passes_and_words_keep_none_open() -> None:
    assert why_open() is None
    assert why_open(WORDS) is None
    assert why_open(CHECKED, WORDS) is None
    assert why_open(CHECKED, findings=(OUTSIDE,)) is None


@pytest.mark.parametrize(
    ("criterion", "passed", "kind"),
    [
        (CHECKED, False, FailureKind.CHECK_FAILED),
        (CHECKED, None, FailureKind.UNPROVEN),
        (PERSON, True, FailureKind.UNPROVEN),
    ],
)
def test_a_mandatory_criterion_keeps_it_open_and_an_optional_one_does_not(
    criterion: Criterion, passed: bool | None, kind: FailureKind
) -> None:
    failure = why_open(WORDS, criterion, passed=passed)
    assert failure is not None
    assert failure.kind is kind
    assert criterion.text in failure.detail
    assert failure.report is REPORT
    assert why_open(WORDS, replace(criterion, mandatory=False), passed=passed) is None


def test_a_taint_keeps_even_a_task_in_words_open_until_a_person_accepts() -> None:
    failure = why_open(WORDS, findings=(DELETED, DELETED))
    assert failure is not None
    assert (failure.kind, failure.detail) == (
        FailureKind.UNPROVEN,
        "test deleted: tests/test_a.py: 3 tests are gone and 1 more",
    )


def test_a_failed_check_comes_before_what_only_a_person_can_settle() -> None:
    failure = why_open(PERSON, CHECKED, passed=False, findings=(DELETED,))
    assert failure is not None
    assert failure.kind is FailureKind.CHECK_FAILED


runs = st.none() | st.builds(
    CheckRun,
    st.none() | st.booleans(),
    st.text(max_size=5),
    st.none() | st.integers(-64, 255),
    st.floats(0, 1e6),
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=20),
)
criteria = st.lists(
    st.builds(
        Criterion,
        st.text(max_size=9),
        check=st.sampled_from([None, TESTS, GUIDE, CheckSpec(CheckKind.HUMAN)]),
        mandatory=st.booleans(),
    ),
    max_size=4,
)
findings = st.lists(
    st.builds(
        Finding, st.sampled_from(Suspicion), st.text(max_size=5), st.text(max_size=5), st.integers(0, 9), st.booleans()
    ),
    max_size=2,
)
SPEC = TaskSpec("t", "fix", Priority.HIGH, "T", "P")
FIX = TaskType("fix", ("Edit",), expects_changes=True)


@given(criteria, runs, runs, runs, findings)
def test_no_task_with_an_open_mandatory_criterion_succeeds_and_every_verdict_can_be_told(
    lines: list[Criterion], before: CheckRun | None, after: CheckRun | None, guide: CheckRun | None, odd: list[Finding]
) -> None:
    base = {TESTS: before} if before else {}
    result = {check: one for check, one in ((TESTS, after), (GUIDE, guide)) if one}
    found = proofs_of(lines, base=base, result=result, findings=odd)
    spec = replace(SPEC, criteria=tuple(lines))
    verdict = judge(spec, FIX, Finished(REPORT), Changes(modified=("a.py",)), found, odd)
    assert verdict.criteria == found
    if any(map(is_open, found)) or any(one.taints for one in odd):
        assert verdict.failure is not None
        assert verdict.failure.kind in (FailureKind.CHECK_FAILED, FailureKind.UNPROVEN)
    else:
        assert verdict.failure is None
    for one in found:
        assert (one.verdict is Proof.PROVEN) <= (one.base is not None and one.base.passed is False)
        assert (one.verdict in (Proof.PROVEN, Proof.HOLDS)) <= (one.result is not None and one.result.passed is True)
    data = json.loads(json.dumps(to_json(verdict)))
    record = AttemptRecord(TaskUid("0" * 32), 1, 1, "claude", "s", 1.0, 2.0, {}, data)
    task = Task(TaskUid("0" * 32), "t", spec, "0" * 64, 1.0, state=State.FAILED, reason="unproven", ended_ts=3.0)
    built = build_result(task, [record])
    assert file_problems(result_bytes(built)) == []
    assert summary_text(built)
    assert sent_back([record]) == any(one.mandatory and one.verdict is Proof.FAILED for one in found)


def test_a_task_whose_checks_nobody_ran_has_not_succeeded() -> None:
    spec = replace(SPEC, criteria=(CHECKED,))
    verdict = judge(spec, FIX, Finished(REPORT), Changes(modified=("a.py",)))
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.UNPROVEN
    assert verdict.criteria == unchecked(spec.criteria)
    assert [check.passed for check in verdict.checks if check.name == "every mandatory criterion is met"] == [False]


def test_a_lie_is_named_before_the_check_that_fails_with_it() -> None:
    spec = replace(SPEC, criteria=(CHECKED,))
    failed = proofs_of(spec.criteria, base={}, result={TESTS: run(False)})
    liar = AgentReport("All done, the tests pass!", 0)
    verdict = judge(spec, FIX, Finished(liar), Changes(), failed)
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.NO_CHANGES
