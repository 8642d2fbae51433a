"""Puts together what a local model does for the daemon itself: reads requests in words, puts results into few."""

import time

from orchestrator.bridges.ollama import OllamaConfig
from orchestrator.bridges.ollama_readers import OllamaReader, OllamaSummarizer
from orchestrator.bridges.ollama_requirements import requirements
from orchestrator.configuration import Configuration
from orchestrator.core.requirements import Requirements
from orchestrator.settings import task_rules


def reader(configuration: Configuration) -> OllamaReader:
    """Return what reads free words, as configured at each."""

    def wanted() -> OllamaConfig | None:
        return configuration.ollama() if configuration.settings.ollama.reader else None

    return OllamaReader(wanted, redact=lambda text: configuration.redactor.text(text), monotonic=time.monotonic)


async def requirements_of(configuration: Configuration, text: str, context: str, *, ask: bool) -> Requirements:
    """Return what *text* asks for: with *ask* as the model reads it that is configured to read words, else by rules."""
    wanted = configuration.ollama() if ask and configuration.settings.ollama.reader else None
    return await requirements(wanted, text, context, task_rules(configuration.settings), configuration.redactor.text)


def summarizer(configuration: Configuration) -> OllamaSummarizer:
    """Return what puts results into few words, as configured at each."""

    def wanted() -> OllamaConfig | None:
        return configuration.ollama() if configuration.settings.ollama.summaries else None

    return OllamaSummarizer(wanted, redact=lambda text: configuration.redactor.text(text))
