"""The event log read back: what a damaged database has lost of its events stands there, too."""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from orchestrator.bridges.files import opened
from orchestrator.core.events import Event, EventKind, TaskUid


def logged_events(path: Path) -> dict[int, Event]:
    """Return the events in the log *path* and its rotated files, by seq. What is no whole line of ours is passed over.

    The epoch does not stand in a line: it is 0. Times are to the millisecond.
    """
    found: dict[int, Event] = {}
    for file in (*sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")), path):
        for line in _lines(file):
            if (event := _event(line)) is not None:
                found[event.seq] = event
    return found


def _lines(path: Path) -> Iterator[bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    with opened(fd), open(fd, "rb", closefd=False) as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield line


def _event(line: bytes) -> Event | None:
    try:
        said = json.loads(line)
        ts = datetime.fromisoformat(said["ts"]).timestamp()
        uid, attempt, data, seq = said.get("uid", ""), said.get("attempt", 0), said["data"], said["seq"]
        kind = EventKind(said["event"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    fits = isinstance(uid, str) and isinstance(attempt, int) and isinstance(data, dict) and isinstance(seq, int)
    return Event(kind, ts, TaskUid(uid), attempt, 0, data, seq) if fits and seq > 0 else None
