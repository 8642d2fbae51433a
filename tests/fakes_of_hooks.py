"""Hooks that are functions; they pass the port's conformance suite."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.core.events import Json
from orchestrator.core.hooks import HookRun, When

Act = Callable[[Mapping[str, Any]], str]


class ScriptedHooks:
    """Implements the port `Hooks`: each hook is a function of the task that returns why it refuses, "" for nothing.

    *ran* is told as (moment, name of the hook, id of the task). *gate* is awaited before each hook.
    """

    def __init__(self, before: Mapping[str, Act] | None = None, after: Mapping[str, Act] | None = None) -> None:
        self.acts: dict[When, dict[str, Act]] = {When.BEFORE: dict(before or {}), When.AFTER: dict(after or {})}
        self.ran: list[tuple[str, str, str]] = []
        self.results: list[Mapping[str, Json]] = []
        self.later = False

    def any(self, when: When) -> bool:
        return bool(self.acts[when])

    async def before(self, task: Mapping[str, Json]) -> HookRun | None:
        for name in self.acts[When.BEFORE]:
            ran = self._run(When.BEFORE, name, task)
            if not ran.ok:
                return ran
        return None

    async def after(self, task: Mapping[str, Json], result: Mapping[str, Json]) -> Sequence[HookRun]:
        self.results.append(result)
        return [self._run(When.AFTER, name, task) for name in self.acts[When.AFTER]]

    def _run(self, when: When, name: str, task: Mapping[str, Json]) -> HookRun:
        self.ran.append((when.value, name, str(task.get("id"))))
        words = self.acts[when][name](task)
        return HookRun(name, ok=not words, words=words, later=self.later)
