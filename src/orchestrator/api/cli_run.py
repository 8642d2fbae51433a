"""Commands that run something: the daemon, one file, doctor, demo."""

import argparse
from collections.abc import Mapping, Sequence

from orchestrator.api.cli_tasks import ended_line
from orchestrator.api.output import Output
from orchestrator.api.program import Program, Show
from orchestrator.api.render import event_text, task_json
from orchestrator.api.render_questions import question_json, question_lines
from orchestrator.api.repair_words import repair_lines
from orchestrator.core.codec import to_json
from orchestrator.core.errors import ExitCode
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.finding import Finding, Level
from orchestrator.core.lifecycle import State
from orchestrator.core.report import summary_text
from orchestrator.core.task import Task

SCHEMA_VERSION = 1
SETTINGS = "settings"  # a group of findings that are only values
_QUIET = frozenset({EventKind.PARSED, EventKind.SUMMARIZED, EventKind.ARCHIVED, EventKind.DAEMON_STARTED})


def _shower(out: Output, *, progress: bool) -> Show:
    """Return what prints events as they come; without *progress* only the milestones."""

    def show(event: Event, task: Task | None) -> None:
        if out.as_json or event.kind in _QUIET or (event.kind is EventKind.PROGRESS and not progress):
            return
        out.say(event_text(event, task))

    return show


async def daemon(program: Program, out: Output, _: argparse.Namespace) -> int:
    """Run until stopped: the first Ctrl-C lets running tasks finish, the second interrupts them."""
    out.carry_on()

    async def started() -> None:
        if not out.as_json:
            out.say(f"orchestrator on {program.root}: {program.slots} slots, watching tasks/ (Ctrl-C to stop)")
            for component in await program.components():
                out.say(f"{component.name:<8}  {component.words}")

    return await program.run_daemon(_shower(out, progress=False), started)


async def run(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Run one task file in the foreground with live progress; without a file, the daemon."""
    if not args.file:
        return await daemon(program, out, args)
    out.carry_on()
    task = await program.run_file(args.file, _shower(out, progress=True))
    if task.state is State.NEEDS_INPUT:
        return await _asks(program, out, task)
    async with program.open_service() as service:
        result = await service.result(task)
    if out.as_json:
        out.data(result)
    else:
        out.say()
        out.say(summary_text(result, program.command).rstrip())
        out.say()
        out.say(ended_line(task, result))
    return ExitCode.OK if task.state is State.SUCCEEDED else ExitCode.FAILED


async def _asks(program: Program, out: Output, task: Task) -> int:
    """In the foreground nobody waits for an answer: what was done is kept, and whoever starts it next goes on."""
    async with program.open_service() as service:
        question = await service.question(task)
    if out.as_json:
        told: dict[str, Json] = {**task_json(task), "question": question_json(task, question)}
        out.data({"schema_version": SCHEMA_VERSION, "task": told})
    elif question is not None:
        out.say()
        for line in question_lines(task, question, program.command, program.now()):
            out.say(line)
        if program.owner() is None:
            out.say(f"  then: {program.command}")
    return ExitCode.FAILED


async def doctor(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Check everything; fails only if something prevents work. With --repair, mend the database instead."""
    if args.repair:
        return await _repair(program, out)
    findings = await program.findings()
    failures = sum(finding.level is Level.FAIL for finding in findings)
    warnings = sum(finding.level is Level.WARN for finding in findings)
    if out.as_json:
        rows: list[Json] = [
            {"group": f.group, "name": f.name, "level": f.level.value, "message": f.message, "fix": f.fix}
            for f in findings
        ]
        out.data({"schema_version": SCHEMA_VERSION, "findings": rows})
        return ExitCode.FAILED if failures else ExitCode.OK
    _say_findings(out, [finding for finding in findings if not (args.quiet and finding.level is Level.PASS)])
    out.say()
    out.say(f"failures: {failures}, warnings: {warnings}" if failures or warnings else "Everything is in order.")
    return ExitCode.FAILED if failures else ExitCode.OK


async def _repair(program: Program, out: Output) -> int:
    report = await program.repair()
    if out.as_json:
        told = to_json(report)
        assert isinstance(told, Mapping)
        out.data({"schema_version": SCHEMA_VERSION, "repair": told})
        return ExitCode.OK
    for line in repair_lines(report):
        out.say(line)
    if report.problems:
        out.say(f"go on: {program.command}")
    return ExitCode.OK


def _say_findings(out: Output, findings: Sequence[Finding]) -> None:
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            out.say(group)
        if group == SETTINGS:
            out.say(f"  {finding.name} = {finding.message}")
            continue
        out.say(f"  {finding.level.upper():<4}  {finding.name}: {finding.message}")
        if finding.fix and finding.level is not Level.PASS:
            out.say(f"        fix: {finding.fix}")


async def demo(program: Program, out: Output, _: argparse.Namespace) -> int:
    """Run the whole pipeline and the real CLI against a scripted model."""
    return await program.demo(out.note if out.as_json else out.say)
