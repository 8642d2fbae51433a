"""What goes into a store and what comes out of it, beside tasks and events."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.dependencies import Need
from orchestrator.core.events import Event, TaskUid
from orchestrator.core.task import Task


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to accept: with the exact *body*, the events that begin its life, and what it waits for."""

    task: Task
    body: bytes
    events: Sequence[Event]
    needs: Sequence[Need] = ()


@dataclass(frozen=True, slots=True)
class EndedTask:
    """An ended task without what was asked, so that a hundred thousand of them can be gone through."""

    order: int
    uid: TaskUid
    name: str
    ended_ts: float
    artifacts: bool
    cleaned: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """An agent (or everything, scope "*") is not started until *until* (seconds since the epoch; 0: until released).

    *account* tells whose allowance it is about, "" where it is about none. It is no credential.
    """

    scope: str
    until: float
    reason: str
    detail: str
    account: str = ""


def outlasts(until: float, other: float) -> bool:
    """Return whether a hold until *until* ends no sooner than one until *other*; 0 is for ever."""
    return until == 0 or (other != 0 and until >= other)
