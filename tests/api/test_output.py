"""Where words go: plain without a terminal, colour on one, nothing but JSON when JSON was asked for."""

import io
import json
import os
import pty
from collections.abc import Callable

import pytest

from orchestrator.api.output import Output
from orchestrator.api.render import Table

ESC = "\x1b"


def _on_terminal(act: Callable[[Output], None], *, colour: bool = True, as_json: bool = False) -> str:
    """Return what *act* sends to a pseudo-terminal."""
    master, slave = pty.openpty()
    try:
        with open(slave, "w", encoding="utf-8", closefd=False) as stream:
            act(Output(as_json=as_json, colour=colour, stdout=stream, stderr=stream))
        return os.read(master, 65_536).decode()
    finally:
        os.close(master)
        os.close(slave)


def test_a_pipe_gets_plain_text() -> None:
    stream = io.StringIO()
    Output(as_json=False, colour=True, stdout=stream).say("fix_db SUCCEEDED")
    assert stream.getvalue() == "fix_db SUCCEEDED\n"


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = _on_terminal(lambda out: out.say("fix_db SUCCEEDED"))
    assert ESC in shown
    assert "SUCCEEDED" in shown


def test_a_state_is_coloured_where_it_stands_in_its_column_and_not_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert ESC in _on_terminal(lambda out: out.say("running  fix_db"))
    assert ESC not in _on_terminal(lambda out: out.say("orchestrator  not running    queued 0"))


def test_a_terminal_that_wants_no_colour_gets_none() -> None:
    assert _on_terminal(lambda out: out.say("fix_db SUCCEEDED"), colour=False) == "fix_db SUCCEEDED\r\n"


def test_json_is_never_coloured() -> None:
    shown = _on_terminal(lambda out: out.data({"status": "SUCCEEDED"}), as_json=True)
    assert json.loads(shown) == {"status": "SUCCEEDED"}


def test_words_in_brackets_are_text_and_not_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "[unproven] :smile: [/] it works" in _on_terminal(lambda out: out.say("[unproven] :smile: [/] it works"))


def test_a_long_line_is_left_to_the_terminal_to_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "x" * 500 in _on_terminal(lambda out: out.say("x" * 500))


def test_a_table_without_rows_prints_nothing() -> None:
    stream = io.StringIO()
    out = Output(as_json=False, colour=False, stdout=stream)
    out.table(Table(("A",), ()))
    assert stream.getvalue() == ""
    out.table(Table(("A", "B"), (("1", "2"),)))
    assert stream.getvalue() == "A  B\n1  2\n"


def test_notes_go_to_standard_error_and_leave_the_answer_clean() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    Output(as_json=True, colour=False, stdout=stdout, stderr=stderr).note("warning: x")
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "warning: x\n")


def test_a_line_of_the_event_log_is_passed_on_as_it_is() -> None:
    stdout = io.StringIO()
    Output(as_json=True, colour=False, stdout=stdout).raw(b'{"seq":1}')
    assert stdout.getvalue() == '{"seq":1}\n'


@pytest.mark.parametrize("text", ["caf\udce9", "\U0001f600", "ß"])
def test_a_stream_of_another_encoding_gets_the_text_escaped_and_no_crash(text: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    out = Output(as_json=False, colour=False, stdout=stream, stderr=stream)
    out.say(f"name {text}")
    out.note(f"name {text}")
    out.data({"name": text})
    assert raw.getvalue().isascii()


def test_an_ellipsis_becomes_dots_where_the_encoding_has_none() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Output(as_json=False, colour=False, stdout=stream).say("to be continued…")
    assert raw.getvalue() == b"to be continued...\n"


def test_who_carries_on_says_once_that_nobody_reads_and_goes_on() -> None:
    stderr = io.StringIO()
    with open("/dev/full", "w", encoding="utf-8") as full:
        out = Output(as_json=False, colour=False, stdout=full, stderr=stderr)
        out.carry_on()
        out.say("a")
        out.say("b")
    assert stderr.getvalue() == "standard output is lost (No space left on device); the work goes on without it\n"
