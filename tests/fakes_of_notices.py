"""An outbox in memory and a far side that can be told how to behave; both pass their port's conformance suite."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.notice import Delivery, Notice
from orchestrator.core.notice_ports import Owed, SinkFacts


@dataclass
class _Done:
    owed: Owed
    state: str
    ts: float
    reference: str


class MemoryOutbox:
    """The port Outbox."""

    def __init__(self) -> None:
        self._through = -1
        self._keys: set[tuple[str, str]] = set()
        self._open: dict[int, Owed] = {}
        self._done: dict[int, _Done] = {}
        self._last = 0

    async def told_through(self) -> int:
        return self._through

    async def owe(self, notices: Sequence[tuple[str, Notice]], *, through: int) -> None:
        for sink, notice in notices:
            if (sink, notice.key) not in self._keys:
                self._keys.add((sink, notice.key))
                self._last += 1
                self._open[self._last] = Owed(self._last, sink, notice, "", False, 0, 0.0, "")
        self._through = -1 if through < 0 else max(through, self._through)

    async def owed(self, sink: str, *, limit: int) -> Sequence[Owed]:
        return [one for one in self._open.values() if one.sink == sink][:limit]

    async def sending(self, orders: Sequence[int], message: str) -> None:
        self._change(orders, lambda one: replace(one, message=message, sending=True, tries=one.tries + 1))

    async def sent(self, orders: Sequence[int], ts: float, reference: str) -> None:
        for order in orders:
            if (one := self._open.pop(order, None)) is not None:
                self._done[order] = _Done(one, "sent", ts, reference)

    async def not_sent(self, orders: Sequence[int], next_ts: float, trouble: str, *, unsure: bool) -> None:
        def wait(one: Owed) -> Owed:
            message = one.message if unsure else ""
            return replace(one, message=message, sending=False, next_ts=next_ts, trouble=trouble)

        self._change(orders, wait)

    async def drop(self, orders: Sequence[int], ts: float, why: str) -> None:
        for order in orders:
            if (one := self._open.pop(order, None)) is not None:
                self._done[order] = _Done(one, "dropped", ts, "")

    async def messages_since(self, sink: str, ts: float) -> Sequence[float]:
        sent = [one for one in self._done.values() if one.state == "sent" and one.owed.sink == sink and one.ts >= ts]
        return sorted({one.owed.message: one.ts for one in sent}.values())

    async def told_as(self, sink: str, reference: str) -> Notice | None:
        told = [one.owed.notice for one in self._done.values() if one.owed.sink == sink and one.reference == reference]
        return told[0] if reference and len(told) == 1 else None

    async def sinks(self) -> Sequence[SinkFacts]:
        names = {one.sink for one in self._open.values()} | {one.owed.sink for one in self._done.values()}
        return [self._facts(name) for name in sorted(names)]

    async def forget_sent(self, *, before: float) -> None:
        for order, one in list(self._done.items()):
            if one.ts < before:
                del self._done[order]
                self._keys.remove((one.owed.sink, one.owed.notice.key))

    async def forget_others(self, sinks: Collection[str], ts: float) -> int:
        others = [one.order for one in self._open.values() if one.sink not in sinks]
        await self.drop(others, ts, "no such place is configured any more")
        return len(others)

    def _change(self, orders: Sequence[int], change: Callable[[Owed], Owed]) -> None:
        for order in orders:
            if order in self._open:
                self._open[order] = change(self._open[order])

    def _facts(self, name: str) -> SinkFacts:
        waiting = [one for one in self._open.values() if one.sink == name]
        done = [one for one in self._done.values() if one.owed.sink == name]
        sent = [one.ts for one in done if one.state == "sent"]
        trouble = next((one.trouble for one in waiting if one.trouble), "")
        return SinkFacts(name, len(waiting), len(sent), len(done) - len(sent), max(sent, default=0.0), trouble)


class FakeNotifier:
    """The port Notifier: keeps what it is sent. *answers* are what is raised by the next calls, None to take it."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []
        self.tried: list[Delivery] = []
        self.answers: list[Exception | None] = []
        self.always: Exception | None = None

    async def send(self, delivery: Delivery) -> str:
        self.tried.append(delivery)
        answer = self.answers.pop(0) if self.answers else self.always
        if answer is not None:
            raise answer
        self.taken.append(delivery)
        return f"m{len(self.taken)}"
