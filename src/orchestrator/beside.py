"""Puts together the parts that run beside intake, pool and projector."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

from orchestrator.bridges.cancelled_folder import CancelledFolder
from orchestrator.bridges.files import ArtifactFiles
from orchestrator.bridges.machine import Needs, ThisMachine
from orchestrator.bridges.waiting_folder import WaitingFolder
from orchestrator.configuration import Configuration
from orchestrator.core.ports import Clock, Store
from orchestrator.engine.bell import Bell
from orchestrator.engine.cancelled_files import CancelledByFile
from orchestrator.engine.clockwatch import ClockWatch
from orchestrator.engine.job_files import JobFiles
from orchestrator.engine.questions import Questions
from orchestrator.engine.repairing import Repairing
from orchestrator.engine.resource_wait import ResourceWait
from orchestrator.engine.scheduling import Scheduling
from orchestrator.engine.self_taking import SelfTaking
from orchestrator.engine.service import Orchestrator
from orchestrator.engine.status_files import StatusFiles
from orchestrator.engine.unblocking import Unblocking

Part = Callable[[asyncio.Event], Coroutine[None, None, None]]


def parts_beside(
    configuration: Configuration, store: Store, clock: Clock, bell: Bell, service: Orchestrator, clockwatch: ClockWatch
) -> tuple[Part, ...]:
    """Return the parts of this root, each run until it is told to stop."""
    taking = SelfTaking(store=store, bell=bell, policy=configuration.policy, results=service.results)
    questions = Questions(
        store=store,
        files=WaitingFolder(configuration.root, settle_s=configuration.settings.intake.settle_s),
        clock=clock,
        bell=bell,
        redact=configuration.redacted,
        command=configuration.command,
    )
    status = StatusFiles(
        store=store,
        artifacts=ArtifactFiles(configuration.root),
        clock=clock,
        bell=bell,
        every_s=partial(_status_every_s, configuration),
        command=configuration.command,
    )
    cancelled = CancelledByFile(store=store, files=CancelledFolder(configuration.root), cancel=service.cancel)
    policy = configuration.policy
    unblocking = Unblocking(store=store, clock=clock, bell=bell, policy=policy, cancel=service.cancel)
    scheduling = Scheduling(store=store, clock=clock, bell=bell, policy=policy, clockwatch=clockwatch)
    repairing = Repairing(store=store, policy=policy, retry=service.retry)
    machine = ThisMachine(partial(_needs, configuration))
    waiting = ResourceWait(store=store, machine=machine, clock=clock, policy=policy)
    folders = _job_files(configuration, store, clock, bell, service)
    own = (folders.run, unblocking.run, scheduling.run, waiting.run, repairing.run)
    return taking.run, questions.run, status.run, cancelled.run, *own


def _job_files(configuration: Configuration, store: Store, clock: Clock, bell: Bell, service: Orchestrator) -> JobFiles:
    return JobFiles(
        store=store,
        artifacts=ArtifactFiles(configuration.root),
        clock=clock,
        bell=bell,
        look=service.jobs.look,
        redact=configuration.redacted,
        wanted=lambda: configuration.settings.jobs.workspace,
        relative=partial(_below, configuration.root),
        pages=partial(service.analysis.of_job, command=configuration.command),
        command=configuration.command,
    )


def _below(root: Path, path: str) -> str:
    """Return *path* as one relative to *root*, "" when it does not lie there."""
    return Path(path).relative_to(root).as_posix() if Path(path).is_relative_to(root) else ""


def _needs(configuration: Configuration) -> Needs:
    settings = configuration.settings
    return Needs(configuration.root, settings.intake.min_free_bytes, settings.recovery.free_memory_bytes)


def _status_every_s(configuration: Configuration) -> float:
    folder = configuration.settings.folder
    return folder.status_every_s if folder.status_files else 0.0
