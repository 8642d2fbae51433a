"""Holding an agent, and letting it go: after a failure that no task is to blame for, and before a limit is hit.

A hold is in the store and outlives the daemon; there it only grows, so that one which a person has put stays. A limit
is told once: attempts that ran when it was hit hit it too, and say nothing new.
"""

import asyncio
from collections.abc import Callable, Mapping

from orchestrator.core.attempt import AgentMessage, Failed, FailureKind
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Pause, Store
from orchestrator.core.retry import LONGEST_HOLD_S, RetryDecision, decide_retry
from orchestrator.engine.patience import patiently

HEADROOM = "headroom"  # the reason of a hold that comes before the limit
SAME_RESET_S = 60.0  # two words on one reset may differ by their rounding
_OF_AN_ACCOUNT = frozenset(
    {FailureKind.USAGE_LIMIT, FailureKind.RATE_LIMITED, FailureKind.AUTH, FailureKind.BILLING, HEADROOM}
)


class Holds:
    """Remembers only which resets the headroom was kept for, so that each is told once and a person may overrule it.

    *account_of* names the account an agent would use now, "" where nobody knows; it is no credential.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        policy: Callable[[], RunPolicy],
        redact: Callable[[Json], Json],
        account_of: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._redact = redact
        self._account_of = account_of
        self._kept: dict[tuple[str, str], float] = {}
        self._one_at_a_time = asyncio.Lock()

    async def held(self, agent: str) -> bool:
        """Return whether *agent* is held, or is being probed after a hold."""
        return any(pause.scope == agent for pause in await self._pauses())

    async def after(self, agent: str, failure: Failed, decision: RetryDecision) -> float:
        """Hold *agent* because of *failure* for as long as was decided. Returns until when it is held.

        One that is held already for the same cause stays held as it is: the attempt had begun before.
        """
        async with self._one_at_a_time:
            now, until = self._clock.now(), decision.not_before
            for pause in await self._pauses():
                if pause.scope == agent and pause.until > now:
                    guessed_again = pause.reason == failure.kind.value and not failure.resets_at
                    if guessed_again or until - pause.until < SAME_RESET_S:
                        return pause.until
            account = self._account_of(agent) if failure.kind.value in _OF_AN_ACCOUNT else ""
            await self._hold(Pause(agent, until, failure.kind.value, failure.detail, account), decision.hint)
            return until

    async def distrust(self, agent: str, failure: Failed) -> None:
        """Hold *agent* because of *failure*, which was found before anything was started on it."""
        now, policies = self._clock.now(), self._policy().retries
        decision = decide_retry(failure, tries=0, uncharged=0, retries=None, now=now, chance=0.0, policies=policies)
        await self.after(agent, failure, decision)

    async def heed(self, agent: str, limit: AgentMessage) -> None:
        """Hold *agent* until the reset when its account is used beyond the configured headroom.

        *limit* is a message of kind LIMIT: `utilization` (0 to 1), `resets_at` (seconds since the epoch), `window`.
        Nothing happens without a reset to wait for, or when the limit is hit already: that ends the attempt.
        """
        profile = self._policy().agents.get(agent)
        used, until = (_number(limit.data, key) for key in ("utilization", "resets_at"))
        now, window = self._clock.now(), str(limit.data.get("window", ""))
        if profile is None or 100 * used <= profile.headroom_percent or limit.data.get("status") == "rejected":
            return
        if until <= now or until - self._kept.get((agent, window), 0.0) < SAME_RESET_S:
            return
        self._kept[agent, window] = until
        name = window.replace("_", " ") or "account"
        detail = f"the {name} allowance is {used:.0%} used, more than {profile.headroom_percent:g}%"
        hint = f"It goes on by itself after the reset; `agents.{agent}.headroom_percent` is the setting."
        pause = Pause(agent, min(until, now + LONGEST_HOLD_S), HEADROOM, detail, self._account_of(agent))
        async with self._one_at_a_time:
            await self._hold(pause, hint)

    async def over(self, agent: str) -> None:
        """An attempt came through to the provider: a hold whose time has come is over."""
        now = self._clock.now()
        if any(pause.scope == agent and 0 < pause.until <= now for pause in await self._pauses()):
            await self._release(agent, {})

    async def of_another_account(self) -> None:
        """Let go of what was held for the limits or the login of an account that is used no more."""
        for pause in await self._store.pauses():
            if pause.account and pause.reason in _OF_AN_ACCOUNT:
                now_used = self._account_of(pause.scope)
                if now_used not in ("", pause.account):
                    await self._release(pause.scope, {"reason": pause.reason, "by": "another account"})

    async def _release(self, agent: str, data: Mapping[str, Json]) -> None:
        released = Event(EventKind.AGENT_RELEASED, self._clock.now(), data={"agent": agent, **data})
        await patiently(self._clock, lambda: self._store.release(agent, released))

    async def _hold(self, pause: Pause, hint: str) -> None:
        clean = self._redact({"detail": pause.detail, "hint": hint})
        assert isinstance(clean, Mapping)
        data: dict[str, Json] = {"agent": pause.scope, "until": pause.until, "reason": pause.reason, **clean}
        pause = Pause(pause.scope, pause.until, pause.reason, str(clean["detail"]), pause.account)
        held = Event(EventKind.AGENT_HELD, self._clock.now(), data=data)
        await patiently(self._clock, lambda: self._store.pause(pause, held))

    async def _pauses(self) -> list[Pause]:
        return list(await patiently(self._clock, self._store.pauses))


def _number(data: Mapping[str, Json], key: str) -> float:
    value = data.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
