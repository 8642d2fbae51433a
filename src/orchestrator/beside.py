"""Puts together the parts that run beside intake, pool and projector."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

from orchestrator.bridges.waiting_folder import WaitingFolder
from orchestrator.configuration import Configuration
from orchestrator.core.events import Json
from orchestrator.core.ports import Clock, Store
from orchestrator.engine.bell import Bell
from orchestrator.engine.questions import Questions
from orchestrator.engine.self_taking import SelfTaking
from orchestrator.engine.taking import Results

Part = Callable[[asyncio.Event], Coroutine[None, None, None]]


def parts_beside(
    configuration: Configuration, store: Store, clock: Clock, bell: Bell, results: Results
) -> tuple[Part, ...]:
    """Return the parts of this root, each run until it is told to stop."""
    taking = SelfTaking(store=store, bell=bell, policy=configuration.policy, results=results)
    questions = Questions(
        store=store,
        files=WaitingFolder(configuration.root, settle_s=configuration.settings.intake.settle_s),
        clock=clock,
        bell=bell,
        redact=partial(_redacted, configuration),
        command=configuration.command,
    )
    return taking.run, questions.run


def _redacted(configuration: Configuration, value: Json) -> Json:
    return configuration.redactor.json(value)
