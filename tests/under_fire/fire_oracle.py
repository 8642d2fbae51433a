"""What must hold when everything has come to rest, however often anything was killed: one sentence for each breach.

The guarantees G1 to G6 and G12 in the words of docs/reliability.md. The oracle reads files and the database by its own
means, and no code of the product but the schema of results.
"""

import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.under_fire.kill_tasks import Dropped

from orchestrator.validation.schema import file_problems

TERMINAL = ("succeeded", "failed", "cancelled", "rejected")
LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A task as the daemon remembers it. *body_sha256* is that of the bytes it kept."""

    uid: str
    name: str
    sha256: str
    body_sha256: str
    state: str
    reason: str
    attempt: int
    rerun_of: str


@dataclass(slots=True)
class Facts:
    """What a daemon left behind. *table*: its events as (seq, kind, uid, data), None for one that keeps none."""

    rows: Sequence[Row] = ()
    attempts: set[tuple[str, int]] = field(default_factory=set)
    table: list[tuple[int, str, str, Any]] | None = None
    integrity: str = "ok"


def database(root: Path) -> Path:
    return root / ".orchestrator" / "orchestrator.db"


def facts_of(root: Path) -> Facts:
    """Read the product's database."""
    with closing(sqlite3.connect(f"{database(root).as_uri()}?mode=ro", uri=True)) as con:
        columns = "uid, name, sha256, body, state, reason, attempt, rerun_of"
        asked = con.execute(f"SELECT {columns} FROM task JOIN content USING (ord) ORDER BY ord")
        rows = [
            Row(uid, name, sha256, hashlib.sha256(body).hexdigest(), state, reason, attempt, rerun_of)
            for uid, name, sha256, body, state, reason, attempt, rerun_of in asked
        ]
        attempts = set(con.execute("SELECT uid, number FROM attempt"))
        events = con.execute("SELECT seq, kind, uid, data FROM event ORDER BY seq")
        table = [(seq, kind, uid, json.loads(data)) for seq, kind, uid, data in events]
        (integrity,) = con.execute("PRAGMA integrity_check").fetchone()
    return Facts(rows, attempts, table, integrity)


def violations(root: Path, facts: Facts, dropped: Sequence[Dropped], *, disturbed: set[str] | None) -> list[str]:
    """Return every breach. *disturbed* are the names whose end may differ (cancelled by us); None: all may."""
    found = [*_kept(root, facts, dropped), *_one_outcome(root, facts, dropped, disturbed), *_log(root, facts)]
    found += [*_starts(root, facts), *_redone(root, facts)]
    if facts.integrity != "ok":
        found.append(f"integrity_check: {facts.integrity}")
    return found


# --- G1: nothing is lost ---------------------------------------------------------------------------------------------


def _kept(root: Path, facts: Facts, dropped: Sequence[Dropped]) -> Iterator[str]:
    lying: dict[str, list[str]] = {}
    for path in (root / "tasks").rglob("*.task.md*"):
        if path.is_file() and not path.name.endswith(".error.json"):
            place = str(path.relative_to(root))
            lying.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(place)
    rows = Counter(row.sha256 for row in facts.rows)
    for one in dropped:
        places = lying.pop(one.sha256, [])
        if len(places) != max(1, rows[one.sha256]):
            yield f"G1 {one.name}: its bytes lie in {places or 'no place at all'}, of {rows[one.sha256]} tasks"
        if one.ends == "rejected":
            if not all((root / f"{place}.error.json").exists() or _is_told_of(root, place) for place in places):
                yield f"G1 {one.name}: refused without a word"
        elif not any(row.sha256 == one.sha256 and row.state != "rejected" for row in facts.rows):
            yield f"G1 {one.name}: there is no task of exactly its bytes"
    yield from (f"G1 {places}: nobody dropped these bytes" for places in lying.values())
    for row in facts.rows:
        if row.body_sha256 != row.sha256 and row.state != "rejected":
            yield f"G1 {row.name}: the bytes kept in the database are not those that were accepted"


def _is_told_of(root: Path, place: str) -> bool:
    """Return whether a refused file that could not be moved has its error in the state folder."""
    notes = (root / ".orchestrator" / "rejects").glob("*.error.json")
    return any(
        json.loads(note.read_text())["seen"]["file_name_hex"] == Path(place).name.encode().hex() for note in notes
    )


# --- G2: one outcome -------------------------------------------------------------------------------------------------


def _one_outcome(root: Path, facts: Facts, dropped: Sequence[Dropped], disturbed: set[str] | None) -> Iterator[str]:
    accepted = [row for row in facts.rows if row.state != "rejected"]
    yield from (f"G2 {row.name} has not ended: {row.state}" for row in facts.rows if row.state not in TERMINAL)
    results = {path.name: path for path in (root / "results").glob("*_result.json")}
    for row in accepted:
        path = results.pop(f"{row.name}_result.json", None)
        if path is None:
            yield f"G2 {row.name} has no result"
        elif facts.table is not None:
            yield from _result_of(row, path)
        else:
            yield from _torn(path)
    yield from (f"G2 {name} is nobody's result" for name in results)
    wanted = {one.sha256: one for one in dropped}
    first = Counter(row.sha256 for row in accepted if not row.rerun_of)
    yield from (f"G2 {wanted[sha].name} was accepted {n} times" for sha, n in first.items() if n > 1 and sha in wanted)
    for row in accepted:
        one = wanted.get(row.sha256)
        if one and disturbed is not None and one.name not in disturbed and row.state != one.ends:
            yield f"G2 {row.name} ({one.kind}) should have {one.ends}, it is {row.state}: {row.reason}"


def _result_of(row: Row, path: Path) -> Iterator[str]:
    raw = path.read_bytes()
    if problems := file_problems(raw):
        yield f"G2 {path.name}: {problems[0]}"
        return
    result = json.loads(raw)
    task = result["task"]
    told = (task["uid"], task["sha256"], result["status"], len(result["attempts"]))
    if told[:3] != (row.uid, row.sha256, row.state) or told[3] != row.attempt:
        yield f"G2 {path.name} tells {told}, the database ({row.uid}, {row.sha256}, {row.state}, {row.attempt})"


def _torn(path: Path) -> Iterator[str]:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        yield f"G2 {path.name} is torn"


# --- G3, G4, G5: recorded before the start, never two at once, never again -------------------------------------------


def journal(root: Path) -> list[tuple[str, str, int]]:
    """Return (start, end or OVERLAP; uid; attempt) as the agents themselves wrote it."""
    path = root / "journal"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(word, uid, int(number)) for word, uid, number in map(str.split, lines)]


def _starts(root: Path, facts: Facts) -> Iterator[str]:
    for word, uid, number in journal(root):
        if word == "start" and facts.table is not None and (uid, number) not in facts.attempts:
            yield f"G3 attempt {uid}.{number} ran and was never recorded"
        if word == "OVERLAP":
            yield f"G4 attempt {uid}.{number} ran beside another of its task"


def completed(root: Path) -> Mapping[str, list[int]]:
    """Return the attempts that did their work and said so, by uid: those of the product from their output files."""
    found: dict[str, list[int]] = {}
    folders = root / ".orchestrator" / "attempts"
    if not folders.is_dir():
        for word, uid, number in journal(root):
            if word == "end":
                found.setdefault(uid, []).append(number)
        return found
    for folder in folders.iterdir():
        uid, _, digits = folder.name.rpartition(".")
        if is_good(folder / "stdout.ndjson") and _did_its_work(folder / "stdout.ndjson"):
            found.setdefault(uid, []).append(int(digits))
    return found


def is_good(output: Path) -> bool:
    """Return whether the last line of *output* is whole and a result without an error."""
    if not output.exists():
        return False
    last = output.read_bytes()[-(1 << 16) :].rpartition(b"\n")[0].rpartition(b"\n")[2]
    return b'"type":"result"' in last and b'"is_error":false' in last


def doubled(root: Path) -> int:
    """Return how many tasks were completed more than once."""
    return sum(len(numbers) > 1 for numbers in completed(root).values())


def _redone(root: Path, facts: Facts) -> Iterator[str]:
    """A start after a good last word is a breach, whoever of daemon, supervisor and agent died right behind it."""
    starts: dict[str, set[int]] = {}
    for uid, number in {(uid, number) for word, uid, number in journal(root) if word == "start"} or facts.attempts:
        starts.setdefault(uid, set()).add(number)
    attempts = root / ".orchestrator" / "attempts"
    for uid, numbers in completed(root).items():
        for number in numbers:
            again = [later for later in starts.get(uid, ()) if later > number]
            if again and attempts.is_dir() and not _crashed(attempts / f"{uid}.{number}" / "exit.json"):
                yield f"G5 {uid}: attempt {number} had ended well, and {again} were started"
    tasks = len(starts)
    if tasks >= 8 and 4 * doubled(root) > tasks:
        yield f"G5 {doubled(root)} of {tasks} tasks were completed more than once"


def _crashed(record: Path) -> bool:
    """Whether the agent is known not to have ended by itself and well: killed between its last word and its end."""
    told = json.loads(record.read_text()) if record.exists() else {}
    return told.get("reason") == "exited" and told.get("exit_code") != 0


def _did_its_work(output: Path) -> bool:
    """A run that ended well and was refused by the checks (an empty answer, a question) is tried again rightly."""
    return re.search(rb'"result":"Done', output.read_bytes()) is not None


# --- G12: the event log ----------------------------------------------------------------------------------------------


def _log(root: Path, facts: Facts) -> Iterator[str]:
    paths = [*sorted((root / "logs").glob("events-*.ndjson")), root / "logs" / "events.ndjson"]
    raw = b"".join(path.read_bytes() for path in paths if path.exists())
    if not raw.endswith(b"\n"):
        yield "G12 the event log ends in the middle of a line"
    lines: list[tuple[int, str, str, Any]] = []
    for number, line in enumerate(raw.splitlines(), start=1):
        try:
            event = json.loads(line)
            lines.append((event["seq"], event["event"], event.get("uid", ""), event["data"]))
        except (ValueError, KeyError):
            yield f"G12 line {number} of the event log is torn: {line[:60]!r}"
        if len(line) > LINE_BYTES:
            yield f"G12 line {number} of the event log has {len(line)} bytes"
    if [seq for seq, *_ in lines] != list(range(1, len(lines) + 1)):
        yield "G12 the numbers in the event log do not grow by one"
    if facts.table is not None and lines != facts.table:
        yield f"G12 the event log ({len(lines)} lines) is not the event table ({len(facts.table)} rows)"
