"""What is dropped while the kills go on: task files of every kind of agent, by every style of producer."""

import hashlib
import json
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Steps = list[dict[str, Any]]

_ORPHAN: Steps = [{"init": 0}, {"orphan": {"ignore": True}}, {"hang": 0.15}, {"say": "Done."}, {"result": "Done."}]
KINDS: Mapping[str, tuple[int, str, Steps, str]] = {
    # name: (how often, how it ends when nobody disturbs it, what the agent does, what the file asks for)
    "quick": (4, "succeeded", [{"init": 0}, {"result": "Done."}], ""),
    "work": (6, "succeeded", [{"init": 0}, {"say": "On it."}, {"hang": 0.4}, {"say": "So."}, {"result": "Done."}], ""),
    "orphan": (4, "succeeded", _ORPHAN, ""),
    "child": (2, "succeeded", [{"init": 0}, {"child": 0}, {"hang": 0.2}, {"result": "Done."}], ""),
    "stubborn": (
        3,
        "succeeded",
        [{"ignore": ["TERM", "INT"]}, {"init": 0}, {"orphan": {"ignore": True}}, {"hang": 0.6}, {"result": "Done."}],
        "",
    ),
    "transient": (
        3,
        "succeeded",
        [{"init": 0}, {"first_time": [{"error": "the network is away"}]}, {"result": "Done."}],
        "",
    ),
    "asks": (
        1,
        "failed",
        [{"init": 0}, {"result": "Which of the two do you mean?"}],
        "if_unanswered: skip\nanswer_within: 1s\n",
    ),
    "decides": (
        1,
        "succeeded",
        [{"init": 0}, {"first_time": [{"result": "Which of the two do you mean?"}, {"exit": 0}]}, {"result": "Done."}],
        "if_unanswered: 'default: the second one'\nanswer_within: 1s\n",
    ),
    "empty": (1, "failed", [{"init": 0}, {"result": ""}], ""),
    "crash": (1, "failed", [{"init": 0}, {"orphan": {"ignore": True}}, {"signal": "SEGV"}], "retries: 1\n"),
    "hang": (1, "failed", [{"init": 0}, {"orphan": {"ignore": True}}, {"hang": 0}], "timeout_sec: 1\nretries: 0\n"),
    "endless": (0, "cancelled", [{"init": 0}, {"orphan": {"ignore": True}}, {"hang": 0}], "timeout_sec: 60\n"),
    "cloned": (
        0,
        "succeeded",
        [{"init": 0}, {"write": {"path": "made", "text": "m"}}, {"result": "Done."}],
        "cwd: project\n",
    ),
    "bad": (1, "rejected", [], ""),
}


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file that its producer has finished: from now on it must never be lost. *ends*: how its task is to end."""

    name: str
    kind: str
    sha256: str
    ends: str


def task_file(name: str, kind: str, padding: int) -> bytes:
    """Return a task file of *kind* that no other file equals; *padding* is a number of bytes of prompt."""
    _, _, steps, more = KINDS[kind]
    if kind == "bad":
        return f"---\nid: {name}\npriority: perhaps\n---\n\n# {name}\n\n**Prompt:**\nnothing\n".encode()
    script = f"<<<SCRIPT {json.dumps({'steps': steps})} SCRIPT>>>"
    pad = "".join(f"{number:07}\n" for number in range(padding // 8))
    head = f"---\nid: {name}\ntype: analyze\npriority: medium\ncreated: 2026-01-01T00:00:00Z\n{more}---\n\n"
    tail = "\n**Success Criteria:**\n- [ ] it is made: `test -e made`\n" if kind == "cloned" else ""
    return f"{head}# Task {name}\n\n**Prompt:**\nDo {name}. {script}\n{pad}{tail}".encode()


def by_rename(folder: Path, name: str, content: bytes) -> None:
    """As careful programs do: whole or not at all."""
    hidden = folder / f".{name}.part"
    hidden.write_bytes(content)
    hidden.rename(folder / f"{name}.task.md")


def at_once(folder: Path, name: str, content: bytes) -> None:
    """One write into the file itself."""
    (folder / f"{name}.task.md").write_bytes(content)


def slowly(folder: Path, name: str, content: bytes) -> None:
    """Piece by piece into the file itself, two kilobytes every four milliseconds, as a copy from a slow disk."""
    pause = threading.Event()
    with (folder / f"{name}.task.md").open("wb", buffering=0) as stream:
        for start in range(0, len(content), 2048):
            stream.write(content[start : start + 2048])
            pause.wait(0.004)


STYLES: tuple[Callable[[Path, str, bytes], None], ...] = (by_rename, at_once, slowly)


def drop(root: Path, name: str, kind: str, chance: random.Random) -> Dropped:
    """Produce one file in a style drawn by *chance*. When this returns its producer has finished it."""
    style = chance.choice(STYLES)
    content = task_file(name, kind, padding=chance.choice((0, 0, 4000, 40_000)) if style is slowly else 0)
    style(root / "tasks", name, content)
    return Dropped(name, kind, hashlib.sha256(content).hexdigest(), KINDS[kind][1])


def any_kind(chance: random.Random) -> str:
    return chance.choices(list(KINDS), [weight for weight, *_ in KINDS.values()])[0]
