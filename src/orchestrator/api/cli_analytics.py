"""Figures on a job or a period (`report --job`, `report --since … --analytics`), and `forecast` of a batch."""

import argparse
import json
from pathlib import PurePath

from orchestrator.api.cli_report import moment_of, report
from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.core.errors import ExitCode, TaskFileError, UsageError
from orchestrator.core.jobfile import is_job_file
from orchestrator.core.report_forecast import forecast_text


async def report_or_figures(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Tell what ended; of a job, or with --analytics, where time and money went: Markdown, JSON or HTML."""
    if not (args.job or args.analytics):
        if args.html:
            raise UsageError("--html is of figures", hint="Add --job JOB, or --since WHEN --analytics.")
        return await report(program, out, args)
    if not args.job and not args.since:
        raise UsageError("--analytics is of a time or a job", hint="Add --since WHEN or --job JOB.")
    since = moment_of(args.since, program.now()) if args.since else 0.0
    async with program.open_service() as service:
        analysis = service.analysis
        pages = await (
            analysis.of_job(args.job, program.command) if args.job else analysis.since(since, program.command)
        )
    if args.html:
        out.exactly(pages["picture.html"])
    elif out.as_json:
        out.data(json.loads(pages["analytics.json"]))
    else:
        out.say(pages["analytics.md"].decode().rstrip())
    return ExitCode.OK


async def forecast(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Say what task files will take and cost before they run, from what earlier tasks took. Fails where a file is none.

    Without FILES: those in tasks/, whether or not a daemon has accepted them.
    """
    paths = args.files or [str(PurePath(program.root, "tasks"))]
    specs, refused = [], []
    for file in program.task_files(paths):
        try:
            many = is_job_file(PurePath(file).name)
            specs += [one.spec for one in program.check_job(file).tasks] if many else [program.check_file(file)]
        except TaskFileError as error:
            refused.append(f"{file} is no task: {error.message}")
    async with program.open_service() as service:
        told = {**await service.analysis.forecast(specs)}
    notes = told["notes"]
    told["notes"] = [*(notes if isinstance(notes, (list, tuple)) else ()), *refused]
    if out.as_json:
        out.data(told)
    else:
        out.say(forecast_text(told).rstrip())
    return ExitCode.FAILED if refused else ExitCode.OK
