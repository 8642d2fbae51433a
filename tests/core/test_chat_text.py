"""Texts fit into messages that are counted in UTF-16 units, wherever they have to be cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.chat import Attachment, ChatButton, Mark, Outgoing, Style, Words
from orchestrator.core.chat_text import MESSAGE_UNITS, fitted, units
from orchestrator.core.flood import Allowance, Buckets

BUTTONS = ((ChatButton("run", "run:1"),),)
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("😀\n\n ")), max_size=400)


def test_an_emoji_counts_as_two_units_as_the_far_side_counts_it() -> None:
    assert (units("a"), units("😀"), units("é")) == (1, 2, 1)


@given(TEXTS, st.integers(20, 300))
def test_every_part_fits_and_together_they_say_all_of_it(text: str, most_units: int) -> None:
    parts = fitted(Outgoing(text), most_units=most_units)
    if parts[0].attachment is not None:
        assert parts[0].attachment.data.decode() == text.encode("utf-8", "replace").decode().replace("\0", "")
        return
    assert max(units(part.text) for part in parts) <= most_units
    said = "".join(part.text for part in parts).replace("\n", "")
    assert said == text.encode("utf-8", "replace").decode().replace("\0", "").replace("\n", "")


def test_a_message_of_5000_emoji_becomes_three_that_fit() -> None:
    parts = fitted(Outgoing("😀" * 5000, buttons=BUTTONS, reply_to=7))
    assert [units(part.text) for part in parts] == [4096, 4096, 1808]
    assert [part.buttons for part in parts] == [(), (), BUTTONS]
    assert [part.reply_to for part in parts] == [7, 0, 0]


def test_a_cut_is_made_at_the_end_of_a_line() -> None:
    lines = "\n".join(f"line {n:04}" for n in range(600))
    assert all(part.text.startswith("line") for part in fitted(Outgoing(lines)))


def test_what_would_be_a_stream_of_messages_becomes_its_beginning_and_a_file() -> None:
    (only,) = fitted(Outgoing("x" * (MESSAGE_UNITS * 4), buttons=BUTTONS))
    assert only.attachment is not None
    assert len(only.attachment.data) == MESSAGE_UNITS * 4
    assert (units(only.text) <= MESSAGE_UNITS, only.buttons) == (True, BUTTONS)


def test_a_text_with_a_file_of_its_own_stays_one_message() -> None:
    file = Attachment("summary.txt", b"all of it")
    (only,) = fitted(Outgoing("x" * (MESSAGE_UNITS * 4), attachment=file))
    assert (only.attachment, units(only.text)) == (file, MESSAGE_UNITS)


def test_what_is_set_off_is_set_off_on_both_sides_of_a_cut() -> None:
    words = Words().plain("😀 ").bold("B" * 6).plain(" end")
    first, second = fitted(Outgoing(words.text, words.marks), most_units=6)[:2]
    assert first.marks == (Mark(Style.BOLD, 2, 3),)
    assert second.marks == (Mark(Style.BOLD, 0, 3),)


def test_lone_surrogates_and_nul_do_not_reach_the_far_side() -> None:
    assert fitted(Outgoing("a\ud800b\0c"))[0].text == "a?bc"


@pytest.mark.parametrize("person", [1, 2])
def test_each_person_may_ask_so_often_and_is_told_how_long_to_wait(person: int) -> None:
    buckets = Buckets((Allowance(3, 60), Allowance(5, 3600)))
    assert [buckets.wait_s(9, 0.0), *(buckets.wait_s(person, n) for n in range(3))] == [0, 0, 0, 0]
    assert buckets.wait_s(person, 10) == 50
    assert buckets.wait_s(person, 60) == 0
    assert buckets.wait_s(person, 61.5) == 0
    assert buckets.wait_s(person, 65) == 3600 - 65


def test_a_crowd_does_not_fill_the_memory() -> None:
    buckets = Buckets((Allowance(1, 60),), most_people=10)
    for person in range(100):
        buckets.wait_s(person, 0.0)
    assert len(buckets._asked) == 10
