"""Sends what is owed: for each sink one message at a time, beside everything else, and never in its way.

It is noted in the store that a message is being sent before it is, and that it was sent after. Who dies in between does
not know; the next one sends it again as the same message, and the sink says so or knows it by its id.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence

from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.failpoint import hit
from orchestrator.core.notice import Delivery, NotSent
from orchestrator.core.notice_flow import AGE_S, AT_ONCE, SEND_S, WINDOW_S, next_step, retry_delay_s
from orchestrator.core.notice_ports import Owed
from orchestrator.core.notice_words import together
from orchestrator.core.ports import Clock, Outbox, Sink, Store
from orchestrator.core.report import COMMAND
from orchestrator.engine.bell import Bell
from orchestrator.engine.noticing import Noticing
from orchestrator.engine.patience import patiently

log = logging.getLogger(__name__)

LOOK_AT_LEAST_EVERY_S = 30.0
RETRY_S = 5.0
LAST_S = 5.0
KEPT_S = 14 * 86_400.0  # what was sent is remembered so long, for replies to it
_FORGET_EVERY_S = 3600.0
_OLD = "it could not be sent within a day"


class Telling:
    """Runs the part that makes notices, and sends what it owes."""

    def __init__(
        self,
        *,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        bell: Bell,
        sinks: Callable[[], Mapping[str, Sink]],
        noticing: Noticing,
        root: str,
        redact: Callable[[Json], Json],
        command: str = COMMAND,
        send_s: float = SEND_S,
        last_s: float = LAST_S,
    ) -> None:
        """*root* tells the messages of this root from those of any other. *send_s*: no try takes longer; *last_s*: so
        long the end of the daemon waits for messages that are due."""
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._bell = bell
        self._sinks = sinks
        self._noticing = noticing
        self._root = root
        self._redact = redact
        self._command = command
        self._send_s = send_s
        self._last_s = last_s
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._resting: dict[str, float] = {}  # sinks that are left alone until then (monotonic seconds)
        self._troubled: set[str] = set()
        self._forgot = -_FORGET_EVERY_S

    async def begin(self) -> None:
        """To be awaited before anything happens that people may want to hear of. Raises StoreError."""
        await self._noticing.begin()

    async def run(self, stopped: asyncio.Event) -> None:
        """Tell whatever happens until *stopped*; then what is due, for a few seconds. Raises a lasting StoreError."""
        try:
            while not stopped.is_set():
                seen = self._bell.count
                await self._bell.wait(seen, await self._attempted())
            await self._last()
        finally:
            await self._ended()

    async def _last(self) -> None:
        try:
            async with asyncio.timeout(self._last_s):
                await self._attempted()
                while pending := [task for task in self._under_way.values() if not task.done()]:
                    await asyncio.wait(pending)
                    await self._attempted()
        except TimeoutError:
            log.info("some notices are still to be sent: the next start does it")

    async def _ended(self) -> None:
        """Nothing goes on in the background."""
        for task in self._under_way.values():
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way.values())
        for task in self._under_way.values():
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a notice could not be brought to its end: %s", error)

    async def _attempted(self) -> float:
        """Do what is due. Returns in how many seconds to look again, at the latest."""
        try:
            await self._noticing.catch_up()
            return await self._round()
        except StoreError as error:
            if error.lasting:
                raise
            log.error("notices have to wait: %s", error)  # noqa: TRY400 - expected, not a bug
        except Exception:
            log.exception("notices have to wait: a bug of ours, please report it")
        return RETRY_S

    async def _round(self) -> float:
        """Begin for each sink what is due and not under way. Returns when to look again, in seconds."""
        sinks, now = self._sinks(), self._clock.now()
        waits = [LOOK_AT_LEAST_EVERY_S]
        for name, task in list(self._under_way.items()):
            if task.done():
                del self._under_way[name]
                if (error := task.exception()) is not None:
                    raise error
        for name, sink in sinks.items():
            rest_s = self._resting.get(name, 0.0) - self._clock.monotonic()
            if rest_s > 0:
                waits.append(rest_s)
            if name in self._under_way or rest_s > 0:
                continue
            owed = await self._outbox.owed(name, limit=AT_ONCE)
            step = next_step(owed, await self._outbox.messages_since(name, now - WINDOW_S) if owed else (), now)
            if step.expired:
                await self._drop(name, step.expired, _OLD)
            if step.message:
                self._under_way[name] = asyncio.create_task(self._deliver(sink, step.message), name=f"telling {name}")
            elif step.wait_until:
                wait_s = max(0.05, step.wait_until - now)
                self._resting[name] = self._clock.monotonic() + wait_s
                waits.append(wait_s)
        await self._forget(sinks, now)
        return min(waits)

    async def _deliver(self, sink: Sink, rows: Sequence[Owed]) -> None:
        try:
            await self._send(sink, rows)
        finally:
            self._bell.ring()

    async def _send(self, sink: Sink, rows: Sequence[Owed]) -> None:
        orders = [row.order for row in rows]
        message = rows[0].message or self._message(sink.name, rows)
        again = _perhaps_there(rows)
        tries = max(row.tries for row in rows) + 1
        notice = rows[0].notice if len(rows) == 1 else together([row.notice for row in rows], self._command)
        await self._outbox.sending(orders, message)
        hit("notice.sending")
        try:
            reference = await self._sent(sink, Delivery(notice, message, tries, again))
        except NotSent as failure:
            await self._not_sent(sink, rows, failure, tries)
            return
        hit("notice.taken")
        await patiently(self._clock, lambda: self._outbox.sent(orders, self._clock.now(), reference))
        hit("notice.noted")
        if sink.name in self._troubled:
            self._troubled.remove(sink.name)
            log.info("notices reach %s again", sink.name)

    async def _sent(self, sink: Sink, delivery: Delivery) -> str:
        try:
            async with asyncio.timeout(self._send_s):
                return await sink.notifier.send(delivery)
        except NotSent:
            raise
        except TimeoutError:
            raise NotSent(f"no answer within {self._send_s:g} s", unsure=True) from None
        except Exception:
            log.exception("the sink %s: a bug of ours, please report it", sink.name)
            raise NotSent("a bug of ours: see the log", unsure=True) from None

    async def _not_sent(self, sink: Sink, rows: Sequence[Owed], failure: NotSent, tries: int) -> None:
        why = str(self._redact(failure.why))  # a far side may say again what it was told
        if failure.final:
            await self._drop(sink.name, rows, why)
            return
        if sink.name not in self._troubled:
            self._troubled.add(sink.name)
            log.warning("%s was not told: %s; it is tried again for %g h", sink.name, why, AGE_S / 3600)
        next_ts = self._clock.now() + retry_delay_s(tries, failure, chance=self._clock.chance())
        orders = [row.order for row in rows]
        await self._outbox.not_sent(orders, next_ts, why, unsure=failure.unsure or _perhaps_there(rows))

    async def _drop(self, name: str, rows: Sequence[Owed], why: str) -> None:
        """What nobody is told any more is at least in the log."""
        now = self._clock.now()
        await self._outbox.drop([row.order for row in rows], now, why)
        titles = "; ".join(row.notice.title for row in rows[:5])
        detail = f"{len(rows)} to {name}: {why} ({titles}{'; ...' if len(rows) > 5 else ''})"
        log.error("notices are given up: %s", detail)
        await self._store.commit([Event(EventKind.WARNING, now, data={"reason": "notice_not_sent", "detail": detail})])

    async def _forget(self, sinks: Mapping[str, Sink], now: float) -> None:
        if self._clock.monotonic() - self._forgot < _FORGET_EVERY_S:
            return
        self._forgot = self._clock.monotonic()
        if not await self._outbox.sinks():
            return
        if gone := await self._outbox.forget_others(list(sinks), now):
            log.warning("%s notices were to go to places that are configured no more", gone)
        await self._outbox.forget_sent(before=now - KEPT_S)

    def _message(self, name: str, rows: Sequence[Owed]) -> str:
        """The time belongs to it: in a root that was put back from a backup a key may come a second time."""
        what = "\n".join([self._root, name, *(f"{row.notice.key} {row.notice.ts}" for row in rows)])
        return hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _perhaps_there(rows: Sequence[Owed]) -> bool:
    """Return whether an earlier try may have arrived; a later one that surely did not changes nothing about that."""
    return any(row.sending or row.message for row in rows)
