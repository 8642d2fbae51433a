"""How much a sink is told at once, in which order, and when it is tried again. Pure decisions.

A sink gets at most BURST messages in any WINDOW_S seconds, however much happens: the last of them tells all that has
gathered, as one message with a document. So five hundred tasks that fail at once are five messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.notice import NoticeKind, NotSent
from orchestrator.core.notice_ports import Owed

BURST = 5  # messages to one sink within a window
WINDOW_S = 60.0
AT_ONCE = 1000  # notices in one message
AGE_S = 86_400.0  # what could not be sent for that long is dropped, and that is said
SEND_S = 30.0  # one try takes no longer
FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 600.0
LONGEST_WISH_S = 3600.0  # of a far side that asks for a wait


@dataclass(frozen=True, slots=True)
class Step:
    """What to do for one sink. *expired* is to be dropped. *message* is to be sent now, together; when it is empty
    nothing is, before *wait_until* (seconds since the epoch; 0: before something new is owed)."""

    expired: Sequence[Owed] = ()
    message: Sequence[Owed] = ()
    wait_until: float = 0.0


def next_step(owed: Sequence[Owed], sent: Sequence[float], now: float) -> Step:
    """Return what comes next for a sink that is *owed* this, and was *sent* messages at these times.

    What may have arrived as a message goes again as the same one, before anything else. A time that lies further ahead
    than any wait can is one of a clock that was set back since: it counts for nothing.
    """
    expired = [one for one in owed if now - one.notice.ts > AGE_S]
    live = [one for one in owed if now - one.notice.ts <= AGE_S]
    if not live:
        return Step(expired)
    not_before = max(one.next_ts for one in live)
    if now < not_before <= now + LONGEST_WISH_S * 1.1:
        return Step(expired, wait_until=not_before)
    recent = sorted(ts for ts in sent if now - WINDOW_S < ts <= now)
    if len(recent) >= BURST:
        return Step(expired, wait_until=recent[-BURST] + WINDOW_S)
    begun = next((one.message for one in live if one.message), "")
    if begun:
        return Step(expired, [one for one in live if one.message == begun])
    urgent = sorted(live, key=lambda one: (one.notice.kind is not NoticeKind.NEEDS_YOU, one.order))
    if len(recent) == BURST - 1 and len(urgent) > 1:
        return Step(expired, sorted(urgent, key=lambda one: one.order)[:AT_ONCE])
    return Step(expired, urgent[:1])


def retry_delay_s(tries: int, failure: NotSent, *, chance: float) -> float:
    """Return the seconds until the next try after *tries* of them. *chance* is uniform in [0, 1).

    The wait doubles from FIRST_DELAY_S up to LONGEST_DELAY_S, spread by up to a tenth; what the far side asked for is
    kept, up to LONGEST_WISH_S.
    """
    own_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(max(tries - 1, 0), 20)) * (0.9 + 0.2 * chance)
    return max(own_s, min(failure.retry_after_s, LONGEST_WISH_S))
