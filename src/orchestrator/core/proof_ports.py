"""The ports of proving: what runs checks, and what makes the folders they run in. Part of core/ports.py."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from orchestrator.core.attempt import WorkOrder
from orchestrator.core.opinion import Opinion, Question
from orchestrator.core.proof import CheckRun, CheckSpec


class CheckRunner(Protocol):
    """Runs what criteria name as their checks, in a folder that is there for nothing else."""

    async def run(self, checks: Sequence[CheckSpec], folder: str, *, inside: str, commit: str) -> Sequence[CheckRun]:
        """Return one run for each of *checks*, in their order. Never raises for what a check does or lacks.

        *folder* is an absolute path that the checks may write to; they start in *inside*, a folder relative to it (""
        for itself), from where paths of files count too. *commit* only goes into the runs. Nothing that was started is
        alive afterwards, however this ends.
        """
        ...


class Checkouts(Protocol):
    """Makes clean folders of commits."""

    def checkout(
        self, source: str, commit: str, *, base: str = "", restored: Sequence[str] = (), beside: str = ""
    ) -> AbstractAsyncContextManager[str]:
        """Return a context whose value is the absolute path of a private folder with the files of *commit* and nothing
        else, removed at its end. *source* is the daemon's own repository, as `Area.git_dir` has it. What is configured
        to be copied into work areas comes from the folder *beside*; what *commit* has there stays as it is.

        The paths *restored* are as in *base*: put back, or taken away where it does not have them. Entering raises
        WorkAreaError where that commit cannot be had, OSError where the disk refuses.
        """
        ...


class Opinions(Protocol):
    """Asks a model what it thinks of criteria that no program can check. What it says proves nothing."""

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be asked, as configured now."""
        ...

    async def ask(self, question: Question) -> Opinion:
        """Return what a model thinks, or why there is no opinion: never raises for what a model does or lacks.

        Bounded in time, and in money by *question*. It has no tools. However this ends, also by cancellation, nothing
        it started stays alive. Asked again for the same attempt, by this daemon or a later one, it costs nothing more.
        """
        ...

    async def unpaid(self, order: WorkOrder) -> float:
        """Return in US dollars what an opinion on the attempt *order* has cost that was begun and never told; what it
        might have, where nobody knows; 0.0 where none was begun. Nothing of it is alive afterwards."""
        ...
