"""Ten thousand files, or a hundred thousand, at once: for a daemon that runs, is stopped, or is frozen by SIGSTOP.

    python -m tests.under_fire.load --files 10000 --mode running|stopped|sigstopped --report FILE.json
    python -m tests.under_fire.load --files 10000 --mode running --poison

The files are renamed into tasks/ while one task holds the only slot, so that accepting is all there is to do. A frozen
daemon has its queue of notifications filled first: of the files it hears nothing at all. With *poison* a file that
cannot be a task comes before each good one. The exit code is 0 if every promise was kept.
"""

import argparse
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.harness import wait_until
from tests.under_fire.load_root import HOLDER, URGENT, LoadRoot, plain_task, rest
from tests.under_fire.process_figures import percentile

from orchestrator.bridges.inbox import TaskFolder

MODES = ("running", "stopped", "sigstopped")
PATIENCE_S = 1800.0
PROBES = 40
BATCH = 500
ROWS = "SELECT count(*) FROM task"
FILE_IS_STORED = "SELECT count(*) FROM task WHERE file_name = ?"


@dataclass(slots=True)
class Report:
    """What one run found. Times in seconds unless the name says ms; *broken* names every promise that was not kept."""

    files: int
    mode: str
    poison: bool
    broken: list[str] = field(default_factory=list)
    accept_all_s: float = 0.0
    accepted_per_s: float = 0.0
    rss_peak_mb: float = 0.0
    burst_p50_s: float = 0.0  # from the renaming (or from the start, or SIGCONT) to the commit
    burst_p99_s: float = 0.0
    single_p50_ms: float = 0.0  # one file at a time, with all the others queued
    single_p99_ms: float = 0.0
    scan_ms: float = 0.0
    idle_cpu_percent: float = 0.0
    high_starts_next: bool = False
    lost: int = 0
    doubled: int = 0
    wrong_bytes: int = 0
    bad_refused: int = 0
    bad_accepted: int = 0
    commands_ms: dict[str, float] = field(default_factory=dict)
    references: dict[str, float] = field(default_factory=dict)

    def must(self, kept: bool, promise: str) -> None:
        if not kept:
            self.broken.append(promise)


def run(
    folder: Path, files: int, mode: str, *, poison: bool = False, idle_s: float = 21.0, probes: int = PROBES
) -> Report:
    """Load one root under *folder* and report. *idle_s*: for how long it is then watched doing nothing."""
    report = Report(files, mode, poison)
    root = LoadRoot(folder / "root")
    try:
        root.hold_the_slot()  # the oldest file: the daemon reads it first
        names = root.prepare(files, poison=poison)
        began = _burst(root, names, mode)
        _accepted(root, report, began, expected=len(names) + 1)
        report.rss_peak_mb = root.reading().peak_mb
        check_truth(root, report)
        if probes:
            _probes(root, report, probes)
            _commands(root, report)
        if idle_s:
            _idle(root, report, idle_s)
            _scans(root.root, report)
        _fairness(root, report)
        report.must(root.alive(), "the daemon of the beginning is still the one that runs")
    finally:
        root.end()
    return report


def _burst(root: LoadRoot, names: Sequence[str], mode: str) -> float:
    """Bring everything into tasks/. Returns the monotonic moment from which the daemon could see it."""
    if mode == "stopped":
        root.move_in(names)
        began = time.monotonic()
        root.start()
        return began
    root.start()
    wait_until(lambda: root.one("SELECT count(*) FROM task WHERE state = 'running'"), what="the slot to be taken")
    if mode == "sigstopped":
        root.freeze()
        root.move_in(names)
        root.thaw()
        return time.monotonic()
    began = time.monotonic()
    root.move_in(names)
    return began


def _accepted(root: LoadRoot, report: Report, began: float, *, expected: int) -> None:
    """Watch the store until everything is in it; note when how much was."""
    seen: list[tuple[float, int]] = []
    with root.store() as con:

        def all_there() -> bool:
            try:
                (count,) = con.execute(ROWS).fetchone()
            except sqlite3.OperationalError:  # only being made
                return False
            seen.append((time.monotonic() - began, count))
            return bool(count >= expected)

        wait_until(all_there, what=f"{expected} accepted files", deadline_s=PATIENCE_S)
    report.accept_all_s = seen[-1][0]
    report.accepted_per_s = expected / report.accept_all_s
    waits, before = [], 0
    for moment, count in seen:
        waits += [moment] * (count - before)
        before = count
    report.burst_p50_s, report.burst_p99_s = percentile(waits, 0.5), percentile(waits, 0.99)


def check_truth(root: LoadRoot, report: Report) -> None:
    """Every file has exactly one row with exactly its bytes; bad ones cost nobody else anything."""
    rows: dict[str, list[tuple[str, str]]] = {}
    with root.store() as con:
        for name, sha256, state in con.execute("SELECT file_name, sha256, state FROM task"):
            rows.setdefault(name, []).append((sha256, state))
    for name, sha256 in root.digests.items():
        found = rows.get(name, [])
        report.lost += not found
        report.doubled += len(found) > 1
        report.wrong_bytes += any(one != sha256 for one, _ in found)
        if any(state == "rejected" for _, state in found):
            report.broken.append(f"{name} is good and was refused")
    for name in root.bad:
        found = rows.get(name, [])
        report.lost += not found
        report.doubled += len(found) > 1
        report.bad_refused += any(state == "rejected" for _, state in found)
        report.bad_accepted += any(state != "rejected" for _, state in found)
    report.must(not report.lost, f"{report.lost} files have no row")
    report.must(not report.doubled, f"{report.doubled} files have more than one row")
    report.must(not report.wrong_bytes, f"{report.wrong_bytes} files were stored with other bytes")


def _probes(root: LoadRoot, report: Report, number: int) -> None:
    """Drop single files, each when the one before is stored: how soon is one seen among all the others?"""
    waits = []
    with root.store() as con:
        for n in range(number):
            name = f"probe_{n}.task.md"
            moment = root.drop(f"probe_{n}", "low")
            wait_until(
                lambda name=name: con.execute(FILE_IS_STORED, (name,)).fetchone()[0],  # type: ignore[misc]
                what=f"{name} to be accepted",
            )
            waits.append((time.monotonic() - moment) * 1000)
            rest(0.05 + 0.1 * (n % 5))
    report.single_p50_ms, report.single_p99_ms = percentile(waits, 0.5), percentile(waits, 0.99)


def _commands(root: LoadRoot, report: Report) -> None:
    """Time what a person types meanwhile; beside it the same on a root with one task."""
    for words in (("status",), ("show", "task_000000"), ("cancel", "task_000001")):
        report.commands_ms[words[0]] = root.command(*words) * 1000
    cancelled = "SELECT count(*) FROM task WHERE file_name = 'task_000001.task.md' AND state = 'cancelled'"
    report.must(root.one(cancelled) == 1, "a queued task is cancelled from another process")
    small = LoadRoot(root.root.parent / "small")
    small.drop("task_000000", "low")
    small.start()
    try:
        wait_until(lambda: small.one("SELECT count(*) FROM task WHERE state = 'succeeded'"), what="one result")
        for words in (("status",), ("show", "task_000000")):
            report.references[f"{words[0]} with one task, ms"] = small.command(*words) * 1000
    finally:
        small.end()


def _idle(root: LoadRoot, report: Report, seconds: float) -> None:
    """Wait until everything is written, then see what the daemon costs while nothing happens."""
    wait_until(root.log_is_complete, what="the event log", deadline_s=PATIENCE_S)
    rest(2.0)
    before, began = root.reading().cpu_s, time.monotonic()
    rest(seconds)
    report.idle_cpu_percent = (root.reading().cpu_s - before) / (time.monotonic() - began) * 100


def _scans(root: Path, report: Report) -> None:
    """Time a full look at the folder as the daemon takes it; beside it scandir with one lstat for each entry."""
    folder = TaskFolder(root, state=root / ".orchestrator")
    try:
        folder._scan()
        report.scan_ms = _timed_ms(folder._scan)
    finally:
        folder.close()
    report.references["scandir and lstat, ms"] = _timed_ms(lambda: _plain_scan(root / "tasks"))


def _plain_scan(path: Path) -> None:
    with os.scandir(path) as found:
        for item in found:
            item.stat(follow_symlinks=False)


def _timed_ms(act: object) -> float:
    assert callable(act)
    times = []
    for _ in range(3):
        began = time.monotonic()
        act()
        times.append(time.monotonic() - began)
    return min(times) * 1000


def _fairness(root: LoadRoot, report: Report) -> None:
    """Among all the tasks of low priority one of high comes last, and is started next."""
    root.drop(URGENT, "high")
    wait_until(lambda: root.one(FILE_IS_STORED, f"{URGENT}.task.md"), what="the urgent file to be accepted")
    root.let_go()
    started = "SELECT count(*) FROM event WHERE kind = 'claude_started'"
    wait_until(lambda: root.one(started) >= 2, what="the next start")
    with root.store() as con:
        order = con.execute(
            "SELECT t.file_name FROM event AS e JOIN task AS t USING (uid) WHERE e.kind = 'claude_started' ORDER BY seq"
        ).fetchall()
    report.high_starts_next = [name for (name,) in order[:2]] == [f"{HOLDER}.task.md", f"{URGENT}.task.md"]
    report.must(report.high_starts_next, f"the task of high priority is started next, not {order[:2]}")


def reference_inserts(folder: Path, files: int) -> float:
    """Return files per second of the least that could be done: read and insert, as many a commit, durably."""
    place = folder / "reference"
    place.mkdir()
    for n in range(files):
        (place / f"task_{n:06d}").write_bytes(plain_task(f"task_{n:06d}"))
    con = sqlite3.connect(folder / "reference.db", isolation_level=None)
    con.execute("PRAGMA journal_mode=WAL")
    con.execute("PRAGMA synchronous=FULL")
    con.execute("CREATE TABLE task (ord INTEGER PRIMARY KEY, name TEXT UNIQUE, body BLOB)")
    began = time.monotonic()
    paths = sorted(place.iterdir())
    for at in range(0, files, BATCH):
        con.execute("BEGIN")
        rows = [(path.name, path.read_bytes()) for path in paths[at : at + BATCH]]
        con.executemany("INSERT INTO task (name, body) VALUES (?, ?)", rows)
        con.execute("COMMIT")
    seconds = time.monotonic() - began
    con.close()
    return files / seconds


def reference_huey(folder: Path, files: int) -> float:
    """Return tasks per second that huey stores, one commit each; 0.0 where it cannot be installed."""
    from benchmarks.rivals import Huey

    huey = Huey(folder / "huey", install=True)
    return 0.0 if huey.why_not else files / huey.call(folder / "huey" / "huey.db", "enqueue", files)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one load as asked for. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.under_fire.load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--mode", choices=MODES, default="running")
    parser.add_argument("--poison", action="store_true", help="a bad file before each good one")
    parser.add_argument("--no-huey", action="store_true", help="do not install huey to measure beside it")
    parser.add_argument("--report", type=Path, metavar="FILE.json")
    parser.add_argument("--dir", metavar="DIR", help="work there (default: the folder for temporary files)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="load-", dir=args.dir) as name:
        folder = Path(name)
        references = {"read and INSERT, 500 a commit, files/s": reference_inserts(folder, args.files)}
        if not args.no_huey:
            references["huey, enqueue, tasks/s"] = reference_huey(folder, args.files)
        report = run(folder, args.files, args.mode, poison=args.poison)
        report.references = {**references, **report.references}
    text = json.dumps(asdict(report), indent=1)
    if args.report:
        args.report.write_text(text + "\n")
    print(text)
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
