"""The tool by which a running worker may split its own task: its names, its access, the ports on both sides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.core.events import Json, TaskUid

SERVER = "orchestrator"  # as agents know it: their names of its tools begin with mcp__orchestrator__
SPLIT_TASK, MY_LIMITS = "split_task", "my_limits"
TOKEN_PREFIX = "orch-worker-"  # noqa: S105 - no token, but what tells one: by it each is taken out of every text


@dataclass(frozen=True, slots=True)
class Caller:
    """The one attempt that a token stands for."""

    uid: TaskUid
    attempt: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ToolAccess:
    """Where the tool is, and the token of one attempt. It is shown in no text: not even in that of an error."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the worker is told, in words. *refused*: nothing was done."""

    text: str
    refused: bool = False


class ToolMissingError(Exception):
    """The tool cannot be offered; says why and what to do."""


class WorkerDesk(Protocol):
    """Who decides what a worker may have. Whatever is wrong with a request is told in the reply, never raised."""

    async def split(self, caller: Caller, request: Mapping[str, Json]) -> Reply:
        """Take down that *caller* wants to split its task as *request* says: the arguments of `split_task`."""
        ...

    async def limits(self, caller: Caller) -> Reply:
        """Return what *caller* may still split into."""
        ...


class WorkerDoor(Protocol):
    """Lets workers in, one token for each attempt."""

    async def open(self, caller: Caller) -> ToolAccess:
        """Return how *caller* reaches the tool until it is closed. Raises ToolMissingError."""
        ...

    def close(self, caller: Caller) -> None:
        """The attempt has ended: from now on its token is worth nothing. May be called again."""
        ...
