"""What is kept of how an attempt ended."""

from dataclasses import replace
from typing import TypeVar

from orchestrator.core.attempt import AgentReport, Outcome

MAX_ANSWER_CHARS = 200_000
Ended = TypeVar("Ended", bound=Outcome)


def bounded(outcome: Ended) -> Ended:
    """Keep a runaway answer out of the journal; the whole of it stays in the attempt's own output."""
    report: AgentReport = outcome.report
    if len(report.answer) <= MAX_ANSWER_CHARS:
        return outcome
    cut = f"\n[cut here: {len(report.answer) - MAX_ANSWER_CHARS} characters more in the attempt's stdout.ndjson]"
    return replace(outcome, report=replace(report, answer=report.answer[:MAX_ANSWER_CHARS] + cut))
