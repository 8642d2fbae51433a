"""Commands that hold things back and let them go: pause, resume, hold."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from orchestrator.api.cli_tasks import SCHEMA_VERSION, pause_json
from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.api.render import call_name, hold_lines, moment, release_words, scope_name, task_json
from orchestrator.core.errors import ExitCode
from orchestrator.core.events import Json
from orchestrator.core.lifecycle import State
from orchestrator.core.plan import EVERYTHING
from orchestrator.core.task import Task

if TYPE_CHECKING:
    from orchestrator.engine.service import Control


async def pause(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Start nothing more: of the whole queue, of one agent, or one task."""
    async with program.open_to_keep() as service:
        done = await service.pause(args.scope or EVERYTHING)
        running = (await service.status(limit=1)).active
    return _held(program, out, done, len(running))


async def hold(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Do not start one task."""
    async with program.open_service() as service:
        done = await service.hold(args.task)
    return _held(program, out, done, 0)


async def resume(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Undo a pause, or end the hold of an agent early."""
    async with program.open_service() as service:
        done = await service.resume(args.scope or EVERYTHING)
    if out.as_json:
        out.data(_control_json(program, done))
        return ExitCode.OK
    out.say(_went_on(done, program.now()))
    for still in done.still:
        for line in hold_lines(still, program.now(), program.command):
            out.say(line)
    if program.owner() is None:
        out.note(f"No daemon runs: start it with {program.command}")
    return ExitCode.OK


def _held(program: Program, out: Output, done: Control, running: int) -> int:
    if out.as_json:
        out.data(_control_json(program, done))
        return ExitCode.OK
    already = "" if done.changed else " already"
    if done.task is not None:
        back = f"{program.command} resume {done.task.uid[-8:]}"
        out.say(f"{call_name(done.task)} is held{already}: it is not started. Release it: {back}")
        return ExitCode.OK
    assert done.pause is not None
    name = scope_name(done.scope)
    out.say(f"{name[0].upper() + name[1:]} is paused{already}: nothing more is started.")
    if running:
        out.say(f"What runs goes on: {running} {'task' if running == 1 else 'tasks'}.")
    out.say(f"Go on: {release_words(done.pause, program.command)}")
    return ExitCode.OK


def _went_on(done: Control, now: float) -> str:
    if done.task is not None:
        name, state = call_name(done.task), done.task.state.value
        return f"{name} {_goes_on(done.task, now)}" if done.changed else f"{name} is not held: it is {state}."
    name = scope_name(done.scope)
    name = name[0].upper() + name[1:]
    if not done.changed:
        by_setting = any(still.scope == done.scope for still in done.still)
        return f"{name} stays held: no command ends that." if by_setting else f"{name} is not held."
    freed = f" {done.freed} waiting {'task' if done.freed == 1 else 'tasks'} may start at once." if done.freed else ""
    return f"{name} goes on.{freed}"


def _goes_on(task: Task, now: float) -> str:
    """Return what becomes of a task that was held."""
    if task.spec.schedule:
        return "makes its runs again."
    if task.state is State.BLOCKED:
        return "is blocked: it waits for other tasks."
    if task.not_before > now:
        return f"is queued: it waits for its time, {moment(task.not_before, now)}."
    return "is queued: it waits for a slot only."


def _control_json(program: Program, done: Control) -> dict[str, Json]:
    return {
        "schema_version": SCHEMA_VERSION,
        "scope": done.scope,
        "changed": done.changed,
        "task": None if done.task is None else task_json(done.task),
        "pause": None if done.pause is None else pause_json(done.pause, program.command),
        "freed": done.freed,
        "still": [pause_json(pause, program.command) for pause in done.still],
    }
