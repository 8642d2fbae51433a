"""From a file in `tasks/` to a task in the store.

A hint wakes the intake, a scan finds what is there, and the store's commit is the acknowledgement: until then the
file is untouched, afterwards its exact bytes are kept. The scan alone finds everything; hints only make it soon.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.jobfile import is_job_file
from orchestrator.core.lifecycle import EDITABLE
from orchestrator.core.ports import Clock, FileBytes, Inbox, InboxEntry, InboxScan, Store, Targets, TextReader, Watch
from orchestrator.core.task import Task, TaskRules, TaskSpec
from orchestrator.core.text import printable
from orchestrator.engine.absence import Absence, Known, is_mass
from orchestrator.engine.job_intake import JobIntake
from orchestrator.engine.reception import Parse, Reception, Taken
from orchestrator.engine.ties import Ties

__all__ = ["Intake", "IntakeLimits", "Parse", "ScanOutcome"]


log = logging.getLogger(__name__)

TROUBLE_S = 5.0
SPARED_LOOKS = 5  # in a row; then the whole folder is looked at though no name has changed


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Times in seconds, sizes in bytes.

    *scan_interval_s*: a full look at the folder at least this often. *removed_after_s*: a file has to be missing
    that long before its task is cancelled. *min_free_bytes*: with less free disk nothing is accepted.
    """

    scan_interval_s: float = 10.0
    removed_after_s: float = 5.0
    min_free_bytes: int = 256 * 1024 * 1024
    batch_files: int = 500
    batch_bytes: int = 16 * 1024 * 1024


@dataclass(slots=True)
class ScanOutcome:
    """What one look at the folder led to; numbers of files. *paused* is why nothing was taken, "" if it was."""

    seen: int = 0
    accepted: int = 0
    rejected: int = 0
    updated: int = 0
    cancelled: int = 0
    waiting: int = 0
    paused: str = ""

    def add(self, taken: Taken) -> None:
        """Count what came of a batch."""
        self.accepted += taken.accepted
        self.rejected += taken.rejected
        self.updated += taken.updated


class Intake:
    """Takes task files in. *parse* turns bytes, file name and rules into a TaskSpec or raises TaskFileError.

    *words* reads what has no format, *max_workers* is what a job runs at once that says nothing of it. *rules* and
    *limits* are asked again for every scan; *free_bytes* returns the free space where store and artifacts lie.
    """

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        watch: Watch,
        clock: Clock,
        rules: Callable[[], TaskRules],
        *,
        parse: Parse,
        targets: Targets,
        free_bytes: Callable[[], int],
        redact: Callable[[Json], Json],
        limits: Callable[[], IntakeLimits] = IntakeLimits,
        words: TextReader | None = None,
        max_workers: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._watch = watch
        self._clock = clock
        self._rules = rules
        self._free_bytes = free_bytes
        self._limits_now = limits
        self._known: dict[str, Known] = {}
        self._absence = Absence()
        ties = Ties(store, clock, max_workers)
        self._reception = Reception(store, inbox, clock, self._known, parse, targets, redact, words, ties)
        with_jobs = (store, inbox, clock, self._known, self._reception, self._reception.without_secrets)
        self._jobs = JobIntake(*with_jobs, max_workers=max_workers)
        self._seeded = False
        self._identity: tuple[int, int] | None = None
        self._paused = ""
        self._paused_until = 0.0
        self._ignored: dict[str, str] = {}
        self._polling = ""
        self._scan_took_s = 0.0
        self._soon = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def _limits(self) -> IntakeLimits:
        return self._limits_now()

    async def run(self, stop: asyncio.Event) -> None:
        """Take in files until *stop*. Raises StoreError when the store can never be written again: nothing is lost."""
        self._stop = stop
        while not stop.is_set():
            try:
                await self.scan_once()
            except (StoreError, OSError) as error:
                if isinstance(error, StoreError) and error.lasting:
                    raise
                log.error("tasks/ is looked at again in %g s: %s", TROUBLE_S, error)  # noqa: TRY400 - expected
                await self._rest(stop, TROUBLE_S)
                continue
            # A look at a huge folder is not free: hints may use a third of the time for it, never all of it.
            await self._rest(stop, 2 * self._scan_took_s)
            await self._until_worth_a_look(stop)

    async def _until_worth_a_look(self, stop: asyncio.Event) -> None:
        for _ in range(SPARED_LOOKS):
            if await self._until_hint(stop, self._next_look_s()) or not await self._may_spare():
                return
        await self._until_hint(stop, self._next_look_s())

    async def _may_spare(self) -> bool:
        """Return whether a look at every file can be left out: nobody hinted, no name changed, nothing is awaited.

        A file that is written to while it waits is notified; if that was lost, its task does not start on the old
        bytes, and one of the next looks reads it.
        """
        awaited = self._paused or self._reception.later or self._absence.since
        return not awaited and not self._watch.polling() and await self._inbox.same_names()

    def look_soon(self) -> None:
        """Do not wait for a hint or the next regular look: something happened to the machine."""
        self._soon.set()

    def kept(self, task: Task) -> bool:
        """Return whether *task* stays queued though its file is gone: something happened to the folder, not to it."""
        known = self._known.get(task.file_name)
        return known is not None and known.uid == task.uid and known.excused and not self._paused

    async def scan_once(self) -> ScanOutcome:
        """Look at the whole folder once and act on everything found."""
        await self._tell_polling()
        if self._free_bytes() < self._limits.min_free_bytes:
            return await self._pause("disk", f"less than {self._limits.min_free_bytes} bytes are free")
        began = self._clock.monotonic()
        scan = await self._inbox.scan()
        self._scan_took_s = self._clock.monotonic() - began
        if scan.trouble:
            return await self._pause(scan.trouble, "the folder tasks/ cannot be looked at")
        await self._seed()
        if (held := await self._held_back(scan)) is not None:
            return held
        await self._resume()
        await self._tell_ignored(scan)
        outcome = ScanOutcome(seen=len(scan.entries))
        rules, words = self._rules(), list[tuple[FileBytes, TaskSpec]]()
        fresh = self._fresh(scan)
        for batch in self._batches([entry for entry in fresh if not is_job_file(entry.file_name)]):
            if self._free_bytes() < self._limits.min_free_bytes:
                return await self._pause("disk", f"less than {self._limits.min_free_bytes} bytes are free")
            found = await self._reception.take(batch, rules)
            outcome.add(found)
            words += found.words
        if jobs := [entry for entry in fresh if is_job_file(entry.file_name)]:
            outcome.add(await self._jobs.take(jobs, rules))
        if words:  # last, as a model takes its time
            outcome.add(await self._reception.take_words(words, rules, self._stop))
        outcome.cancelled = await self._cancel_removed()
        outcome.waiting = len(self._reception.later)
        self._reception.forget_missing(scan.entries)
        return outcome

    def _fresh(self, scan: InboxScan) -> list[InboxEntry]:
        """Return what has to be read, oldest first: new, changed, or due for another look."""
        now = self._clock.monotonic()
        later = self._reception.later
        fresh = []
        for name, entry in scan.entries.items():
            if name in later:
                if self._reception.is_due(entry, now):
                    fresh.append(entry)
            elif (known := self._known.get(name)) is None or not known.looks_like(entry):
                fresh.append(entry)
        return sorted(fresh, key=lambda entry: (entry.stamp.mtime_ns, entry.file_name))

    def _batches(self, entries: Sequence[InboxEntry]) -> Iterator[Sequence[InboxEntry]]:
        batch: list[InboxEntry] = []
        size = 0
        for entry in entries:
            over = len(batch) >= self._limits.batch_files or size + entry.stamp.size > self._limits.batch_bytes
            if batch and over:
                yield batch
                batch, size = [], 0
            batch.append(entry)
            size += entry.stamp.size
        if batch:
            yield batch

    async def _seed(self) -> None:
        """Learn, once, what the store and the folder remembered."""
        if not self._seeded:
            await self._reception.remember()
            self._seeded = True

    async def _held_back(self, scan: InboxScan) -> ScanOutcome | None:
        """Notice what is missing. Returns the outcome if the folder is not to be believed for now."""
        now = self._clock.monotonic()
        changed = self._identity not in (None, scan.identity)
        self._identity = scan.identity
        waiting = sum(1 for one in self._known.values() if one.waiting)
        gone = await self._removed(self._absence.newly(self._known, scan.entries))
        if changed or is_mass(len(gone), waiting):
            for name in [*gone, *self._absence.since]:
                self._known[name].excused = True
            self._absence.since.clear()
            self._paused_until = now + (0.0 if changed else self._limits.removed_after_s)
            reason = "folder_changed" if changed else "mass_disappearance"
            return await self._pause(reason, f"{len(gone)} of {waiting} waiting files are gone; nothing is cancelled")
        self._absence.since.update(dict.fromkeys(gone, now))
        if now < self._paused_until:
            return ScanOutcome(seen=len(scan.entries), paused=self._paused)
        return None

    async def _removed(self, missing: Sequence[str]) -> list[str]:
        """Return those of *missing* whose task still waits for its first start; the others were moved by us."""
        removed = []
        for name in missing:
            known = self._known[name]
            task = await self._store.task(known.uid) if known.waiting else None
            if task is not None and task.state in EDITABLE and task.attempt == 0:
                removed.append(name)
            else:
                del self._known[name]
        return removed

    async def _cancel_removed(self) -> int:
        now = self._clock.monotonic()
        overdue = self._absence.overdue(now, after_s=self._limits.removed_after_s)
        return sum([await self._cancel(name) for name in overdue])

    async def _cancel(self, name: str) -> int:
        del self._absence.since[name]
        known = self._known.pop(name)
        return await self._reception.cancel(name, known.uid)

    async def _pause(self, reason: str, detail: str) -> ScanOutcome:
        if self._paused != reason:
            self._paused = reason
            await self._tell(EventKind.INTAKE_PAUSED, {"reason": reason, "detail": detail})
        return ScanOutcome(paused=reason)

    async def _resume(self) -> None:
        if self._paused:
            kept = sum(1 for one in self._known.values() if one.excused)
            await self._tell(EventKind.INTAKE_RESUMED, {"reason": self._paused, "kept_without_file": kept})
            self._paused = ""

    async def _tell_polling(self) -> None:
        """Report, once for each reason, that changes are no longer notified."""
        if (why := self._watch.polling()) != self._polling:
            self._polling = why
            if why:
                await self._tell(EventKind.WARNING, {"reason": "watch_polling", "detail": why})

    async def _tell_ignored(self, scan: InboxScan) -> None:
        new = {name: why for name, why in scan.ignored.items() if self._ignored.get(name) != why}
        self._ignored = dict(scan.ignored)
        for name, why in sorted(new.items()):
            await self._tell(EventKind.FILE_IGNORED, {"file": printable(name), "reason": why})

    async def _tell(self, kind: EventKind, data: dict[str, Json]) -> None:
        await self._store.commit([Event(kind, self._clock.now(), data=data)])

    def _next_look_s(self) -> float:
        """Return the seconds until something is due without a hint."""
        now = self._clock.monotonic()
        due = [now + self._limits.scan_interval_s, *self._reception.later.values()]
        due += [since + self._limits.removed_after_s for since in self._absence.since.values()]
        if self._paused:
            due.append(max(now + 1.0, self._paused_until))
        return max(0.01, min(due) - now)

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        if seconds > 0.05:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)

    async def _until_hint(self, stop: asyncio.Event, timeout_s: float) -> bool:
        """Return whether it was a hint, or the stop, that ended the waiting, not the time."""
        hint = asyncio.ensure_future(self._watch.wait(timeout_s))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([hint, stopped], return_when=asyncio.FIRST_COMPLETED)
            return stop.is_set() or (hint.done() and hint.result())
        finally:
            for one in (hint, stopped):
                one.cancel()
            await asyncio.wait([hint, stopped])
