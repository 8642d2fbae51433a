"""Puts together what keeps `tasks/waiting/` and takes answers from there."""

from orchestrator.bridges.waiting_folder import WaitingFolder
from orchestrator.configuration import Configuration
from orchestrator.core.events import Json
from orchestrator.core.ports import Clock, Store
from orchestrator.engine.bell import Bell
from orchestrator.engine.questions import Questions


def questions(configuration: Configuration, store: Store, clock: Clock, bell: Bell) -> Questions:
    """Return the questions of this root."""

    def redact(value: Json) -> Json:
        return configuration.redactor.json(value)

    return Questions(
        store=store,
        files=WaitingFolder(configuration.root, settle_s=configuration.settings.intake.settle_s),
        clock=clock,
        bell=bell,
        redact=redact,
        command=configuration.command,
    )
