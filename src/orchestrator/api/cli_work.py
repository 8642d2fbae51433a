"""Commands about the work that tasks leave: recover, clean work."""

import argparse
import os

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.core.codec import to_json
from orchestrator.core.errors import ExitCode
from orchestrator.core.text import printable

SCHEMA_VERSION = 1


async def recover(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Bring back what an attempt left, as a folder or a branch."""
    folder = os.path.abspath(args.to) if args.to else ""  # noqa: PTH100 - no link is followed in what is not there yet
    async with program.open_service() as service:
        found = await service.recover_work(args.task, args.attempt, folder=folder, branch=args.branch)
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "recovered": to_json(found)})
        return ExitCode.OK
    where = printable(found.folder) if found.folder else f"branch {found.branch} of {printable(found.source)}"
    files = "1 file differs" if found.files == 1 else f"{found.files} files differ"
    out.say(f"attempt {found.attempt} is back as {where}: {files} from where the task began")
    if found.branch:
        out.say(f"look at it: git -C {printable(found.source)} show --stat {found.branch}")
    return ExitCode.OK


async def clean_work(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Remove the work areas of ended tasks, if all that is in them is kept; say what stays, and why."""
    async with program.open_service() as service:
        areas = await service.clean_work(days=args.days, dry_run=args.dry_run)
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "dry_run": args.dry_run, "areas": to_json(areas)})
        return ExitCode.OK
    for area in areas:
        did = ("would remove" if args.dry_run else "removed") if area.removed else "stays"
        out.say(f"{did}: {printable(area.path)} ({_size(area.size_bytes)}){f': {area.why}' if area.why else ''}")
    gone = [area for area in areas if area.removed]
    count = "1 work area" if len(gone) == 1 else f"{len(gone)} work areas"
    out.say(f"{count}, {_size(sum(area.size_bytes for area in gone))}.")
    return ExitCode.OK


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
