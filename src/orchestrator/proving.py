"""Puts together what examines the result of an attempt: checks as confined as the machine allows, commits to read."""

import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from orchestrator.bridges.check_runner import CheckConfig, ConfinedChecks
from orchestrator.bridges.container import Container
from orchestrator.bridges.git_commits import GitCommits
from orchestrator.configuration import Configuration
from orchestrator.core.proof import CheckRun, CheckSpec
from orchestrator.engine.examiner import Examiner
from orchestrator.engine.proof import Prover


class LiveChecks:
    """Runs checks as configured at the start of each: a changed setting counts from the next one on."""

    def __init__(self, configuration: Configuration, container: Callable[[], Awaitable[Container]]) -> None:
        self._configuration = configuration
        self._container = container

    async def run(self, checks: Sequence[CheckSpec], folder: str, *, inside: str, commit: str) -> Sequence[CheckRun]:
        config = checks_in(await self._container(), self._configuration)
        return await ConfinedChecks(lambda: config).run(checks, folder, inside=inside, commit=commit)


def checks_in(container: Container, configuration: Configuration) -> CheckConfig:
    """Return how the checks of criteria are run where *container* is what the machine offers."""
    path = configuration.environ.get("PATH", os.defpath)
    needed = ("unshare", "setpriv") if os.geteuid() == 0 else ()
    usable = bool(container.words) and all(shutil.which(program, path=path) for program in needed)
    return configuration.checks(bwrap=container.words[0] if usable else "", cgroups=container.cgroups)


def examiner(configuration: Configuration, container: Callable[[], Awaitable[Container]]) -> Examiner:
    """Return what draws the verdicts of this root."""
    commits = GitCommits(configuration.git(), Path(configuration.settings.paths.state) / "tmp")
    prover = Prover(runner=LiveChecks(configuration, container), checkouts=commits)
    return Examiner(prover=prover, commits=commits)
