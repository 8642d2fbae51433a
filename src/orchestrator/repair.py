"""`doctor --repair`: a damaged database is kept aside, read for what it still holds, and rebuilt.

What it has lost comes from the folders: files in `tasks/` are read again by the next daemon, those of `tasks/running/`
that no row knows go back there, and archives and results stay as they are and are not run again. The new database
takes its place in one step at the end; whatever ends us before that, the next repair begins where this one did.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from orchestrator.bridges.event_lines import logged_events
from orchestrator.bridges.files import open_folder, opened, rename_new, sync_file, sync_folder
from orchestrator.bridges.inbox import TaskFolder
from orchestrator.bridges.process import settle
from orchestrator.bridges.rebuild import REBUILT, Events, fill, goes_on_in, put_events, put_in_place, replay
from orchestrator.bridges.root_lock import Holder, take_root
from orchestrator.bridges.salvage import Salvage, Table, salvaged, tables_of
from orchestrator.bridges.sqlite_file import connect, prepare, told
from orchestrator.bridges.sqlite_health import problems_of
from orchestrator.bridges.sqlite_write import commit
from orchestrator.compose import DATABASE, make_folders, require_root
from orchestrator.core.attempt import attempt_mark
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.repair_report import RepairReport
from orchestrator.validation.result import iso

PART = "rebuilding.db"
_ENDINGS = ("", "-wal", "-shm", "-journal")


async def repair(root: Path, me: Holder) -> RepairReport:
    """Mend the database of *root*, if it is damaged. Raises AlreadyRunningError, changing nothing, beside a daemon."""
    require_root(root)
    make_folders(root)
    state = root / ".orchestrator"
    with await take_root(state, me):
        database = state / DATABASE
        await asyncio.to_thread(put_in_place, database)
        logged = await asyncio.to_thread(logged_events, root / "logs" / "events.ndjson")
        problems = await asyncio.to_thread(problems_of, database)
        if not problems and database.exists():
            return await asyncio.to_thread(_caught_up, database, logged, me.started_at)
        inbox = TaskFolder(root, state=state)
        if not problems and not logged and not any((root / "tasks" / "running").glob("*/*")):
            return RepairReport()  # nothing has run here yet
        problems = problems or ["there is no database, but there is what it had written"]
        kept, found, events = await asyncio.to_thread(_rebuilt, database, logged, me.started_at, problems)
        requeued = await _requeued(root, inbox, found)
        salvage = {name: found.count(name) for name in ("task", "attempt", "pause")} | {"event": events.kept}
        return RepairReport(
            problems, kept, salvage, events.logged, events.lost, bodies_lost=found.bodies_lost, requeued=requeued
        )


def _caught_up(database: Path, logged: Mapping[int, Event], now: float) -> RepairReport:
    """A sound database may lack its last transactions (its write-ahead log was lost): the event log still has them."""
    with told(database), closing(connect(database, busy_timeout_s=30, writable=True)) as con:
        con.execute("BEGIN IMMEDIATE")
        count = replay(con, logged) if goes_on_in(con, logged) else 0
        problems = [f"the database lacks the last {count} events that stand in logs/events.ndjson"] if count else []
        if count:
            commit(con, [_repaired(now, problems, "")])
        con.execute("COMMIT")
    return RepairReport(problems, from_log=count)


def _rebuilt(
    database: Path, logged: Mapping[int, Event], now: float, problems: Sequence[str]
) -> tuple[str, Salvage, Events]:
    kept = _kept(database, now)
    new = database.with_name(PART)
    for ending in _ENDINGS:
        Path(f"{new}{ending}").unlink(missing_ok=True)
    prepare(new, busy_timeout_s=30)
    with told(new), closing(connect(new, busy_timeout_s=30, writable=True)) as con:
        tables = tables_of(con)
        found = _read_from_a_copy(database, tables)
        con.execute("BEGIN IMMEDIATE")
        fill(con, found, tables)
        events = put_events(con, found.rows["event"], logged)
        commit(con, [_repaired(now, problems, kept)])
        con.execute("COMMIT")
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with opened(open_folder(database.parent)) as folder:
        for ending in _ENDINGS[1:]:
            Path(f"{new}{ending}").unlink(missing_ok=True)
        rename_new(folder, PART, folder, REBUILT)
    put_in_place(database)
    return kept, found, events


def _repaired(now: float, problems: Sequence[str], kept: str) -> Event:
    data: dict[str, Json] = {"reason": "database_repaired", "detail": "; ".join(problems)[:1000], "path": kept}
    return Event(EventKind.WARNING, now, data=data)


def _kept(database: Path, now: float) -> str:
    """Copy the damaged files to a folder of their own. Returns it relative to the root, "" if there are none."""
    files = [path for ending in _ENDINGS if (path := Path(f"{database}{ending}")).exists()]
    if not files:
        return ""
    folder = database.parent / f"damaged-{iso(now).replace(':', '')}"
    folder.mkdir(mode=0o700)
    for path in files:
        shutil.copy2(path, folder / path.name)
        with opened(os.open(folder / path.name, os.O_RDONLY | os.O_CLOEXEC)) as fd:
            sync_file(fd)
    for place in (folder, database.parent):
        with opened(open_folder(place)) as fd:
            sync_folder(fd)
    return f"{database.parent.name}/{folder.name}"


def _read_from_a_copy(database: Path, tables: Mapping[str, Table]) -> Salvage:
    """SQLite changes what it opens: the file is left as it was found, until the new one is whole."""
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".reading-") as folder:
        copy = Path(folder) / database.name
        for ending in _ENDINGS:
            if (path := Path(f"{database}{ending}")).exists() and ending != "-shm":
                shutil.copy2(path, f"{copy}{ending}")
        return salvaged(copy, tables)


async def _requeued(root: Path, inbox: TaskFolder, found: Salvage) -> Sequence[str]:
    """Bring files of `tasks/running/` whose row is lost back to `tasks/`; nothing of their attempts is alive then."""
    for folder in sorted((root / ".orchestrator" / "attempts").glob("*.*")):
        uid = folder.name.partition(".")[0]
        if uid not in found.uids and (root / "tasks" / "running" / uid).exists():
            await settle(folder, attempt_mark(folder.name, found.root_tag))

    async def known(uid: TaskUid) -> bool:
        return uid in found.uids

    return await inbox.adopt_strays(known)
