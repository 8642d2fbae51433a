"""What is kept of how an attempt ended, and what is seen of it together with the attempts before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from orchestrator.core.attempt import AgentReport, AttemptRecord, Failed, Finished, Outcome
from orchestrator.core.codec import outcome_from_json

MAX_ANSWER_CHARS = 200_000
Ended = TypeVar("Ended", bound=Outcome)


def with_earlier(outcome: Finished | Failed, attempts: Sequence[AttemptRecord]) -> Finished | Failed:
    """Return *outcome* with what earlier attempts of the task did: an attempt may find the work already done."""
    report = outcome.report
    files, calls = list(report.files_changed), dict(report.tool_calls)
    for record in attempts:
        earlier = record.outcome.get("report")
        if record.ended_ts and isinstance(earlier, Mapping):
            said = outcome_from_json(record.outcome).report
            files += [path for path in said.files_changed if path not in files]
            calls = {name: max(calls.get(name, 0), said.tool_calls.get(name, 0)) for name in {*calls, *said.tool_calls}}
    return replace(outcome, report=replace(report, files_changed=tuple(files), tool_calls=calls))


def bounded(outcome: Ended) -> Ended:
    """Keep a runaway answer out of the journal; the whole of it stays in the attempt's own output."""
    report: AgentReport = outcome.report
    if len(report.answer) <= MAX_ANSWER_CHARS:
        return outcome
    cut = f"\n[cut here: {len(report.answer) - MAX_ANSWER_CHARS} characters more in the attempt's stdout.ndjson]"
    return replace(outcome, report=replace(report, answer=report.answer[:MAX_ANSWER_CHARS] + cut))
