"""A chat with a person: what comes in, what goes out, and the ports for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from orchestrator.core.ports import Store


@dataclass(frozen=True, slots=True)
class Incoming:
    """What somebody did in a chat: wrote *text* as *message_id*, or pressed the *button* under that message.

    *number* is the same however often it is delivered. *private*: nobody else is in the chat. *reply_to* is the
    message it answers, 0 for none. *query_id* names a pressed button to the far side. *forwarded*: the words are
    somebody else's. *file*: there was more than text, which is not read.
    """

    number: int
    chat_id: int
    user_id: int
    private: bool
    message_id: int = 0
    text: str = ""
    reply_to: int = 0
    button: str = ""
    query_id: str = ""
    forwarded: bool = False
    file: bool = False


class Style(StrEnum):
    """How a piece of text is set off."""

    BOLD = "bold"
    CODE = "code"
    PRE = "pre"


@dataclass(frozen=True, slots=True)
class Mark:
    """*length* characters of a text from *start* on are set off; in characters of Python, not of the far side."""

    style: Style
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class ChatButton:
    """A button under a message; *data* comes back when it is pressed: at most 64 bytes."""

    label: str
    data: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text that goes with a message as a file."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message of ours. *buttons* are rows. *asks*: the next thing the person writes is to be a reply to it."""

    text: str
    marks: tuple[Mark, ...] = ()
    buttons: tuple[tuple[ChatButton, ...], ...] = ()
    reply_to: int = 0
    attachment: Attachment | None = None
    asks: bool = False
    quiet: bool = False


class ChatError(Exception):
    """The far side did not do it, as far as we know. The words carry no secret.

    *retry_after_s*: how long a wait it asked for, 0 for none named. *final*: it will never do it. *unsure*: it may have
    done it. *gone*: nothing can be said in this chat any more.
    """

    def __init__(
        self, why: str, *, retry_after_s: float = 0.0, final: bool = False, unsure: bool = False, gone: bool = False
    ) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after_s = retry_after_s
        self.final = final
        self.unsure = unsure
        self.gone = gone


class Chat(Protocol):
    """Says things in chats. Every method raises ChatError, for all that is no bug of ours."""

    async def send(self, chat_id: int, message: Outgoing) -> int:
        """Say *message*, in as many parts as it takes. Returns the id of the last part, which has the buttons."""
        ...

    async def edit(self, chat_id: int, message_id: int, message: Outgoing) -> None:
        """Make a message of ours say something else; when it says that already, nothing happens."""
        ...

    async def unbutton(self, chat_id: int, message_id: int) -> None:
        """Take the buttons off a message of ours; when it has none, nothing happens."""
        ...

    async def answer(self, query_id: str, text: str) -> None:
        """Show who pressed a button that it was seen. One that nobody waits for any more is passed over."""
        ...


class ChatLine(Chat, Protocol):
    """A connection to a far side that has chats."""

    @property
    def username(self) -> str:
        """What the far side calls us."""
        ...

    async def updates(self, after: int, *, timeout_s: float) -> tuple[int, Sequence[Incoming]]:
        """Confirm all up to the number *after*, wait for more, and return the last number with what people did.

        Raises ChatError; *final* where we are refused, *gone* where somebody else takes what is for us.
        """
        ...

    async def prepare(self, commands: Sequence[tuple[str, str]]) -> None:
        """Tell the far side that updates are asked for, and which *commands* (name, about) there are."""
        ...


class DoorMemory(Protocol):
    """What a door remembers between two lives of the daemon: texts under keys. Every write is one transaction."""

    async def recall(self, prefix: str) -> Mapping[str, str]:
        """Return what is kept under keys that begin with *prefix*, in the order of the keys."""
        ...

    async def memorize(self, changes: Mapping[str, str | None], *, ts: float) -> None:
        """Keep these under their keys, in place of what was there; None forgets a key. *ts*: now."""
        ...

    async def forget(self, prefixes: Sequence[str], *, before_ts: float) -> int:
        """Forget keys that begin with one of *prefixes* and were written before *before_ts*. Returns how many."""
        ...

    def once(self, key: str, *, ts: float) -> Store:
        """Return the same store for one request: its first write also keeps, in the same transaction, *key* with the
        uids of the tasks it wrote. Where *key* is kept already that write raises RepeatedError and changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Words:
    """A text that is put together piece by piece, with what is set off in it. Immutable: each call returns another."""

    text: str = ""
    marks: tuple[Mark, ...] = field(default=())

    def plain(self, text: str) -> "Words":
        return Words(self.text + text, self.marks)

    def bold(self, text: str) -> "Words":
        return self._set(Style.BOLD, text)

    def code(self, text: str) -> "Words":
        return self._set(Style.CODE, text)

    def pre(self, text: str) -> "Words":
        return self._set(Style.PRE, text)

    def _set(self, style: Style, text: str) -> "Words":
        if not text:
            return self
        return Words(self.text + text, (*self.marks, Mark(style, len(self.text), len(text))))
