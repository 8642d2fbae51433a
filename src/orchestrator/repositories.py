"""Puts together what has to do with the person's repositories: work areas, what is kept of them, results to take."""

import asyncio
from pathlib import Path

from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.git_person import PersonsPrograms
from orchestrator.bridges.git_shelf import GitShelf
from orchestrator.bridges.git_taking import GitTaking
from orchestrator.bridges.isolation import IsolatedWorkspace
from orchestrator.bridges.root_lock import holder
from orchestrator.bridges.workspace import InPlaceWorkspace
from orchestrator.configuration import Configuration
from orchestrator.core.ports import Store
from orchestrator.core.taking import Prove
from orchestrator.engine.taking import Results


def workspace(configuration: Configuration, own: frozenset[Path]) -> IsolatedWorkspace:
    """Return where attempts work. *own* is what of the root is never copied."""
    state, git = Path(configuration.settings.paths.state), configuration.git()
    in_place = InPlaceWorkspace(base_cwd=lambda: Path(configuration.settings.paths.base_cwd), own=own)
    return IsolatedWorkspace(in_place, state=state, git=git, rules=configuration.isolation, own=own)


def shelf(configuration: Configuration) -> GitShelf:
    """Return what is kept of work."""
    state = Path(configuration.settings.paths.state)
    author = configuration.isolation().equipment.author
    return GitShelf(state, configuration.git(), author=lambda: author, owned=lambda: holder(state) is not None)


def results(
    configuration: Configuration,
    store: Store,
    clock: SystemClock,
    prove: Prove | None = None,
    alone: asyncio.Lock | None = None,
) -> Results:
    """Return results as a person takes them. *prove* proves one again on top of a base that moved; *alone* is that of
    the other services of this process."""
    state, person = Path(configuration.settings.paths.state), PersonsPrograms(configuration.environ)
    taking = GitTaking(state, configuration.git(), rules=configuration.isolation, person=person)
    return Results(store, clock, taking, configuration.policy().attempts_dir, prove, alone)
