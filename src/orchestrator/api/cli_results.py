"""Commands by which a person takes or leaves a result: accept, diff, discard, merge, push, pr."""

import argparse
import getpass

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.api.render import call_name
from orchestrator.core.codec import to_json
from orchestrator.core.errors import ExitCode
from orchestrator.core.text import printable

SCHEMA_VERSION = 1


async def accept(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Take a result that is not proven as it is."""
    async with program.open_service() as service:
        task = await service.results.accept(await service.task(args.task), _me())
        result = await service.result(task)
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "accepted": result["accepted"], "work": result["work"]})
        return ExitCode.OK
    work = result["work"]
    branch = work.get("branch") if isinstance(work, dict) and work.get("delivered") else ""
    where = f" It is the branch {branch}." if branch else ""
    out.say(f"{call_name(task)} is accepted as it is: what was not proven stays listed as such.{where}")
    if branch:
        out.say(f"merge it: {program.command} merge {task.uid[-8:]}")
    return ExitCode.OK


async def diff(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Show what a task changed: the patch, or only how much."""
    async with program.open_service() as service:
        text = await service.results.patch(await service.task(args.task), stat=args.stat)
    if out.as_json:
        shown = text.decode("utf-8", "backslashreplace")
        out.data({"schema_version": SCHEMA_VERSION, "stat" if args.stat else "patch": shown})
        return ExitCode.OK
    out.exactly(text)
    return ExitCode.OK


async def discard(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Delete the branch that was brought."""
    async with program.open_service() as service:
        gone = await service.results.discard(await service.task(args.task), by=_me())
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "discarded": to_json(gone)})
        return ExitCode.OK
    if not gone.branch:
        stays = f" What it did stays as {gone.ref}." if gone.ref else ""
        out.say(f"There is no branch to delete; reports name it as discarded from now on.{stays}")
        return ExitCode.OK
    source = printable(gone.source)
    out.say(f"The branch {gone.branch} is deleted. Its commit stays as {gone.ref}.")
    if gone.within:
        others = ", ".join(printable(name) for name in gone.within)
        out.say(f"It is a part of what was built on it: {others}. That cannot be merged before this is back.")
    out.say(f"get it back: git -C {source} branch {gone.branch} {gone.commit}")
    return ExitCode.OK


async def merge(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Bring a result into the branch that is checked out."""
    async with program.open_service() as service:
        done = await service.results.merge(await service.task(args.task), unproven=args.unproven, by=_me())
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "merged": to_json(done)})
        return ExitCode.OK
    how = done.merging
    if how.is_there:
        out.say(f"{how.branch} of {printable(how.source)} has it already: nothing was changed.")
        return ExitCode.OK
    files = "1 file" if done.files == 1 else f"{done.files} files"
    moved = " on top of what was new there" if how.rebased else ""
    out.say(f"{how.branch} of {printable(how.source)} is at {how.commit[:10]} now: {files} changed{moved}.")
    if how.first:
        out.say(f"With it came what it was built on: {', '.join(printable(one.name) for one in how.first)}.")
    if done.proofs:
        out.say(
            f"It was proven again there: {len(done.proofs)} {'criterion' if len(done.proofs) == 1 else 'criteria'}."
        )
    out.say(f"undo it: git -C {printable(how.source)} reset --keep {how.head[:10]}")
    return ExitCode.OK


async def push(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Push the branch of a result."""
    async with program.open_service() as service:
        done = await service.results.push(await service.task(args.task), args.remote, by=_me())
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "pushed": to_json(done)})
        return ExitCode.OK
    out.say(f"The branch {done.branch} is at {done.remote}.")
    return ExitCode.OK


async def pr(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Push the branch of a result and open a pull request for it."""
    async with program.open_service() as service:
        done = await service.results.open_request(await service.task(args.task), args.remote, by=_me())
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "request": to_json(done)})
        return ExitCode.OK
    out.say(f"A pull request for {done.branch} is open: {done.said}")
    return ExitCode.OK


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
