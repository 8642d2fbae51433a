"""The composition root: the only reader of environment and command line. Parses, runs one command, explains errors.

What a command needs is imported when it is needed: `help` and a mistyped command load neither settings nor store.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.api.cli import parse
from orchestrator.api.output import Output
from orchestrator.core.errors import ExitCode, OrchestratorError, UsageError
from orchestrator.core.redact import Redactor
from orchestrator.core.report import COMMAND

# What looks at a root, or ends a task that costs money, works whatever is wrong with the settings.
NEED_ONLY_THE_ROOT = frozenset(
    {"status", "show", "cancel", "pause", "resume", "hold", "tail-events", "validate-artifacts", "doctor"}
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code; an expected error is one clear message, never a stack trace."""
    words = list(sys.argv[1:] if argv is None else argv)
    environ = dict(os.environ)  # noqa: TID251 - this is the one reader
    try:
        args = parse(words)
    except UsageError as error:
        return _explained(Output(as_json="--json" in words, colour=False), error)
    colour = not (args.no_color or environ.get("NO_COLOR") or environ.get("TERM") == "dumb")
    return _run(args, Output(as_json=args.json, colour=colour), environ)


def _run(args: argparse.Namespace, out: Output, environ: Mapping[str, str]) -> int:
    root, command, redact = Path(args.root or environ.get("ORCHESTRATOR_ROOT", "")), COMMAND, Redactor(()).text
    try:
        if args.command == "help":
            out.say(args.text)
            return int(ExitCode.OK)
        here, root = Path.cwd(), root.absolute()
        command = COMMAND if root == here else f"{COMMAND} --root {shlex.quote(str(root))}"
        # Only now: what follows loads ten times as much as a look at the help needs.
        import asyncio

        from orchestrator.assembly import assembled
        from orchestrator.configuration import Configuration

        if environ.get("ORCHESTRATOR_FAILPOINT"):  # for tests of ourselves: docs/reliability.md
            from orchestrator.kit.failpoints import install

            out.note(f"warning: {install(environ)}")
            environ = {name: value for name, value in environ.items() if name != "ORCHESTRATOR_FAILPOINT"}
        configuration = Configuration(root, environ, command=command, forgiving=args.command in NEED_ONLY_THE_ROOT)
        redact = configuration.redactor.text
        if configuration.broken is not None and args.command != "doctor":
            out.note(f"warning: {configuration.broken}\nwarning: `{args.command}` goes on with the defaults")
        for warning in configuration.loaded.warnings:
            out.note(f"warning: {warning}")
        return int(asyncio.run(args.run(assembled(configuration, out), out, args)))
    except OrchestratorError as error:
        return _explained(out, error, command)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        out.nobody_reads()
        return int(ExitCode.OK)
    except OSError as error:
        out.note(_refused(error, command))
        return int(ExitCode.IO_ERROR)
    except Exception as error:  # noqa: BLE001 - a bug of ours is no stack trace on anybody's screen
        out.note(_kept_for_us(error, root, redact))
        return int(ExitCode.BUG)


def _explained(out: Output, error: OrchestratorError, command: str = COMMAND) -> int:
    """Say what is wrong, with commands that reach this root. Returns the exit code."""
    error.hint = error.hint.replace(COMMAND, command)
    if out.as_json:
        out.data({"schema_version": 1, "error": {"code": error.code, "message": error.message, "hint": error.hint}})
    out.note(str(error))
    return int(error.exit_code)


def _refused(error: OSError, command: str) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"error[disk]: {where}{error.strerror or error}\n  `{command} doctor` looks at every folder."


def _kept_for_us(error: Exception, root: Path, redact: Callable[[str], str]) -> str:
    """Write down a bug of ours where a person can send it from. Returns what to say about it."""
    about = f"error[bug]: this is our fault, not yours: {type(error).__name__}"
    import traceback

    place = root / ".orchestrator" / "bug.txt"
    try:
        place.parent.mkdir(exist_ok=True)
        trace = "".join(traceback.format_exception(error))
        place.touch(mode=0o600)
        place.write_text(redact(trace), "utf-8")
    except OSError:
        return about
    return f"{about}\n  Please send us {place}"
