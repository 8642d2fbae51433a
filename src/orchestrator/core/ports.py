"""All ports on one page: what the engine needs of the outside world."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.core.attempt import AgentMessage, AttemptRecord, Outcome, WorkOrder
from orchestrator.core.events import Event, TaskUid
from orchestrator.core.evidence import Changes
from orchestrator.core.lifecycle import State
from orchestrator.core.task import FileStamp, Task

Say = Callable[[AgentMessage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to accept: with the exact *body* and the events that begin its life."""

    task: Task
    body: bytes
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Pause:
    """An agent (or everything, scope "*") is not started until *until* (seconds since the epoch; 0: until released)."""

    scope: str
    until: float
    reason: str
    detail: str


class Agent(Protocol):
    """Runs one attempt."""

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        """Run *order* to its end. However this ends, also by cancellation, nothing it started stays alive."""
        ...

    async def collect(self, order: WorkOrder) -> Outcome | None:
        """Return how an attempt ended that ran under an earlier daemon, None if it left no exit record.

        Nothing of that attempt is alive when this returns.
        """
        ...


class Store(Protocol):
    """The truth. Every write is one transaction, all or nothing."""

    async def accept(self, new: Sequence[NewTask]) -> Sequence[Task]:
        """Store new tasks with bodies and events. Gives each its *order*, and a *name* no other task ever had:
        the one asked for, or that with `.<uid8>` appended. Returns the tasks as stored."""
        ...

    async def revise(self, task: Task, body: bytes, event: Event) -> Task:
        """Replace spec, body, sha256 and stamp of a queued task. Raises IllegalEventError if it is queued no more."""
        ...

    async def commit(self, events: Sequence[Event]) -> Sequence[Task]:
        """Apply *events* in order with `advance` and append them. Returns each concerned task as it is afterwards.
        Raises IllegalEventError, with nothing changed, if somebody was first."""
        ...

    async def task(self, uid: TaskUid) -> Task | None: ...

    async def find(self, key: str) -> Sequence[Task]:
        """Return tasks whose uid, uid prefix (4+), id, name or file name is *key*; newest first."""
        ...

    async def body(self, uid: TaskUid) -> bytes: ...

    async def tasks(self, states: Sequence[State], *, limit: int, newest_first: bool = False) -> Sequence[Task]: ...

    async def ready(self, now: float, *, limit: int, agents: Sequence[str] | None = None) -> Sequence[Task]:
        """Return tasks that could start now, by priority, then age: waiting, not_before reached, no other task with
        the same id_key active or earlier in the queue. *agents*, when given, are the agents not to be started."""
        ...

    async def next_wake(self, now: float) -> float:
        """Return the earliest not_before after *now*, or 0.0 when there is none."""
        ...

    async def unprojected(self, *, limit: int) -> Sequence[Task]:
        """Return ended tasks whose files are not all in place yet, oldest first."""
        ...

    async def counts(self) -> Mapping[State, int]: ...

    async def waiting_files(self) -> Sequence[tuple[str, FileStamp, TaskUid]]:
        """Return (file name, stamp, uid) of every task that waits with its file in `tasks/`."""
        ...

    async def same_id(self, task_id: str) -> Sequence[Task]:
        """Return tasks whose id_key equals that of *task_id*, newest first."""
        ...

    async def attempts(self, uid: TaskUid) -> Sequence[AttemptRecord]: ...

    async def events_after(self, seq: int, *, limit: int) -> Sequence[Event]: ...

    async def events_of(self, uid: TaskUid, *, limit: int) -> Sequence[Event]:
        """Return the last *limit* events of one task, oldest first."""
        ...

    async def last_seq(self) -> int: ...

    async def changed(self) -> bool:
        """Return whether anybody, in this process or another, has committed since the last call. Costs microseconds."""
        ...

    async def pause(self, pause: Pause, event: Event) -> None: ...

    async def release(self, scope: str, event: Event) -> None: ...

    async def pauses(self) -> Sequence[Pause]: ...


class Workspace(Protocol):
    """Where an attempt works, and what changed there."""

    async def prepare(self, cwd: str, allowed_root: str) -> str:
        """Return the real path of *cwd*, made if it is the configured base folder.

        Raises WorkAreaError when it does not exist, is no folder, or leaves *allowed_root* by a symbolic link.
        """
        ...

    async def record(self, order: WorkOrder) -> None:
        """Remember beside the attempt how the work area looks before the start; survives a crash."""
        ...

    async def changes(self, order: WorkOrder) -> Changes:
        """Return what is different from what `record` remembered."""
        ...


class Clock(Protocol):
    """Time and chance, so that a test can choose them."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump and do not count suspended time."""
        ...

    def chance(self) -> float:
        """Return a number drawn uniformly from [0, 1)."""
        ...

    def new_uid(self) -> TaskUid:
        """Return a fresh uid: 32 lower-case hex digits, sortable by time, the last 8 of them random."""
        ...

    def new_session_id(self) -> str:
        """Return a random UUID in its canonical form."""
        ...

    async def sleep(self, seconds: float) -> None: ...
