"""The command `notify`: does a notice arrive where it should?"""

import argparse

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.core.errors import ExitCode
from orchestrator.core.events import Json
from orchestrator.core.notice_ports import Told

SCHEMA_VERSION = 1
ACTIONS = ("test",)


async def notify(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Send a test to one place or to all, at once and past the outbox, and say how it went."""
    told = await program.notify_test(args.place)
    if out.as_json:
        rows: list[Json] = [
            {"name": one.sink, "to": one.far, "arrived": not one.trouble, "trouble": one.trouble} for one in told
        ]
        out.data({"schema_version": SCHEMA_VERSION, "places": rows})
    for one in () if out.as_json else told:
        out.say(f"{one.sink}: {f'NOT told - {one.trouble}' if one.trouble else 'told'}")
    if not told and not out.as_json:
        out.say("Nobody is told anything: `notify` in config/orchestrator.yaml is the list (docs/notifications.md).")
    return ExitCode.OK if told and not any(one.trouble for one in told) else ExitCode.FAILED


def _row(one: Told) -> Json:
    return {"name": one.sink, "to": one.far, "arrived": not one.trouble, "trouble": one.trouble}
