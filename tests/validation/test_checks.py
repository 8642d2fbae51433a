"""What is called done: the verdict over outcome, answer and seen changes."""

from dataclasses import replace

import pytest

from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Finished
from orchestrator.core.evidence import Changes, Unresolved
from orchestrator.core.question import Question, Source
from orchestrator.core.task import Criterion, Priority, TaskSpec, TaskType
from orchestrator.validation.checks import judge

FIX = TaskType("fix", ("Bash", "Read", "Edit", "Write"), expects_changes=True)
ANALYZE = TaskType("analyze", ("Read",), expects_changes=False)
SPEC = TaskSpec(
    id="t", type="fix", priority=Priority.HIGH, title="T", prompt="P", criteria=(Criterion("a"), Criterion("b"))
)
WORKED = AgentReport(answer="Fixed, all tests pass.", exit_code=0, tool_calls={"Edit": 1}, files_changed=("a.py",))
CHANGED = Changes(modified=("a.py",))
UNCHANGED = Changes()
UNKNOWN = Changes(complete=False, detail="too large")


def _failure(task_type: TaskType, report: AgentReport, changes: Changes) -> FailureKind | None:
    verdict = judge(SPEC, task_type, Finished(report), changes)
    return verdict.failure.kind if verdict.failure else None


def test_honest_work_succeeds() -> None:
    assert _failure(FIX, WORKED, CHANGED) is None


def test_saying_done_without_a_changed_file_is_not_believed() -> None:
    liar = AgentReport(answer="Done! I fixed the bug and all 14 tests pass.", exit_code=0)
    assert _failure(FIX, liar, UNCHANGED) is FailureKind.NO_CHANGES


def test_changes_of_a_neighbour_do_not_make_a_liar_honest() -> None:
    liar = AgentReport(answer="Done! I fixed the bug.", exit_code=0, tool_calls={"Read": 3})
    assert _failure(FIX, liar, CHANGED) is FailureKind.NO_CHANGES


def test_a_write_that_was_denied_is_no_deed_even_where_a_neighbour_changed_files() -> None:
    liar = AgentReport(answer="All done, I fixed it.", exit_code=0, tool_calls={"Write": 1}, denials=("Write",))
    assert _failure(FIX, liar, Changes(modified=("neighbour.txt",), alone=False)) is FailureKind.PERMISSION_DENIED


def test_a_shell_of_which_one_command_was_denied_still_worked() -> None:
    report = AgentReport(answer="Fixed it.", exit_code=0, tool_calls={"Bash": 3}, denials=("Bash",))
    assert _failure(FIX, report, CHANGED) is None
    assert _failure(FIX, replace(report, denials=("Bash",) * 3), CHANGED) is FailureKind.PERMISSION_DENIED


def test_a_shell_among_neighbours_proves_nothing_either_way() -> None:
    report = AgentReport(answer="Fixed it.", exit_code=0, tool_calls={"Bash": 1})
    verdict = judge(SPEC, FIX, Finished(report), Changes(modified=("x",), alone=False))
    assert verdict.failure is None
    assert [check.passed for check in verdict.checks if check.name == "files were changed"] == [None]


def test_a_file_that_its_own_tool_wrote_counts_among_neighbours() -> None:
    report = replace(WORKED, files_changed=("/home/you/a.py",))
    assert _failure(FIX, report, Changes(modified=("a.py", "x"), alone=False)) is None


def test_an_edit_that_left_no_trace_is_not_believed() -> None:
    assert _failure(FIX, WORKED, UNCHANGED) is FailureKind.NO_CHANGES


def test_where_nothing_can_be_compared_the_tools_are_believed() -> None:
    assert _failure(FIX, WORKED, UNKNOWN) is None


def test_a_shell_alone_where_nothing_can_be_compared_stays_undecided() -> None:
    verdict = judge(SPEC, FIX, Finished(replace(WORKED, tool_calls={"Bash": 2}, files_changed=())), UNKNOWN)
    assert verdict.failure is None
    assert [check.passed for check in verdict.checks if check.name == "files were changed"] == [None]


def test_a_reading_task_needs_no_changes() -> None:
    assert _failure(ANALYZE, AgentReport(answer="It parses files.", exit_code=0), UNCHANGED) is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("", FailureKind.EMPTY_ANSWER),
        ("  \n", FailureKind.EMPTY_ANSWER),
        ("Which of the two modules should I change?", FailureKind.ASKED_A_QUESTION),
        ("I could not find the module, so I changed nothing.", FailureKind.GAVE_UP),
    ],
)
@pytest.mark.parametrize("task_type", [FIX, ANALYZE])
def test_what_is_no_answer_is_never_a_success(answer: str, kind: FailureKind, task_type: TaskType) -> None:
    assert _failure(task_type, AgentReport(answer=answer, exit_code=0), UNCHANGED) is kind


def test_a_denied_tool_that_stopped_the_work_is_named() -> None:
    report = AgentReport(answer="I was unable to write the file.", exit_code=0, denials=("Write",))
    assert _failure(FIX, report, UNCHANGED) is FailureKind.PERMISSION_DENIED


def test_a_denied_tool_that_was_worked_around_does_not_matter() -> None:
    assert _failure(FIX, replace(WORKED, denials=("Bash",)), CHANGED) is None


def test_work_that_could_not_be_tried_out_succeeds_but_says_so() -> None:
    report = replace(WORKED, answer="I edited a.py. I could not run the tests: there is no shell.")
    verdict = judge(SPEC, FIX, Finished(report), CHANGED)
    assert verdict.failure is None
    assert [check.passed for check in verdict.checks if check.name == "agent did not give up"] == [None]


def test_a_failed_attempt_keeps_its_own_reason() -> None:
    failed = Failed(FailureKind.MAX_TURNS, "10 turns used")
    assert judge(SPEC, FIX, failed, CHANGED).failure is failed


@pytest.mark.parametrize("outcome", [Finished(WORKED), Failed(FailureKind.CRASH, "signal 11")])
def test_every_criterion_is_reported_and_none_as_proven(outcome: Finished | Failed) -> None:
    verdict = judge(SPEC, FIX, outcome, CHANGED)
    assert [(criterion.text, criterion.verdict) for criterion in verdict.criteria] == [
        ("a", "unproven"),
        ("b", "unproven"),
    ]


@pytest.mark.parametrize(
    ("answer", "claims"), [("All is done.", True), ("", False), ("Which of the two files do you mean?", False)]
)
def test_only_who_called_it_done_is_said_to_have(answer: str, claims: bool) -> None:
    verdict = judge(SPEC, FIX, Finished(AgentReport(answer=answer)), UNCHANGED)
    (check,) = (check for check in verdict.checks if check.name == "files were changed")
    assert check.passed is False
    assert check.detail.startswith("it says it is done") is claims


def test_structure_says_first_that_it_asks_and_words_last() -> None:
    asked = Question("Which one?", ("a", "b"), Source.TOOL)
    verdict = judge(SPEC, FIX, Finished(replace(WORKED, question=asked, answer="")), CHANGED)
    assert verdict.failure is not None
    assert (verdict.failure.kind, verdict.question) == (FailureKind.ASKED_A_QUESTION, asked)
    denied = replace(
        WORKED, answer="I could not write it. May I?", denials=("Write",), files_changed=(), question=asked
    )
    verdict = judge(SPEC, FIX, Finished(denied), UNCHANGED)
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.PERMISSION_DENIED
    assert verdict.question == Question("It was denied: Write\n\nI could not write it. May I?", (), Source.DENIAL)


def test_a_denied_tool_without_which_nothing_was_done_is_a_question_whatever_it_says() -> None:
    report = AgentReport(answer="The file is as you wished.", exit_code=0, denials=("Write",))
    assert _failure(FIX, report, UNCHANGED) is FailureKind.PERMISSION_DENIED
    assert _failure(ANALYZE, report, UNCHANGED) is None


def test_work_half_done_for_a_denied_tool_is_a_question() -> None:
    report = replace(WORKED, denials=("Write",), answer="I edited a.py. I could not write /etc/hosts.")
    assert _failure(FIX, report, CHANGED) is FailureKind.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        ("Which?\n\n1. one\n2. two\n", ("one", "two")),
        ("a) left\nb) right\n\nWhich of the two should I take?", ("left", "right")),
        ("I changed\n- this\n- that\n\nShould I go on?", ()),
        ("1. only one\n\nShould I?", ()),
        ('{"question": "Which?", "options": ["x", "y"]}', ("x", "y")),
        ('```json\n{"question": "Which?", "options": ["x"]}\n```', ("x",)),
    ],
)
def test_the_options_of_a_question_in_words_are_those_it_numbers(answer: str, options: tuple[str, ...]) -> None:
    verdict = judge(SPEC, ANALYZE, Finished(AgentReport(answer=answer, exit_code=0)), UNCHANGED)
    assert verdict.question is not None
    assert verdict.question.options == options


def test_an_answer_in_json_that_holds_more_than_a_question_is_an_answer() -> None:
    report = AgentReport(answer='{"question": "Why is the sky blue?", "answer": "Rayleigh."}', exit_code=0)
    assert _failure(ANALYZE, report, UNCHANGED) is None


LEFT = Unresolved(("app.py",), ("the result of auth (branch orchestrator/auth)",), "/area/repo")


def test_markers_that_are_left_of_a_merge_of_ours_are_a_question_to_a_person() -> None:
    changes = replace(CHANGED, own=True, unresolved=LEFT)
    verdict = judge(SPEC, FIX, Finished(replace(WORKED, answer="I could not tell which is right.")), changes)
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.MERGE_CONFLICT
    assert verdict.failure.detail == "conflicts of a merge are left in app.py"
    assert verdict.question is not None
    assert verdict.question.source is Source.CONFLICT
    for words in ("- app.py", "orchestrator/auth", "/area/repo", "I could not tell which is right."):
        assert words in verdict.question.text


def test_what_an_agent_asks_itself_about_a_conflict_goes_before_our_question() -> None:
    asked = Question("Which of the two?", (), Source.TOOL)
    verdict = judge(SPEC, FIX, Finished(replace(WORKED, question=asked)), replace(CHANGED, own=True, unresolved=LEFT))
    assert verdict.question == asked


def test_a_merge_that_was_resolved_is_no_matter_of_the_verdict() -> None:
    verdict = judge(SPEC, FIX, Finished(WORKED), replace(CHANGED, own=True))
    assert verdict.failure is None
    assert "merge conflicts are resolved" not in [check.name for check in verdict.checks]
