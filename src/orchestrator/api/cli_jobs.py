"""Commands about jobs: jobs, job show, job cancel, job retry."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.api.render import Table, call_name, duration, short, task_json
from orchestrator.core.errors import ExitCode, UsageError
from orchestrator.core.events import Json
from orchestrator.core.job_progress import Family, JobLook
from orchestrator.core.lifecycle import ACTIVE, State
from orchestrator.core.plan import EVERYTHING
from orchestrator.core.task import Task

SCHEMA_VERSION = 1
ACTIONS = ("show", "cancel", "retry")
LISTED = 50
WIDTH = 70


async def jobs(program: Program, out: Output, _: argparse.Namespace) -> int:
    """List the newest jobs."""
    async with program.open_service() as service:
        looks = await service.jobs.list(limit=LISTED)
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "sessions": [session_json(look) for look in looks]})
        return ExitCode.OK
    if not looks:
        out.say("No job yet. A file tasks/tasks.json makes one; docs/jobs.md shows how.")
        return ExitCode.OK
    out.table(job_rows(looks, program.now()))
    out.say(f"one of them: {program.command} job show {looks[0].job.short}")
    return ExitCode.OK


async def job(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Show a job, end it, or do again what of it did not succeed."""
    if args.action not in ACTIONS:
        raise UsageError(f"{args.action!r} cannot be done with a job", hint=f"One of {', '.join(ACTIONS)}.")
    made: Sequence[Task] = ()
    async with program.open_service() as service:
        if args.action == "cancel":
            await service.jobs.cancel(args.job)
        elif args.action == "retry":
            made = await service.jobs.retry(args.job)
        look = await service.jobs.look(args.job)
    if out.as_json:
        told = session_json(look)
        told |= {"retried": [task_json(task) for task in made]} if args.action == "retry" else {}
        out.data({"schema_version": SCHEMA_VERSION, **told})
        return ExitCode.OK
    if args.action == "retry":
        out.say(f"{_tasks(len(made))} of {look.job.name} {'is' if len(made) == 1 else 'are'} queued again.")
    for line in job_lines(look, program.command):
        out.say(line)
    if made and program.owner() is None:
        out.note(f"No daemon runs: start it with {program.command}")
    return ExitCode.OK


def job_rows(looks: Sequence[JobLook], now: float) -> Table:
    """Return the table of jobs."""
    rows = [
        (
            look.progress.state.value,
            look.job.short,
            short(look.job.name, 40),
            f"{look.progress.succeeded}/{look.progress.total}",
            str(look.progress.failed),
            str(look.progress.running),
            duration(now - look.job.created_ts) + " ago",
        )
        for look in looks
    ]
    return Table(("STATE", "JOB", "NAME", "DONE", "FAILED", "RUNNING", "CREATED"), tuple(rows))


def job_lines(look: JobLook, command: str) -> Sequence[str]:
    """Return a job for people: how far it is, each task with what it waits for, and what to type now."""
    job, progress = look.job, look.progress
    lines = [f"{job.name} ({job.short}): {progress.state.value}, {progress.succeeded} of {progress.total} succeeded"]
    counts = {"failed": progress.failed, "cancelled": progress.cancelled}
    counts |= {"running": progress.running, "waiting": progress.waiting}
    lines[0] += "".join(f", {number} {what}" for what, number in counts.items() if number)
    for scope, why in look.holds:
        what, name = ("the queue", "") if scope == EVERYTHING else (scope, f" {scope}")
        lines.append(f"{what} is held: {short(why, 200)}; go on: {command} resume{name}")
    if job.request:
        lines.append(f"request: {short(job.request, 200)}")
    lines += ["", Table(("STATE", "TASK", "DEPENDS ON", "WHY"), tuple(_row(task, look) for task in look.tasks)).plain()]
    if progress.failed or progress.cancelled:
        lines.append(f"do again what did not succeed: {command} job retry {job.short}")
    if progress.running or progress.waiting:
        lines.append(f"end it: {command} job cancel {job.short}")
    return lines


def _row(task: Task, look: JobLook) -> tuple[str, ...]:
    name = f"{'  ' * task.depth}{call_name(task)}"
    why = look.waits.get(task.uid, "") or (task.detail or task.reason if task.state is not State.SUCCEEDED else "")
    return task.state.value, name, short(", ".join(task.spec.depends_on), 40), short(why, WIDTH)


def session_json(look: JobLook) -> dict[str, Json]:
    """Return a job as a session: what scripts of a coding team expect, with ours beside it."""
    job, progress = look.job, look.progress
    return {
        "session_id": job.uid,
        "status": progress.state.value,
        "total_tasks": progress.total,
        "completed_tasks": progress.succeeded,
        "failed_tasks": progress.failed,
        "cancelled_tasks": progress.cancelled,
        "in_progress_tasks": progress.running,
        "waiting_tasks": progress.waiting,
        "name": job.name,
        "short": job.short,
        "request": job.request,
        "created": job.created_ts,
        "max_workers": job.max_workers,
        "on_dependency": job.on_dependency,
        "holds": [{"scope": scope, "why": why} for scope, why in look.holds],
        "tasks": [_session_task(task, look) for task in look.tasks],
    }


def _session_task(task: Task, look: JobLook) -> dict[str, Json]:
    return {
        "id": task.spec.id,
        "name": task.spec.title,
        "description": task.spec.context,
        "branch_name": task.spec.branch,
        "dependencies": list(task.spec.depends_on),
        "status": task.state.value,
        "in_progress": task.state in ACTIVE,
        "waits_for": look.waits.get(task.uid, ""),
        "children": list(look.children.get(task.uid, ())),
        "task": task_json(task),
    }


def family_lines(task: Task, family: Family) -> Sequence[str]:
    """Return what a task belongs to, what it depends on and what it split into, a line for each that it has."""
    lines = []
    if family.job is not None:
        lines.append(f"job         {short(family.job.name, 60)} ({family.job.short})")
    if task.spec.depends_on:
        lines.append(f"depends on  {short(', '.join(task.spec.depends_on), 160)}")
    if family.parent is not None:
        lines.append(f"sub-task of {call_name(family.parent)} ({family.parent.uid[-8:]}), depth {task.depth}")
    lines += [f"sub-task    {call_name(one)}: {one.state.value}" for one in family.children]
    return lines


def family_json(family: Family) -> dict[str, Json]:
    """Return the same for programs."""
    return {
        "job_name": "" if family.job is None else family.job.name,
        "children": [{"uid": one.uid, "id": one.spec.id, "state": one.state.value} for one in family.children],
    }


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"
