"""What follows a failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.attempt import AttemptRecord, Failed, FailureKind
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.retry import DAY_S, POLICIES, Remedy, decide_retry, resumes, sent_back

NOW = 1_800_000_000.0


def test_every_kind_of_failure_has_a_policy_with_a_hint() -> None:
    assert set(POLICIES) == set(FailureKind)
    assert all(policy.hint.endswith(".") for policy in POLICIES.values())


@given(st.sampled_from(FailureKind), st.integers(1, 100), st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_a_retry_lies_ahead_and_within_its_cap(kind: FailureKind, tries: int, uncharged: int, chance: float) -> None:
    decision = decide_retry(Failed(kind, ""), tries=tries, uncharged=uncharged, retries=None, now=NOW, chance=chance)
    if decision.remedy is Remedy.TRY_AGAIN:
        assert NOW < decision.not_before <= NOW + POLICIES[kind].cap_s * 1.1 + 1
    if decision.remedy is Remedy.HOLD_AGENT:
        assert NOW < decision.not_before <= NOW + 8 * DAY_S


@given(st.sampled_from(FailureKind), st.integers(0, 20))
def test_no_failure_is_tried_more_often_than_allowed(kind: FailureKind, retries: int) -> None:
    decision = decide_retry(Failed(kind, ""), tries=retries + 1, uncharged=0, retries=retries, now=NOW, chance=0.5)
    assert decision.remedy is not Remedy.TRY_AGAIN


def test_a_usage_limit_holds_the_agent_until_its_reset() -> None:
    failure = Failed(FailureKind.USAGE_LIMIT, "", resets_at=NOW + 5000)
    decision = decide_retry(failure, tries=1, uncharged=0, retries=0, now=NOW, chance=0.0)
    assert (decision.remedy, decision.not_before) == (Remedy.HOLD_AGENT, NOW + 5000)


@pytest.mark.parametrize("resets_at", [NOW - 1, NOW + 99 * DAY_S])
def test_an_absurd_reset_time_is_clamped(resets_at: float) -> None:
    failure = Failed(FailureKind.USAGE_LIMIT, "", resets_at=resets_at)
    decision = decide_retry(failure, tries=1, uncharged=0, retries=None, now=NOW, chance=0.0)
    assert NOW < decision.not_before <= NOW + 8 * DAY_S


@pytest.mark.parametrize("kind", [FailureKind.AUTH, FailureKind.BILLING, FailureKind.AGENT_MISSING])
def test_a_missing_login_or_program_burns_no_task(kind: FailureKind) -> None:
    decision = decide_retry(Failed(kind, ""), tries=9, uncharged=0, retries=0, now=NOW, chance=0.0)
    assert decision.remedy is Remedy.HOLD_AGENT


def test_holds_without_a_known_end_grow_longer() -> None:
    waits = [
        decide_retry(
            Failed(FailureKind.RATE_LIMITED, ""), tries=1, uncharged=uncharged, retries=None, now=NOW, chance=0.0
        ).not_before
        for uncharged in range(6)
    ]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]


def test_the_tasks_own_wish_for_retries_replaces_the_number_of_tries() -> None:
    transient = Failed(FailureKind.TRANSIENT, "")
    assert decide_retry(transient, tries=1, uncharged=0, retries=0, now=NOW, chance=0.5).remedy is Remedy.GIVE_UP
    assert decide_retry(transient, tries=9, uncharged=0, retries=9, now=NOW, chance=0.5).remedy is Remedy.TRY_AGAIN


def test_a_question_is_not_asked_twice() -> None:
    question = Failed(FailureKind.ASKED_A_QUESTION, "")
    assert decide_retry(question, tries=1, uncharged=0, retries=5, now=NOW, chance=0.5).remedy is Remedy.GIVE_UP


@pytest.mark.parametrize(("rounds", "remedy"), [(0, Remedy.TRY_AGAIN), (1, Remedy.TRY_AGAIN), (2, Remedy.GIVE_UP)])
def test_a_failed_check_goes_back_a_bounded_number_of_times_whatever_was_tried_for_other_reasons(
    rounds: int, remedy: Remedy
) -> None:
    failed = Failed(FailureKind.CHECK_FAILED, "1 check fails")
    for tries in (1, 9):
        decision = decide_retry(failed, tries=tries, uncharged=0, retries=None, now=NOW, chance=0.5, sent_back=rounds)
        assert decision.remedy is remedy
    assert resumes(FailureKind.CHECK_FAILED)


def test_the_tasks_own_wish_makes_rounds_fewer_and_never_more() -> None:
    def remedy(retries: int, rounds: int) -> Remedy:
        failed = Failed(FailureKind.CHECK_FAILED, "")
        return decide_retry(failed, tries=1, uncharged=0, retries=retries, now=NOW, chance=0.5, sent_back=rounds).remedy

    assert remedy(0, 0) is Remedy.GIVE_UP
    assert remedy(1, 0) is Remedy.TRY_AGAIN
    assert remedy(20, 2) is Remedy.GIVE_UP


def test_rounds_are_counted_by_the_verdicts_that_are_stored() -> None:
    def record(**verdict: Json) -> AttemptRecord:
        return AttemptRecord(TaskUid("0" * 32), 1, 1, "claude", "s", NOW, verdict=verdict)

    failed: Json = {"text": "t", "verdict": "failed", "why": "", "mandatory": True}
    optional: Json = {"text": "t", "verdict": "failed", "why": "", "mandatory": False}
    proven: Json = {"text": "t", "verdict": "proven", "why": ""}
    before = [record(), record(criteria=[proven, failed]), record(criteria=[optional]), record(criteria=[failed])]
    assert sent_back(before) == 2
    assert sent_back([record(criteria="x"), record(criteria=[1, None])]) == 0


@pytest.mark.parametrize(
    ("reason", "resumed"),
    [("interrupted", True), ("usage_limit", True), ("transient", True), ("timeout", False), ("", False), ("x", False)],
)
def test_only_what_was_cut_off_is_resumed(reason: str, resumed: bool) -> None:
    assert resumes(reason) is resumed


def test_tasks_that_fail_together_are_tried_again_apart() -> None:
    failure = Failed(FailureKind.TRANSIENT, "")
    times = [
        decide_retry(failure, tries=1, uncharged=0, retries=None, now=NOW, chance=chance).not_before - NOW
        for chance in (0.0, 0.5, 0.99)
    ]
    assert min(abs(one - other) for one in times for other in times if one is not other) > 5
    assert all(15 <= wait <= 30 for wait in times)
