"""What a power cut leaves of a file is told apart from what a person makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.torn import is_torn

WHOLE = b'{"a": "one", "b": "two"}\n'


@pytest.mark.parametrize("found", [b"", WHOLE[:1], WHOLE[:-1], bytes(len(WHOLE)), WHOLE[:9] + bytes(6) + WHOLE[15:]])
def test_a_file_cut_short_or_with_lost_blocks_is_torn(found: bytes) -> None:
    assert is_torn(found, WHOLE)


@pytest.mark.parametrize("found", [WHOLE, WHOLE + b" ", b'{"a": "One"}\n', WHOLE.replace(b"two", b"2")])
def test_a_whole_or_edited_file_is_not(found: bytes) -> None:
    assert not is_torn(found, WHOLE)


@given(st.binary(min_size=1).filter(lambda data: 0 not in data), st.data())
def test_a_file_with_one_foreign_byte_is_never_torn(whole: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(whole)))
    place = data.draw(st.integers(0, cut - 1))
    foreign = data.draw(st.integers(1, 255).filter(lambda byte: byte != whole[place]))
    assert not is_torn(whole[:place] + bytes([foreign]) + whole[place + 1 : cut], whole)
