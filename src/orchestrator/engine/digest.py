"""A result in few words by a model: made once, with the verdict, so that it is told the same ever after."""

import logging
from dataclasses import replace

from orchestrator.core.attempt import Failed, FailureKind, Finished, WorkOrder
from orchestrator.core.digest import Digest, Told
from orchestrator.core.ports import Summarizer
from orchestrator.core.task import TaskSpec
from orchestrator.core.work import Area
from orchestrator.engine.opinion import Patches, change_text
from orchestrator.validation.checks import Verdict

log = logging.getLogger(__name__)


class Digests:
    """Has results put into few words as configured at each verdict."""

    def __init__(self, summarizer: Summarizer, patches: Patches) -> None:
        self._summarizer = summarizer
        self._patches = patches

    @property
    def wanted(self) -> bool:
        """Whether a verdict waits for a model's summary."""
        return self._summarizer.wanted

    async def on(
        self, verdict: Verdict, spec: TaskSpec, order: WorkOrder, outcome: Finished | Failed, *, area: Area, head: str
    ) -> Verdict:
        """Return *verdict* with what a model makes of it; nothing else of it is another one for that.

        Nobody is asked where the agent failed, or where a check fails and the work may go on.
        """
        goes_on = verdict.failure is not None and verdict.failure.kind is FailureKind.CHECK_FAILED
        if not self._summarizer.wanted or isinstance(outcome, Failed) or goes_on:
            return verdict
        try:
            change = await change_text(self._patches, area, head, verdict.changes)
            lines = [f"{one.verdict.value}: {one.text}: {one.why}" for one in verdict.criteria]
            lines += [f"open: {verdict.failure.detail}"] if verdict.failure else []
            told = Told(spec.title, tuple(lines), outcome.report.answer, change)
            digest = await self._summarizer.summary(told)
        except Exception as error:
            log.exception("the summary of %s", order.mark)
            digest = Digest(problem=f"a bug of ours, please report it: {type(error).__name__}")
        return replace(verdict, digest=digest)
