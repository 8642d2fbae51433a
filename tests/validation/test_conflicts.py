"""Which lines are conflict markers of ours, and what is said of those that are left."""

import pytest

from orchestrator.validation.conflicts import UNDECIDED, has_markers, left_words, question_words


@pytest.mark.parametrize(
    "line",
    [
        "<<<<<<< task/auth-1234abcd",
        ">>>>>>> task/auth-1234abcd",
        ">>>>>>> task/auth-1234abcd\r",
        "<<<<<<<<<< task/merged-before-00000000",
        "<<<<<<< task/auth-1234abcd:old/name.py",
        "||||||| task/a.b_c-1234abcd",
        f"<<<<<<< {UNDECIDED}",
    ],
)
def test_a_line_that_names_a_side_of_ours_is_a_marker(line: str) -> None:
    assert has_markers(f"before\n{line}\nafter\n")
    assert has_markers(line)


@pytest.mark.parametrize(
    "line",
    ["=======", "<<<<<<< HEAD", "<<<<<<< task", " <<<<<<< task/a-1234abcd", "<<<<<<< task/auth", "a task/a-1234abcd"],
)
def test_a_text_about_merging_is_none(line: str) -> None:
    assert not has_markers(f"{line}\n")


def test_what_is_left_is_named_on_one_line_and_of_many_the_first() -> None:
    assert left_words(["a\nb", "c"]) == "conflicts of a merge are left in a\\x0ab, c"
    assert left_words([f"f{n}" for n in range(25)]).endswith("f19 and 5 more")


def test_a_person_is_told_the_paths_the_sides_and_what_to_type() -> None:
    said = question_words(["app.py"], ["auth: branch orchestrator/auth"], "/area/repo")
    for words in ("- app.py", "- auth: branch orchestrator/auth", "/area/repo", "answer: done"):
        assert words in said
