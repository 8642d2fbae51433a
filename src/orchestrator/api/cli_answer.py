"""The command `answer`: what a person says to a task that asks."""

import argparse

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.api.render import call_name, task_json
from orchestrator.core.errors import ExitCode

SCHEMA_VERSION = 1
DOOR = "cli"


async def answer(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Answer the question of a task; it goes on in the same session."""
    async with program.open_service() as service:
        task = await service.answer(args.task, " ".join(args.text), door=DOOR)
        given = (await service.attempts(task))[-1].verdict["answered"]
    said = given.get("answer") if isinstance(given, dict) else ""
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "task": task_json(task), "answer": said})
        return ExitCode.OK
    out.say(f"{call_name(task)} is answered and queued again; it goes on in the same session.")
    if program.owner() is None:
        out.note(f"No daemon runs: start it with {program.command}")
    return ExitCode.OK
