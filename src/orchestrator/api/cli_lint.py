"""The command `check`: files as they are read, and for a folder the lint before bed."""

import argparse
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from orchestrator.api import cli_files
from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.api.render import duration
from orchestrator.core.errors import ExitCode, UsageError
from orchestrator.core.events import Json
from orchestrator.core.lint import LintReport, Remark, Weight
from orchestrator.core.report_forecast import forecast_words

SCHEMA_VERSION = 1
SECONDS = 120
BATCH = "all together"


async def check(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Read files and run nothing; of a folder, or with --lint, say all that may spoil the night."""
    if not (args.lint or any(Path(path).is_dir() for path in args.files)):
        if args.no_run or args.strict or args.seconds is not None:
            raise UsageError("--no-run, --strict and --seconds belong to a folder or --lint", hint="check tasks/")
        return await cli_files.check(program, out, args)
    report = await program.lint(args.files, not args.no_run, float(args.seconds or SECONDS))
    if out.as_json:
        out.data(lint_json(report))
    else:
        out.say("\n".join(lint_lines(report, no_run=args.no_run)))
    grave = report.count(Weight.FAIL) + (report.count(Weight.WARN) if args.strict else 0)
    return ExitCode.FAILED if grave else ExitCode.OK


def lint_json(report: LintReport) -> dict[str, Json]:
    """Return *report* as lint.schema.json has it."""
    refused: list[Json] = [{"file": one.file, "ok": False, "id": None, "title": None} for one in report.refused]
    tasks: list[Json] = [
        {"file": one.file, "ok": True, "id": one.spec.id, "title": one.spec.title} for one in report.tasks
    ]
    forecast: Json = dict(report.forecast) if report.forecast is not None else None
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "lint",
        "files": [*tasks, *refused],
        "remarks": [_row(one) for one in report.remarks],
        "counts": {weight.value: report.count(weight) for weight in Weight},
        "checks": {"run": report.run, "not_run": report.not_run, "seconds": round(report.seconds, 1)},
        "forecast": forecast,
    }


def _row(one: Remark) -> Mapping[str, Json]:
    return {
        "file": one.file or None,
        "line": one.line or None,
        "level": one.weight.value,
        "code": one.code,
        "message": one.message,
        "fix": one.fix,
    }


def lint_lines(report: LintReport, *, no_run: bool = False) -> list[str]:
    """Return *report* for a terminal: grouped by task, the worst first, each with what to type."""
    lines: list[str] = []
    for file, remarks in groupby(report.remarks, key=lambda one: one.file):
        lines.append(file or BATCH)
        for one in remarks:
            place = f"line {one.line}: " if one.line else ""
            lines.append(f"  {one.weight.value.upper()}  {place}{one.message}")
            if one.fix:
                lines.append(f"        fix: {one.fix}")
        lines.append("")
    return [*lines, *_closing(report, no_run=no_run)]


def _closing(report: LintReport, *, no_run: bool) -> list[str]:
    count = len(report.tasks) + len(report.refused)
    clean = {one.file for one in report.tasks} - {one.file for one in report.remarks}
    lines = [f"{count} {'task' if count == 1 else 'tasks'}, {len(clean)} of them without a remark."]
    if no_run:
        lines.append("No check was run: leave out --no-run to see which pass already.")
    elif report.run or report.not_run:
        left = f", {report.not_run} not run" if report.not_run else ""
        lines.append(f"Checks run on the base: {report.run}{left}, in {duration(report.seconds)}.")
    if words := forecast_words(report.forecast or {}):
        lines.append(words)
    fails, warnings = report.count(Weight.FAIL), report.count(Weight.WARN)
    lines.append(f"failures: {fails}, warnings: {warnings}" if fails or warnings else "Nothing is in the way.")
    return lines
