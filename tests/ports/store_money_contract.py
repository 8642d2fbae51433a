"""The part of the port Store that counts money and moves holds; see store_writes_contract for the rest."""

from dataclasses import replace
from math import inf

import pytest
from tests.ports.sample_tasks import K, event, go, new

from orchestrator.core.budget import Spending
from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import Event, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Pause, Store

HELD = Pause("claude", 50.0, "usage_limit", "resets at 50", "account-1")
RELEASED = Event(K.AGENT_RELEASED, 3.0)


def cost(usd: float | None) -> Json:
    return {"kind": "finished", "report": {"usage": {"cost_usd": usd}}}


class StoreMoneyContract:
    """What counts against a day, and holds that get another time."""

    async def attempt(self, store: Store, n: int, *, cap: float, ended: float = 0.0, usd: float | None = None) -> None:
        (task,) = await store.accept([new(n)])
        (running,) = await store.commit([event(K.STARTED, task, cap_usd=cap)])
        if ended:
            await store.commit([event(K.FINISHED, running, ts=ended, outcome=cost(usd))])

    async def test_an_attempt_remembers_its_cap(self, store: Store) -> None:
        await self.attempt(store, 1, cap=1.5)
        (task,) = await store.tasks([State.RUNNING], limit=1)
        assert [record.cap_usd for record in await store.attempts(task.uid)] == [1.5]

    async def test_known_costs_count_from_the_given_time_on_and_caps_while_it_runs(self, store: Store) -> None:
        assert await store.spending(0.0) == Spending(0.0, 0.0)
        await self.attempt(store, 1, cap=5.0, ended=10.0, usd=0.25)
        await self.attempt(store, 2, cap=0.0, ended=20.0, usd=0.5)
        await self.attempt(store, 3, cap=2.0)
        await self.attempt(store, 4, cap=1.0)
        assert await store.spending(0.0) == Spending(0.75, 3.0)
        assert await store.spending(10.1) == Spending(0.5, 3.0)

    async def test_a_cost_that_nobody_knows_is_the_cap_and_without_a_cap_anything(self, store: Store) -> None:
        await self.attempt(store, 1, cap=5.0, ended=10.0)
        assert await store.spending(0.0) == Spending(5.0, 0.0)
        await self.attempt(store, 2, cap=0.0)
        assert await store.spending(0.0) == Spending(5.0, inf)
        await self.attempt(store, 3, cap=0.0, ended=11.0)
        assert await store.spending(0.0) == Spending(inf, inf)
        assert await store.spending(12.0) == Spending(0.0, inf)

    async def test_a_later_word_on_the_same_end_does_not_forget_the_cost(self, store: Store) -> None:
        await self.attempt(store, 1, cap=5.0, ended=10.0, usd=0.25)
        (task,) = await store.tasks([State.CHECKING], limit=1)
        await go(store, task, K.LIMITED, ts=11.0)
        assert await store.spending(0.0) == Spending(0.25, 0.0)

    @pytest.mark.parametrize(("usd", "sums"), [(0.25, 0.3), (None, 5.05)])
    async def test_what_an_opinion_has_cost_counts_for_its_attempt(
        self, store: Store, usd: float | None, sums: float
    ) -> None:
        await self.attempt(store, 1, cap=5.0, ended=10.0, usd=usd)
        (task,) = await store.tasks([State.CHECKING], limit=1)
        verdict: dict[str, Json] = {"passed": True, "opinion": {"by": "agent", "cost_usd": 0.05}}
        await store.commit([event(K.VALIDATED, task, ts=11.0, **verdict), event(K.SUCCEEDED, task, ts=11.0)])
        (record,) = await store.attempts(task.uid)
        assert record.outcome == cost(None if usd is None else sums)
        assert record.verdict == verdict
        assert await store.spending(0.0) == Spending(sums, 0.0)

    async def test_what_is_forgiven_counts_no_more_and_stays_on_record(self, store: Store) -> None:
        await self.attempt(store, 1, cap=0.0, ended=10.0)
        await self.attempt(store, 2, cap=2.0)
        await store.pause(replace(HELD, scope="budget"), Event(K.AGENT_HELD, 2.0))
        await store.forgive("budget", RELEASED)
        assert await store.spending(0.0) == Spending(0.0, 2.0)
        assert await store.pauses() == []
        (task,) = await store.tasks([State.CHECKING], limit=1)
        (record,) = await store.attempts(task.uid)
        assert record.outcome == cost(None)
        await self.attempt(store, 3, cap=0.0, ended=12.0, usd=0.5)
        assert await store.spending(0.0) == Spending(0.5, 2.0)

    async def test_a_hold_keeps_whose_allowance_it_is_about(self, store: Store) -> None:
        await store.pause(HELD, Event(K.AGENT_HELD, 2.0))
        assert await store.pauses() == [HELD]

    @pytest.mark.parametrize("until", [20.0, 90.0])
    async def test_a_hold_gets_another_time_with_the_events_that_tell_of_it(self, store: Store, until: float) -> None:
        await store.pause(HELD, Event(K.AGENT_HELD, 2.0))
        gone = Pause("gone", 5.0, "usage_limit", "")
        await store.replan([replace(HELD, until=until), gone], [Event(K.WARNING, 3.0)])
        assert await store.pauses() == [replace(HELD, until=until)]
        assert [one.kind for one in await store.events_after(0, limit=9)] == [K.AGENT_HELD, K.WARNING]

    async def test_a_hold_keeps_its_time_when_the_events_are_refused(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        await store.pause(HELD, Event(K.AGENT_HELD, 2.0))
        with pytest.raises(IllegalEventError):
            await store.replan([replace(HELD, until=5.0)], [event(K.FINISHED, task)])
        assert await store.pauses() == [HELD]
