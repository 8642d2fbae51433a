"""What becomes of every bad task file that the bytes alone decide."""

from dataclasses import replace

import pytest
from tests.data.bad_inputs import CASES, ROWS_COVERED, RULES, BadInput

from orchestrator.core.errors import TaskFileError
from orchestrator.core.reasons import TASK_FILE_NOTICES, TASK_FILE_REASONS
from orchestrator.core.taskfile import parse_task_file

REFUSED = [case for case in CASES if case.reason]
ACCEPTED = [case for case in CASES if not case.reason]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_bad_file_is_refused_for_its_reason_at_its_line(case: BadInput) -> None:
    with pytest.raises(TaskFileError) as caught:
        parse_task_file(case.content(), file_name=case.file_name, rules=replace(RULES, strict=case.strict))
    error = caught.value
    assert error.reason == case.reason
    assert not case.line or error.line == case.line
    assert not case.field or error.field == case.field
    assert case.hint in error.hint
    assert error.file == case.file_name
    assert error.hint
    assert str(error).isprintable() or "\n" in str(error)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_a_careless_file_is_accepted_and_says_what_is_odd(case: BadInput) -> None:
    spec = parse_task_file(case.content(), file_name=case.file_name, rules=replace(RULES, strict=case.strict))
    codes = {notice.code for notice in spec.notices}
    assert case.notices <= codes <= set(TASK_FILE_NOTICES)
    assert {name: getattr(spec, name) for name in case.values} == dict(case.values)
    assert case.inferred <= {inference.field for inference in spec.inferred}
    lines = [notice.line for notice in spec.notices if notice.code in case.notices]
    assert not case.line or case.line in lines


def test_every_row_that_bytes_decide_has_a_case() -> None:
    expected = {*range(1, 35), 36, *range(40, 69), 71}
    assert expected == ROWS_COVERED


def test_every_reason_expected_is_in_the_catalogue() -> None:
    assert {case.reason for case in REFUSED} <= set(TASK_FILE_REASONS)
