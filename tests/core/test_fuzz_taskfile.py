"""A short run of the fuzzer; `python -m tests.fuzz_taskfile` runs it for as long as asked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz_taskfile import broken_promise, run

from orchestrator.core import taskfile


def test_no_mutation_of_a_bad_file_breaks_a_promise() -> None:
    tally = run(lambda executions: executions < 1500, seed=11)
    assert tally.executions == 1500
    assert tally.broken == []
    assert len(tally.ends) > 10, "the mutations reach too few kinds of mistake"


def test_the_fuzzer_sees_a_reader_that_raises_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskfile, "infer_priority", lambda text: 1 / 0)
    assert run(lambda executions: executions < 200, seed=11).broken


@given(st.binary(max_size=2000))
@settings(max_examples=200, deadline=None)
def test_no_bytes_at_all_break_a_promise(data: bytes) -> None:
    assert broken_promise(data)[0] == ""
