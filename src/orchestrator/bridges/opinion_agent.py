"""Opinions by the agent's own program: a short run of its own without tools, in an empty folder.

It is begun once for an attempt. A file beside its output says so, and what it may cost, before it starts: a daemon that
dies meanwhile asks nobody a second time. The next one uses the answer if it was there, and counts the cost in any case.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.bridges.files import atomic_write, open_folder, opened
from orchestrator.core.attempt import AgentMessage, Failed, Finished, Interrupted, Outcome, WorkOrder
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.opinion import LEAST_USD, Opinion, Question, bounded, opinion_of, question_text
from orchestrator.core.ports import Agent

BY = "agent"
TAG = "opinion"  # in the mark of its processes, so that they are told from those of the attempt
FOLDER, BEGUN = "opinion", "opinion.usd"  # within the attempt's folder
_DETAIL = 200


class AgentOpinions:
    """Implements the port `Opinions`. *folder* is an empty one in which the program starts; it is made where missing.

    *model* is asked for, "" the one of the attempt. *timeout_s* and *budget_usd* bound one opinion.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        folder: Path,
        redact: Callable[[str], str],
        timeout_s: float,
        budget_usd: float,
        model: str = "",
    ) -> None:
        self._agent = agent
        self._folder = folder
        self._redact = redact
        self._timeout_s = timeout_s
        self._budget_usd = budget_usd
        self._model = model

    @property
    def wanted(self) -> bool:
        return True

    async def ask(self, question: Question) -> Opinion:
        shown = bounded(question, self._redact)
        order = self._order(question.order, question_text(shown))
        if (cap_usd := begun(question.order)) is not None:
            return _opinion(await self._agent.collect(order), order, shown, cap_usd)
        if question.cap_usd is None:
            return Opinion(BY, problem="nothing is left of the budget for it")
        cap_usd = min(self._budget_usd, question.cap_usd or self._budget_usd)
        if cap_usd < LEAST_USD:
            return Opinion(BY, problem="nothing is left of the budget for it")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            note = Path(question.order.attempt_dir)
            note.mkdir(mode=0o700, parents=True, exist_ok=True)
            with opened(open_folder(note)) as fd:
                atomic_write(fd, BEGUN, f"{cap_usd:.6f}".encode())
            ended: Outcome | None = await self._agent.run(replace(order, budget_usd=cap_usd), _silent)
        except (OrchestratorError, OSError) as error:
            return Opinion(BY, problem=f"it could not be asked: {str(error)[:_DETAIL]}", cost_usd=begun_usd(question))
        return _opinion(ended, order, shown, cap_usd)

    async def unpaid(self, order: WorkOrder) -> float:
        cap_usd = begun(order)
        if cap_usd is None:
            return 0.0
        return _cost(await self._agent.collect(self._order(order, "")), cap_usd)

    def _order(self, of: WorkOrder, prompt: str) -> WorkOrder:
        return replace(
            of,
            prompt=prompt,
            continue_prompt="",
            cwd=str(self._folder),
            work_root="",
            read=(),
            session_id="",
            session_cost_usd=0.0,
            resume=False,
            notes=(),
            attempt_dir=str(Path(of.attempt_dir, FOLDER)),
            tools=(),
            model=self._model or of.model,
            timeout_s=max(1, int(self._timeout_s)),
            max_turns=1,
            schema="",
            root_tag=f"{of.root_tag}.{TAG}" if of.root_tag else TAG,
        )


def begun(order: WorkOrder) -> float | None:
    """Return what the opinion on the attempt *order* may cost, None where none was begun."""
    with suppress(FileNotFoundError):
        try:
            return float(Path(order.attempt_dir, BEGUN).read_text("ascii"))
        except ValueError:
            return 0.0  # torn by a power cut before it started
    return None


def begun_usd(question: Question) -> float:
    """Return what counts for an opinion whose run broke off with an error of ours."""
    return begun(question.order) or 0.0


def _opinion(ended: Outcome | None, order: WorkOrder, shown: Question, cap_usd: float) -> Opinion:
    cost_usd = _cost(ended, cap_usd)
    match ended:
        case Finished(report=report):
            model = report.model or order.model or order.agent
            return opinion_of(BY, model, report.answer, shown, cost_usd=cost_usd)
        case Failed(kind=kind, detail=detail):
            return Opinion(BY, problem=f"the agent gave none ({kind.value}: {detail[:_DETAIL]})", cost_usd=cost_usd)
        case Interrupted() | None:
            return Opinion(BY, problem="it was lost when the daemon ended", cost_usd=cost_usd)


def _cost(ended: Outcome | None, cap_usd: float) -> float:
    """What nobody knows counts as the most it could be."""
    known = ended.report.usage.cost_usd if ended is not None else None
    return cap_usd if known is None else known


async def _silent(_: AgentMessage) -> None:
    """Nobody has to see how an opinion comes about."""
