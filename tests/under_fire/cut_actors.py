"""Who gives the daemon work, and who looks at what it has promised; each a process that is frozen with it.

    python tests/under_fire/cut_actors.py produce ROOT TOLD SEED PREFIX MUTATION
    python tests/under_fire/cut_actors.py put ROOT TOLD MUTATION
    python tests/under_fire/cut_actors.py watch ROOT SEEN

All append JSON lines to a file outside of the file system under test. TOLD gets {"name", "sha256", "durable", "whole"}
before a file is written (both false), and again once it is whole: durable says whether its producer may rely on it.
SEEN gets every row of the task table as it comes or changes: who reads a row has been told that it is committed.
"""

import asyncio
import hashlib
import json
import os
import random
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "src"), str(Path(__file__).resolve().parents[2])]

from tests.harness import task_text, wait_until  # noqa: E402 - after the path is set
from tests.under_fire import mutations  # noqa: E402

from orchestrator.bridges.inbox import TaskFolder  # noqa: E402

COLUMNS = "uid, file_name, sha256, state, attempt"
PAUSE_S = (0.0, 0.03)


def say(path: Path, fact: Mapping[str, object]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, json.dumps(fact).encode() + b"\n")
    os.close(fd)


def whole_and_synced(root: Path, name: str, body: bytes) -> bool:
    """As a careful program does: the file and its name are on the disk when this returns."""
    folder = root / "tasks"
    hidden = folder / f".{name}.new"
    with hidden.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    hidden.rename(folder / name)
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    return True


def put(root: Path, name: str, body: bytes) -> bool:
    """As the product's own command does."""
    asyncio.run(TaskFolder(root, state=root / ".orchestrator").put(name, body))
    return True


def whole(root: Path, name: str, body: bytes) -> bool:
    """All at once, and not synced: only an accepted row is a promise."""
    hidden = root / "tasks" / f".{name}.new"
    hidden.write_bytes(body)
    hidden.rename(root / "tasks" / name)
    return False


def in_pieces(root: Path, name: str, body: bytes) -> bool:
    """Slowly and in place, and not synced."""
    with (root / "tasks" / name).open("wb", buffering=0) as file:
        for start in range(0, len(body), 4096):
            file.write(body[start : start + 4096])
            threading.Event().wait(0.004)
    return False


STYLES: tuple[Callable[[Path, str, bytes], bool], ...] = (whole_and_synced, put, whole, in_pieces)


def produce(root: Path, told: Path, seed: str, prefix: str, mutation: str) -> None:
    """Give work without end, in every style."""
    chance, synced = random.Random(seed), os.fsync
    mutations.apply(mutation)
    careless = os.fsync
    for number in range(1_000_000):
        name = f"{prefix}{number:04}.task.md"
        padding = "".join(chance.choices("abcdefgh \n", k=chance.choice((10, 300, 9_000))))
        body = task_text(f"{prefix}{number:04}", f"Say hello.\n\n{padding}").encode()
        style = STYLES[number % len(STYLES)]
        fact = {"name": name, "sha256": hashlib.sha256(body).hexdigest(), "style": style.__name__}
        say(told, {**fact, "durable": False, "whole": False})
        # Producers are careful whatever the product is; only `put` is the product.
        setattr(os, "fsync", careless if style is put else synced)  # noqa: B010 - mypy allows no assignment
        say(told, {**fact, "durable": style(root, name, body), "whole": True})
        threading.Event().wait(chance.uniform(*PAUSE_S))


def watch(root: Path, seen: Path) -> None:
    """Tell of every row that another process can read."""
    path = root / ".orchestrator" / "orchestrator.db"
    wait_until(path.exists, what="the database")
    known: dict[str, tuple[object, ...]] = {}
    while True:
        try:
            rows = _rows(path)
        except sqlite3.Error:
            rows = []  # not made yet, or locked for the moment
        for row in rows:
            if known.get(row[0]) != row:
                known[row[0]] = row
                say(seen, dict(zip(COLUMNS.split(", "), row, strict=True)))
        threading.Event().wait(0.01)


def _rows(path: Path) -> list[tuple[str, ...]]:
    con = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1.0)
    try:
        return con.execute(f"SELECT {COLUMNS} FROM task ORDER BY ord").fetchall()
    finally:
        con.close()


def put_one(root: Path, told: Path, mutation: str) -> None:
    """Give one file by the product's own command, with no daemon about: nobody else's sync helps it."""
    mutations.apply(mutation)
    name, body = "alone.task.md", task_text("alone", "Say hello.").encode()
    put(root, name, body)
    say(
        told, {"name": name, "sha256": hashlib.sha256(body).hexdigest(), "style": "put", "durable": True, "whole": True}
    )


if __name__ == "__main__":
    what, where, *rest = sys.argv[1:]
    if what == "produce":
        produce(Path(where), Path(rest[0]), *rest[1:])
    elif what == "put":
        put_one(Path(where), Path(rest[0]), rest[1])
    else:
        watch(Path(where), Path(rest[0]))
