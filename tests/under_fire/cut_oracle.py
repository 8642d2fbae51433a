"""What has to hold on a file system after a power cut: at once, as it was mounted, and after a new daemon drained it.

Every breach is a line `kind: detail`; the kinds are listed in docs/reliability.md.
"""

import hashlib
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from orchestrator.core.lifecycle import TERMINAL
from orchestrator.validation.schema import result_problems

Row = Mapping[str, Any]
PLACES = ("", "processed/", "failed/", "cancelled/")


@dataclass
class Promises:
    """What was acknowledged before a cut.

    *told* maps each file name to the sha256 of its body, *whole* holds the names whose producer was done with them,
    *durable* those which it had synced as well, *early* those that were accepted while their producer lived,
    *rows* the last state in which each row was read, by uid. *ended* are the uids of
    which an attempt had durably ended well.
    """

    told: dict[str, str] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    durable: set[str] = field(default_factory=set)
    early: set[str] = field(default_factory=set)
    rows: dict[str, Row] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def read(self, told: Path, seen: Path, *, first: bool) -> None:
        """Take in what producers and the watcher have said until now; *first*: the producers lived until now."""
        for fact in _lines(told):
            self.told[fact["name"]] = fact["sha256"]
            self.whole |= {fact["name"]} if fact["whole"] else set()
            self.durable |= {fact["name"]} if fact["durable"] else set()
        for row in _lines(seen):
            self.rows[row["uid"]] = row
            self.early |= {row["file_name"]} if first else set()

    def wanted(self, name: str) -> str:
        """Return the sha256 of what must run as *name*.

        Where the cut came upon a producer that was writing, the new daemon may take what is left of the file.
        """
        if name in self.whole | self.early:
            return self.told[name]
        return next((row["sha256"] for row in self.rows.values() if row["file_name"] == name), "")

    @property
    def names(self) -> set[str]:
        """The file names of all acknowledged tasks."""
        return self.durable | {row["file_name"] for row in self.rows.values()}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    raw = path.read_bytes() if path.exists() else b""
    for line in raw[: raw.rfind(b"\n") + 1].splitlines():
        yield json.loads(line)


def table(root: Path, query: str) -> list[dict[str, Any]]:
    """Return rows of the database of *root*, read from a copy: looking changes nothing."""
    with TemporaryDirectory() as folder:
        for name in ("orchestrator.db", "orchestrator.db-wal"):
            if (path := root / ".orchestrator" / name).exists():
                shutil.copy(path, folder)
        with closing(sqlite3.connect(f"{folder}/orchestrator.db")) as con:
            con.row_factory = sqlite3.Row
            return [dict(row) for row in con.execute(query)]


def at_mount(root: Path, promises: Promises) -> list[str]:
    """Return the breaches before anybody repairs anything: what the store says is on the disk must be there."""
    if not (root / ".orchestrator" / "orchestrator.db").exists():
        lost = [f"row_lost: the whole database, with {len(promises.rows)} rows"] if promises.rows else []
        return [*lost, *_synced_files(root, promises, {})]
    try:
        if (found := table(root, "PRAGMA integrity_check")) != [{"integrity_check": "ok"}]:
            return [f"damage: {found}"]
        rows = {row["uid"]: row for row in table(root, "SELECT * FROM task")}
        events = table(root, "SELECT * FROM event ORDER BY seq")
    except sqlite3.Error as error:
        return [f"damage: {error}"]
    breaches = [breach for row in promises.rows.values() for breach in _forgotten(row, rows)]
    breaches += _synced_files(root, promises, rows)
    for row in rows.values():
        if row["artifacts"]:
            breaches += _artefacts(root, row)
    for event in events:
        if event["kind"] == "task_archived":
            breaches += _archived(root, rows[event["uid"]], json.loads(event["data"])["path"])
        if event["kind"] == "claude_finished":
            record = root / ".orchestrator" / "attempts" / f"{event['uid']}.{event['attempt']}" / "exit.json"
            if not _json(record):
                breaches.append(f"exit_record: {record.parent.name} is known to have ended, its record is not whole")
    return breaches


def _forgotten(seen: Row, rows: Mapping[str, Row]) -> Iterator[str]:
    now = rows.get(seen["uid"])
    if now is None:
        yield f"row_lost: {seen['file_name']} was accepted ({seen['state']})"
    elif seen["state"] in TERMINAL and now["state"] != seen["state"]:
        yield f"went_back: {seen['file_name']} was {seen['state']} and is {now['state']}"
    elif now["attempt"] < seen["attempt"]:
        yield f"went_back: attempt {seen['attempt']} of {seen['file_name']} was started, and is forgotten"


def _synced_files(root: Path, promises: Promises, rows: Mapping[str, Row]) -> Iterator[str]:
    stored = {row["file_name"]: row["sha256"] for row in rows.values()}
    for name in promises.durable:
        if stored.get(name) == promises.told[name]:
            continue
        places = [*(root / "tasks").glob(f"running/*/{name}"), *(root / "tasks" / place / name for place in PLACES)]
        if promises.told[name] not in map(_sha256, places):
            yield f"file_lost: {name} was on the disk, and is in no folder and no row"


def _artefacts(root: Path, row: Row) -> Iterator[str]:
    result = _json(root / "results" / f"{row['name']}_result.json")
    if result.get("task", {}).get("uid") != row["uid"] or result_problems(result):
        yield f"artefact: the result of {row['name']} is written by its row, and not whole"
    summary = root / "summaries" / f"{row['name']}_summary.txt"
    if not summary.exists() or not summary.read_bytes().strip(b"\0 \n"):
        yield f"artefact: the summary of {row['name']} is written by its row, and not whole"


def _archived(root: Path, row: Row, where: str) -> Iterator[str]:
    place = root / where
    if where.endswith(".json"):  # of a refused file the path is that of its error
        if not _json(place):
            yield f"archive: {where} should explain why {row['file_name']} was refused"
    elif _sha256(place) != row["sha256"]:
        yield f"archive: {where} does not hold what {row['file_name']} was"


def after_drain(root: Path, promises: Promises, journal: Path) -> list[str]:
    """Return the breaches after a new daemon has brought everything to its end."""
    if (found := table(root, "PRAGMA integrity_check")) != [{"integrity_check": "ok"}]:
        return [f"damage: {found}"]
    rows = table(root, "SELECT task.*, body FROM task JOIN content USING (ord)")
    breaches = [breach for name in promises.names for breach in _carried_out(root, name, promises, rows)]
    known = {row["uid"]: row for row in rows}
    breaches += [breach for row in promises.rows.values() for breach in _forgotten(row, known)]
    ended = [row for row in rows if row["state"] in TERMINAL and row["state"] != "rejected"]
    breaches += [breach for row in ended for breach in _artefacts(root, row)]
    files = sorted(path.name for path in (root / "results").iterdir() if path.name.endswith("_result.json"))
    if files != sorted(f"{row['name']}_result.json" for row in ended):
        breaches.append(f"results: {len(files)} files for {len(ended)} ended tasks")
    breaches += _events(root)
    lines = journal.read_text().splitlines() if journal.exists() else []
    breaches += [f"overlap: {line}" for line in lines if line.startswith("OVERLAP")]
    return breaches


def _carried_out(root: Path, name: str, promises: Promises, rows: list[dict[str, Any]]) -> Iterator[str]:
    mine = [row for row in rows if row["file_name"] == name]
    wanted = promises.wanted(name)
    if [row["state"] for row in mine] != ["succeeded"]:
        yield f"lost: {name} was acknowledged and is {[(row['state'], row['reason']) for row in mine]}"
        return
    if {mine[0]["sha256"], hashlib.sha256(mine[0]["body"]).hexdigest()} != {wanted}:
        yield f"bytes: what ran as {name} is not what was dropped"
    whole = [path for path in (root / "tasks").rglob("*") if path.is_file() and _sha256(path) == wanted]
    if [path.parent.name for path in whole] != ["processed"]:
        yield f"place: {name} lies in {[str(path.relative_to(root)) for path in whole]}"


def _events(root: Path) -> Iterator[str]:
    paths = [*sorted((root / "logs").glob("events-*.ndjson")), root / "logs" / "events.ndjson"]
    stored = [(row["seq"], row["kind"]) for row in table(root, "SELECT seq, kind FROM event ORDER BY seq")]
    try:
        lines = [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]
    except ValueError:
        yield "events: a line of the log is no JSON"
        return
    if [(line["seq"], line["event"]) for line in lines] != stored:
        yield f"events: {len(lines)} lines of the log are not the {len(stored)} of the table"
    if [seq for seq, _ in stored] != list(range(1, len(stored) + 1)):
        yield "events: the numbers of the table have gaps"


def runs(journal: Path) -> Counter[str]:
    """Return how often an agent came to its end, by uid."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith("end "))


def durable_ends(root: Path) -> set[str]:
    """Return the uids with an attempt whose record on this file system says that it ended well."""
    records = (root / ".orchestrator" / "attempts").glob("*/exit.json")
    return {path.parent.name.split(".")[0] for path in records if _json(path).get("exit_code") == 0}


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
