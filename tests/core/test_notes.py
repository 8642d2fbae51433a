"""How much of a project's notes is passed on, and what is told of it."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.codec import notes_from_json, to_json
from orchestrator.core.notes import NoteGiven, ProjectNote, fitted, words
from orchestrator.core.notes import given as given_of


def note(path: str, text: str) -> ProjectNote:
    return ProjectNote(path, text, len(text.encode()))


@given(st.lists(st.text(max_size=40), max_size=5), st.integers(0, 200))
def test_never_more_than_the_limit_is_passed_on_and_what_is_cut_ends_with_a_line_and_says_so(
    texts: list[str], limit: int
) -> None:
    notes = [note(str(number), text) for number, text in enumerate(texts)]
    kept = fitted(notes, limit)
    assert [one.path for one in kept] == [one.path for one in notes]
    assert sum(len(one.text.encode()) for one in kept) <= limit
    for one, whole in zip(kept, texts, strict=True):
        assert whole.startswith(one.text)
        assert (one.text == whole) is (one.problem == "")
        assert one.text == whole or one.text == "" or one.text.endswith("\n")


def test_the_notes_nearest_to_the_work_get_their_room_first() -> None:
    far, near = fitted([note("../CLAUDE.md", "far 1\nfar 2\n"), note("CLAUDE.md", "near\n")], 12)
    assert (far.text, far.problem) == ("far 1\n", "cut: the first 6 of 12 bytes")
    assert near == note("CLAUDE.md", "near\n")


def test_a_note_whose_first_line_finds_no_room_is_left_out_and_says_so() -> None:
    (one,) = fitted([note("CLAUDE.md", "x" * 100)], 50)
    assert (one.text, one.problem) == ("", "left out: there is no room for its 100 bytes")


def test_what_is_told_of_a_note_holds_none_of_its_text_and_can_be_read_back() -> None:
    told = given_of([note("CLAUDE.md", "secret é\n"), ProjectNote("AGENTS.md", "", 7, "not given: because")])
    assert told == (NoteGiven("CLAUDE.md", 10, 10), NoteGiven("AGENTS.md", 7, 0, "not given: because"))
    assert notes_from_json(to_json(told)) == told
    assert [words(one) for one in told] == ["CLAUDE.md (10 bytes)", "AGENTS.md (not given: because)"]
