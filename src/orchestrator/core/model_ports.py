"""The ports of what a model may do for the daemon itself: read words, put a result into few. Part of core/ports.py."""

from collections.abc import Sequence
from typing import Protocol

from orchestrator.core.digest import Digest, Told
from orchestrator.core.task import TaskRules, TaskSpec


class TextReader(Protocol):
    """Reads tasks in free words better than by their words alone."""

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be asked, as configured now."""
        ...

    async def read(self, specs: Sequence[TaskSpec], rules: TaskRules) -> Sequence[TaskSpec]:
        """Return *specs* in their order, of each what a model makes of it as far as it may; see `core.reading`.

        Never raises for what a model does or lacks: such a spec comes back as it was, with a notice that says why.
        Takes 30 seconds at most, for all of them together.
        """
        ...


class Summarizer(Protocol):
    """Puts a result into few words."""

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be asked, as configured now."""
        ...

    async def summary(self, told: Told) -> Digest | None:
        """Return what a model makes of *told*, or why there is nothing; None where nobody is asked, as configured now.

        Never raises for what a model does or lacks. Takes 30 seconds at most.
        """
        ...
