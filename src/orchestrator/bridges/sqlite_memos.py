"""What doors remember, and requests that are carried out once. Each function runs in a transaction of its caller."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from orchestrator.core.errors import RepeatedError
from orchestrator.core.task import Task

T = TypeVar("T")
_KEEP = "INSERT OR REPLACE INTO memo (key, ts, value) VALUES (?, ?, ?)"


def recall(con: sqlite3.Connection, prefix: str) -> Mapping[str, str]:
    """Return what is kept under keys that begin with *prefix*, by key."""
    rows = con.execute("SELECT key, value FROM memo WHERE key >= ? AND key < ? ORDER BY key", _span(prefix))
    return dict(rows)


def memorize(con: sqlite3.Connection, changes: Mapping[str, str | None], ts: float) -> None:
    """Keep texts; None forgets a key."""
    for key, value in changes.items():
        if value is None:
            con.execute("DELETE FROM memo WHERE key = ?", (key,))
        else:
            con.execute(_KEEP, (key, ts, value))


def forget(con: sqlite3.Connection, prefixes: Sequence[str], before_ts: float) -> int:
    """Forget what was written under *prefixes* before *before_ts*. Returns how many."""
    delete = "DELETE FROM memo WHERE key >= ? AND key < ? AND ts < ?"
    return sum(con.execute(delete, (*_span(prefix), before_ts)).rowcount for prefix in prefixes)


def once(con: sqlite3.Connection, key: str, ts: float, act: Callable[[sqlite3.Connection], T]) -> T:
    """Return what *act* returns, and keep *key* with the uids of the tasks among it. Raises RepeatedError."""
    if con.execute("SELECT 1 FROM memo WHERE key = ?", (key,)).fetchone():
        raise RepeatedError("this was carried out before", hint="Nothing was done again.")
    done = act(con)
    tasks = [one for one in done if isinstance(one, Task)] if isinstance(done, Sequence) else []
    con.execute(_KEEP, (key, ts, " ".join(task.uid for task in tasks)))
    return done


def _span(prefix: str) -> tuple[str, str]:
    """Return the bounds between which all that begins with *prefix* lies, and nothing else."""
    return prefix, f"{prefix}\U0010ffff"
