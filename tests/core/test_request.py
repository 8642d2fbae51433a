"""A request in free words gets an id that a person recognises it by, and that any file system takes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.request import NAME_CHARS, request_id


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Fix the database connection timeout in /backend", "fix_database_connection_timeout_backend"),
        ("\n\n# Review the café, please!\nand more", "review_cafe"),
        ("Don't panic", "dont_panic"),
        ("Überprüfe die Anmeldung", "uberprufe_die_anmeldung"),
        ("日本語", "task"),
        ("", "task"),
        ("a" * 100, "task"),
        (f"add {'x' * 39} now", "add"),
    ],
)
def test_the_first_words_that_say_something_make_the_id(text: str, name: str) -> None:
    assert request_id(text) == name


@given(st.text())
def test_any_text_gives_a_short_portable_id(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9_]*", request_id(text))
    assert len(request_id(text)) <= NAME_CHARS
