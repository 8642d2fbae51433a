"""Taking in a batch of files: read, parse, decide, store in one transaction, and only then move what is refused."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TypeAlias

from orchestrator.core.errors import IllegalEventError, TaskFileError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.failpoint import hit
from orchestrator.core.lifecycle import EDITABLE, TERMINAL, State
from orchestrator.core.ports import Clock, FileBytes, Inbox, InboxEntry, NewTask, NotReady, Store, Targets, TextReader
from orchestrator.core.task import FileStamp, Task, TaskRules, TaskSpec
from orchestrator.core.text import printable
from orchestrator.engine import admission
from orchestrator.engine.absence import Known
from orchestrator.engine.admitting import DOOR, Admitting
from orchestrator.engine.ties import Tie, Ties, retied
from orchestrator.engine.words import apart, by_model

EMPTY_WAIT_S = 2.0
ABANDONED_S = 600.0
_MOVING_S = 0.5
_RECENT_S = 0.05
_SLOWEST_RETRY_S = 0.5
_REMEMBERED = 10_000

Parse = Callable[[bytes, str, TaskRules], TaskSpec]
Refusals: TypeAlias = dict[str, tuple[TaskFileError, InboxEntry, bytes | None]]  # by name; None: never read


class Standing(Enum):
    """Whose file this is."""

    NEW = "new"  # nobody's, or a later one of a name that was used before
    QUEUED = "queued"  # that of a task which may still be revised
    DONE = "done"  # that of a task which runs or has ended: it was moved, or is about to be


@dataclass(slots=True)
class Taken:
    """Numbers of files; *words* are those that are left for `take_words`."""

    accepted: int = 0
    rejected: int = 0
    updated: int = 0
    words: Sequence[tuple[FileBytes, TaskSpec]] = ()


@dataclass(slots=True)
class Waiting:
    """A file that is not to be read yet: how it looked, since when (monotonic seconds), how often it was looked at."""

    stamp: FileStamp
    since: float
    looks: int = 0


class Reception:
    """Decides on batches of files for the intake, which owns *known*.

    *later* says when (monotonic seconds) a name has to be looked at again although nothing hints at it.
    """

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        clock: Clock,
        known: dict[str, Known],
        parse: Parse,
        targets: Targets,
        redact: Callable[[Json], Json],
        words: TextReader | None = None,
        ties: Ties | None = None,
    ) -> None:
        self._ties = ties or Ties(store, clock)
        self._admitting = Admitting(store, clock, self._ties)
        self._words = words
        self._redact = redact
        self._store = store
        self._inbox = inbox
        self._clock = clock
        self._known = known
        self._parse = parse
        self._targets = targets
        self._waiting: dict[str, Waiting] = {}
        self.later: dict[str, float] = {}

    async def remember(self) -> None:
        """Learn which files belong to tasks already stored, and which were refused and could not be moved."""
        own: dict[str, tuple[int, TaskUid, FileStamp, bool]] = {}
        ended = await self._store.unprojected(limit=_REMEMBERED)
        active = await self._store.tasks((State.RUNNING, State.CHECKING, State.CANCELLING), limit=_REMEMBERED)
        rows = [(task.file_name, task.stamp, task.uid, task.order, False) for task in (*ended, *active)]
        rows += [(*row, True) for row in await self._store.waiting_files()]
        for name, stamp, uid, order, waits in rows:
            if name and (name not in own or own[name][0] < order):  # the task accepted last owns the name
                own[name] = (order, uid, stamp, waits)
        self._known.update({name: Known(uid, stamp, waiting=waits) for name, (_, uid, stamp, waits) in own.items()})
        for entry in await self._inbox.rejected_in_place():
            if entry.file_name not in self._known:
                self._known[entry.file_name] = Known(TaskUid(""), entry.stamp, entry, waiting=False)

    async def take(self, entries: Sequence[InboxEntry], rules: TaskRules) -> Taken:
        """Take in a batch; what is not ready is put into *later*."""
        complete, refusals = await self.settled(entries, rules.limits.file_bytes)
        specs = await self._parsed(complete, rules)
        taken = Taken()
        fresh: list[tuple[FileBytes, TaskSpec | TaskFileError]] = []
        for read in complete:
            spec = specs[read.entry.file_name]
            match await self._standing(read.entry):
                case Standing.NEW:
                    fresh.append((read, spec))
                case Standing.QUEUED:
                    await self._changed(read, spec, taken)
        for name, (error, entry, _) in list(refusals.items()):
            if (standing := await self._standing(entry)) is not Standing.NEW:
                del refusals[name]
                if standing is Standing.QUEUED:
                    await self._withdraw(name, error, entry, "", taken)
        plain, taken.words = apart(fresh) if self._words and self._words.wanted else (fresh, ())
        await self._store_all(plain, refusals, taken)
        return taken

    async def settled(self, entries: Sequence[InboxEntry], limit: int) -> tuple[list[FileBytes], Refusals]:
        """Return what of *entries* is there to be read whole, and what can never be; the rest is put into *later*."""
        by_name = {entry.file_name: entry for entry in entries}
        reads = await self._inbox.read(list(by_name), limit=limit)
        hit("accept.read")
        refusals: Refusals = {}
        complete: list[FileBytes] = []
        for name, entry in by_name.items():
            match self._judged(name, entry, reads[name]):
                case FileBytes() as read:
                    complete.append(read)
                case TaskFileError() as error:
                    refusals[name] = (error, entry, None)
        return complete, refusals

    async def refuse(self, refusals: Refusals, taken: Taken) -> None:
        """Put files aside, each with its reason beside it."""
        await self._store_all((), refusals, taken)

    async def take_words(
        self, words: Sequence[tuple[FileBytes, TaskSpec]], rules: TaskRules, stop: asyncio.Event
    ) -> Taken:
        """Take in what is nothing but *words*, as a model reads them; once *stop* is set they stay where they lie."""
        taken = Taken()
        if words and self._words:
            look = partial(self._looked_up, rules=rules)
            await self._store_all(await by_model(self._words, words, rules, look, stop), {}, taken)
        return taken

    def _judged(
        self, name: str, entry: InboxEntry, read: FileBytes | NotReady | TaskFileError
    ) -> FileBytes | TaskFileError | None:
        """Return what is to be decided on now, None for a file that has to wait."""
        if isinstance(read, TaskFileError):
            self._settle(name)
            return read
        if isinstance(read, FileBytes) and read.body:
            self._settle(name)
            if read.recent:
                self.later[name] = self._clock.monotonic() + _RECENT_S
            return read
        if isinstance(read, NotReady) and read.reason == "gone":
            self._settle(name)
            return None
        return self._waited(name, entry, read)

    def _waited(self, name: str, entry: InboxEntry, read: FileBytes | NotReady) -> TaskFileError | None:
        now = self._clock.monotonic()
        wait = self._waiting.get(name)
        if wait is None or wait.stamp != entry.stamp:
            wait = self._waiting[name] = Waiting(entry.stamp, now)
        wait.looks += 1
        waited_s = now - wait.since
        if isinstance(read, FileBytes):
            if waited_s >= EMPTY_WAIT_S:
                self._settle(name)
                return admission.empty_file(name)
            self.later[name] = wait.since + EMPTY_WAIT_S
            return None
        if read.reason == "open_writer" and waited_s >= ABANDONED_S:
            self._settle(name)
            return admission.incomplete_file(name, waited_s)
        calm_s = min(_SLOWEST_RETRY_S, read.retry_after_s * wait.looks)
        self.later[name] = now + max(read.retry_after_s, calm_s)
        return None

    def _settle(self, name: str) -> None:
        self._waiting.pop(name, None)
        self.later.pop(name, None)

    def is_due(self, entry: InboxEntry, now: float) -> bool:
        """Return whether a file in *later* is to be looked at: its time has come, or it is empty no more."""
        wait = self._waiting.get(entry.file_name)
        filled = wait is not None and wait.stamp.size == 0 and entry.stamp.size > 0
        return filled or self.later[entry.file_name] <= now

    def forget_missing(self, entries: Mapping[str, InboxEntry]) -> None:
        """Forget what was to be looked at again and is no longer there."""
        for name in [name for name in self.later if name not in entries]:
            self._settle(name)

    async def _parsed(self, reads: Sequence[FileBytes], rules: TaskRules) -> Mapping[str, TaskSpec | TaskFileError]:
        """Parse outside the event loop, then look at the target files of each."""
        parsed = await asyncio.to_thread(lambda: [self._parse_one(read, rules) for read in reads])
        return {
            read.entry.file_name: await self._looked_up(read, spec, rules)
            for read, spec in zip(reads, parsed, strict=True)
        }

    def _parse_one(self, read: FileBytes, rules: TaskRules) -> TaskSpec | TaskFileError:
        name = read.entry.file_name
        try:
            return self._parse(read.body, name, rules)
        except TaskFileError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a bug of ours must cost one file, not the daemon
            return admission.parser_bug(name, error)

    async def _looked_up(
        self, read: FileBytes, spec: TaskSpec | TaskFileError, rules: TaskRules
    ) -> TaskSpec | TaskFileError:
        if isinstance(spec, TaskFileError) or not (spec.target_files or read.links > 1):
            return spec
        base = admission.base_of(spec, rules)
        facts = await self._targets.look(spec.target_files, base=base, allowed_root=rules.allowed_root)
        try:
            return admission.with_facts(spec, read, facts)
        except TaskFileError as error:
            return error

    async def _standing(self, entry: InboxEntry) -> Standing:
        known = self._known.get(entry.file_name)
        if known is None or not known.uid:
            return Standing.NEW
        task = await self._store.task(known.uid)
        if task is None or task.state is State.REJECTED:
            return Standing.NEW
        if task.state in TERMINAL and known.stamp == entry.stamp:
            known.entry = entry
            return Standing.DONE
        if task.state in TERMINAL:
            return Standing.NEW
        if not await self._inbox.holds(task):
            return Standing.QUEUED
        # It was claimed. What we saw is a later file of its name, or still itself, moved away while we looked.
        return Standing.DONE if known.stamp == entry.stamp else Standing.NEW

    async def _changed(self, read: FileBytes, spec: TaskSpec | TaskFileError, taken: Taken) -> None:
        """Act on the file of a queued task that looks different."""
        name = read.entry.file_name
        known = self._known[name]
        task = await self._store.task(known.uid)
        if task is None or task.state not in EDITABLE or task.attempt > 0:
            self.later[name] = self._clock.monotonic() + _MOVING_S  # it is being claimed: see who moved it then
            return
        sha256 = admission.digest(read.body)
        if sha256 == task.sha256:
            known.stamp, known.entry = read.entry.stamp, read.entry
            return
        tie = await self._placed(spec, read, task)
        if isinstance(tie, TaskFileError):
            await self._withdraw(name, tie, read.entry, sha256, taken)
            return
        after, event, edited = admission.revised(task, tie.spec, read, ts=self._clock.now())
        stands = replace(task, state=State.QUEUED) if edited else task  # a template that is one no more
        needs, then = await retied(self._store, stands, tie, self._clock.now())
        after, event = replace(after, job=tie.job), replace(event, data=self.without_secrets(event.data))
        try:
            await self._store.revise(after, read.body, event, then=[*edited, *then], needs=needs)
        except IllegalEventError:
            self.later[name] = self._clock.monotonic() + _MOVING_S
            return
        known.stamp, known.entry = read.entry.stamp, read.entry
        taken.updated += 1

    async def _placed(self, spec: TaskSpec | TaskFileError, read: FileBytes, task: Task) -> Tie | TaskFileError:
        if isinstance(spec, TaskFileError):
            return spec
        sha256 = admission.digest(read.body)
        (found,) = await self._store.namesakes([(spec.id, sha256)])
        others = [one for one in found if one.uid != task.uid]
        try:
            admission.among(spec, sha256, others)
        except TaskFileError as error:
            return error
        (tie,), jobs = await self._ties.of([spec], door=DOOR, besides=task.uid)
        if jobs:
            await self._store.accept((), jobs)
        return admission.with_place(tie, read) if isinstance(tie, TaskFileError) else tie

    async def _withdraw(self, name: str, error: TaskFileError, entry: InboxEntry, sha256: str, taken: Taken) -> None:
        """End a queued task whose edited file is refused: what its author no longer wants is not run."""
        uid, error = self._known[name].uid, self._cleaned(error)
        note = await self._put_aside(uid, entry, admission.error_record(error, name, sha256, uid))
        event = admission.rejection(error, name, sha256, uid=uid, ts=self._clock.now())
        with contextlib.suppress(IllegalEventError):  # it started the moment before, on what is stored
            await self._store.commit([event, self._archived(uid, note)])
            taken.rejected += 1

    async def _store_all(
        self,
        fresh: Sequence[tuple[FileBytes, TaskSpec | TaskFileError]],
        refusals: Refusals,
        taken: Taken,
    ) -> None:
        """Store what is new in one transaction.

        What is refused is moved just before: should we end between the two, its error lies beside it, while the
        other order would leave a file that is read, and refused, once more.
        """
        new: list[NewTask] = []
        admitted, jobs = await self._admitting.decide(fresh)
        for read, decided in admitted:
            if isinstance(decided, TaskFileError):
                refusals[read.entry.file_name] = (decided, read.entry, read.body)
            else:
                new.append(decided)
        new += [await self._refused(*refusal) for refusal in refusals.values()]
        if not new:
            return
        entries = {read.entry.file_name: read.entry for read, _ in fresh}
        accepted = await self._store.accept([self._clean(one) for one in new], jobs)
        hit("accept.stored")
        for task in accepted:
            if task.state in EDITABLE:
                entry = entries[task.file_name]
                self._known[task.file_name] = Known(task.uid, entry.stamp, entry)
        taken.accepted += len(new) - len(refusals)
        taken.rejected += len(refusals)

    async def _refused(self, error: TaskFileError, entry: InboxEntry, body: bytes | None) -> NewTask:
        uid, error = self._clock.new_uid(), self._cleaned(error)
        new = admission.refused(error, entry, body, uid=uid, ts=self._clock.now())
        note = await self._put_aside(uid, entry, admission.error_record(error, entry.file_name, new.task.sha256, uid))
        hit("refuse.moved")
        return replace(new, events=[*new.events, self._archived(uid, note)])

    def _clean(self, new: NewTask) -> NewTask:
        """No secret that stands in a task file gets into an event; the file itself stays as it is."""
        return replace(new, events=[replace(event, data=self.without_secrets(event.data)) for event in new.events])

    def _cleaned(self, error: TaskFileError) -> TaskFileError:
        said = self.without_secrets(
            {
                "message": error.message,
                "field": error.field,
                "expected": error.expected,
                "hint": error.hint,
                "excerpt": error.excerpt,
            }
        )
        words = {key: str(value) for key, value in said.items()}
        place = {"file": error.file, "line": error.line, "column": error.column}
        return TaskFileError(error.reason, words.pop("message"), **words, **place)  # type: ignore[arg-type]

    def without_secrets(self, data: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return *data* as it may stand in an event."""
        clean = self._redact(data)
        return clean if isinstance(clean, Mapping) else {}

    async def _put_aside(self, uid: TaskUid, entry: InboxEntry, error: Mapping[str, Json]) -> str:
        """Move a refused file; one that cannot be moved is remembered, and left alone until it looks different.

        Returns the path of its error, "" if not even that could be written.
        """
        self._settle(entry.file_name)
        self._known[entry.file_name] = Known(uid, entry.stamp, entry, waiting=False)
        try:
            return await self._inbox.reject(entry, error, uid)
        except OSError:
            return ""

    def _archived(self, uid: TaskUid, note: str) -> Event:
        return Event(EventKind.ARCHIVED, self._clock.now(), uid, data={"path": note})

    async def cancel(self, name: str, uid: TaskUid) -> int:
        """Cancel the task of a file that was removed; returns 0 if it is queued no more."""
        data: dict[str, Json] = {"reason": "file_removed", "detail": f"tasks/{printable(name)} was removed"}
        try:
            await self._store.commit([Event(EventKind.CANCELLED, self._clock.now(), uid, data=data)])
        except IllegalEventError:
            return 0
        return 1
