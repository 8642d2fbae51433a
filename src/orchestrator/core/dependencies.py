"""What waits for what: edges between tasks, their cycles and longest chains, and what follows when one end ended."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from orchestrator.core.events import NOBODY, Event, EventKind, TaskUid
from orchestrator.core.lifecycle import TERMINAL, State

Key = TypeVar("Key", bound=str)
DEPENDENCY_FAILED = "dependency_failed"  # the reason of a task that was cancelled for what it depends on


class NeedKind(StrEnum):
    """Why one task waits for another."""

    AFTER = "after"  # its depends_on names it
    CHILD = "child"  # it split into it


@dataclass(frozen=True, slots=True)
class Need:
    """The task *uid* waits for the one whose id has the key *on_key*. *on_uid* is "" while nobody has submitted such a
    task. *met*: it waits no more, whether because of a success or because its policy passes over."""

    uid: TaskUid
    on_key: str
    on_uid: TaskUid = NOBODY
    kind: NeedKind = NeedKind.AFTER
    met: bool = False


class DependencyPolicy(StrEnum):
    """What a task does when one that it depends on is no success."""

    BLOCK = "block"  # it waits until a retry succeeds or a person accepts
    SKIP = "skip"  # it is cancelled
    RUN_ANYWAY = "run_anyway"  # it runs with what there is


class Step(StrEnum):
    """What follows for a task that waits for others."""

    WAIT = "wait"
    GO = "go"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Decision:
    """*met* are the keys of the tasks that succeeded, *passed_over* of those that it goes on without, *waiting* of
    those that it still waits for, *failed* of those that ended without success."""

    step: Step
    met: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


_FOR_A_PERSON = frozenset({State.HELD, State.NEEDS_INPUT})


def decide(needs: Sequence[tuple[Need, State | None]], policy: DependencyPolicy) -> Decision:
    """Return what follows for a task with these *needs*, each with the state of the task it is about (None: nobody has
    submitted it). A parent goes on when all its sub-tasks have ended, however: it is told how."""
    regardless = policy is DependencyPolicy.RUN_ANYWAY
    met, over, waiting, failed = list[str](), list[str](), list[str](), list[str]()
    for need, state in needs:
        ended = state in TERMINAL
        if state is State.SUCCEEDED:
            met.append(need.on_key)
        elif (ended and need.kind is NeedKind.CHILD) or (
            regardless and need.kind is NeedKind.AFTER and (ended or state in _FOR_A_PERSON)
        ):
            over.append(need.on_key)
        elif ended:
            failed.append(need.on_key)
        else:
            waiting.append(need.on_key)
    step = Step.WAIT if waiting or failed else Step.GO
    if failed and policy is DependencyPolicy.SKIP:
        step = Step.SKIP
    return Decision(step, tuple(met), tuple(over), tuple(waiting), tuple(failed))


def named_in(event: Event) -> frozenset[str] | None:
    """Return the keys of all that a task waited for by the event that lets it go on, None where that names none."""
    lists = [event.data.get(key) for key in ("met", "passed_over")] if event.kind is EventKind.UNBLOCKED else []
    found = [str(key) for one in lists if isinstance(one, Sequence) and not isinstance(one, str) for key in one]
    return frozenset(found) if "met" in event.data and lists else None


def cycle_in(edges: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return one cycle of *edges* (each key waits for its values) with its first member again at the end, () if there
    is none. Keys that only occur as values wait for nothing. Linear in the number of edges."""
    done: set[str] = set()
    for start in edges:
        if start not in done and (found := _cycle_from(start, edges, done)):
            return found
    return ()


def _cycle_from(start: str, edges: Mapping[str, Collection[str]], done: set[str]) -> tuple[str, ...]:
    path, on_path = [start], {start}
    stack = [iter(edges.get(start, ()))]
    while stack:
        for after in stack[-1]:
            if after in on_path:
                return (*path[path.index(after) :], after)
            if after not in done:
                path.append(after)
                on_path.add(after)
                stack.append(iter(edges.get(after, ())))
                break
        else:
            stack.pop()
            last = path.pop()
            on_path.discard(last)
            done.add(last)
    return ()


def spelled_out(cycle: Iterable[str]) -> str:
    """Return a cycle in words: `a → b → a`."""
    return " → ".join(cycle)


def critical_paths(edges: Mapping[Key, Collection[Key]], cost: Mapping[Key, float]) -> Mapping[Key, float]:
    """Return for each key of *edges* (which waits for its values) what hangs on it: the longest chain of tasks that
    begins with it and ends with one that nobody waits for, in units of *cost* (missing: 1). *edges* has no cycle."""
    waited_by: dict[Key, list[Key]] = {key: [] for key in edges}
    open_below = dict.fromkeys(edges, 0)
    for key, on in edges.items():
        for other in on:
            if other in waited_by:
                waited_by[other].append(key)
                open_below[other] += 1
    longest: dict[Key, float] = {}
    ready = [key for key, number in open_below.items() if not number]
    while ready:
        key = ready.pop()
        longest[key] = cost.get(key, 1.0) + max((longest[one] for one in waited_by[key]), default=0.0)
        for other in edges[key]:
            if other in open_below:
                open_below[other] -= 1
                if not open_below[other]:
                    ready.append(other)
    return longest
