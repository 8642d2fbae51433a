"""From the event log to notices that are owed: each event is looked at once, whatever ends us in between.

The place up to which the log was looked at is stored in the same transaction as the notices that came of it. A place
that lags behind costs nothing: what is looked at again comes to the same notices, and each is owed once.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, Json
from orchestrator.core.failpoint import hit
from orchestrator.core.notice import Notice, NoticeKind, notice_json, notice_of
from orchestrator.core.notice_flow import AGE_S
from orchestrator.core.notice_words import OF_AN_END, bare, is_past, kind_of, notice_from, of_batch
from orchestrator.core.ports import Clock, Outbox, Sink, Store
from orchestrator.core.report import COMMAND
from orchestrator.core.task import Task
from orchestrator.validation.result import build_result

log = logging.getLogger(__name__)

PIECE = 500  # events
LAG = 2000  # events after which the place is stored although nothing came of them


class Noticing:
    """Owes notices to the *sinks* of the moment. Where nobody is to be told anything, it costs a look at a number."""

    def __init__(
        self,
        *,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        sinks: Callable[[], Mapping[str, Sink]],
        redact: Callable[[Json], Json],
        command: str = COMMAND,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._sinks = sinks
        self._redact = redact
        self._command = command
        self._seq: int | None = None  # None: not begun
        self._stored = -1

    async def begin(self) -> None:
        """Remember from when on people are told, where that is now for the first time. Before anything can happen."""
        await self._begun(self._sinks())

    async def catch_up(self) -> None:
        """Owe everything that has happened. Raises StoreError: then the next call does it."""
        sinks = self._sinks()
        if not await self._begun(sinks):
            return
        assert self._seq is not None
        while batch := await self._store.events_after(self._seq, limit=PIECE):
            owed: list[tuple[str, Notice]] = []
            for event in batch:
                owed += await self._of_event(event, sinks)
            if owed or batch[-1].seq - self._stored > LAG:
                await self._owe(owed, batch[-1].seq)
            self._seq = batch[-1].seq

    async def batch_ended(self, report: Mapping[str, Json], through: int) -> None:
        """Owe the notice of a batch whose last end has the seq *through*. What was told before is told no more."""
        sinks = self._sinks()
        if not await self._begun(sinks):
            return
        notice = self._clean(of_batch(report, through, self._clock.now(), self._command))
        await self._owe(_to(sinks, notice), max(self._stored, 0))

    async def _begun(self, sinks: Mapping[str, Sink]) -> bool:
        """Whether anybody is to be told. From when on: the first time that anybody is, not from the beginning."""
        if self._seq is None:
            self._stored = self._seq = await self._outbox.told_through()
        if sinks and self._seq < 0:
            self._seq = await self._store.last_seq()
            await self._owe([], self._seq)
        if not sinks and self._seq >= 0:
            self._seq = -1
            await self._owe([], -1)
        return bool(sinks)

    async def _owe(self, owed: Sequence[tuple[str, Notice]], through: int) -> None:
        await self._outbox.owe(owed, through=through)
        self._stored = through
        if owed:
            hit("notice.owed")

    async def _of_event(self, event: Event, sinks: Mapping[str, Sink]) -> Sequence[tuple[str, Notice]]:
        kind = kind_of(event)
        if kind is None or not any(kind in sink.kinds for sink in sinks.values()):
            return []
        if self._clock.now() - event.ts > AGE_S:
            return []
        task = await self._store.task(event.uid) if event.uid else None
        if is_past(event, task):
            return []
        return _to(sinks, self._clean(await self._notice(event, kind, task)))

    async def _notice(self, event: Event, kind: NoticeKind, task: Task | None) -> Notice:
        """A notice that cannot be put into words is told bare: to say nothing would be worse."""
        try:
            result: Mapping[str, Json] | None = None
            if task is not None and event.kind in OF_AN_END:
                result = build_result(task, await self._store.attempts(task.uid))
            return notice_from(event, kind, task, result, self._command)
        except StoreError:
            raise
        except Exception:
            log.exception("the notice of %s %s: a bug of ours, please report it", event.kind, event.seq)
            return bare(event, kind, task, self._command)

    def _clean(self, notice: Notice) -> Notice:
        return notice_of(self._redact(notice_json(notice)))


def _to(sinks: Mapping[str, Sink], notice: Notice) -> Sequence[tuple[str, Notice]]:
    return [(name, notice) for name, sink in sinks.items() if notice.kind in sink.kinds]
