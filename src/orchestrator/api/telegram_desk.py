"""What the Telegram door works with, and what it remembers between two lives of the daemon."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from orchestrator.core.chat import Chat, DoorMemory, Incoming
from orchestrator.core.codec import spec_from_json, to_json
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.notice import Notice
from orchestrator.core.ports import Clock
from orchestrator.core.task import Task, TaskSpec
from orchestrator.engine.service import Orchestrator

REMEMBER_S = 7 * 86_400.0  # a far side delivers again what is a day old at most


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything the door can reach.

    *once* is the service for one request: its first write also keeps the request's key, and where that is kept already
    nothing is written. *submit* accepts a task in the same way: (key, spec, words, by). *read* tells what free words
    ask for, by the id they are given; raises TaskFileError. *told_as* is the notice that a message ("chat:message")
    told.
    """

    chat: Chat
    memory: DoorMemory
    clock: Clock
    service: Orchestrator
    once: Callable[[str], Orchestrator]
    submit: Callable[[str, TaskSpec, str, str], Awaitable[Task]]
    read: Callable[[str, str], Awaitable[TaskSpec]]
    told_as: Callable[[str], Awaitable[Notice | None]]

    async def done_once(self, key: str, act: Callable[[], Awaitable[Task]]) -> Task:
        """Return the task that *act* makes or moves; where the request *key* did it before, that one, untouched."""
        known = (await self.memory.recall(key)).get(key, "").split()
        return await self.service.task(known[0]) if known else await act()

    async def remember(self, changes: Mapping[str, str | None]) -> None:
        """Keep *changes* from now on."""
        await self.memory.memorize(changes, ts=self.clock.now())


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that nobody has confirmed yet, and the message that asks whether it is to be run."""

    number: int
    chat_id: int
    user_id: int
    words: str
    spec: TaskSpec
    message_id: int = 0


def received_key(number: int = -1) -> str:
    """Return where an update waits to be handled; without *number* the beginning of all such keys."""
    return f"telegram:in:{number:012d}" if number >= 0 else "telegram:in:"


def handled_key(number: int) -> str:
    return f"telegram:done:{number:012d}"


def request_key(number: int) -> str:
    """Return the key of what an update asks for: carried out once."""
    return f"telegram:once:{number:012d}"


def draft_key(number: int) -> str:
    return f"telegram:draft:{number:012d}"


def run_key(number: int) -> str:
    """Return the key of running a draft: by whatever update, it becomes one task."""
    return f"telegram:run:{number:012d}"


def message_key(chat_id: int, message_id: int) -> str:
    """Return where is kept what a message of ours is about: `draft:NUMBER` or `task:UID`."""
    return f"telegram:message:{chat_id}:{message_id:012d}"


def live_key(chat_id: int = 0, message_id: int = 0) -> str:
    """Return where is kept of which task a message tells the progress; without arguments the beginning of all."""
    return f"telegram:live:{chat_id}:{message_id:012d}" if chat_id else "telegram:live:"


def place_of(key: str) -> tuple[int, int]:
    """Return (chat, message) of a `message_key` or `live_key`."""
    chat_id, message_id = key.split(":")[2:]
    return int(chat_id), int(message_id)


FORGOTTEN = ("telegram:done:", "telegram:once:", "telegram:run:", "telegram:draft:", "telegram:message:")
"""What is forgotten after REMEMBER_S seconds."""


def incoming_text(one: Incoming) -> str:
    return json.dumps(to_json(one))


def incoming_of(text: str) -> Incoming | None:
    """Undo `incoming_text`; None for what another release wrote and this one does not understand."""
    try:
        return Incoming(**json.loads(text))
    except (TypeError, ValueError):
        return None


def draft_text(draft: Draft) -> str:
    return json.dumps(to_json(draft))


def draft_of(text: str) -> Draft | None:
    """Undo `draft_text`; None as above."""
    try:
        value: dict[str, Json] = json.loads(text)
        return Draft(**{**value, "spec": spec_from_json(value["spec"])})  # type: ignore[arg-type]
    except (TypeError, ValueError, KeyError):
        return None


def task_of(mark: str) -> TaskUid | None:
    """Return the task that a message is about by its memory."""
    kind, _, rest = mark.partition(":")
    return TaskUid(rest) if kind == "task" else None
