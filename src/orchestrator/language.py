"""Puts together what a local model does for the daemon itself: reads requests in words, puts results into few."""

import time

from orchestrator.bridges.ollama import OllamaConfig
from orchestrator.bridges.ollama_readers import OllamaReader, OllamaSummarizer
from orchestrator.configuration import Configuration


def reader(configuration: Configuration) -> OllamaReader:
    """Return what reads free words, as configured at each."""

    def wanted() -> OllamaConfig | None:
        return configuration.ollama() if configuration.settings.ollama.reader else None

    return OllamaReader(wanted, redact=lambda text: configuration.redactor.text(text), monotonic=time.monotonic)


def summarizer(configuration: Configuration) -> OllamaSummarizer:
    """Return what puts results into few words, as configured at each."""

    def wanted() -> OllamaConfig | None:
        return configuration.ollama() if configuration.settings.ollama.summaries else None

    return OllamaSummarizer(wanted, redact=lambda text: configuration.redactor.text(text))
