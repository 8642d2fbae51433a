"""A result is built from stored facts: whatever they are, it satisfies the published schema."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.attempt import (
    AgentReport,
    AttemptRecord,
    Failed,
    FailureKind,
    Finished,
    Interrupted,
    Outcome,
    Usage,
)
from orchestrator.core.codec import to_json
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.evidence import Changes
from orchestrator.core.lifecycle import State
from orchestrator.core.report import summary_text
from orchestrator.core.subtask import Plan, SubTask, plan_facts
from orchestrator.core.task import Criterion, Inference, Notice, Priority, Task, TaskSpec, TaskType
from orchestrator.validation.checks import judge
from orchestrator.validation.result import build_result, hint_for, iso, result_bytes
from orchestrator.validation.schema import file_problems, result_problems

UID = TaskUid("0" * 24 + "abcdef12")
NOW = 1_800_000_000.0
FIX = TaskType("fix", ("Write",), expects_changes=True)
SPEC = TaskSpec("fix_db", "fix", Priority.HIGH, "Fix it", "Do it.", criteria=(Criterion("it works"),))
TASK = Task(UID, "fix_db", SPEC, "0" * 64, NOW, state=State.SUCCEEDED, ended_ts=NOW + 60, attempt=1, tries=1)
REPORT = AgentReport("Done.", 0, Usage(3, 100, 20, 0, 0, 0.05, 0.05), "s", "m", "2.1.329", 12.0, ("a.py",))

texts = st.text(st.characters(exclude_categories=()), max_size=30)
counts = st.none() | st.integers(0, 10**9)
dollars = st.none() | st.floats(0, 1e6)
times = st.floats(0, 4e9)
reports = st.builds(
    AgentReport,
    answer=texts,
    exit_code=st.none() | st.integers(-64, 255),
    usage=st.builds(Usage, counts, counts, counts, counts, counts, dollars, dollars),
    session_id=texts,
    model=texts,
    files_changed=st.lists(texts, max_size=3).map(tuple),
    denials=st.lists(texts, max_size=3).map(tuple),
    survivors_killed=st.integers(0, 9),
)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Finished, reports),
    st.builds(Failed, st.sampled_from(FailureKind), texts, reports),
    st.builds(Interrupted, texts, reports),
)
specs = st.builds(
    TaskSpec,
    id=texts.filter(bool),
    type=texts,
    priority=st.sampled_from(Priority),
    title=texts,
    prompt=texts,
    created=st.none() | st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),
    target_files=st.lists(texts, max_size=2).map(tuple),
    criteria=st.lists(st.builds(Criterion, texts), max_size=3).map(tuple),
    inferred=st.lists(st.builds(Inference, texts, texts, texts), max_size=2).map(tuple),
    notices=st.lists(st.builds(Notice, texts, texts), max_size=2).map(tuple),
)
tasks = st.builds(
    Task,
    uid=st.just(UID),
    name=st.just("fix_db"),
    spec=specs,
    sha256=st.just("a" * 64),
    created_ts=times,
    ended_ts=times,
    file_name=texts,
    state=st.sampled_from([State.SUCCEEDED, State.FAILED, State.CANCELLED]),
    reason=st.sampled_from(["", "cancelled", *FailureKind]).map(str),
    detail=texts,
)


def record(outcome: Outcome | None, number: int = 1, started: float = NOW, ended: float = NOW + 5) -> AttemptRecord:
    """Return what the store remembers of an attempt, as it comes back from JSON."""
    data = json.loads(json.dumps(to_json(outcome))) if outcome else {}
    return AttemptRecord(UID, number, number, "claude", "s", started, ended, data)


@settings(deadline=None)  # the first one loads the schema's library
@given(tasks, st.lists(st.none() | outcomes, max_size=3), times)
def test_whatever_was_stored_its_result_satisfies_the_schema(
    task: Task, ended: list[Outcome | None], started: float
) -> None:
    attempts = [record(outcome, number, started) for number, outcome in enumerate(ended, start=1)]
    built = build_result(task, attempts)
    assert file_problems(result_bytes(built)) == []
    assert result_bytes(built) == result_bytes(build_result(task, attempts))
    assert result_bytes(built).isascii()
    assert summary_text(built)


@given(specs, st.one_of(st.builds(Finished, reports), st.builds(Failed, st.sampled_from(FailureKind), texts, reports)))
def test_whatever_was_judged_its_verdict_satisfies_the_schema(spec: TaskSpec, outcome: Finished | Failed) -> None:
    verdict = judge(spec, FIX, outcome, Changes(created=("a",)))
    data: dict[str, Json] = {
        "passed": verdict.failure is None,
        "criteria": to_json(verdict.criteria),
        "checks": to_json(verdict.checks),
        "changes": to_json(verdict.changes),
    }
    built = build_result(replace(TASK, spec=spec), [replace(record(outcome), verdict=data)])
    assert result_problems(json.loads(result_bytes(built))) == []
    assert [row["text"] for row in built["criteria"]] == [one.text for one in spec.criteria]  # type: ignore[union-attr,call-overload,index]


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_comes_with_a_word_on_what_to_do(kind: FailureKind) -> None:
    assert hint_for(replace(TASK, state=State.FAILED, reason=kind.value)).endswith(".")


def test_success_needs_no_hint_and_a_cancelled_task_can_be_run_again() -> None:
    assert hint_for(TASK) == ""
    assert "retry" in hint_for(replace(TASK, state=State.CANCELLED, reason="cancelled"))


def test_usage_is_summed_over_attempts_and_one_unknown_part_makes_it_unknown() -> None:
    known = record(Finished(REPORT))
    assert build_result(TASK, [known, known])["usage"] == {
        "turns": 6,
        "input_tokens": 200,
        "output_tokens": 40,
        "cost_usd": 0.1,
    }
    unknown = record(Failed(FailureKind.KILLED, "killed", AgentReport()))
    assert set(build_result(TASK, [known, unknown])["usage"].values()) == {None}  # type: ignore[union-attr]


def test_the_answer_is_that_of_the_last_attempt() -> None:
    first, last = (
        record(Failed(FailureKind.CRASH, "x", REPORT)),
        record(Finished(replace(REPORT, answer="At last.")), 2),
    )
    built = build_result(TASK, [first, last])
    assert built["answer"] == "At last."
    assert [one["outcome"] for one in built["attempts"]] == ["failed", "finished"]  # type: ignore[union-attr,call-overload,index]


def test_a_task_that_was_never_checked_reports_its_criteria_as_unproven() -> None:
    why = "the task did not get as far as being checked"
    nothing: dict[str, Json] = {"mandatory": True, "check": None, "base": None, "result": None, "opinion": ""}
    assert build_result(replace(TASK, state=State.CANCELLED), [])["criteria"] == [
        {"text": "it works", "verdict": "unproven", "why": why, **nothing}
    ]


def test_time_is_told_in_utc_to_the_millisecond() -> None:
    assert iso(0.0) == "1970-01-01T00:00:00.000Z"
    assert iso(1_800_000_000.1234) == "2027-01-15T08:00:00.123Z"


def test_the_answer_of_a_planner_is_its_plan_in_words() -> None:
    plan = plan_facts(Plan((SubTask("a", "Part a", "Do a."), SubTask("b", "Part b", "Do b.")), "In parts."))
    record = AttemptRecord(
        UID,
        1,
        1,
        "claude",
        "s",
        1.0,
        2.0,
        {"report": {"answer": json.dumps(plan)}},
        {"plan": {"stage": "split", "plan": plan, "children": ["t.a", "t.b"]}},
    )
    answer = str(build_result(TASK, [record])["answer"])
    assert answer.startswith("In parts.\n1. a: Part a")
    assert "{" not in answer
