"""The port behind `accept`, `diff`, `discard`, `merge`, `push` and `pr`: a result in the person's repository."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from orchestrator.core.proof import CriterionProof
from orchestrator.core.task import Task
from orchestrator.core.work import CommitWords, Delivery


@dataclass(frozen=True, slots=True)
class Discarded:
    """What was deleted: *branch* ("" when none had been brought) of the repository *source*. *ref* keeps *commit*.

    *within* are the branches of other results that were built on it, where the branch that is checked out has not got
    it: these cannot be merged then."""

    source: str
    branch: str
    ref: str
    commit: str
    within: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Merging:
    """How a result would come into the branch that is checked out in *source*.

    *head* is the commit of *branch* now, *commit* what it would become; the same when all of it is there already.
    *rebased*: the base had moved, and *commit* is the result on top of *head*. Both are in our repository *git_dir*.

    *first* are results that come along, because this one was built on them, and that are not there yet: in their order,
    each on top of the one before. *own* is the commit that the result's own change is on top of, "" for *head*.
    """

    source: str
    branch: str
    head: str
    commit: str
    rebased: bool
    git_dir: str
    first: tuple["Brought", ...] = ()
    own: str = ""

    @property
    def is_there(self) -> bool:
        """Whether nothing is left to be done."""
        return self.commit == self.head


@dataclass(frozen=True, slots=True)
class Brought:
    """A result that comes along with another: that of the task *uid*, called *name*."""

    uid: str
    name: str
    merging: Merging


Prove: TypeAlias = Callable[[Task, Merging], Awaitable[Sequence[CriterionProof]]]


@dataclass(frozen=True, slots=True)
class Merged:
    """What `merge` came to. *proofs* were drawn anew because the base had moved; () where they were not."""

    merging: Merging
    files: int
    proofs: Sequence[CriterionProof] = ()


@dataclass(frozen=True, slots=True)
class Pushed:
    """The *branch* that a *remote* has now, and what git or `gh` said: of a pull request its address."""

    source: str
    branch: str
    remote: str
    said: str = ""


class Taking(Protocol):
    """Every method raises NotFoundError for a task without a work area of its own, ConflictError with the reason when
    what is asked cannot be done; then nothing was changed."""

    async def deliver(self, task: Task, words: CommitWords, attempt_dir: str) -> Delivery | None:
        """Bring what the last attempt left as a branch into the person's repository; None for work in place."""
        ...

    async def patch(self, task: Task, *, stat: bool) -> bytes:
        """Return how the result, else what the last attempt left, differs from the base; *stat* only how much."""
        ...

    async def discard(self, task: Task) -> Discarded:
        """Delete the branch that was brought, if it is as it was brought. The hidden refs stay."""
        ...

    async def prepare(self, task: Task) -> Merging:
        """Return how the result would be merged. Of the person's repository nothing is changed but hidden refs."""
        ...

    async def forward(self, merging: Merging) -> int:
        """Move the branch that is checked out, with its files. Returns how many differ."""
        ...

    async def push(self, task: Task, remote: str) -> Pushed:
        """Push the branch that was brought, with the person's own git."""
        ...

    async def open_request(self, task: Task, remote: str, *, title: str, body: str) -> Pushed:
        """Push the branch and open a pull request for it with the program `gh`."""
        ...
