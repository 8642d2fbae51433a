"""Asks the configured strategies about a failure, and turns what they choose into the event that follows."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.core.attempt import Failed, FailureKind, WorkOrder
from orchestrator.core.budget import spent_by
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Store
from orchestrator.core.remedies import (
    CLASS_OF,
    WHY_CHARS,
    Act,
    Choice,
    Facts,
    Strategies,
    Strategy,
    StrategyError,
    Use,
    allowed_acts,
    offer,
    problem_with,
)
from orchestrator.core.task import Task
from orchestrator.engine.patience import patiently

log = logging.getLogger(__name__)

STRATEGY_FAILED = "recovery_strategy_failed"  # the reason of the warning
_EVENTS = 2000
OWN_TIMES = 100  # so often a strategy of the user's own decides about one task that is not told how often
Followed = tuple[EventKind, dict[str, Json]]


class NoStrategies:
    """Implements the port `Strategies` where none are registered."""

    async def ask(self, name: str, facts: Facts) -> object:  # noqa: ARG002 - the port's
        raise StrategyError(f"no strategy is called {name}")


@dataclass(frozen=True, slots=True)
class _About:
    """What is decided about: the attempt of *order* of *task*, and what follows by the built-in policy."""

    task: Task
    order: WorkOrder
    failure: Failed
    default: Followed
    budget_usd: float


class Remedies:
    """Remembers only which strategies failed to answer, so that each is told once."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        policy: Callable[[], RunPolicy],
        redact: Callable[[Json], Json],
        strategies: Strategies | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._redact = redact
        self._strategies = strategies or NoStrategies()
        self._told: set[str] = set()

    async def instead(
        self, task: Task, order: WorkOrder, failure: Failed, default: Followed, *, budget_usd: float
    ) -> Followed:
        """Return the event that ends the attempt of *order*, and its data: *default* unless a strategy chooses other.

        *budget_usd* is what all attempts of the task may cost, 0.0 for no limit.
        """
        rules = self._policy().recovery
        if not rules.of(failure.kind, waited_for=True):
            return default
        about = _About(task, order, failure, default, budget_usd)
        facts = await self._facts(about)
        for strategy in rules.of(failure.kind, waited_for=facts.waiting > 0):
            choice = await self._choice(strategy, facts)
            if choice.act != Act.NEXT:
                return self._followed(strategy, choice, about)
        return default

    async def _choice(self, strategy: Strategy, facts: Facts) -> Choice:
        if strategy.use in list(Use):
            return offer(strategy, facts)
        if facts.used.get(strategy.use, 0) >= (strategy.times or OWN_TIMES):
            return Choice(Act.NEXT)
        try:
            answer = await self._strategies.ask(strategy.use, facts)
        except StrategyError as error:
            problem = str(error)
        else:
            problem = problem_with(answer, facts)
            if isinstance(answer, Choice) and not problem:
                return answer
        await self._warn(strategy.use, problem)
        return Choice(Act.DEFAULT)

    async def _warn(self, name: str, problem: str) -> None:
        if name in self._told:
            return
        self._told.add(name)
        log.warning("the recovery strategy %s: %s", name, problem)
        detail = f"the recovery strategy {name}: {problem}; the built-in policy decides instead"
        data = self._redact({"reason": STRATEGY_FAILED, "strategy": name, "detail": detail})
        assert isinstance(data, Mapping)
        warning = Event(EventKind.WARNING, self._clock.now(), data=data)
        await patiently(self._clock, lambda: self._store.commit([warning]))

    async def _facts(self, about: _About) -> Facts:
        task, kind = about.task, about.failure.kind
        attempts = await patiently(self._clock, lambda: self._store.attempts(task.uid))
        events = await patiently(self._clock, lambda: self._store.events_of(task.uid, limit=_EVENTS))
        waiting = await patiently(self._clock, lambda: self._store.dependents([task.uid]))
        tried = tuple(dict.fromkeys([*(record.agent for record in attempts), about.order.agent]))
        agents = await self._free(task, tried)
        gives_up = about.default[0] is EventKind.FAILED
        within = task.spec.retries is None or task.tries <= task.spec.retries
        spent = spent_by(attempts)
        return Facts(
            task_id=task.spec.id,
            uid=task.uid,
            type=task.spec.type,
            agent=about.order.agent,
            kind=kind.value,
            error_class=CLASS_OF[kind].value,
            detail=about.failure.detail,
            attempt=task.attempt,
            tries=task.tries,
            gives_up=gives_up,
            agents=agents,
            tried=tried,
            waiting=len(waiting),
            used=Counter(str(event.data["strategy"]) for event in events if event.data.get("strategy")),
            spent_usd=spent if spent != float("inf") else None,
            budget_usd=about.budget_usd,
            allowed=allowed_acts(kind, gives_up=gives_up, agents=agents, within_tries=within),
        )

    async def _free(self, task: Task, tried: tuple[str, ...]) -> tuple[str, ...]:
        """Return the agents that may take *task* over: each at most once, none that is off, held or of other types."""
        now = self._clock.now()
        pauses = await patiently(self._clock, self._store.pauses)
        held = {pause.scope for pause in pauses if pause.until == 0 or pause.until > now}
        return tuple(
            name
            for name, agent in self._policy().agents.items()
            if agent.enabled
            and name not in tried
            and name not in held
            and (not agent.takes_over or task.spec.type in agent.takes_over)
        )

    def _followed(self, strategy: Strategy, choice: Choice, about: _About) -> Followed:
        """Carry *choice* out: what the built-in policy does not charge costs no try here either."""
        kind, data = about.default
        if choice.act == Act.DEFAULT:
            return kind, data
        now = self._clock.now()
        why = choice.why[:WHY_CHARS] or about.failure.kind.value
        told: dict[str, Json] = {**data, "strategy": strategy.use, "why": why}
        if choice.act == Act.GIVE_UP:
            return EventKind.FAILED, told
        again = EventKind.RETRY if kind is EventKind.FAILED else kind
        if choice.act == Act.TRY_AGAIN:
            # An agent that is held starts nothing sooner; who asks for less waits for the end of the hold.
            return again, told | {"not_before": now + choice.delay_s}
        if choice.act == Act.REASSIGN:
            told |= {"from_agent": about.order.agent, "to_agent": choice.agent, "not_before": now}
            return again, told
        if choice.act == Act.WAIT:
            until = now + (choice.delay_s or strategy.up_to_s)
            return again, told | {"not_before": until, "machine": True}
        return EventKind.RETRY, told | {"not_before": now, "new_session": True}


def waits_for_the_machine(task: Task, events: list[Event]) -> bool:
    """Return whether *task*, which waits for another try, waits for the machine, by its *events*, oldest first."""
    last = next((event for event in reversed(events) if event.kind in (EventKind.RETRY, EventKind.LIMITED)), None)
    of_the_machine = task.reason in (FailureKind.SHORTAGE, FailureKind.KILLED)
    return of_the_machine and last is not None and last.data.get("machine") is True
