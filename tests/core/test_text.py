"""Text from strangers."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.text import NAME, has_controls, is_reserved, printable, slug, without_controls

ANY = st.text(st.characters(), max_size=200)


@given(ANY)
def test_printable_text_is_one_line_without_anything_invisible(text: str) -> None:
    shown = printable(text)
    assert {unicodedata.category(char) for char in shown if char not in "\u200c\u200d"}.isdisjoint(
        {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Ä é 🚀", "plain Ä é 🚀"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\u202eb\nc", r"a\u202eb\nc".replace(r"\n", r"\x0a")),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_printable_text_shows_what_it_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANY)
def test_text_freed_of_controls_has_none_and_stays_as_it_is(text: str) -> None:
    bare = without_controls(text)
    assert not has_controls(bare)
    assert without_controls(bare) == bare


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\tb\r\nc", "a b  c"),
        ("\x9b31mred\x00", "red"),
        ("bell\x07", "bell"),
    ],
)
def test_terminal_sequences_go_as_a_whole(text: str, bare: str) -> None:
    assert without_controls(text) == bare


@given(ANY)
def test_every_file_name_gives_a_portable_name(file_name: str) -> None:
    name = slug(file_name)
    assert NAME.match(name)
    assert not is_reserved(name)
    assert not name.endswith(".")
    assert slug(name) == name or name.lower().endswith(".task.md")


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("fix_db_connection.task.md", "fix_db_connection"),
        ("review_auth.TASK.md", "review_auth"),
        ("Fix the bug!.task.md", "Fix-the-bug"),
        ("résumé.task.md", "resume"),
        ("con.task.md", "task-con"),
        ("../../etc/passwd", "etc-passwd"),
        ("-rf.task.md", "rf"),
        ("a" * 300, "a" * 64),
        ("notes.md", "notes.md"),
    ],
)
def test_a_file_name_keeps_what_is_portable(file_name: str, name: str) -> None:
    assert slug(file_name) == name


@pytest.mark.parametrize(
    ("one", "other"), [("задача1", "работа1"), ("任务", "工作"), ("\udcff", "\udcfe"), ("", "...")]
)
def test_names_in_another_script_stay_two(one: str, other: str) -> None:
    assert slug(one) != slug(other)
