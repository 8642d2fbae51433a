"""Lines out of bytes, however the bytes are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.bridges.follow import LineSplitter

TEXTS = st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xff", b"\xe2\x80\xa8", b"bcd"])).map(b"".join)


@given(TEXTS, st.lists(st.integers(0, 40)))
def test_where_the_stream_is_cut_changes_nothing(text: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    splitter = LineSplitter()
    chunks = [text[a:b] for a, b in pairwise(edges)]
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    assert b"\n".join([*lines, splitter.rest()]) == text


@given(st.lists(st.integers(0, 9)), st.integers(1, 7))
def test_lines_over_the_limit_are_dropped_and_counted_and_no_others(sizes: list[int], chunk: int) -> None:
    text = b"".join(b"x" * size + b"\n" for size in sizes)
    splitter = LineSplitter(max_line=4)
    lines = [line for i in range(0, len(text), chunk) for line in splitter.feed(text[i : i + chunk])]
    assert [len(line) for line in lines] == [size for size in sizes if size <= 4]
    assert splitter.oversize == sum(size > 4 for size in sizes)
