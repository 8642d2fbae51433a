"""The two daemons that are shot at: the product, and the control that nobody should use."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Protocol

from tests import warm
from tests.harness import environment, scripted_command
from tests.under_fire.fire_oracle import Facts, Row, database, facts_of
from tests.under_fire.kill_tasks import Dropped
from tests.warm import Process

from orchestrator.bridges.root_lock import holder

_KINDS = (
    *("transient", "agent_error", "no_result", "crash", "killed", "timeout", "empty_answer", "bad_output"),
    *("prepare_failed", "start_refused", "agent_missing", "agent_outdated"),
)
CONFIG = """
agents: {claude: {env: [SCRIPTED_JOURNAL]}}
logs: {events_bytes: 20000}
crash_loop: {max_starts: 0}
retries:
""" + "".join(f"  {kind}: {{first_delay_s: 0.05, cap_s: 0.2}}\n" for kind in _KINDS)


class Subject(Protocol):
    """A daemon on a folder: how it is started, and what it has done."""

    orphans_end: bool

    def prepare(self, root: Path) -> dict[str, str]:
        """Make the folders of a new root; returns the environment for its processes."""
        ...

    def start(self, root: Path, env: Mapping[str, str], out: IO[bytes]) -> Process: ...

    def is_up(self, root: Path, pid: int) -> bool: ...

    def is_drained(self, root: Path, dropped: Sequence[Dropped]) -> bool: ...

    def facts(self, root: Path) -> Facts: ...


def _environment(root: Path) -> dict[str, str]:
    (root / "tasks").mkdir(parents=True)
    return environment(
        root,
        ORCHESTRATOR_CLAUDE_COMMAND=scripted_command(),
        MAX_CONCURRENT_TASKS="4",
        SCRIPTED_JOURNAL=str(root / "journal"),
        LOG_LEVEL="WARNING",
    )


class Product:
    """The orchestrator itself."""

    orphans_end = True

    def prepare(self, root: Path) -> dict[str, str]:
        (root / "config").mkdir(parents=True)
        (root / "config" / "orchestrator.yaml").write_text(CONFIG)
        return _environment(root)

    def start(self, root: Path, env: Mapping[str, str], out: IO[bytes]) -> Process:
        return warm.start(("--root", str(root)), env, out, out)

    def is_up(self, root: Path, pid: int) -> bool:
        state = root / ".orchestrator"
        found = holder(state) if state.exists() else None
        return found is not None and found.pid == pid

    def is_drained(self, root: Path, dropped: Sequence[Dropped]) -> bool:
        lying = {path.name for path in (root / "tasks").glob("*.task.md")}
        stays = {f"{one.name}.task.md" for one in dropped if one.ends == "rejected" and _is_refused_in_place(root)}
        if lying - stays or not database(root).exists():
            return False
        with closing(sqlite3.connect(f"{database(root).as_uri()}?mode=ro", uri=True, timeout=5)) as con:
            open_ones = "state NOT IN ('succeeded', 'failed', 'cancelled', 'rejected') OR archived = 0"
            (count,) = con.execute(
                f"SELECT count(*) FROM task WHERE {open_ones} OR (artifacts = 0 AND state <> 'rejected')"
            ).fetchone()
            known = {sha256 for (sha256,) in con.execute("SELECT sha256 FROM task")}
        return count == 0 and all(one.ends == "rejected" or one.sha256 in known for one in dropped)

    def facts(self, root: Path) -> Facts:
        return facts_of(root)


def _is_refused_in_place(root: Path) -> bool:
    """A file that could not be moved, be it for a full disk, stays where it is, with its error in the state folder."""
    return any((root / ".orchestrator" / "rejects").glob("*.error.json"))


class Naive:
    """The control."""

    orphans_end = False

    def prepare(self, root: Path) -> dict[str, str]:
        return _environment(root)

    def start(self, root: Path, env: Mapping[str, str], out: IO[bytes]) -> Process:
        argv = [sys.executable, str(Path(__file__).with_name("naive_daemon.py")), str(root)]
        return subprocess.Popen(argv, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def is_up(self, root: Path, pid: int) -> bool:
        return (root / "logs" / "events.ndjson").exists()

    def is_drained(self, root: Path, dropped: Sequence[Dropped]) -> bool:
        return not any((root / "tasks").glob("*.task.md"))

    def facts(self, root: Path) -> Facts:
        rows = []
        for path in (root / "results").glob("*_result.json"):
            with suppress(ValueError):
                told = json.loads(path.read_text())
                sha256 = hashlib.sha256(told["prompt"].encode()).hexdigest()
                name = told["task_id"]
                rows.append(Row(name, name, sha256, sha256, told["status"], "", told["attempt"], ""))
        return Facts(rows)


SUBJECTS: Mapping[str, type[Product] | type[Naive]] = {"product": Product, "naive": Naive}


def alive_of(root: Path) -> dict[int, str]:
    """Return pid to mark of every process that attempts of this root left running."""
    folders = root / ".orchestrator" / "attempts"
    marks = {path.name for path in folders.iterdir()} if folders.is_dir() else set()
    ours = f"SCRIPTED_JOURNAL={root / 'journal'}".encode()
    found = {}
    for process in Path("/proc").iterdir():
        try:
            words = (process / "environ").read_bytes().split(b"\0") if process.name.isdigit() else []
        except OSError:
            continue  # gone meanwhile, or somebody else's
        mark = next((word[21:].decode() for word in words if word.startswith(b"ORCHESTRATOR_ATTEMPT=")), "")
        if mark and (ours in words or mark in marks):
            found[int(process.name)] = mark
    return found


def end_all_of(root: Path) -> int:
    """Kill what attempts of this root left running. Returns how many there were."""
    left = alive_of(root)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)


def command_of(root: Path, env: Mapping[str, str], *words: str) -> Process:
    """Start a command in another process, as a person would type it."""
    return warm.start(("--root", str(root), *words), env, subprocess.DEVNULL, subprocess.DEVNULL)
