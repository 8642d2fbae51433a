"""Strategies: every failure has a class, the built-in ones offer what they say, and nonsense is never carried out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.attempt import FailureKind
from orchestrator.core.events import Event, EventKind
from orchestrator.core.remedies import (
    CLASS_OF,
    NOT_THE_AGENTS,
    OF_THE_MACHINE,
    Act,
    Choice,
    ErrorClass,
    Facts,
    RecoveryRules,
    Strategy,
    Use,
    allowed_acts,
    offer,
    problem_with,
    recovered,
)

FACTS = Facts(
    task_id="t", uid="u", type="fix", agent="claude", kind="crash", error_class="agent", detail="", attempt=3, tries=3,
    gives_up=True, agents=("local", "other"), tried=("claude",), waiting=2, allowed=frozenset(Act),
)  # fmt: skip


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_has_a_class(kind: FailureKind) -> None:
    assert CLASS_OF[kind] in ErrorClass


def test_every_class_has_a_kind_and_no_word_means_both() -> None:
    assert set(CLASS_OF.values()) == set(ErrorClass)
    assert not {one.value for one in ErrorClass} & {one.value for one in FailureKind}


def test_a_kind_counts_before_its_class_and_nothing_configured_asks_nobody() -> None:
    by_kind, by_class = (Strategy("one"),), (Strategy("two"),)
    rules = RecoveryRules({"auth": by_kind, "agent": by_class})
    assert rules.of(FailureKind.AUTH) == by_kind
    assert rules.of(FailureKind.CRASH) == by_class
    assert rules.of(FailureKind.TRANSIENT) == ()
    assert RecoveryRules().of(FailureKind.CRASH) == ()


def test_a_failure_that_others_wait_for_is_an_error_of_dependencies_too() -> None:
    own, repair = (Strategy("one"),), (Strategy(Use.DEPENDENCY_REPAIR),)
    rules = RecoveryRules({"agent": own, "dependency": repair})
    assert rules.of(FailureKind.CRASH) == own
    assert rules.of(FailureKind.CRASH, waited_for=True) == own + repair
    assert rules.of(FailureKind.TRANSIENT, waited_for=True) == repair
    assert rules.of(FailureKind.CHILDREN_FAILED, waited_for=True) == repair


def test_it_is_known_whether_a_strategy_is_used_at_all() -> None:
    rules = RecoveryRules({"auth": (Strategy("one"),), "agent": (Strategy("two"),)})
    assert rules.uses("two")
    assert not rules.uses("three")


@pytest.mark.parametrize(("gives_up", "act"), [(True, Act.NEXT), (False, Act.DEFAULT)])
def test_backoff_is_the_built_in_policy_until_that_gives_up(gives_up: bool, act: Act) -> None:
    assert offer(Strategy(Use.BACKOFF), replace(FACTS, gives_up=gives_up)).act == act


@pytest.mark.parametrize(
    ("to", "agents", "chosen"),
    [
        ((), ("local", "other"), "local"),
        (("other", "local"), ("local", "other"), "other"),
        (("gone",), ("local",), ""),
        ((), (), ""),
    ],
)
def test_reassignment_takes_the_first_that_may_take_over(
    to: tuple[str, ...], agents: tuple[str, ...], chosen: str
) -> None:
    choice = offer(Strategy(Use.REASSIGNMENT, to), replace(FACTS, agents=agents))
    assert (choice.act, choice.agent) == ((Act.REASSIGN, chosen) if chosen else (Act.NEXT, ""))


def test_a_repair_is_one_more_try_for_others_that_wait_and_only_once() -> None:
    strategy = Strategy(Use.DEPENDENCY_REPAIR)
    assert offer(strategy, FACTS) == Choice(Act.REPAIR, why="2 tasks wait for it")
    assert offer(strategy, replace(FACTS, waiting=1)).why == "1 task waits for it"
    assert offer(strategy, replace(FACTS, waiting=0)).act == Act.NEXT
    assert offer(strategy, replace(FACTS, used={"dependency_repair": 1})).act == Act.NEXT
    assert offer(replace(strategy, times=2), replace(FACTS, used={"dependency_repair": 1})).act == Act.REPAIR


def test_a_wait_for_the_machine_is_bounded_in_time_and_number() -> None:
    strategy = Strategy(Use.RESOURCE_WAIT, up_to_s=60.0)
    assert offer(strategy, FACTS).delay_s == 60.0
    assert offer(strategy, replace(FACTS, used={"resource_wait": 3})).act == Act.NEXT


@given(
    kind=st.sampled_from(FailureKind),
    gives_up=st.booleans(),
    agents=st.sampled_from([(), ("local",)]),
    within=st.booleans(),
)
def test_what_is_allowed_keeps_to_the_tries_and_to_what_can_help(
    kind: FailureKind, gives_up: bool, agents: tuple[str, ...], within: bool
) -> None:
    acts = allowed_acts(kind, gives_up=gives_up, agents=agents, within_tries=within)
    assert {Act.DEFAULT, Act.NEXT, Act.GIVE_UP} <= acts
    assert (Act.TRY_AGAIN in acts) == (not gives_up)
    assert Act.REASSIGN not in acts or (bool(agents) and within and kind not in NOT_THE_AGENTS)
    assert Act.WAIT not in acts or (kind in OF_THE_MACHINE and within)
    assert Act.REPAIR not in acts or (gives_up and within)


@pytest.mark.parametrize("kind", [FailureKind.BUDGET, FailureKind.DAY_BUDGET, FailureKind.DEADLINE])
def test_what_is_used_up_is_not_got_back_by_another_agent_or_try(kind: FailureKind) -> None:
    acts = allowed_acts(kind, gives_up=True, agents=("local",), within_tries=True)
    assert acts == {Act.DEFAULT, Act.NEXT, Act.GIVE_UP}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "it answered NoneType"),
        ("try_again", "it answered str"),
        (Choice("again"), "it chose 'again'"),
        (Choice(Act.REPAIR), "it chose 'repair'"),
        (Choice(Act.TRY_AGAIN, delay_s=-1.0), "delay_s is from 0"),
        (Choice(Act.TRY_AGAIN, delay_s=float("nan")), "delay_s is from 0"),
        (Choice(Act.TRY_AGAIN, delay_s="1"), "delay_s is from 0"),  # type: ignore[arg-type]
        (Choice(Act.TRY_AGAIN, why=3), "agent and why are texts"),  # type: ignore[arg-type]
        (Choice(Act.REASSIGN, agent="claude"), "those that may take over are local, other"),
    ],
)
def test_nonsense_is_told_and_not_carried_out(answer: object, said: str) -> None:
    assert said in problem_with(answer, FACTS)


def test_more_tries_than_the_cap_are_not_to_be_had() -> None:
    facts = replace(FACTS, allowed=allowed_acts(FailureKind.CRASH, gives_up=True, agents=(), within_tries=True))
    assert "it chose 'try_again'" in problem_with(Choice(Act.TRY_AGAIN), facts)
    assert problem_with(Choice(Act.GIVE_UP), facts) == ""


@given(act=st.text(), delay=st.floats(), agent=st.text())
def test_whatever_is_answered_only_what_is_allowed_is_carried_out(act: str, delay: float, agent: str) -> None:
    facts = replace(FACTS, allowed=frozenset({Act.DEFAULT, Act.NEXT, Act.GIVE_UP}))
    assert problem_with(Choice(act, delay, agent), facts) or act in facts.allowed


def test_what_a_strategy_decided_stands_with_the_verdict() -> None:
    validated = Event(EventKind.VALIDATED, 1.0, data={"passed": False})
    data = {"strategy": "reassignment", "to_agent": "local", "why": "x", "reason": "auth"}
    assert recovered(validated, data).data["recovery"] == {"strategy": "reassignment", "to_agent": "local", "why": "x"}
    assert recovered(validated, {"reason": "auth"}) is validated
