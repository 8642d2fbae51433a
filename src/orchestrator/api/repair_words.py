"""What `doctor --repair` did, in words."""

from collections.abc import Sequence

from orchestrator.core.repair_report import RepairReport
from orchestrator.core.text import printable

_NOUNS = {"task": "tasks", "attempt": "attempts", "event": "events", "pause": "holds"}


def repair_lines(report: RepairReport) -> Sequence[str]:
    """Return the report, the answer first."""
    if not report.problems:
        return ["The database is sound: nothing was changed."]
    lines = ["found:", *(f"  {printable(problem)}" for problem in report.problems)]
    if report.kept_in:
        lines.append(f"kept as it was: {report.kept_in}/")
    if report.salvaged:
        numbers = ", ".join(f"{count} {_NOUNS.get(name, name)}" for name, count in report.salvaged.items())
        lines.append(f"salvaged: {numbers}")
    if report.from_log:
        lines.append(f"taken from logs/events.ndjson: {report.from_log} events")
    if report.lost:
        lines.append(f"lost: {report.lost} events; a warning stands in the place of each")
    if report.bodies_lost:
        lines.append(f"lost: the texts of {report.bodies_lost} tasks; their files count, where they lie in tasks/")
    lines += [f"queued again: {printable(path)}" for path in report.requeued]
    lines.append("Files in tasks/ are read again by the daemon. What lies in tasks/processed, failed and cancelled")
    lines.append("stays there and is not run again; results stay as they are.")
    return lines
