"""Cycles, longest chains, and what follows when one end of a dependency has ended."""

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.dependencies import DependencyPolicy as P
from orchestrator.core.dependencies import Need, NeedKind, Step, critical_paths, cycle_in, decide, spelled_out
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import TERMINAL, State

KEYS = st.sampled_from([f"k{n}" for n in range(8)])
GRAPHS = st.dictionaries(KEYS, st.sets(KEYS, max_size=4), max_size=8)


@given(GRAPHS)
def test_a_cycle_is_found_exactly_where_there_is_one(edges: dict[str, set[str]]) -> None:
    cycle = cycle_in(edges)
    try:
        tuple(TopologicalSorter(edges).static_order())
    except CycleError:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in edges[key] for key, after in pairwise(cycle))
    else:
        assert cycle == ()


def test_a_cycle_is_spelled_out() -> None:
    assert spelled_out(cycle_in({"a": ["b"], "b": ["c"], "c": ["a"], "d": []})) == "a → b → c → a"
    assert spelled_out(cycle_in({"a": ["a"]})) == "a → a"


@given(GRAPHS, st.dictionaries(KEYS, st.floats(1, 100)))
def test_the_longest_chain_of_each_is_its_own_cost_and_the_longest_that_waits_for_it(
    edges: dict[str, set[str]], cost: dict[str, float]
) -> None:
    order = sorted(edges)
    edges = {key: {other for other in on if other in edges and other < key} for key, on in edges.items()}
    longest = critical_paths(edges, cost)
    assert sorted(longest) == order
    for key in order:
        after = [longest[other] for other in order if key in edges[other]]
        assert longest[key] == cost.get(key, 1.0) + max(after, default=0.0)


def need(kind: NeedKind = NeedKind.AFTER) -> Need:
    return Need(TaskUid("me"), "it", kind=kind)


NOT_ENDED = sorted(set(State) - TERMINAL)
BADLY = sorted(TERMINAL - {State.SUCCEEDED})


@pytest.mark.parametrize("policy", list(P))
def test_a_success_lets_go_under_every_policy(policy: P) -> None:
    assert decide([(need(), State.SUCCEEDED)], policy).step is Step.GO


@pytest.mark.parametrize("state", [None, *NOT_ENDED])
def test_what_has_not_ended_is_waited_for(state: State | None) -> None:
    assert decide([(need(), state)], P.BLOCK).step is decide([(need(), state)], P.SKIP).step is Step.WAIT
    waits_for_a_person = state in (State.HELD, State.NEEDS_INPUT)
    assert decide([(need(), state)], P.RUN_ANYWAY).step is (Step.GO if waits_for_a_person else Step.WAIT)


@pytest.mark.parametrize("state", BADLY)
def test_what_follows_an_end_without_success_is_the_policy(state: State) -> None:
    told = {policy: decide([(need(), State.SUCCEEDED), (need(), state)], policy) for policy in P}
    assert {policy: one.step for policy, one in told.items()} == {
        P.BLOCK: Step.WAIT,
        P.SKIP: Step.SKIP,
        P.RUN_ANYWAY: Step.GO,
    }
    assert (told[P.BLOCK].failed, told[P.RUN_ANYWAY].passed_over) == (("it",), ("it",))


@given(st.lists(st.sampled_from([None, *State]), max_size=5), st.sampled_from(list(P)))
def test_a_parent_goes_on_exactly_when_all_its_sub_tasks_have_ended(states: list[State | None], policy: P) -> None:
    told = decide([(need(NeedKind.CHILD), state) for state in states], policy)
    assert told.step is (Step.GO if all(state in TERMINAL for state in states) else Step.WAIT)
