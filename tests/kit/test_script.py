"""Scripts of the model: written, read, and followed from the conversation alone."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.kit.scenarios import NAMED
from orchestrator.kit.script import (
    Answer,
    Cut,
    CutAt,
    Fault,
    Hang,
    Refusal,
    Scenario,
    ScriptError,
    StreamError,
    ToolCall,
    as_block,
    block_in,
    choose,
    from_json,
    to_json,
)

counts = st.integers(0, 3)
calls = st.builds(ToolCall, st.text(max_size=5), st.just({"a": ["$CWD/x", 1, None]}))
answers = st.builds(
    Answer,
    text=st.text(max_size=20),
    tools=st.lists(calls, max_size=2).map(tuple),
    usage=st.dictionaries(st.sampled_from(["input_tokens", "output_tokens"]), st.integers(0, 9)),
    delay_s=st.floats(0, 2),
    times=counts,
)
faults = st.one_of(
    st.builds(Refusal, status=st.sampled_from([401, 429, 529]), headers=st.just({"retry-after": "1"}), times=counts),
    st.builds(StreamError, times=counts),
    st.builds(Cut, at=st.sampled_from(CutAt), key=st.text(max_size=3)),
    st.builds(Hang, times=counts),
)
scenarios = st.builds(Scenario, st.lists(answers | faults, max_size=5).map(tuple), answers)


def play(scenario: Scenario, requests: int) -> list[int]:
    """Return the indexes played to one caller that asks again after every fault."""
    served: Counter[int] = Counter()

    def spent(index: int, fault: Fault) -> bool:
        served[index] += 1
        return fault.times != 0 and served[index] > fault.times

    played, answered = [], 0
    for _ in range(requests):
        index, turn = choose(scenario, answered, spent)
        played.append(index)
        answered += isinstance(turn, Answer)
    return played


@given(scenarios)
def test_a_scenario_survives_being_put_into_a_prompt(scenario: Scenario) -> None:
    assert block_in(f"Some task.\n\n{as_block(scenario)}\nmore text") == scenario


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_named_scenario_can_travel_as_json(name: str) -> None:
    scenario = NAMED[name]()
    assert from_json(json.loads(json.dumps(to_json(scenario)))) == scenario


def test_of_several_blocks_the_last_counts() -> None:
    text = as_block(Scenario((Answer("old"),))) + as_block(Scenario((Answer("new"),)))
    assert block_in(text) == Scenario((Answer("new"),))


def test_text_without_a_block_has_no_scenario() -> None:
    assert block_in("<<<SCRIPT without an end") is None


@given(st.lists(answers.map(lambda answer: replace(answer, times=1)), max_size=4))
def test_answers_are_given_in_order_then_the_last_one(turns: list[Answer]) -> None:
    played = play(Scenario(tuple(turns)), len(turns) + 2)
    assert played == [*range(len(turns)), len(turns), len(turns)]


@pytest.mark.parametrize(
    ("turns", "played"),
    [
        ((Refusal(529, times=2), Answer("a")), [0, 0, 1, 2, 2]),
        ((Answer("a"), Hang(), Answer("b")), [0, 1, 2, 3, 3]),
        ((Refusal(529, times=0), Answer("a")), [0, 0, 0, 0, 0]),
        ((Answer("a", times=3),), [0, 0, 0, 1, 1]),
        ((Answer("a", times=0), Answer("b")), [0, 0, 0, 0, 0]),
        ((Cut(CutAt.HALF), StreamError(), Answer("a")), [0, 1, 2, 3, 3]),
        ((), [0, 0, 0, 0, 0]),
    ],
)
def test_faults_are_served_as_often_as_they_say(turns: tuple[Answer | Fault, ...], played: list[int]) -> None:
    assert play(Scenario(turns), 5) == played


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ([], "must be an object"),
        ({"turn": []}, "unknown key 'turn'"),
        ({"turns": "x"}, "turns must be a list"),
        ({"turns": [7]}, r"turns\[0\] must be an object"),
        ({"turns": [{"text": 7}]}, "text must be str"),
        ({"turns": ["ok", {"status": 529, "text": "x"}]}, r"turns\[1\]: unknown key 'text'"),
        ({"turns": [{"cut": "somewhere"}]}, "cut must be one of headers, start, half, before_stop"),
        ({"turns": [{"tools": [{"name": "Write", "args": {}}]}]}, r"turns\[0\].tools\[0\]: unknown key 'args'"),
        ({"turns": [{"text": "x", "times": True}]}, "times must be int, not bool"),
        ({"after": {"hang": True}}, "after must be an answer"),
    ],
)
def test_a_script_that_cannot_be_played_says_where(script: Any, complaint: str) -> None:
    with pytest.raises(ScriptError, match=complaint):
        from_json(script)


def test_a_block_that_is_no_json_is_refused() -> None:
    with pytest.raises(ScriptError, match="not JSON"):
        block_in("<<<SCRIPT {turns: [} SCRIPT>>>")


def test_a_packed_block_may_stand_within_another_one_and_nobody_on_the_way_sees_into_it() -> None:
    inner = Scenario((Answer("I write.", (ToolCall("Write", {"file_path": "$CWD/a", "content": "SCRIPT>>>"}),)),))
    outer = Scenario((Answer(f"Do this. {as_block(inner, packed=True)}"),))
    block = as_block(outer, packed=True)
    assert "$CWD" not in block
    found = block_in(f"Some words. {block}")
    assert found == outer
    assert block_in(found.turns[0].text) == inner  # type: ignore[union-attr]
    with pytest.raises(ScriptError):
        block_in("<<<SCRIPT base64:!!! SCRIPT>>>")
