"""A local model that reads words and puts results into few. Both are asked for seconds only, and missed by nobody."""

import json
from collections.abc import Callable, Sequence

from orchestrator.bridges.ollama import TOTAL_S, OllamaConfig, OllamaError, Said, ask
from orchestrator.core import digest
from orchestrator.core.digest import Digest, Told, digest_of, digest_prompt
from orchestrator.core.events import Json
from orchestrator.core.reading import not_read, reading_prompt, suggestion_in, suggestion_schema, with_suggestion
from orchestrator.core.task import TaskRules, TaskSpec

REST_S = 60.0  # a server that did not answer is left alone for so long
_FRAME_CHARS = 9000  # of a prompt, beside the change
Wanted = Callable[[], OllamaConfig | None]
Redact = Callable[[str], str]


class OllamaReader:
    """Implements the port `TextReader`. *wanted* tells the server to ask, None for nobody. *monotonic* in seconds."""

    def __init__(self, wanted: Wanted, *, redact: Redact, monotonic: Callable[[], float]) -> None:
        self._wanted = wanted
        self._redact = redact
        self._monotonic = monotonic
        self._rests: tuple[OllamaConfig | None, float, str] = (None, 0.0, "")

    @property
    def wanted(self) -> bool:
        return self._wanted() is not None

    async def read(self, specs: Sequence[TaskSpec], rules: TaskRules) -> Sequence[TaskSpec]:
        config = self._wanted()
        if config is None:
            return specs
        ends = self._monotonic() + TOTAL_S
        return [await self._read(config, spec, rules, ends) for spec in specs]

    async def _read(self, config: OllamaConfig, spec: TaskSpec, rules: TaskRules, ends: float) -> TaskSpec:
        now = self._monotonic()
        resting, until, why = self._rests
        if resting == config and now < until:
            return not_read(spec, why)
        if ends - now < 1:
            return not_read(spec, "there were too many at once")
        prompt = reading_prompt(spec, rules, self._redact)
        try:
            said = await ask(config, prompt, suggestion_schema(rules), timeout_s=ends - now)
        except OllamaError as error:
            self._rests = (config, self._monotonic() + REST_S, str(error))
            return not_read(spec, str(error))
        suggestion = suggestion_in(said.text, said.model)
        if suggestion is None:
            return not_read(spec, f"the model {said.model} answered with something else than what it was asked for")
        return with_suggestion(spec, suggestion, rules)


class OllamaSummarizer:
    """Implements the port `Summarizer`. *wanted* as for the reader."""

    def __init__(self, wanted: Wanted, *, redact: Redact) -> None:
        self._wanted = wanted
        self._redact = redact

    @property
    def wanted(self) -> bool:
        return self._wanted() is not None

    async def summary(self, told: Told) -> Digest | None:
        config = self._wanted()
        if config is None:
            return None
        prompt = digest_prompt(told, self._redact, chars=max(500, config.prompt_chars - _FRAME_CHARS))
        try:
            said = await ask(config, prompt, digest.SCHEMA)
        except OllamaError as error:
            return Digest(config.model, problem=str(error))
        return digest_of(said.model, _text(said))


def _text(said: Said) -> str:
    begin, end = said.text.find("{"), said.text.rfind("}")
    try:
        answer: Json = json.loads(said.text[begin : end + 1]) if 0 <= begin < end else None
    except (ValueError, RecursionError):
        return ""
    summary = answer.get("summary") if isinstance(answer, dict) else None
    return summary if isinstance(summary, str) else ""
