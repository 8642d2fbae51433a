"""Opinions by a model of a local Ollama server: no cost, nothing that outlives the question."""

from collections.abc import Callable

from orchestrator.bridges.ollama import OllamaConfig, OllamaError, ask
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.opinion import VIEWS_SCHEMA, Opinion, Question, bounded, opinion_of, question_text

BY = "ollama"
_FRAME_CHARS = 1500  # of the prompt, around what is shown


class OllamaOpinions:
    """Implements the port `Opinions`. *redact* takes secrets out of a text before the server sees it."""

    def __init__(self, config: OllamaConfig, *, redact: Callable[[str], str], timeout_s: float) -> None:
        self._config = config
        self._redact = redact
        self._timeout_s = timeout_s

    @property
    def wanted(self) -> bool:
        return True

    async def ask(self, question: Question) -> Opinion:
        room = self._config.prompt_chars - _FRAME_CHARS - sum(len(one) + 5 for one in question.criteria)
        shown = bounded(question, self._redact, chars=max(500, room * 2 // 3))
        try:
            said = await ask(self._config, question_text(shown), VIEWS_SCHEMA, timeout_s=self._timeout_s)
        except OllamaError as error:
            return Opinion(BY, self._config.model, problem=str(error))
        return opinion_of(BY, said.model, said.text, shown)

    async def unpaid(self, _order: WorkOrder) -> float:
        return 0.0
