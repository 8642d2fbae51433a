"""The schema's formats are checked, not only written down."""

import sys

import jsonschema
import pytest

from orchestrator.validation import schema


@pytest.mark.parametrize("text", ["yesterday", "2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    assert not checker.conforms(text, "date-time")
    assert checker.conforms("2026-01-02T03:04:05.123Z", "date-time")


def test_checking_a_result_loads_no_grammar() -> None:
    """Building the grammar for internationalised addresses takes over a second, at every start of every command."""
    assert schema.file_problems(b"{}")
    if "rfc3987_syntax" in sys.modules:
        pytest.skip("this environment holds more than the locks ask for")
    assert "lark" not in sys.modules
