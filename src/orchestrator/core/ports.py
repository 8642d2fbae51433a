"""All ports on one page: what the engine needs of the outside world."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from orchestrator.core.attempt import AgentMessage, AttemptRecord, Outcome, WorkOrder
from orchestrator.core.budget import Spending
from orchestrator.core.dependencies import Need
from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import Event, Json, TaskUid
from orchestrator.core.evidence import Changes
from orchestrator.core.inbox_facts import FileBytes as FileBytes
from orchestrator.core.inbox_facts import InboxEntry as InboxEntry
from orchestrator.core.inbox_facts import InboxScan as InboxScan
from orchestrator.core.inbox_facts import NotReady as NotReady
from orchestrator.core.job import Job
from orchestrator.core.job_ports import JobStore as JobStore
from orchestrator.core.lifecycle import State
from orchestrator.core.model_ports import Summarizer as Summarizer
from orchestrator.core.model_ports import TextReader as TextReader
from orchestrator.core.notes import NotesWanted, ProjectNote
from orchestrator.core.notice_ports import Notifier as Notifier
from orchestrator.core.notice_ports import Outbox as Outbox
from orchestrator.core.notice_ports import Sink as Sink
from orchestrator.core.proof_ports import Checkouts as Checkouts
from orchestrator.core.proof_ports import CheckRunner as CheckRunner
from orchestrator.core.proof_ports import Opinions as Opinions
from orchestrator.core.store_facts import EndedTask as EndedTask
from orchestrator.core.store_facts import NewTask as NewTask
from orchestrator.core.store_facts import Pause as Pause
from orchestrator.core.store_facts import outlasts as outlasts
from orchestrator.core.task import FileStamp, Label, Task
from orchestrator.core.work import Area, CommitWords, Delivery

Say = Callable[[AgentMessage], Awaitable[None]]


class Agent(Protocol):
    """Runs one attempt."""

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        """Run *order* to its end. However this ends, also by cancellation, nothing it started stays alive."""
        ...

    async def collect(self, order: WorkOrder) -> Outcome | None:
        """Return how an attempt ended that ran under an earlier daemon, None if it left no exit record.

        One of which it is certain that it was never begun is interrupted, at no cost. Nothing of that attempt is alive
        when this returns.
        """
        ...


class Store(JobStore, Protocol):
    """The truth. Every write is one transaction, all or nothing."""

    async def accept(self, new: Sequence[NewTask], jobs: Sequence[Job] = ()) -> Sequence[Task]:
        """Store new tasks with bodies, events and needs, and new jobs; a job that is stored stays as it is. A need
        without a uid is of the newest task of that id: of its own job first, no template and none that was rejected.
        A need of another task that ended without success, or that nobody had submitted, is from now on of a new task
        of that id in the same job (or of any job, where nobody had), or of one that is a run of it anew. Gives each its
        *order*, and a *name* no other task ever had: the one asked for, or that with `.<uid8>` appended. Returns the
        tasks as stored."""
        ...

    async def revise(
        self, task: Task, body: bytes, event: Event, *, then: Sequence[Event] = (), needs: Sequence[Need] = ()
    ) -> Task:
        """Replace spec, body, sha256, stamp, times, path, job and needs of a task whose file is editable, and apply
        *event* and *then* to it. Raises IllegalEventError if it is no more."""
        ...

    async def split(self, events: Sequence[Event], children: Sequence[NewTask]) -> Sequence[Task]:
        """Commit *events* of a parent and store its *children* in one transaction; from now on it needs each of them.
        Returns the parent, then the children. Raises IllegalEventError like `commit`."""
        ...

    async def fire(self, event: Event, runs: Sequence[NewTask]) -> Sequence[Task]:
        """Apply *event*, schedule_fired of a template, and store its *runs*, all or nothing. Returns the template, then
        the runs. Raises IllegalEventError if somebody was first."""
        ...

    async def commit(self, events: Sequence[Event]) -> Sequence[Task]:
        """Apply *events* in order with `advance` and append them. Returns each concerned task as it is afterwards.
        Raises IllegalEventError, with nothing changed, if somebody was first, and for the start of a task that waits
        for another one."""
        ...

    async def task(self, uid: TaskUid) -> Task | None: ...

    async def find(self, key: str) -> Sequence[Task]:
        """Return tasks whose uid (or its beginning of 4+ digits, or its last 8), id, name or file name is *key*; newest
        first."""
        ...

    async def body(self, uid: TaskUid) -> bytes: ...

    async def tasks(self, states: Sequence[State], *, limit: int, newest_first: bool = False) -> Sequence[Task]: ...

    async def ready(
        self,
        now: float,
        *,
        limit: int,
        agents: Sequence[str] | None = None,
        jobs: Sequence[str] = (),
        trees: Sequence[str] = (),
    ) -> Sequence[Task]:
        """Return tasks that could start now, by priority, then by the age of their job (a
        task without one is its own), by what hangs on them, by age: waiting, not_before reached, no other task with
        the same id_key active or earlier in the queue, held ones included. *agents*, when given, are the agents not
        to be started, *jobs* the jobs of which nothing more is, *trees* the lineages (the last 8 digits of their roots)
        of which nothing is but what joins its sub-tasks."""
        ...

    async def next_wake(self, now: float) -> float:
        """Return the earliest not_before after *now*, or 0.0 when there is none."""
        ...

    async def unprojected(self, *, limit: int) -> Sequence[Task]:
        """Return ended tasks whose files are not all in place yet, oldest first."""
        ...

    async def ended(self, *, after: int = 0, before_ts: float = inf, limit: int) -> Sequence[EndedTask]:
        """Return ended tasks of an order above *after* that ended before *before_ts*, oldest first. Cheap: to be
        called again with the last order until nothing comes."""
        ...

    async def ended_last(self, *, limit: int) -> Sequence[Task]:
        """Return the tasks that ended last, the last one first, whenever they were accepted."""
        ...

    async def counts(self) -> Mapping[State, int]: ...

    async def waiting_files(self) -> Sequence[tuple[str, FileStamp, TaskUid, int]]:
        """Return (file name, stamp, uid, order) of every task that waits or is held with its file in `tasks/`."""
        ...

    async def namesakes(self, asked: Sequence[tuple[str, str]]) -> Sequence[Sequence[Task]]:
        """Return for each (task id, sha256), newest first, of the tasks whose id_key equals it the newest two that have
        not ended and the newest that succeeded with this sha256."""
        ...

    async def labels(self, uids: Sequence[TaskUid]) -> Mapping[TaskUid, Label]:
        """Return how the tasks *uids* are called; those that are not stored are left out."""
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

    async def pause(self, pause: Pause, event: Event) -> None:
        """Hold a scope. A hold that lasts as long or longer stays as it is, and *event* is then not appended."""
        ...

    async def release(self, scope: str, event: Event) -> None: ...

    async def pauses(self) -> Sequence[Pause]: ...

    async def replan(self, pauses: Sequence[Pause], events: Sequence[Event]) -> None:
        """Give holds that are in force another time, be it longer or shorter, and commit *events*. One that was
        released meanwhile stays released."""
        ...

    async def spending(self, since: float) -> Spending:
        """Return what counts from *since* on: attempts that ended then or later, and those that run."""
        ...

    async def forgive(self, scope: str, event: Event) -> None:
        """Release *scope*; nothing that was spent until now counts against a day any more. The records keep it."""
        ...


class Workspace(Protocol):
    """Where an attempt works, what changed there, and what is kept of it. What must survive a crash lies on the disk:
    every method may be called by a later daemon, with an order that names the person's folder as *cwd*."""

    async def prepare(self, order: WorkOrder, allowed_root: str, *, fresh: bool) -> Area:
        """Return the work area of *order*, whose *cwd* is the person's folder, ready and remembered as it is.

        *fresh*: what an earlier attempt of the task left is not gone on with, but kept before. In place it stays.
        Raises WorkAreaError when the folder does not exist, is no folder, leaves *allowed_root* by a symbolic link or
        cannot be isolated as the configuration asks.
        """
        ...

    async def area(self, order: WorkOrder) -> Area | None:
        """Return the area that `prepare` made for the task of *order*; None in place, or when there is none."""
        ...

    async def notes(self, cwd: str, wanted: NotesWanted) -> Sequence[ProjectNote]:
        """Return what the project keeps for agents, for work in *cwd* as `prepare` returned it, outermost folder first.
        What cannot be read is among them and says why; nothing is raised for it."""
        ...

    async def changes(self, order: WorkOrder) -> Changes:
        """Return what is different from how the task began. Of a clone: what `keep` has kept of this attempt."""
        ...

    async def keep(self, order: WorkOrder) -> Delivery | None:
        """Keep all files of the area as a commit under a hidden ref; None in place. Nothing works there any more.

        What was kept of this attempt before is returned as it is. What cannot be kept stays in the area, and the
        notes say why. Raises OSError.
        """
        ...

    async def deliver(self, order: WorkOrder, words: CommitWords) -> Delivery | None:
        """Make the commit of what was kept and bring the branch into the person's repository; None in place.

        May be called again, also after a crash: the same commit comes of it. Raises OSError.
        """
        ...

    def leave(self, order: WorkOrder) -> None:
        """Nobody works there for *order* any more, however it ended; who comes now may be alone."""
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


class Inbox(Protocol):
    """The folder `tasks/` with `running/<uid>/`, `processed/`, `failed/` and `cancelled/`. Never overwrites a file.

    Every move is redoable: after a crash at any instant the same call brings it to its end.
    Methods that move raise OSError when the disk refuses; then nothing is lost and the call may be repeated.
    """

    async def scan(self) -> InboxScan: ...

    async def same_names(self) -> bool:
        """Return whether surely no name came, went or was exchanged since the last scan. Costs microseconds."""
        ...

    async def read(
        self, file_names: Sequence[str], *, limit: int
    ) -> Mapping[str, FileBytes | NotReady | TaskFileError]:
        """Read complete files of at most *limit* bytes; what cannot become a task is answered by its error."""
        ...

    async def unchanged(self, task: Task) -> bool:
        """Return whether *task* may start on the bytes that are stored: its file lies in `tasks/` with exactly
        these, or was claimed before, or never was there."""
        ...

    async def claim(self, task: Task, body: bytes) -> str:
        """Move the file to `running/<uid>/`. Returns moved, recreated (it was gone) or edited: the file differed
        from *body*, which is what runs; the edited one is kept beside it as `<name>.edited`."""
        ...

    async def holds(self, task: Task) -> bool:
        """Return whether the file of *task* is in `running/<uid>/`."""
        ...

    async def archive(self, task: Task, body: bytes, folder: str) -> str:
        """Move the file to *folder* (processed, failed, cancelled), from wherever it is; recreate it from *body* if
        it is nowhere. A name that is taken gets `-<uid8>`. Returns the path relative to the root."""
        ...

    async def reject(self, entry: InboxEntry, error: Mapping[str, Json], uid: TaskUid) -> str:
        """Move the file to `failed/` with `<name>.error.json` beside it; one that cannot be moved stays, with its
        error JSON in `rejects/` of the state folder. Returns the path of the error JSON relative to the root."""
        ...

    async def rejected_in_place(self) -> Sequence[InboxEntry]:
        """Return the files that were rejected and could not be moved, as they were then."""
        ...

    async def put(self, file_name: str, body: bytes) -> str:
        """Create a task file, all of it at once. Returns its path relative to the root.
        Raises UsageError for a name that is no task file's, ConflictError if it exists."""
        ...

    async def mend(self, path: str, body: bytes, *, create: bool) -> bool:
        """Make a file below `tasks/` whole that was left torn (see `core.torn`), or, to *create*, that is missing.
        *path* is relative to the root. Returns whether it had to; what anybody has edited stays as it is."""
        ...

    async def adopt_strays(self, known: Callable[[TaskUid], Awaitable[bool]]) -> Sequence[str]:
        """Move files in `running/<uid>/` of tasks that are not *known* back to `tasks/`. Returns their new paths."""
        ...


class Watch(Protocol):
    """Hints that `tasks/` may have changed; never the only way to learn of it."""

    async def wait(self, timeout_s: float) -> bool:
        """Return True soon after a change, False after *timeout_s* without one. May be True without a change."""
        ...

    def polling(self) -> str:
        """Return why changes are looked for instead of being notified; "" when they are notified."""
        ...


@dataclass(frozen=True, slots=True)
class TargetFact:
    """Whether a target file exists, and whether its real path (all links followed) is inside the allowed root."""

    exists: bool
    inside: bool


class Targets(Protocol):
    """Looks at the files a task wants to work on."""

    async def look(self, targets: Sequence[str], *, base: str, allowed_root: str) -> Sequence[TargetFact]:
        """Return one fact for each target; relative ones start at *base*."""
        ...


class Artifacts(Protocol):
    """Files under the root that readers see old or new, never half. Paths are relative, with `/`.

    Raises ValueError for a path that leaves the root, OSError when the disk refuses: the old file is then intact.
    """

    async def write(self, relative: str, data: bytes) -> None: ...

    async def read(self, relative: str) -> bytes | None: ...

    async def exists(self, relative: str) -> bool: ...

    async def remove(self, relative: str) -> bool:
        """Remove a file; False if there was none. A folder below workspace/ that is empty then goes as well."""
        ...

    async def names(self, folder: str) -> Sequence[str]:
        """Return the names of the regular files in *folder*, sorted, without hidden ones."""
        ...


class EventSink(Protocol):
    """The event log as a file; knows how far it got from its own last complete line."""

    async def last_seq(self) -> int:
        """Return the seq of the last complete line, 0 if there is none. A torn tail is cut off."""
        ...

    async def last_line(self) -> bytes:
        """Return the last complete line, b"" if there is none."""
        ...

    async def set_aside(self, name: str) -> str:
        """Move everything written so far into the new folder *name* beside the file, which begins anew. Returns the
        folder's path relative to the root."""
        ...

    async def append(self, lines: Sequence[tuple[int, bytes]]) -> int:
        """Append lines (seq, JSON without line end) in order, skipping those already there. Returns the seq that
        the file ends with; smaller than the last one asked for means that the disk refused the rest."""
        ...

    def trouble(self) -> str:
        """Return why the last append was incomplete, "" if it was complete."""
        ...
