"""The ports of notices: what sends them, and where they wait until they are sent. Part of core/ports.py."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.core.notice import Delivery, Notice, NoticeKind


class Notifier(Protocol):
    """Sends to one far side."""

    async def send(self, delivery: Delivery) -> str:
        """Send it, all of it, once. Returns what the far side calls the message, "" where it calls it nothing.

        Raises NotSent, for everything that is no bug of ours. May be cancelled; then nothing goes on in the background.
        """
        ...


@dataclass(frozen=True, slots=True)
class Owed:
    """A notice that is to be told to one sink.

    *message* is "" while it waits, and names the message it was put into since that may have arrived: what has the same
    one goes together again. *sending*: nobody knows whether it arrived.
    """

    order: int
    sink: str
    notice: Notice
    message: str
    sending: bool
    tries: int
    next_ts: float
    trouble: str


@dataclass(frozen=True, slots=True)
class SinkFacts:
    """How it stands with one sink: for people. *trouble* is why the last try failed, "" when it did not."""

    sink: str
    waiting: int
    sent: int
    dropped: int
    last_sent_ts: float
    trouble: str


@dataclass(frozen=True, slots=True)
class Sink:
    """A place that is told. *kinds* is what it is told of; *far* names it for people, without secrets."""

    name: str
    kinds: frozenset[NoticeKind]
    notifier: Notifier
    far: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """How the test of a place went; *trouble* is why it was not told, "" when it was."""

    sink: str
    far: str
    trouble: str


class Outbox(Protocol):
    """Notices on their way, in the store: they outlive the daemon. Every write is one transaction."""

    async def told_through(self) -> int:
        """Return the seq of the event up to which notices were made, -1 when nobody is to be told anything."""
        ...

    async def owe(self, notices: Sequence[tuple[str, Notice]], *, through: int) -> None:
        """Keep (sink, notice) to be sent, and that notices are made up to the event *through*; -1 forgets the place.

        A notice with a key that the sink was owed before is passed over. *through* never goes back but to -1.
        """
        ...

    async def owed(self, sink: str, *, limit: int) -> Sequence[Owed]:
        """Return what *sink* is to be told, oldest first."""
        ...

    async def sending(self, orders: Sequence[int], message: str) -> None:
        """Note, before it is sent, that these go out as *message*; counts as a try."""
        ...

    async def sent(self, orders: Sequence[int], ts: float, reference: str) -> None:
        """Note that these arrived; *reference* is what the far side calls the message."""
        ...

    async def not_sent(self, orders: Sequence[int], next_ts: float, trouble: str, *, unsure: bool) -> None:
        """Note that these wait again, until *next_ts*. *unsure*: as the same message; else they may go another way."""
        ...

    async def drop(self, orders: Sequence[int], ts: float, why: str) -> None:
        """Note that these will never be sent."""
        ...

    async def messages_since(self, sink: str, ts: float) -> Sequence[float]:
        """Return when *sink* was sent a message since *ts*, oldest first; a message of many notices counts as one."""
        ...

    async def told_as(self, sink: str, reference: str) -> Notice | None:
        """Return the notice that *sink* was sent as the message *reference*; None where it told of several, or none."""
        ...

    async def sinks(self) -> Sequence[SinkFacts]:
        """Return how it stands with each sink that was ever owed anything that is still remembered."""
        ...

    async def forget_sent(self, *, before: float) -> None:
        """Forget what was sent or dropped before *before*."""
        ...

    async def forget_others(self, sinks: Collection[str], ts: float) -> int:
        """Drop what is owed to sinks that are none of *sinks*. Returns how many."""
        ...
