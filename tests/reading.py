"""How well free words are read, on a labelled set: `python -m tests.reading [--set fresh] [--misses]`.

Measures the deterministic reader; with `--ollama http://127.0.0.1:11434 [--model NAME]` also the model of that server.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.bridges.ollama import OllamaConfig
from orchestrator.bridges.ollama_readers import OllamaReader
from orchestrator.core.task import TaskRules, TaskSpec
from orchestrator.core.taskfile import parse_task_file
from orchestrator.engine.words import read_request
from orchestrator.settings import Layer, load_settings, task_rules, yaml_layer

TOP = Path(__file__).resolve().parent.parent
REQUESTS = TOP / "tests" / "data" / "requests.yaml"
BASE = "/srv/projects"
PARTS = ("tune", "held", "fresh")
FIELDS = ("type", "priority", "path", "title")
TITLE_CHARS = 80
_FILLERS = ("hi", "hey", "hello", "please", "could", "can", "good", "@", "urgent", "asap", "task:", "bitte", "kannst")
Read = Callable[[str], Awaitable[TaskSpec]]


@dataclass(frozen=True, slots=True)
class Request:
    """One text and what is meant by it. *cwd* is below the base folder, "" for none; *title* holds these words."""

    part: str
    text: str
    type: str
    priority: str
    cwd: str
    files: tuple[str, ...]
    title: tuple[str, ...]


def requests(part: str = "") -> Sequence[Request]:
    """Return the set, or a *part* of it."""
    rows: list[Mapping[str, Any]] = yaml.safe_load(REQUESTS.read_text("utf-8"))
    found = [
        Request(
            row["set"],
            row["text"],
            row["type"],
            row["priority"],
            row["cwd"],
            tuple(row["files"]),
            tuple(word.lower() for word in row["title"]),
        )
        for row in rows
    ]
    return [one for one in found if part in ("", one.part)]


def rules() -> TaskRules:
    """Return the rules of a root as it comes, with projects below BASE."""
    defaults = yaml_layer("defaults", (TOP / "src/orchestrator/defaults.yaml").read_bytes())
    paths = Layer("measure", {"paths": {"root": "/srv/orchestrator", "base_cwd": BASE}})
    return task_rules(load_settings([defaults, paths]).settings)


def right(request: Request, spec: TaskSpec) -> Mapping[str, bool]:
    """Return by field whether *spec* says what was meant."""
    title = spec.title.lower()
    good = all(word in title for word in request.title) and len(title) <= TITLE_CHARS
    cwd = f"{BASE}/{request.cwd}" if request.cwd else ""
    return {
        "type": spec.type == request.type,
        "priority": spec.priority.value == request.priority,
        "path": (spec.cwd, set(spec.target_files)) == (cwd, set(request.files)),
        "title": good and not title.split(" ")[0].rstrip(",!:").startswith(_FILLERS),
    }


async def by_words(text: str) -> TaskSpec:
    """Read as the folder does, without a model."""
    return parse_task_file(text.encode(), file_name="request.task.md", rules=rules())


def by_model(host: str, model: str) -> Read:
    """Return a reader that asks *model* ("": the newest) of the Ollama server at *host*; stops where it gives none."""
    config = OllamaConfig(host, model)
    reader = OllamaReader(lambda: config, redact=str, monotonic=time.monotonic)

    async def read(text: str) -> TaskSpec:
        spec = await read_request(text, file_name="request.task.md", rules=rules(), reader=reader)
        for notice in spec.notices:
            if notice.code == "not_read_by_model":
                raise SystemExit(f"{text[:60]!r}: {notice.message}")
        return spec

    return read


async def measured(read: Read, part: str, *, misses: bool = False) -> Mapping[str, tuple[int, int]]:
    """Return by field how many of the set are right, and of how many."""
    counts = dict.fromkeys(FIELDS, 0)
    asked = requests(part)
    for request in asked:
        spec = await read(request.text)
        found = right(request, spec)
        for name in FIELDS:
            counts[name] += found[name]
        wrong = [name for name in FIELDS if not found[name]]
        if wrong and misses:
            got = (spec.type, spec.priority.value, spec.cwd.removeprefix(f"{BASE}/"), spec.target_files, spec.title)
            print(f"{', '.join(wrong)}: {request.text!r} -> {got}")
    return {name: (count, len(asked)) for name, count in counts.items()}


def table(by_reader: Mapping[str, Mapping[str, tuple[int, int]]]) -> str:
    """Return the figures as a table of Markdown."""
    lines = [f"| reader | {' | '.join(FIELDS)} |", f"|---|{'---|' * len(FIELDS)}"]
    for name, counts in by_reader.items():
        cells = " | ".join(f"{100 * count / total:.0f} % ({count} of {total})" for count, total in counts.values())
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


async def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=PARTS, default="")
    parser.add_argument("--misses", action="store_true", help="print what was read wrongly")
    parser.add_argument("--ollama", default="", metavar="HOST", help="measure a model of this server too")
    parser.add_argument("--model", default="", help="that model; the newest on the server")
    options = parser.parse_args(argv)
    parts = [options.set] if options.set else PARTS
    readers: dict[str, Read] = {"words": by_words}
    if options.ollama:
        readers[options.model or "model"] = by_model(options.ollama, options.model)
    rows = {
        f"{name}, {part}": await measured(read, part, misses=options.misses)
        for name, read in readers.items()
        for part in parts
    }
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
