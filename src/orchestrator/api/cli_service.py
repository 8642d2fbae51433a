"""The command `service`: the daemon of a root, kept running by the system."""

import argparse

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.core.errors import ExitCode
from orchestrator.core.service import ServiceState

SCHEMA_VERSION = 1
ACTIONS = ("install", "uninstall", "status")
RUNS = ("active", "activating", "reloading")


async def service(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Install the service, remove it, or say how it stands."""
    found = await program.service(args.action, args.dry_run)
    if out.as_json:
        _say_json(out, found)
    elif args.dry_run and args.action != "status":
        _say_plan(out, found, installs=args.action == "install")
    else:
        _say(out, found, args.action)
    if args.action != "status":
        return ExitCode.OK
    if not found.installed:
        return ExitCode.NOT_FOUND
    return ExitCode.OK if found.state in RUNS else ExitCode.NOT_RUNNING


def _say(out: Output, found: ServiceState, action: str) -> None:
    if action == "uninstall":
        out.say(f"{found.name} is {'removed' if found.commands else 'not installed: nothing to do'}.")
        return
    if not found.installed:
        out.say(f"{found.name} is not installed.")
        return
    runs = f"{found.state or 'unknown'}{f', pid {found.pid}' if found.pid else ''}"
    starts = "starts with your login" if found.enabled else "does not start by itself"
    out.say(f"{found.name} ({found.manager}): {runs}, {starts}")
    out.say(f"written to {found.file}")
    if not found.current:
        out.say("The file is not what would be written now; `service install` writes it again.")
    for note in found.notes:
        out.say(note)


def _say_plan(out: Output, found: ServiceState, *, installs: bool) -> None:
    if installs:
        out.say(f"would write {found.file}:\n")
        out.say(found.text)
    for number, command in enumerate(found.commands):
        out.say(f"would run: {command}")
        if number == 0 and not installs:
            out.say(f"would remove {found.file}")
    if not found.commands:
        out.say(f"{found.name} is not installed: nothing to do.")
    for note in found.notes if installs else ():
        out.say(note)


def _say_json(out: Output, found: ServiceState) -> None:
    out.data(
        {
            "schema_version": SCHEMA_VERSION,
            "name": found.name,
            "manager": found.manager,
            "file": found.file,
            "installed": found.installed,
            "current": found.current,
            "enabled": found.enabled,
            "state": found.state,
            "pid": found.pid,
            "text": found.text,
            "commands": list(found.commands),
            "notes": list(found.notes),
        }
    )
