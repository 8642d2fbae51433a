"""The commands `orchestrate` and `plan`: a request that is split into sub-tasks, and what is planned for it."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.api.cli_tasks import ended_line
from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.api.render import call_name, event_text, task_json
from orchestrator.api.render_questions import question_lines
from orchestrator.core.errors import ConflictError, ExitCode, NotFoundError, UsageError
from orchestrator.core.events import EventKind, Json, TaskUid
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.orchestration import CONFIG, Orchestration, request_in
from orchestrator.core.plan_words import APPROVE, REJECT, plan_lines
from orchestrator.core.planning import PLAN, last_stage, plan_in
from orchestrator.core.subtask import read_plan
from orchestrator.core.task import Task

if TYPE_CHECKING:
    from orchestrator.engine.service import Orchestrator

SCHEMA_VERSION = 1
DOOR = "cli"
PLAN_ACTIONS = ("show", APPROVE, REJECT)
INPUT_BYTES = 1024 * 1024
_STANDS = frozenset(
    {EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED, EventKind.QUESTION_ASKED, EventKind.REJECTED}
)


async def orchestrate(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Have a request planned, split into sub-tasks, and done by them."""
    asked = await _asked(args)
    if args.dry_run:
        async with program.open_service() as service:
            spec, prompt = service.planning_of(asked)
        if out.as_json:
            out.data({"schema_version": SCHEMA_VERSION, "id": spec.id, "max_depth": spec.max_depth, "prompt": prompt})
        else:
            out.say(f"{spec.id} would be planned by an agent that only reads, and is asked:")
            out.say()
            out.say(prompt)
        return ExitCode.OK
    async with program.open_to_keep() as service:
        job, task = await service.orchestrate(asked, door=DOOR)
        if args.wait and program.owner() is not None:
            return await _followed(program, service, out, task)
    _say_accepted(program, out, job, task)
    return ExitCode.OK


async def _asked(args: argparse.Namespace) -> Orchestration:
    words = " ".join(args.request).strip()
    if bool(words) == bool(args.input):
        hint = f"Write the request behind `orchestrate`, or --input FILE with JSON; keys of its config: {_KEYS}."
        raise UsageError("a request in words or --input is wanted, one of the two", hint=hint)
    asked = request_in(await _document(args.input)) if args.input else Orchestration(words)
    changes: dict[str, object] = {
        key: given
        for key, given in {
            "max_workers": args.max_workers,
            "max_depth": args.max_depth,
            "budget_usd": args.budget,
            "cwd": str(Path(args.cwd).absolute()) if args.cwd else "",
        }.items()
        if given
    }
    if args.approve or args.yes:
        changes["approve"] = bool(args.approve)
    return replace(asked, **changes)  # type: ignore[arg-type]


_KEYS = ", ".join(CONFIG)


async def _document(name: str) -> Json:
    def read() -> str:
        if name == "-":
            return sys.stdin.read(INPUT_BYTES + 1)
        with Path(name).open(encoding="utf-8") as stream:
            return stream.read(INPUT_BYTES + 1)

    try:
        text = await asyncio.to_thread(read)
        if len(text) > INPUT_BYTES:
            raise UsageError(f"the input has more than {INPUT_BYTES:,} characters", where=name)
        value: Json = json.loads(text)
    except FileNotFoundError:
        raise NotFoundError("there is no such file", where=name) from None
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror or error}", where=name) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"it is no JSON: {error}", where=name) from None
    return value


def _say_accepted(program: Program, out: Output, job: Job, task: Task) -> None:
    if out.as_json:
        told: dict[str, Json] = {"job_id": job.short, "job": job.uid, "status": task.state.value}
        out.data({"schema_version": SCHEMA_VERSION, **told, "task": task_json(task)})
        return
    out.say(f"job {job.short}: {call_name(task)} is queued to be planned, at most {task.spec.max_depth} splits deep.")
    for notice in task.spec.notices:
        out.say(f"note: {notice.message}")
    out.say(f"follow it: {program.command} tail-events --follow")
    out.say(f"its plan:  {program.command} plan show {task.uid[-8:]}")
    if program.owner() is None:
        out.note(f"No daemon runs: start it with {program.command}")


async def _followed(program: Program, service: "Orchestrator", out: Output, task: Task) -> int:
    """Show what happens to the tree of *task* until it has ended or asks."""
    ended = await _until_it_stands(service, out, task)
    if ended.state is State.NEEDS_INPUT:
        question = await service.question(ended)
        if out.as_json or question is None:
            out.data({"schema_version": SCHEMA_VERSION, "task": task_json(ended)})
        else:
            for line in question_lines(ended, question, program.command, program.now()):
                out.say(line)
        return ExitCode.FAILED
    result = await service.result(ended)
    if out.as_json:
        out.data(result)
    else:
        out.say(str(result.get("answer") or ""))
        out.say(ended_line(ended, result))
    return ExitCode.OK if ended.state is State.SUCCEEDED else ExitCode.FAILED


async def _until_it_stands(service: "Orchestrator", out: Output, task: Task) -> Task:
    first = (await service.recent_events(lines=1, key=task.uid))[0]
    async for event in service.follow(first.seq):
        about = await service.task_of(event)
        if about is None or about.lineage != task.uid:
            continue
        if not out.as_json and event.kind is not EventKind.PROGRESS:
            out.say(event_text(event, about))
        if about.uid == task.uid and event.kind in _STANDS:
            now = await service.task(task.uid)
            if now.state is State.NEEDS_INPUT or event.kind is not EventKind.QUESTION_ASKED:
                return now
    raise AssertionError("following never ends")


async def plan(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Show how a task is or will be split; approve or reject a plan that waits for it."""
    async with program.open_service() as service:
        task = await service.task(args.task)
        last = last_stage(await service.attempts(task))
        told: Mapping[str, Json] = plan_in(last) if last else {}
        if args.action == "show":
            return _shown(out, task, told)
        question = await service.question(task)
        if question is None or question.options[:2] != (APPROVE, REJECT):
            raise ConflictError(f"{task.spec.id} has no plan that waits for you: it is {task.state}")
        after = await service.answer(TaskUid(task.uid), args.action, door=DOOR)
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "task": task_json(after), "answer": args.action})
    else:
        out.say(f"The plan of {call_name(task)} is {'approved' if args.action == APPROVE else 'rejected'}.")
    if program.owner() is None:
        out.note(f"No daemon runs: start it with {program.command}")
    return ExitCode.OK


def _shown(out: Output, task: Task, told: Mapping[str, Json]) -> int:
    if not told:
        raise NotFoundError(f"{task.spec.id} has no plan", hint=f"It is {task.state}, of type {task.spec.type}.")
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "task": task_json(task), "plan": dict(told)})
        return ExitCode.OK
    found, _ = read_plan(told.get(PLAN))
    findings = told.get("findings")
    notes = [str(one) for one in findings] if isinstance(findings, list) else []
    if not found.tasks:
        out.say(f"{call_name(task)} is done as one task: {told.get('why')}")
        return ExitCode.OK
    out.say(f"{call_name(task)}: {task.state}{f' ({task.reason})' if task.reason else ''}")
    for line in plan_lines(found, notes):
        out.say(line)
    return ExitCode.OK
