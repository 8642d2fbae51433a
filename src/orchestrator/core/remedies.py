"""What may follow a failure beside the policy of core/retry.py: strategies, by kind of failure or by its class.

A strategy offers a choice or has none. The first of the configured ones that offers anything decides; where none does,
the built-in policy decides. `Facts` and `Choice` are what a strategy of a person's own gets and returns: a contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from orchestrator.core.attempt import FailureKind as K
from orchestrator.core.events import Event, Json

LONGEST_DELAY_S = 7 * 86_400.0
WHY_CHARS = 300


class ErrorClass(StrEnum):
    """Where an error comes from. Every kind of failure has one class."""

    NETWORK = "network"
    RATE_LIMIT = "rate_limit"
    DEPENDENCY = "dependency"
    RESOURCE = "resource"  # memory, disk, time, turns, money
    VALIDATION = "validation"  # what was asked or configured, or what was seen of the result
    AGENT = "agent"


CLASS_OF: Mapping[K, ErrorClass] = {
    K.TRANSIENT: ErrorClass.NETWORK,
    K.RATE_LIMITED: ErrorClass.RATE_LIMIT,
    K.USAGE_LIMIT: ErrorClass.RATE_LIMIT,
    K.CHILDREN_FAILED: ErrorClass.DEPENDENCY,
    K.MERGE_CONFLICT: ErrorClass.DEPENDENCY,
    K.BUDGET: ErrorClass.RESOURCE,
    K.DAY_BUDGET: ErrorClass.RESOURCE,
    K.TREE_BUDGET: ErrorClass.RESOURCE,
    K.MAX_TURNS: ErrorClass.RESOURCE,
    K.TIMEOUT: ErrorClass.RESOURCE,
    K.KILLED: ErrorClass.RESOURCE,
    K.TOO_MANY_PROCESSES: ErrorClass.RESOURCE,
    K.PROMPT_TOO_LONG: ErrorClass.RESOURCE,
    K.SHORTAGE: ErrorClass.RESOURCE,
    K.DEADLINE: ErrorClass.RESOURCE,
    K.BAD_REQUEST: ErrorClass.VALIDATION,
    K.MODEL_NOT_FOUND: ErrorClass.VALIDATION,
    K.START_REFUSED: ErrorClass.VALIDATION,
    K.PREPARE_FAILED: ErrorClass.VALIDATION,
    K.BAD_OUTPUT: ErrorClass.VALIDATION,
    K.EMPTY_ANSWER: ErrorClass.VALIDATION,
    K.ASKED_A_QUESTION: ErrorClass.VALIDATION,
    K.UNANSWERED: ErrorClass.VALIDATION,
    K.PERMISSION_DENIED: ErrorClass.VALIDATION,
    K.NOT_DELIVERED: ErrorClass.VALIDATION,
    K.NO_CHANGES: ErrorClass.VALIDATION,
    K.CHECK_FAILED: ErrorClass.VALIDATION,
    K.UNPROVEN: ErrorClass.VALIDATION,
    K.PLAN_FAILED: ErrorClass.VALIDATION,
    K.AUTH: ErrorClass.AGENT,
    K.BILLING: ErrorClass.AGENT,
    K.AGENT_MISSING: ErrorClass.AGENT,
    K.AGENT_OUTDATED: ErrorClass.AGENT,
    K.AGENT_UNTRUSTED: ErrorClass.AGENT,
    K.STALLED: ErrorClass.AGENT,
    K.CRASH: ErrorClass.AGENT,
    K.NO_RESULT: ErrorClass.AGENT,
    K.AGENT_ERROR: ErrorClass.AGENT,
    K.GAVE_UP: ErrorClass.AGENT,
    K.INTERRUPTED_TOO_OFTEN: ErrorClass.AGENT,
}

# Another agent cannot help: money and time are used up, a person or the machine is asked, or the fault lies elsewhere.
NOT_THE_AGENTS = frozenset(
    {
        *(
            K.BUDGET,
            K.DAY_BUDGET,
            K.TREE_BUDGET,
            K.DEADLINE,
            K.SHORTAGE,
            K.INTERRUPTED_TOO_OFTEN,
            K.PREPARE_FAILED,
            K.NOT_DELIVERED,
        ),
        *(K.ASKED_A_QUESTION, K.UNANSWERED, K.CHILDREN_FAILED, K.MERGE_CONFLICT),
    }
)
# Once more for those that wait cannot help either: what stands in the way is not changed by another try.
NOT_BY_ANOTHER_TRY = NOT_THE_AGENTS | {K.BAD_REQUEST, K.MODEL_NOT_FOUND, K.PROMPT_TOO_LONG, K.UNPROVEN}
OF_THE_MACHINE = frozenset({K.SHORTAGE, K.KILLED})  # what the machine lacked can be looked at


class Use(StrEnum):
    """The strategies that are built in."""

    BACKOFF = "backoff"  # the built-in policy of the kind of failure: its tries, its waits, its holds
    REASSIGNMENT = "reassignment"  # another agent takes the task over, in a session of its own
    DEPENDENCY_REPAIR = "dependency_repair"  # one more try for a task that would fail while others wait for it
    RESOURCE_WAIT = "resource_wait"  # it waits until the machine has what it lacked


class Act(StrEnum):
    """What a choice is."""

    DEFAULT = "default"  # what the built-in policy decides
    NEXT = "next"  # the next strategy is to decide
    TRY_AGAIN = "try_again"  # as the built-in policy would, after another wait
    REASSIGN = "reassign"
    REPAIR = "repair"  # only DEPENDENCY_REPAIR chooses it
    WAIT = "wait"  # for the machine
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to follow. *delay_s* counts for TRY_AGAIN, and is the longest wait for WAIT; *agent* for REASSIGN.

    *why* is a few words for people.
    """

    act: str = Act.DEFAULT
    delay_s: float = 0.0
    agent: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a strategy decides by. *kind* and *error_class* are words of FailureKind and ErrorClass.

    *attempt* counts every start, *tries* the charged ones, this one included. *agents* are those that may take the task
    over now, *tried* those that had it. *waiting* is how many tasks wait for this one. *used* counts the strategies
    that decided about this task before. *gives_up* is whether the built-in policy would. *spent_usd* is None where
    nobody knows, *budget_usd* 0.0 for no limit. *allowed* are the acts that would be carried out.
    """

    task_id: str
    uid: str
    type: str
    agent: str
    kind: str
    error_class: str
    detail: str
    attempt: int
    tries: int
    gives_up: bool
    agents: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    waiting: int = 0
    used: Mapping[str, int] = field(default_factory=dict)
    spent_usd: float | None = None
    budget_usd: float = 0.0
    allowed: frozenset[str] = frozenset({Act.DEFAULT, Act.NEXT, Act.GIVE_UP})


@dataclass(frozen=True, slots=True)
class Strategy:
    """One configured strategy. *use* is one of Use or the name of an entry point. *to*: only these agents, in this
    order. *times*: so often for one task, 0 for the usual number. *up_to_s*: the longest wait."""

    use: str
    to: tuple[str, ...] = ()
    times: int = 0
    up_to_s: float = 3600.0


_TIMES: Mapping[str, int] = {Use.REASSIGNMENT: 100, Use.DEPENDENCY_REPAIR: 1, Use.RESOURCE_WAIT: 3}


@dataclass(frozen=True, slots=True)
class RecoveryRules:
    """*strategies* by kind of failure or by class; a kind counts before its class. *timeout_s* is for one answer of a
    strategy of the user's own; *free_memory_bytes* is how much has to be free before a task that lacked it goes on."""

    strategies: Mapping[str, tuple[Strategy, ...]] = field(default_factory=dict)
    timeout_s: float = 5.0
    free_memory_bytes: int = 512 << 20

    def of(self, kind: K, *, waited_for: bool = False) -> tuple[Strategy, ...]:
        """Return what is to be asked about a failure of *kind*, in order; () for the built-in policy alone.

        *waited_for*: other tasks wait for this one, so it is an error of dependencies as well; those are asked last.
        """
        row = self.strategies.get(kind.value, self.strategies.get(CLASS_OF[kind].value, ()))
        if not waited_for or CLASS_OF[kind] is ErrorClass.DEPENDENCY:
            return row
        return (*row, *self.strategies.get(ErrorClass.DEPENDENCY.value, ()))

    def uses(self, use: str) -> bool:
        """Return whether *use* is configured for anything."""
        return any(one.use == use for row in self.strategies.values() for one in row)


class StrategyError(Exception):
    """A strategy of the user's own could not be asked, or did not answer. The text says why."""


class Strategies(Protocol):
    """Asks strategies of the user's own."""

    async def ask(self, name: str, facts: Facts) -> object:
        """Return what the strategy *name* answers. Raises StrategyError; bounded in time."""
        ...


class Machine(Protocol):
    """Looks at what the machine has."""

    async def lacks(self, kind: str) -> str:
        """Return what is still short of what an attempt lacked that failed with *kind*, or why nobody can tell; "" when
        there is enough again."""
        ...


def allowed_acts(kind: K, *, gives_up: bool, agents: tuple[str, ...], within_tries: bool) -> frozenset[str]:
    """Return the acts that may follow a failure of *kind*. *within_tries*: the task's own wish leaves it another."""
    acts = {Act.DEFAULT, Act.NEXT, Act.GIVE_UP}
    acts |= {Act.TRY_AGAIN} if not gives_up else set()
    acts |= {Act.REASSIGN} if agents and within_tries and kind not in NOT_THE_AGENTS else set()
    acts |= {Act.REPAIR} if gives_up and within_tries and kind not in NOT_BY_ANOTHER_TRY else set()
    acts |= {Act.WAIT} if kind in OF_THE_MACHINE and within_tries else set()
    return frozenset(acts)


def offer(strategy: Strategy, facts: Facts) -> Choice:
    """Return what a built-in *strategy* chooses; NEXT when it has nothing to offer."""
    if strategy.use == Use.BACKOFF:
        return Choice(Act.NEXT if facts.gives_up else Act.DEFAULT)
    if facts.used.get(strategy.use, 0) >= (strategy.times or _TIMES[strategy.use]):
        return Choice(Act.NEXT)
    if strategy.use == Use.REASSIGNMENT and Act.REASSIGN in facts.allowed:
        wanted = [name for name in strategy.to if name in facts.agents] if strategy.to else list(facts.agents)
        if wanted:
            return Choice(Act.REASSIGN, agent=wanted[0], why=f"{facts.agent} failed with {facts.kind}")
    if strategy.use == Use.DEPENDENCY_REPAIR and Act.REPAIR in facts.allowed and facts.waiting:
        tasks = "1 task waits" if facts.waiting == 1 else f"{facts.waiting} tasks wait"
        return Choice(Act.REPAIR, why=f"{tasks} for it")
    if strategy.use == Use.RESOURCE_WAIT and Act.WAIT in facts.allowed:
        return Choice(Act.WAIT, delay_s=strategy.up_to_s, why="the machine lacked something")
    return Choice(Act.NEXT)


def problem_with(answer: object, facts: Facts) -> str:
    """Return why the *answer* of a strategy of the user's own is not carried out, "" when it is."""
    if not isinstance(answer, Choice):
        return f"it answered {type(answer).__name__}, not Choice"
    if answer.act == Act.REPAIR or answer.act not in facts.allowed:
        return f"it chose {str(answer.act)[:40]!r}; allowed were {', '.join(sorted(facts.allowed - {Act.REPAIR}))}"
    texts: tuple[object, ...] = (answer.why, answer.agent)
    if not all(isinstance(text, str) for text in texts):
        return "agent and why are texts"
    delay: object = answer.delay_s
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay <= LONGEST_DELAY_S:
        return f"delay_s is from 0 to {LONGEST_DELAY_S:g} seconds"
    if answer.act == Act.REASSIGN and answer.agent not in facts.agents:
        return f"it chose the agent {answer.agent[:40]!r}; those that may take over are {', '.join(facts.agents)}"
    return ""


def recovered(validated: Event, data: Mapping[str, Json]) -> Event:
    """Return the event *validated* with what a strategy decided, for the result; *data* is of the event behind it."""
    told = {key: data[key] for key in ("strategy", "from_agent", "to_agent", "why") if data.get(key)}
    return replace(validated, data={**validated.data, "recovery": told}) if "strategy" in told else validated
