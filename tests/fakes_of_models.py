"""Small implementations of the ports of models: they say what a test has written for them."""

import asyncio
from collections.abc import Sequence

from orchestrator.core.digest import Digest, Told
from orchestrator.core.reading import Suggestion, not_read, with_suggestion
from orchestrator.core.task import TaskRules, TaskSpec


class ScriptedReader:
    """Implements the port `TextReader`: says *said* of all words that hold *known*."""

    def __init__(self, said: Suggestion, known: str = "known", *, wanted: bool = True) -> None:
        self.wanted = wanted
        self.said = said
        self.known = known
        self.asked: list[Sequence[str]] = []
        self.gate: asyncio.Event | None = None  # it waits for this before it answers

    async def read(self, specs: Sequence[TaskSpec], rules: TaskRules) -> Sequence[TaskSpec]:
        self.asked.append([spec.prompt for spec in specs])
        if self.gate is not None:
            await self.gate.wait()
        return [self._one(spec, rules) for spec in specs]

    def _one(self, spec: TaskSpec, rules: TaskRules) -> TaskSpec:
        return with_suggestion(spec, self.said, rules) if self.known in spec.prompt else not_read(spec, "no")


class ScriptedSummarizer:
    """Implements the port `Summarizer`: says *said*, or raises it."""

    def __init__(self, said: Digest | Exception, *, wanted: bool = True) -> None:
        self.said = said
        self.wanted = wanted
        self.told: list[Told] = []

    async def summary(self, told: Told) -> Digest | None:
        self.told.append(told)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said
