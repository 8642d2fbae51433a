"""The command `telegram`: set up a bot, step by step."""

import argparse
import asyncio
import getpass
import sys

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.core.errors import UsageError

ACTIONS = ("setup",)


async def telegram(program: Program, out: Output, _: argparse.Namespace) -> int:
    """Ask for the token, find out who the person is, and write it down."""
    if out.as_json:
        raise UsageError("`telegram setup` asks questions: it has no JSON")
    return await program.telegram_setup(_ask, out.say)


async def _ask(question: str) -> str:
    """Return a line that is typed: without showing it, where there is a terminal."""
    return await asyncio.to_thread(_typed, question)


def _typed(question: str) -> str:
    if sys.stdin.isatty() and "Token" in question:
        return getpass.getpass(question)
    sys.stderr.write(question)
    sys.stderr.flush()
    if not (line := sys.stdin.readline()):
        raise UsageError("nothing was typed", hint="Type `python main.py telegram setup` at a terminal.")
    return line.rstrip("\n")
