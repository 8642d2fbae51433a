"""The command `report`: what became of a batch, or of everything since a time."""

import argparse
import re
from datetime import UTC, datetime, timedelta

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.core.errors import ExitCode, UsageError
from orchestrator.core.report_batch import batch_text

FORMS = "2026-11-21, 2026-11-21T22:00 (local time, or with Z or an offset), or how long ago: 30m, 12h, 3d"
_AGO = re.compile(r"([0-9]{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


async def report(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Tell what ended and how things stand, as Markdown or JSON (batch.schema.json)."""
    since = moment_of(args.since, program.now()) if args.since else None
    async with program.open_service() as service:
        told = await service.report(since=since)
    if out.as_json:
        out.data(told)
    else:
        out.say(batch_text(told, program.command).rstrip())
    return ExitCode.OK


def moment_of(words: str, now: float) -> float:
    """Return the time that *words* name, in seconds since the epoch. Raises UsageError for what is none."""
    if ago := _AGO.fullmatch(words.strip()):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}).total_seconds()
    try:
        named = datetime.fromisoformat(words.strip())
        found = (named if named.tzinfo else named.astimezone()).astimezone(UTC)
        return found.timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"--since {words!r} is no time", hint=f"Write it as {FORMS}.") from None
