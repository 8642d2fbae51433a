"""Commands about files: check, create-sample, clean, validate-artifacts."""

import argparse
from datetime import UTC, datetime
from pathlib import PurePath

from orchestrator.api import cli_work
from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.api.render import error_json, short, spec_text
from orchestrator.core.codec import to_json
from orchestrator.core.errors import ExitCode, OrchestratorError, TaskFileError, UsageError
from orchestrator.core.events import Json
from orchestrator.core.jobfile import is_job_file
from orchestrator.core.task import TaskSpec
from orchestrator.core.text import slug

SCHEMA_VERSION = 1
DAY_S = 86_400
DAYS = 30

SAMPLE = """---
id: {name}
type: summarize
priority: medium
created: {created}
---

# Say what this folder holds

**Prompt:**
List the files in the working directory and say in three sentences what this project is about.

**Success Criteria:**
- [ ] The answer has three sentences
- [ ] It names at least one file that exists
- [ ] (optional) (human) It is what you wanted to know

**Context:**
This is a sample made by `create-sample`. It only reads. A criterion may name a check that the daemon runs itself,
for example "tests pass:" and then the command in backticks: docs/task-files.md.
"""


async def check(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Read task files without running anything. Fails if one of them would be rejected, or is none."""
    wrong = 0
    rows: list[Json] = []
    for path in args.files:
        try:
            if is_job_file(PurePath(path).name):
                rows.append(_job_row(program, out, path))
                continue
            spec = program.check_file(path)
        except OrchestratorError as error:
            if len(args.files) == 1 and not isinstance(error, TaskFileError):
                raise
            wrong += 1
            rows.append({"file": path, "ok": False, "error": _error_row(error)})
            if not out.as_json:
                out.say(str(error))
            continue
        rows.append({"file": path, "ok": True, "task": to_json(spec)})
        if not out.as_json:
            out.say(f"{path}: ok")
            out.say("\n".join(f"  {line}" for line in spec_text(spec).splitlines()))
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "files": rows})
    elif len(args.files) > 1:
        out.say(f"{len(args.files) - wrong} of {len(args.files)} files are tasks.")
    return ExitCode.FAILED if wrong else ExitCode.OK


def _job_row(program: Program, out: Output, path: str) -> Json:
    """Say what a file of many tasks asks for."""
    plan = program.check_job(path)
    if not out.as_json:
        number = "1 task" if len(plan.tasks) == 1 else f"{len(plan.tasks)} tasks"
        out.say(f"{path}: ok, a job of {number}, called {plan.name}")
        if plan.outside:
            ids = short(", ".join(plan.outside), 120)
            out.say(f"  it will be refused unless these were submitted before: {ids}")
        out.say("\n".join(f"  {one.spec.id}{_waits(one.spec)}: {short(one.spec.title, 80)}" for one in plan.tasks))
    return {"file": path, "ok": True, "job": plan.name, "tasks": [to_json(one.spec) for one in plan.tasks]}


def _waits(spec: TaskSpec) -> str:
    return f" (after {', '.join(spec.depends_on)})" if spec.depends_on else ""


def _error_row(error: OrchestratorError) -> dict[str, Json]:
    if isinstance(error, TaskFileError):
        return error_json(error)
    return {"code": error.code, "message": error.message, "hint": error.hint}


async def create_sample(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Put a sample task into tasks/. Refuses to overwrite."""
    if "/" in args.name or "\\" in args.name:
        hint = "The sample goes into tasks/: give a name without folders."
        raise UsageError(f"{args.name!r} is not a name", hint=hint)
    name = slug(f"{args.name}.task.md")
    created = datetime.fromtimestamp(program.now(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = await program.put_task(f"{name}.task.md", SAMPLE.format(name=name, created=created).encode())
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "path": path})
        return ExitCode.OK
    out.say(f"wrote {path}")
    runs = program.owner() is not None
    out.say(f"the daemon takes it from here: {program.command} status" if runs else f"run it: {program.command}")
    return ExitCode.OK


async def clean(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Archive loose tasks, or remove results and summaries older than some days, or work areas of ended tasks."""
    if args.what == "work":
        return await cli_work.clean_work(program, out, args)
    if args.what == "tasks":
        if args.days is not None:
            raise UsageError("--days belongs to `clean artifacts`", hint="`clean tasks` takes every waiting file.")
        concerned = await program.clean_tasks(args.dry_run)
        done, would = "archived without running", "would archive without running"
    else:
        if args.days == 0:
            raise UsageError("--days 0 would remove what has just ended", hint="Give a number of days from 1 on.")
        concerned = await _clean_artifacts(program, days=args.days or DAYS, dry_run=args.dry_run)
        done, would = "removed", "would remove"
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "dry_run": args.dry_run, "paths": list(concerned)})
        return ExitCode.OK
    for path in concerned:
        out.say(f"{would if args.dry_run else done}: {path}")
    out.say(f"{len(concerned)} {'file' if len(concerned) == 1 else 'files'}.")
    return ExitCode.OK


async def _clean_artifacts(program: Program, *, days: int, dry_run: bool) -> list[str]:
    removed: list[str] = []
    before_ts = program.now() - days * DAY_S
    async with program.open_service() as service:
        async for old in service.ended_before(before_ts):
            if not dry_run:
                await service.cleaned(old)  # first: a crash must not make the daemon write them again
            for task in old:
                removed += await program.remove_artifacts(task, dry_run)
    return removed + list(await program.remove_attempts(before_ts, dry_run))


async def validate_artifacts(program: Program, out: Output, _: argparse.Namespace) -> int:
    """Check every results/*.json against the published schema."""
    from orchestrator.validation.schema import file_problems

    rows: list[Json] = []
    wrong = 0
    for path, data in await program.result_files():
        problems = file_problems(data)
        wrong += bool(problems)
        rows.append({"file": path, "ok": not problems, "problems": list(problems)})
        if not out.as_json:
            for problem in problems:
                out.say(f"{path}: {problem}")
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "files": rows})
    else:
        out.say(f"{len(rows)} result {'file' if len(rows) == 1 else 'files'}, {wrong} not valid.")
        if wrong:
            out.say(f"Delete what is not valid, then start the daemon: it writes results again ({program.command}).")
    return ExitCode.FAILED if wrong else ExitCode.OK
