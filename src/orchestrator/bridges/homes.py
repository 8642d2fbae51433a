"""Tells a root from its copy: where it lies stands in its database, and a copy gets an identity of its own.

A copy has the tasks of its original, with their uids. So that neither ends the other's agents, every attempt of a copy
carries a mark with a part of its own; so that no task is run by both, the queue of a copy is held until a person says.
"""

import json
import sqlite3
import uuid
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from orchestrator.bridges import sqlite_rows as rows
from orchestrator.bridges import sqlite_write as write
from orchestrator.bridges.sqlite_outbox import drop_all
from orchestrator.core.attempt import Interrupted
from orchestrator.core.codec import to_json
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.home import Arrival, Home, arrival
from orchestrator.core.lifecycle import State
from orchestrator.core.plan import EVERYTHING, ROOT_COPIED
from orchestrator.core.ports import Pause
from orchestrator.core.task import Task

HOME, TAG, ROOT_UUID = "home", "mark_tag", "root_uuid"
_SET = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
_TOLD = {
    Arrival.MOVED: "this root was moved here from {0}",
    Arrival.RESTORED: "the state of this root was put back: it may have been further before, and tasks may run again",
    Arrival.COPIED: "nothing is started until `resume`: this root is a copy, its original may be alive ({0} on {1})",
}


def home_of(database: Path, host: str) -> Home:
    """Return where the root of *database* lies. Raises OSError."""
    state = database.parent.resolve()
    return Home(str(state.parent), state.stat().st_ino, host)


def tag_of(con: sqlite3.Connection) -> str:
    """Return what the marks of this root's attempts carry beside uid and number; "" unless it is a copy."""
    return _meta(con, TAG)


def last_home(con: sqlite3.Connection) -> Home | None:
    """Return where the root was when a daemon last owned it, None when that is not known."""
    try:
        said = json.loads(_meta(con, HOME))
        return Home(str(said["path"]), int(said["inode"]), str(said["host"]))
    except (ValueError, KeyError, TypeError):
        return None


def how_it_came(con: sqlite3.Connection, database: Path, here: Home) -> Arrival:
    """Look, and change nothing."""
    before = last_home(con)
    there = before is not None and before.path != here.path and _is_there(con, database, before)
    return arrival(before, here, original_there=there)


def arrive(con: sqlite3.Connection, database: Path, here: Home, now: float) -> Arrival:
    """Remember that the root is *here*, and do what a root needs that has come from elsewhere. In one transaction."""
    came, before = how_it_came(con, database, here), last_home(con)
    if before != here:
        con.execute(_SET, (HOME, json.dumps(asdict(here))))
    if came is Arrival.SAME or before is None:
        return came
    detail = _TOLD[came].format(before.path, before.host)
    data: dict[str, Json] = {"reason": f"root_{came}", "detail": detail, "from": before.path, "host": before.host}
    write.commit(con, [Event(EventKind.WARNING, now, data=data)])
    if came is Arrival.COPIED:
        _become_another(con, now, detail)
    return came


def _become_another(con: sqlite3.Connection, now: float, detail: str) -> None:
    """What ran, runs there if anywhere: here it is queued again, and nobody looks for its processes."""
    identity = str(uuid.uuid4())
    con.execute(_SET, (ROOT_UUID, identity))
    con.execute(_SET, (TAG, identity[:8]))
    found = con.execute(f"{rows.TASK} WHERE state IN (?, ?)", (State.RUNNING.value, State.CANCELLING.value)).fetchall()
    for task in [rows.task_of(row) for row in found]:
        write.commit(con, [_given_up(task, now)])
    drop_all(con, now, "it is told by the root that this one was copied from")
    data: dict[str, Json] = {"agent": EVERYTHING, "until": 0, "reason": ROOT_COPIED, "detail": detail}
    write.pause(con, Pause(EVERYTHING, 0.0, ROOT_COPIED, detail), Event(EventKind.AGENT_HELD, now, data=data))


def _given_up(task: Task, now: float) -> Event:
    kind = EventKind.CANCELLED if task.state is State.CANCELLING else EventKind.INTERRUPTED
    why = "it runs, if anywhere, in the root that this one was copied from"
    data: dict[str, Json] = {"reason": ROOT_COPIED, "detail": why, "outcome": to_json(Interrupted(why))}
    return Event(kind, now, task.uid, task.attempt, task.epoch, data)


def _is_there(con: sqlite3.Connection, database: Path, before: Home) -> bool:
    """Return whether at the old place lies another root of this origin. One that may not be looked at is there."""
    old = Path(before.path) / database.parent.name / database.name
    try:
        if not old.exists() or old.samefile(database):
            return False
        with closing(sqlite3.connect(f"{old.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as other:
            return _meta(other, ROOT_UUID) == _meta(con, ROOT_UUID)
    except (OSError, sqlite3.Error):
        return True


def _meta(con: sqlite3.Connection, key: str) -> str:
    row = con.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return "" if row is None else str(row[0])
