"""Requests that are to be split: accepted as a job of one task, which becomes many."""

from collections.abc import Callable
from dataclasses import replace

from orchestrator.core.job import Job
from orchestrator.core.lifecycle import TERMINAL
from orchestrator.core.orchestration import Orchestration, spec_of
from orchestrator.core.plan_words import PlanningLimits, planning_prompt
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Store
from orchestrator.core.prompt import prompt_of
from orchestrator.core.task import Task, TaskSpec
from orchestrator.engine.bell import Bell
from orchestrator.engine.submission import submit


class Orchestrating:
    """The part of the application service that takes requests. Whoever has it sets what it needs."""

    _store: Store
    _clock: Clock
    _bell: Bell
    _policy: Callable[[], RunPolicy]

    async def orchestrate(self, asked: Orchestration, *, door: str, by: str = "") -> tuple[Job, Task]:
        """Accept a request in words: it is planned and split by the daemon. Returns its job and its first task.

        Raises UsageError for one that cannot be understood, ConflictError where nothing may be split.
        """
        spec = spec_of(asked, self._policy())
        uid = self._clock.new_uid()
        if any(task.state not in TERMINAL for task in await self._store.find(spec.id) if task.spec.id == spec.id):
            spec = replace(spec, id=f"{spec.id}-{uid[-4:]}")  # of one id, this one would wait for the other's end
        job = Job(
            uid=self._clock.new_uid(),
            name=spec.id,
            created_ts=self._clock.now(),
            door=door,
            request=asked.request,
            max_workers=asked.max_workers,
            root=uid,
        )
        given = {"words": asked.request, "door": door, "by": by}
        return job, await submit(self._store, self._clock, self._bell, spec, **given, uid=uid, job=job)

    def planning_of(self, asked: Orchestration) -> tuple[TaskSpec, str]:
        """Return the task that *asked* would be, and the prompt that its planner would get. Accepts nothing."""
        policy = self._policy()
        spec = spec_of(asked, policy)
        limits = PlanningLimits(
            levels=spec.max_depth or 0,
            max_children=policy.splits.max_children,
            types=policy.types,
            commands=bool(policy.splits.commands_from),
        )
        return spec, planning_prompt(prompt_of(spec), limits)
