"""What changes the database. Each function runs inside one `BEGIN IMMEDIATE` transaction and never commits itself."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

from orchestrator.bridges import sqlite_jobs
from orchestrator.bridges import sqlite_rows as rows
from orchestrator.core import codec
from orchestrator.core.budget import cap_in, cost_of, opinion_usd, with_cost
from orchestrator.core.dependencies import Need
from orchestrator.core.errors import ConflictError, IllegalEventError, NotFoundError
from orchestrator.core.events import Event, EventKind, TaskUid, end_told_by, in_turn
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import ACTIVE, EDITABLE, State
from orchestrator.core.ports import NewTask, Pause, outlasts
from orchestrator.core.task import IN_VERDICT, Task, advance

_COLUMNS = (*rows.FIXED, *rows.ASKED, *rows.LIVING)
_INSERT_TASK = f"INSERT INTO task (ord, line, {', '.join(_COLUMNS)}) VALUES (?, ?{', ?' * len(_COLUMNS)})"  # noqa: S608 - our own column names
_INSERT_CONTENT = "INSERT INTO content (ord, spec, body) VALUES (?, ?, ?)"
_INSERT_EVENT = "INSERT INTO event (seq, ts, kind, uid, attempt, epoch, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
_UPDATE_LIVING = f"UPDATE task SET {', '.join(f'{name} = ?' for name in rows.LIVING)} WHERE uid = ?"  # noqa: S608 - our own column names
_UPDATE_ASKED = f"UPDATE task SET {', '.join(f'{name} = ?' for name in rows.ASKED)} WHERE ord = ?"  # noqa: S608 - our own column names
_SAME_ID = f"SELECT uid FROM task WHERE id_key = ? AND {rows.ACTIVE}"  # noqa: S608 - our own condition
_CLOSES = frozenset({EventKind.FINISHED, EventKind.LIMITED, EventKind.INTERRUPTED, EventKind.CANCELLED})


def accept(con: sqlite3.Connection, new: Sequence[NewTask], jobs: Sequence[Job] = ()) -> Sequence[Task]:
    """Store new tasks; see the port. Raises ConflictError for a uid that is already stored."""
    (last,) = con.execute("SELECT coalesce(max(ord), 0) FROM task").fetchone()
    sqlite_jobs.put_jobs(con, jobs, last + 1)
    seq, ts = _last(con)
    stored: list[Task] = []
    events: list[Sequence[rows.Value]] = []
    names: set[str] = set()  # given in this transaction, as the index compares them
    for order, item in enumerate(new, start=last + 1):
        placed = _in_turn(item.events, ts)
        task = begun(replace(item, events=placed))
        if con.execute("SELECT 1 FROM task WHERE uid = ?", (task.uid,)).fetchone():
            raise ConflictError(f"task {task.uid} is already stored", hint="It was accepted before: nothing to do.")
        task = replace(task, name=_free_name(con, task, names), order=order)
        names.add(rows.name_key(task.name))
        for event in placed:
            seq, ts = seq + 1, event.ts
            events.append(rows.event_values(seq, event))
        stored.append(task)
    con.executemany(_INSERT_TASK, [_task_values(con, task) for task in stored])
    bodies = (item.body for item in new)
    con.executemany(_INSERT_CONTENT, ((t.order, codec.text(t.spec), b) for t, b in zip(stored, bodies, strict=True)))
    con.executemany(_INSERT_EVENT, events)
    _place(con, stored, new)
    return stored


def _place(con: sqlite3.Connection, stored: Sequence[Task], new: Sequence[NewTask]) -> None:
    """First who is waited for: a need looks for the newest task of an id, those of its own batch among them."""
    if con.execute("SELECT 1 FROM need WHERE met = 0 LIMIT 1").fetchone():
        for task in stored:
            sqlite_jobs.take_place(con, task)
    for task, item in zip(stored, new, strict=True):
        if item.needs:
            sqlite_jobs.put_needs(con, task, item.needs)


def split(con: sqlite3.Connection, events: Sequence[Event], children: Sequence[NewTask]) -> Sequence[Task]:
    """Let a task wait for its new sub-tasks; see the port."""
    (parent,) = commit(con, events)
    stored = accept(con, children)
    sqlite_jobs.need_children(con, parent, stored)
    return [parent, *stored]


def fire(con: sqlite3.Connection, event: Event, runs: Sequence[NewTask]) -> Sequence[Task]:
    """Store the runs of a template together with the event that tells of them; see the port."""
    return [*commit(con, [event]), *accept(con, runs)]


def _task_values(con: sqlite3.Connection, task: Task) -> Sequence[rows.Value]:
    line = sqlite_jobs.line_of(con, task)
    return (task.order, line, *rows.fixed_values(task), *rows.asked_values(task), *rows.living_values(task))


def begun(item: NewTask) -> Task:
    """Return the task as its first events leave it. `task_received` is its birth and legal in every first state."""
    task = item.task
    for event in item.events:
        if event.uid != task.uid:
            raise ValueError(f"{event.kind} speaks of {event.uid!r}, not of the new task {task.uid!r}")
        if event.kind is not EventKind.RECEIVED:
            task = advance(task, event)
    return task


def _free_name(con: sqlite3.Connection, task: Task, given: Collection[str]) -> str:
    if task.state is State.REJECTED:
        return ""  # never to be run: it has no result file and takes no name from others
    for name in _names(task):
        key = rows.name_key(name)
        taken = con.execute("SELECT 1 FROM task WHERE name_key = ? AND name_key <> ''", (rows.plain(key),))
        if key not in given and taken.fetchone() is None:
            return name
    raise AssertionError("the names never end")


def _names(task: Task) -> Iterator[str]:
    yield task.name
    longer = f"{task.name}.{task.uid[-8:]}"
    yield longer
    yield from (f"{longer}.{n}" for n in count(2))


def revise(
    con: sqlite3.Connection,
    task: Task,
    body: bytes,
    event: Event,
    then: Sequence[Event] = (),
    needs: Sequence[Need] = (),
) -> Task:
    """Replace what was asked; see the port. Raises NotFoundError for a task that is not there."""
    before = _known(con, task.uid)
    if before.state not in EDITABLE:
        raise IllegalEventError(before.state, event.kind, why="it is queued no more")
    seq, ts = _last(con)
    event = in_turn(event, ts)
    after = advance(before, event)
    after = replace(after, spec=task.spec, sha256=task.sha256, stamp=task.stamp)
    after = replace(after, not_before=task.not_before, deadline_ts=task.deadline_ts, path=task.path, job=task.job)
    sqlite_jobs.put_job(con, after)
    con.execute(_UPDATE_LIVING, (*rows.living_values(after), after.uid))
    con.execute(_UPDATE_ASKED, (*rows.asked_values(after), after.order))
    con.execute("UPDATE content SET spec = ?, body = ? WHERE ord = ?", (codec.text(after.spec), body, after.order))
    con.execute(_INSERT_EVENT, rows.event_values(seq + 1, event))
    sqlite_jobs.put_needs(con, after, needs)
    after = commit(con, then)[0] if then else after
    sqlite_jobs.refuse_open(con, after, event)
    sqlite_jobs.take_place(con, after)  # its id may be another one now, or it a template no more
    return after


def commit(con: sqlite3.Connection, events: Sequence[Event]) -> Sequence[Task]:
    """Apply and append *events*; see the port. Raises NotFoundError for a task that is not there."""
    tasks: dict[TaskUid, Task] = {}
    last, ts = _last(con)
    for seq, event in enumerate(_in_turn(events, ts), start=last + 1):
        if event.uid:
            before = tasks.get(event.uid) or _known(con, event.uid)
            tasks[event.uid] = _apply(con, before, event)
        con.execute(_INSERT_EVENT, rows.event_values(seq, event))
    for event in events:
        if event.kind is EventKind.RELEASED and event.uid:
            sqlite_jobs.refuse_open(con, tasks[event.uid], event)
    return list(tasks.values())


def _apply(con: sqlite3.Connection, before: Task, event: Event) -> Task:
    after = advance(before, event)
    if after.state in ACTIVE and before.state not in ACTIVE:
        _refuse_second(con, before, event)
    if after != before:
        con.execute(_UPDATE_LIVING, (*rows.living_values(after), after.uid))
    if event.kind in (EventKind.UNBLOCKED, EventKind.JOINED):
        sqlite_jobs.met(con, before, event)
    elif event.kind is EventKind.STARTED:
        sqlite_jobs.refuse_early(con, before, event)
        _open_attempt(con, after, event)
    elif event.kind in (EventKind.VALIDATED, EventKind.ACCEPTED):
        verdict = (codec.text(event.data), after.uid, after.attempt)  # whole: the event may be cut
        con.execute("UPDATE attempt SET verdict = ? WHERE uid = ? AND number = ?", verdict)
        if event.kind is EventKind.VALIDATED and (usd := opinion_usd(event.data)):
            _charge(con, after, usd)
    elif event.kind in _CLOSES:
        _close_attempt(con, before, event)
    elif event.kind in IN_VERDICT:
        _tell_verdict(con, after, event)
    return after


def _tell_verdict(con: sqlite3.Connection, task: Task, event: Event) -> None:
    """Keep a question, and later its answer, with the attempt that asked: whole, where the event may be cut."""
    where = (task.uid, task.attempt)
    (told,) = con.execute("SELECT verdict FROM attempt WHERE uid = ? AND number = ?", where).fetchone()
    verdict = {**json.loads(told), IN_VERDICT[event.kind]: {**event.data, "ts": event.ts}}
    con.execute("UPDATE attempt SET verdict = ? WHERE uid = ? AND number = ?", (codec.text(verdict), *where))


def _refuse_second(con: sqlite3.Connection, task: Task, event: Event) -> None:
    other = con.execute(_SAME_ID, (rows.plain(task.id_key),)).fetchone()
    if other is not None:
        raise IllegalEventError(task.state, event.kind, why=f"task {other[0]} of the same id is active")


def _open_attempt(con: sqlite3.Connection, task: Task, event: Event) -> None:
    agent = _text(event.data, "agent") or task.agent
    con.execute(
        "INSERT INTO attempt (uid, number, epoch, agent, session_id, started_ts, ended_ts, outcome, verdict, cap_usd)"
        " VALUES (?, ?, ?, ?, ?, ?, 0, '{}', '{}', ?)",
        (
            *(task.uid, task.attempt, task.epoch, rows.plain(agent), rows.plain(task.session_id), event.ts),
            cap_in(event.data),
        ),
    )


def _close_attempt(con: sqlite3.Connection, task: Task, event: Event) -> None:
    """The first end counts; a later event may still bring the outcome or the session."""
    outcome = event.data.get("outcome")
    told = codec.text(outcome) if isinstance(outcome, Mapping) else None
    session = rows.plain(_text(event.data, "session_id"))
    con.execute(
        "UPDATE attempt SET ended_ts = CASE ended_ts WHEN 0 THEN ? ELSE ended_ts END,"
        " outcome = coalesce(?, outcome), session_id = coalesce(nullif(?, ''), session_id),"
        " day_usd = coalesce(?, CASE WHEN ? THEN NULL ELSE day_usd END, nullif(cap_usd, 0))"
        " WHERE uid = ? AND number = ?",
        (end_told_by(event), told, session, cost_of(outcome), told is not None, task.uid, task.attempt),
    )


def _charge(con: sqlite3.Connection, task: Task, usd: float) -> None:
    """What was asked about an attempt is a part of what it has cost."""
    (told,) = con.execute(
        "SELECT outcome FROM attempt WHERE uid = ? AND number = ?", (task.uid, task.attempt)
    ).fetchone()
    con.execute(
        "UPDATE attempt SET outcome = ?, day_usd = day_usd + ? WHERE uid = ? AND number = ?",
        (codec.text(with_cost(json.loads(told), usd)), usd, task.uid, task.attempt),
    )


def pause(con: sqlite3.Connection, hold: Pause, event: Event) -> None:
    """Hold an agent; a hold of the same scope is replaced by one that lasts longer, never by a shorter one."""
    known = con.execute("SELECT until FROM pause WHERE scope = ?", (rows.plain(hold.scope),)).fetchone()
    if known is not None and outlasts(known[0], hold.until):
        return
    con.execute(
        "INSERT OR REPLACE INTO pause (scope, until, reason, detail, account) VALUES (?, ?, ?, ?, ?)",
        (rows.plain(hold.scope), hold.until, *map(rows.plain, (hold.reason, hold.detail, hold.account))),
    )
    commit(con, [event])


def replan(con: sqlite3.Connection, holds: Sequence[Pause], events: Sequence[Event]) -> None:
    """Give holds that are there another time; one that was released meanwhile stays released."""
    for hold in holds:
        con.execute("UPDATE pause SET until = ? WHERE scope = ?", (hold.until, rows.plain(hold.scope)))
    commit(con, events)


def forgive(con: sqlite3.Connection, scope: str, event: Event) -> None:
    """Let a day begin anew in the middle; see the port."""
    con.execute("UPDATE attempt SET day_usd = 0 WHERE ended_ts > 0 AND day_usd IS NOT 0")
    release(con, scope, event)


def release(con: sqlite3.Connection, scope: str, event: Event) -> None:
    """Let an agent go on."""
    con.execute("DELETE FROM pause WHERE scope = ?", (rows.plain(scope),))
    commit(con, [event])


def _known(con: sqlite3.Connection, uid: TaskUid) -> Task:
    row = con.execute(f"{rows.TASK} WHERE uid = ?", (uid,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no task {uid}", hint="`python main.py status` lists the tasks.")
    return rows.task_of(row)


def _last(con: sqlite3.Connection) -> tuple[int, float]:
    """Return seq and ts of the last event, zeros when there is none."""
    seq, ts = con.execute("SELECT seq, ts FROM event ORDER BY seq DESC LIMIT 1").fetchone() or (0, 0.0)
    return int(seq), float(ts)


def _in_turn(events: Sequence[Event], ts: float) -> Sequence[Event]:
    placed: list[Event] = []
    for event in events:
        placed.append(in_turn(event, ts))
        ts = placed[-1].ts
    return placed


def _text(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""
