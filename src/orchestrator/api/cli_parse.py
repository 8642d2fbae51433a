"""The command `parse`: what a text of requirements asks for, without running or storing anything."""

import argparse
import shlex
from collections.abc import Mapping, Sequence

from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.core.errors import ExitCode, UsageError
from orchestrator.core.events import Json
from orchestrator.core.requirement_files import task_files
from orchestrator.core.requirements import Item, Requirements, in_order
from orchestrator.core.text import printable

SCHEMA_VERSION = 1


async def parse(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Say what *text* asks for; with --as-tasks also write it as task files. Fails where there is nothing to do."""
    text = " ".join(args.text)
    if not text.strip():
        raise UsageError("there is no text", hint='`python main.py parse "Add a login page, then document it"`')
    context = await program.context(args.context)
    read = await program.parse(text, context, not args.rules)
    written = await _written(program, read, text, context, args.as_tasks) if args.as_tasks else ()
    if out.as_json:
        out.data({**requirements_json(read), **({"files": list(written)} if args.as_tasks else {})})
    else:
        out.say("\n".join(requirements_lines(read)))
        if written:
            look = f"look at them: {program.command} check {shlex.join(written)}"
            out.say("\n".join(["", *(f"wrote {path}" for path in written), look]))
    return ExitCode.OK if read.items else ExitCode.FAILED


async def _written(program: Program, read: Requirements, text: str, context: str, folder: str) -> Sequence[str]:
    try:
        files = task_files(read, text, context)
    except ValueError as error:
        hint = "Write the task files yourself: docs/task-files.md"
        raise UsageError(f"an item cannot be written as a task file: {error}", hint=hint) from None
    return await program.put_files(folder, [(name, body.encode()) for name, body in files])


def requirements_json(read: Requirements) -> dict[str, Json]:
    """Return *read* as requirements.schema.json has it."""
    needs = in_order(read.items, read.dependencies)
    risks: list[Json] = [{"kind": one.kind, "words": one.words, "items": list(one.items)} for one in read.risks]
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "requirements",
        "actionableItems": [_item_json(one, needs[one.number]) for one in read.items],
        "dependencies": [{"item": one.item, "dependsOn": one.on, "words": one.words} for one in read.dependencies],
        "metadata": {
            "complexity": read.complexity,
            "complexityReason": read.why,
            "technologies": list(read.technologies),
            "risks": risks,
        },
        "questions": list(read.questions),
        "readBy": read.read_by,
        "notAsked": read.not_asked or None,
    }


def _item_json(one: Item, needs: Sequence[int]) -> Mapping[str, Json]:
    return {
        "id": one.number,
        "title": one.title,
        "description": one.text,
        "type": one.type,
        "complexity": one.complexity,
        "complexityReason": one.why,
        "technologies": list(one.technologies),
        "targetFiles": list(one.target_files),
        "dependsOn": list(needs),
    }


def requirements_lines(read: Requirements) -> list[str]:
    """Return *read* for a terminal."""
    count = len(read.items)
    lines = [f"{count} {'item' if count == 1 else 'items'}, complexity {read.complexity} ({printable(read.why)})"]
    for one in read.items:
        lines.append(f"\n{one.number}. {printable(one.title)}")
        lines.append(f"   {one.type}, {one.complexity}: {printable(one.why)}")
        for label, words in (("uses", one.technologies), ("files", one.target_files)):
            lines += [f"   {label}: {printable(', '.join(words))}"] if words else []
        lines += [
            f"   after {link.on}: {printable(link.words)}" for link in read.dependencies if link.item == one.number
        ]
    lines.append("")
    lines += [f"technologies: {printable(', '.join(read.technologies))}"] if read.technologies else []
    for risk in read.risks:
        whose = f" (item {', '.join(map(str, risk.items))})" if risk.items else ""
        lines.append(f"risk: {risk.kind}, by '{printable(risk.words)}'{whose}")
    lines += [f"question: {printable(one)}" for one in read.questions]
    asked = f"; no model: {printable(read.not_asked)}" if read.not_asked else ""
    return [*lines, f"read by {read.read_by}{asked}"]
