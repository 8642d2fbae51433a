"""How much a sink is told at once, and when it is tried again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ports.outbox_contract import notice

from orchestrator.core.notice import NoticeKind, NotSent
from orchestrator.core.notice_flow import (
    AGE_S,
    BURST,
    LONGEST_DELAY_S,
    LONGEST_WISH_S,
    WINDOW_S,
    next_step,
    retry_delay_s,
)
from orchestrator.core.notice_ports import Owed

NOW = 1_000_000.0


def owed(
    n: int, *, kind: NoticeKind = NoticeKind.FAILED, age_s: float = 0.0, message: str = "", next_ts: float = 0.0
) -> Owed:
    return Owed(n, "web", replace(notice(n), kind=kind, ts=NOW - age_s), message, False, 0, next_ts, "")


def orders(step_message: object) -> list[int]:
    assert isinstance(step_message, list)
    return [one.order for one in step_message]


def test_who_is_owed_nothing_is_sent_nothing() -> None:
    step = next_step([], [], NOW)
    assert (list(step.expired), list(step.message), step.wait_until) == ([], [], 0.0)


def test_few_are_sent_one_by_one_oldest_first() -> None:
    assert orders(next_step([owed(1), owed(2), owed(3)], [], NOW).message) == [1]


def test_what_needs_a_person_is_sent_first() -> None:
    assert orders(next_step([owed(1), owed(2), owed(3, kind=NoticeKind.NEEDS_YOU)], [], NOW).message) == [3]


def test_the_last_message_of_a_window_tells_all_that_has_gathered() -> None:
    many = [owed(n) for n in range(500)]
    assert orders(next_step(many, [NOW - 1] * (BURST - 1), NOW).message) == list(range(500))


def test_when_a_window_is_used_up_it_waits_until_its_first_message_is_old() -> None:
    sent = [NOW - 50, NOW - 40, NOW - 30, NOW - 20, NOW - 10]
    step = next_step([owed(1)], sent, NOW)
    assert list(step.message) == []
    assert step.wait_until == NOW - 50 + WINDOW_S
    assert orders(next_step([owed(1)], sent, step.wait_until).message) == [1]


def test_five_hundred_at_once_are_five_messages_and_none_of_them_is_told_twice() -> None:
    waiting, sent, told = [owed(n) for n in range(500)], list[float](), list[int]()
    while waiting:
        step = next_step(waiting, sent, NOW)
        assert step.message, "everything is told within the first window"
        told += orders(step.message)
        waiting = [one for one in waiting if one not in step.message]
        sent.append(NOW)
    assert len(sent) == BURST
    assert sorted(told) == list(range(500))


@given(st.lists(st.floats(0, 600), max_size=60).map(sorted))
def test_whenever_things_happen_no_window_holds_more_messages_than_it_may(times: list[float]) -> None:
    """Simulated: a sink that takes everything at once."""
    sent: list[float] = []
    waiting: list[Owed] = []
    clock, coming = NOW, [NOW + t for t in times]
    for n in range(10_000):
        while coming and coming[0] <= clock:
            waiting.append(replace(owed(n), order=len(sent) * 1000 + len(coming)))
            coming.pop(0)
        step = next_step(waiting, sent, clock)
        if step.message:
            waiting = [one for one in waiting if one not in step.message]
            sent.append(clock)
        elif step.wait_until:
            clock = min([step.wait_until, *coming[:1]])
        elif coming:
            clock = coming[0]
        else:
            break
    assert not waiting
    for first, last in zip(sent, sent[BURST:], strict=False):
        assert last - first >= WINDOW_S


def test_what_may_have_arrived_goes_again_as_the_same_message_before_anything_else() -> None:
    rows = [owed(1), owed(2, message="m1"), owed(3, kind=NoticeKind.NEEDS_YOU), owed(4, message="m1")]
    assert orders(next_step(rows, [], NOW).message) == [2, 4]


def test_a_sink_that_failed_is_left_alone_also_with_what_is_new() -> None:
    step = next_step([owed(1, next_ts=NOW + 30), owed(2)], [], NOW)
    assert (list(step.message), step.wait_until) == ([], NOW + 30)
    assert orders(next_step([owed(1, next_ts=NOW), owed(2)], [], NOW).message) == [1]


def test_a_wait_from_before_the_clock_was_set_back_counts_for_nothing() -> None:
    assert orders(next_step([owed(1, next_ts=NOW + 86_400)], [NOW + 86_000] * BURST, NOW).message) == [1]


def test_what_is_older_than_a_day_is_dropped_and_the_rest_is_sent() -> None:
    step = next_step([owed(1, age_s=AGE_S + 1), owed(2, age_s=AGE_S - 1)], [], NOW)
    assert [one.order for one in step.expired] == [1]
    assert orders(step.message) == [2]


@pytest.mark.parametrize(
    ("tries", "least", "most"), [(1, 4.5, 5.5), (2, 9, 11), (4, 36, 44), (8, 540, 660), (5000, 540, 660)]
)
def test_the_wait_doubles_up_to_its_longest(tries: int, least: float, most: float) -> None:
    for chance in (0.0, 0.5, 0.999):
        assert least <= retry_delay_s(tries, NotSent("no"), chance=chance) <= most
    assert most <= LONGEST_DELAY_S * 1.1


def test_a_wait_that_the_far_side_asks_for_is_kept_but_not_for_ever() -> None:
    assert retry_delay_s(1, NotSent("no", retry_after_s=77.0), chance=0.5) == 77.0
    assert retry_delay_s(1, NotSent("no", retry_after_s=1e9), chance=0.5) == LONGEST_WISH_S
    assert retry_delay_s(9, NotSent("no", retry_after_s=1.0), chance=0.5) == LONGEST_DELAY_S
