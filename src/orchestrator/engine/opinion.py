"""A second opinion on the criteria that no program can check. It is asked last, and changes no verdict."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from orchestrator.core.attempt import Failed, FailureKind, Finished, WorkOrder
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.evidence import Changes
from orchestrator.core.opinion import Opinion, Question, asks_for, with_opinion
from orchestrator.core.ports import Opinions
from orchestrator.core.task import Criterion
from orchestrator.core.work import Area
from orchestrator.validation.checks import Verdict

log = logging.getLogger(__name__)

Spare = Callable[[], Awaitable[float | None]]
MAX_NAMED = 200  # files, where there is no patch


class Patches(Protocol):
    """Reads changes of the daemon's own repositories as text."""

    async def patch(self, git_dir: str, base: str, result: str) -> str:
        """Return what is different in *result*, cut where it is very long. Raises WorkAreaError."""
        ...


class SecondOpinion:
    """Asks for opinions as configured at each verdict."""

    def __init__(self, opinions: Opinions, patches: Patches) -> None:
        self._opinions = opinions
        self._patches = patches

    def wanted(self, criteria: Sequence[Criterion]) -> bool:
        """Return whether a verdict on *criteria* would wait for an opinion."""
        return self._opinions.wanted and not all(one.runs for one in criteria)

    async def on(
        self, verdict: Verdict, order: WorkOrder, outcome: Finished | Failed, *, area: Area, head: str, spare: Spare
    ) -> Verdict:
        """Return *verdict* with what a model thinks of its criteria in words and those for a person.

        Nobody is asked about work that fails for another reason. *spare* tells what may be spent now: 0.0 for no limit
        of ours, None for nothing.
        """
        undecided = verdict.failure is None or verdict.failure.kind is FailureKind.UNPROVEN
        asked = asks_for(verdict.criteria) if undecided and self._opinions.wanted else ()
        if not asked:
            return verdict
        texts = tuple(verdict.criteria[index].text for index in asked)
        try:
            change = await change_text(self._patches, area, head, verdict.changes)
            question = Question(order, texts, outcome.report.answer, change, await spare())
            opinion = await self._opinions.ask(question)
        except Exception as error:
            log.exception("the opinion on %s", order.mark)
            opinion = Opinion("", problem=f"a bug of ours, please report it: {type(error).__name__}")
        return replace(verdict, criteria=with_opinion(verdict.criteria, asked, opinion), opinion=opinion)

    async def unpaid(self, order: WorkOrder) -> float:
        """Return what an opinion on *order* counts for whose verdict nobody will draw."""
        return await self._opinions.unpaid(order)


async def change_text(patches: Patches, area: Area, head: str, changes: Changes) -> str:
    """Return a change as text for a model: the patch, or what is known of it, "" where nothing was changed."""
    if area.base and head:
        try:
            return await patches.patch(area.git_dir, area.base, head)
        except WorkAreaError as error:
            return error.message
    rows = [("created", changes.created), ("modified", changes.modified), ("deleted", changes.deleted)]
    named = [f"{what}: {path}" for what, paths in rows for path in paths][:MAX_NAMED]
    return "\n".join(["There is no patch; these files were seen to change:", *named]) if named else ""
