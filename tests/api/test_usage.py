"""A command line that was not understood: one clear message, and what was probably meant."""

import argparse

import pytest

from orchestrator.api.cli import parse
from orchestrator.core.errors import UsageError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "no command is called 'nonsense'"),
        (["--root", "x", "frob"], "no command is called 'frob'"),
        (["help", "frob"], "no command is called 'frob'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["show"], "required: TASK"),
        (["check"], "required: FILE"),
        (["clean"], "required: tasks|artifacts"),
        (["clean", "everything"], "invalid choice: 'everything'"),
        (["tail-events", "--lines", "x"], "expected a whole number from 1 to 999999999, found 'x'"),
        (["tail-events", "--lines", "0"], "expected a whole number from 1 to 999999999, found '0'"),
        (["clean", "artifacts", "--days", "-1"], "expected a whole number"),
        (["clean", "artifacts", "--days", "9" * 30], "expected a whole number"),
        (["status", "extra"], "unrecognized arguments: extra"),
    ],
)
def test_a_usage_error_is_one_clear_message_with_exit_code_2(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(words)
    assert raised.value.exit_code == 2
    assert message in raised.value.message
    assert "_positive" not in str(raised.value)
    assert raised.value.hint


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
    for words in (["statsu"], ["help", "statsu"]):
        with pytest.raises(UsageError) as raised:
            parse(words)
        assert raised.value.hint.startswith("Did you mean status? Commands: status, show,")


def test_options_for_all_may_stand_before_or_behind_the_command() -> None:
    for words in (["--json", "--root", "x", "status"], ["status", "--json", "--root", "x"]):
        args: argparse.Namespace = parse(words)
        assert (args.json, args.root) == (True, "x")
    assert parse(["--root", "a", "status", "--root", "b"]).root == "b"
