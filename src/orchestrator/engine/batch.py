"""The batch report: gathered from the journal, written by itself when a batch has ended.

A batch ends when nothing waits to be started and nothing runs any more, after at least one task has ended since the
last report. The name of a report holds the seq of the last end it tells of. So the files say by themselves what is
owed, and a crash between building and writing makes the same file again.
"""

import json
import logging
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping, Sequence

from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import ACTIVE, WAITING, State
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Artifacts, Clock, Store
from orchestrator.core.report import COMMAND
from orchestrator.core.report_batch import batch_text, report_name, seq_of
from orchestrator.core.task import Task
from orchestrator.engine.look import look
from orchestrator.validation.batch import MOST, Now, Period, build_batch, joined_in, limit_rows, task_row
from orchestrator.validation.overlaps import overlaps
from orchestrator.validation.result import iso, result_bytes
from orchestrator.validation.schema import batch_problems

log = logging.getLogger(__name__)

FOLDER = "results"
PIECE = 500  # events
CALM_S = 5.0  # a batch that was dropped file by file is one
OPEN = sorted(ACTIVE | WAITING)
_ENDS = frozenset({EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED, EventKind.REJECTED})


async def batch_report(
    store: Store,
    policy: RunPolicy,
    now: float,
    agent_of: Callable[[Task], str],
    shortage: str,
    *,
    after_seq: int,
) -> dict[str, Json]:
    """Return the report on what ended after the event *after_seq*, and on how things stand now."""
    ends: dict[TaskUid, Event] = {}
    taken: dict[TaskUid, list[Event]] = {}
    holds: list[Event] = []
    seq, after_ts, through, until = after_seq, 0.0, after_seq, now
    while batch := await store.events_after(seq, limit=PIECE):
        after_ts = after_ts or batch[0].ts
        seq = batch[-1].seq
        holds += [event for event in batch if event.kind is EventKind.AGENT_HELD]
        for event in batch:
            if event.kind is EventKind.TAKEN:
                taken.setdefault(event.uid, []).append(event)
            if event.kind in _ENDS:
                ends[event.uid] = event
                through, until = event.seq, event.ts
    rows, works, ended = [], [], []
    for uid in ends:
        task = await store.task(uid)
        if task is not None and not task.cleaned:
            attempts = await store.attempts(uid)
            rows.append(task_row(task, attempts, taken.get(uid, ())))
            work = attempts[-1].verdict.get("work") if attempts else None
            if isinstance(work, Mapping):
                works.append((str(rows[-1]["name"]), {**work, "task_id": task.spec.id}))
                ended.append((task, work))
    stands = await _now(store, policy, now, agent_of, shortage)
    period = Period(after_seq, through, after_ts, until)
    return build_batch(period, rows, limit_rows(holds), stands, overlaps(works), joined_in(ended))


async def _now(store: Store, policy: RunPolicy, now: float, agent_of: Callable[[Task], str], shortage: str) -> Now:
    """Return how things stand at *now*."""
    found = await look(store, policy, now, agent_of, shortage, limit=MOST)
    waiting = sum(found.counts.get(state, 0) for state in WAITING)
    return Now(
        held=found.held,
        asking=[(task, (await store.attempts(task.uid))[-1].verdict) for task in found.asking],
        waiting=[(task, found.waits.get(task.uid, "")) for task in found.waiting],
        pauses=found.pauses,
        running=len(found.active),
        more_waiting=max(0, waiting - len(found.waiting)),
    )


async def seq_before(store: Store, ts: float) -> int:
    """Return the seq of the last event before *ts*, 0 if there is none. By halves: the log may be long."""
    low, high = 0, await store.last_seq()
    while low < high:
        middle = (low + high + 1) // 2
        event = await store.events_after(middle - 1, limit=1)
        low, high = (middle, high) if event and event[0].ts < ts else (low, middle - 1)
    return low


async def begins_after(store: Store, names: Sequence[str]) -> int:
    """Return the seq after which the batch begins that is asked for by no name: the one going on, else the last one.

    *names* are those of the files in the folder of the results.
    """
    written = sorted({seq for name in names if (seq := seq_of(name))})
    if not written:
        return 0
    seq = written[-1]
    while batch := await store.events_after(seq, limit=PIECE):
        seq = batch[-1].seq
        if any(event.kind in _ENDS for event in batch):
            return written[-1]
    return written[bisect_left(written, written[-1]) - 1] if len(written) > 1 else 0


class BatchReports:
    """Writes `results/report-<time>-<seq>.md` and `.json` when a batch has ended; the files are its memory."""

    def __init__(
        self,
        *,
        store: Store,
        artifacts: Artifacts,
        clock: Clock,
        report: Callable[[int], Awaitable[Mapping[str, Json]]],
        command: str = COMMAND,
        announce: Callable[[Mapping[str, Json], int], Awaitable[None]] | None = None,
    ) -> None:
        """*report* returns what `batch_report` does, without secrets, for the seq that it is given.

        *announce* gets a report and the seq of its last end before it is written: after a crash it gets it again.
        """
        self._announce = announce
        self._store = store
        self._artifacts = artifacts
        self._clock = clock
        self._report = report
        self._command = command
        self._after = -1
        self._looked = -1
        self._calm = (-1, 0.0)  # the last event when it became calm, and when (monotonic seconds)

    async def look(self, *, last: bool = False) -> float:
        """Write what is due. Returns in how many seconds to look again, 0.0 when only an event can make a difference.

        *last*: the daemon ends, nobody looks again. Raises OSError, StoreError: then the next look does it.
        """
        seq = await self._store.last_seq()
        if seq == self._looked or await self._store.tasks(OPEN, limit=1):
            return 0.0
        now = self._clock.monotonic()
        if self._calm[0] != seq:
            self._calm = (seq, now)
        if not last and (rest := self._calm[1] + CALM_S - now) > 0:
            return rest
        if self._after < 0:
            self._after = await self._last_written()
        report = await self._report(self._after)
        if _tells(report):
            self._after = await self._write(report)
        self._looked = seq
        return 0.0

    async def _write(self, report: Mapping[str, Json]) -> int:
        """The JSON last: it is what says that the report is there."""
        if problems := batch_problems(report):
            log.error("the batch report does not satisfy its schema: %s", "; ".join(problems))
        period = report["period"]
        assert isinstance(period, Mapping)
        through = period["through_seq"]
        assert isinstance(through, int)
        if self._announce is not None:
            await self._announce(report, through)
        path = f"{FOLDER}/{report_name(str(period['until']), through)}"
        text = batch_text(report, self._command).encode("utf-8", "backslashreplace")
        await self._artifacts.write(f"{path}.md", text)
        await self._artifacts.write(f"{path}.json", result_bytes(report))
        log.info("the report on this batch: %s.md", path)
        return through

    async def _last_written(self) -> int:
        """Return the seq of the newest whole report; one that a power cut tore is written again."""
        names = await self._artifacts.names(FOLDER)
        for name in sorted((name for name in names if seq_of(name)), key=seq_of, reverse=True):
            data = await self._artifacts.read(f"{FOLDER}/{name}") or b""
            text = await self._artifacts.read(f"{FOLDER}/{name.removesuffix('json')}md")
            if text and await self._is_ours(data, seq_of(name)):
                return seq_of(name)
        return 0

    async def _is_ours(self, data: bytes, seq: int) -> bool:
        """Whether it is whole, and of this store: one that was deleted or put back begins to count anew."""
        try:
            read = json.loads(data)
        except ValueError:
            return False
        if not isinstance(read, dict) or read.get("complete") is not True:
            return False
        event = await self._store.events_after(seq - 1, limit=1)
        period = read.get("period")
        return bool(event) and isinstance(period, dict) and period.get("until") == iso(event[0].ts)


def _tells(report: Mapping[str, Json]) -> bool:
    """A file that was refused has its error beside it: alone it is no batch."""
    counts = report.get("counts")
    if not isinstance(counts, Mapping):
        return False
    return any(counts.get(name) for name in ("proven", "unproven", State.FAILED.value, State.CANCELLED.value))
