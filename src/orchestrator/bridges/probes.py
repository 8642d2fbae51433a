"""Everything `doctor` looks at, in one report.

`examine` is the one entry: settings and the outside world come in as `Given`, findings come out. A probe that
breaks costs its own line, never the report.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges import probes_confinement as confinement
from orchestrator.bridges import probes_files as files
from orchestrator.bridges import probes_programs as programs
from orchestrator.bridges.probes_ollama import OllamaUse, ollama_findings
from orchestrator.bridges.root_lock import holder
from orchestrator.core.errors import OrchestratorError, StoreError
from orchestrator.core.finding import Finding, Level, failed, passed, warned
from orchestrator.core.home import Arrival
from orchestrator.core.report import COMMAND

Findings = Finding | Sequence[Finding]
_WAL_RESET_FIXED = (3, 51, 3)
_WAL_RESET_FIXED_IN_BRANCH = {(3, 44): 6, (3, 50): 7}
_FEW_FILES = 1024
_CAME = {
    Arrival.MOVED: "all goes on",
    Arrival.RESTORED: "what was done since the backup may be done again",
    Arrival.COPIED: "its original may be alive, so the next daemon starts nothing until `resume`",
}
_BUILT_AFTER = 1_767_225_600.0  # 2026-01-01: a clock that shows less is wrong


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What the store says about itself. *quick_check* is "ok" or what SQLite complains about; *schema* and
    *schema_known* are the version of the file and the one this program writes; *writers_share_checkpoints* says
    that more than one connection may checkpoint at a time; *held* is why a daemon holds the queue, or ""."""

    sqlite: tuple[int, int, int]
    quick_check: str
    schema: int
    schema_known: int
    writers_share_checkpoints: bool
    held: str = ""
    came: Arrival = Arrival.SAME


@dataclass(frozen=True, slots=True)
class Configured:
    """The settings as `examine` needs them. *folders* are root, tasks, results, summaries, logs and state.
    *effective* is every setting as (key, value for people, origin), with no secret in it; *warnings* are what
    reading the settings brought up. *telegram_token* is looked at for its form only."""

    folders: Mapping[str, Path]
    base_cwd: Path
    allowed_root: Path
    min_free_bytes: int
    confinement: str
    allow_unconfined: bool
    skip_permissions: bool
    project_settings: bool
    project_notes: bool
    min_version: str
    ollama: OllamaUse
    telegram_token: str
    telegram_users: Sequence[int]
    telegram_chat: int | None
    effective: Sequence[tuple[str, str, str]]
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Given:
    """The outside world as `examine` needs it. *now* in seconds since the epoch; *open_files* the soft limit of
    open files; *sandbox_available* and *without* as in `SandboxFacts`; *database* returns None while there is none."""

    configured: Configured
    now: float
    uid: int
    python: tuple[int, int, int]
    in_venv: bool
    is_sandbox: str
    sandbox_available: bool
    without: str
    open_files: int
    run: programs.Run
    which: programs.Which
    claude: programs.ClaudeProbe
    database: Callable[[], Awaitable[DatabaseFacts | None]]
    proc: Path = Path("/proc")


async def examine(given: Given) -> tuple[Finding, ...]:
    """Return the whole report, in the order in which it is to be read."""
    configured = given.configured
    root, state = configured.folders["root"], configured.folders["state"]
    mounts = _text(given.proc / "self/mountinfo")
    findings: list[Finding] = [
        programs.python_finding(given.python, in_venv=given.in_venv),
        *_configuration(configured),
        *_chosen_folders(configured),
        *_guarded("folders", "folders", lambda: files.folder_findings(configured.folders, uid=given.uid)),
        *_guarded(files.DISK, "kind", lambda: files.filesystem_finding(root, mounts)),
        *_guarded(files.DISK, "space", lambda: files.space_finding(root, configured.min_free_bytes)),
        *_guarded(files.DISK, "primitives", lambda: files.primitive_findings(state)),
        *_guarded(files.DISK, "case", lambda: files.case_finding(root)),
        *_guarded(files.DISK, "clock", lambda: files.clock_finding(root, time.time())),
        clock_finding(given.now),
        open_files_finding(given.open_files),
        files.inotify_finding(given.proc),
        await files.watch_finding(root),
        *_guarded("daemon", "lock", lambda: daemon_finding(state)),
    ]
    return (*findings, *await _database(given), *await _programs(given))


async def _programs(given: Given) -> list[Finding]:
    configured = given.configured
    facts = confinement.sandbox_facts(
        configured.confinement,
        given.uid,
        given.proc,
        available=given.sandbox_available,
        without=given.without,
    )
    permissions = confinement.privilege_finding(
        facts,
        skip_permissions=configured.skip_permissions,
        allow_unconfined=configured.allow_unconfined,
    )
    return [
        *await programs.git_findings(given.run, given.which),
        programs.gh_finding(given.which),
        *await programs.claude_findings(given.claude, floor=configured.min_version),
        *confinement.sandbox_findings(facts, given.which),
        permissions,
        confinement.project_finding(loaded=configured.project_settings, notes=configured.project_notes),
        *await ollama_findings(configured.ollama),
        *programs.telegram_findings(configured.telegram_token, configured.telegram_users, configured.telegram_chat),
    ]


def _chosen_folders(configured: Configured) -> list[Finding]:
    ours = configured.folders["root"] / "workspace"
    chosen = (("CLAUDE_BASE_CWD", configured.base_cwd), ("CLAUDE_ALLOWED_ROOT", configured.allowed_root))
    return [files.exists_finding(name, path, made_by_us=path == ours) for name, path in chosen]


def _configuration(configured: Configured) -> list[Finding]:
    env_file = configured.folders["root"] / ".env"
    return [
        files.env_file_finding(env_file, holds_secret=bool(configured.telegram_token)),
        *(warned("configuration", "sources", said, "Correct or remove it.") for said in configured.warnings),
        *(passed("settings", key, f"{value} ({origin})") for key, value, origin in configured.effective),
    ]


def daemon_finding(state: Path) -> Finding:
    """Report on who owns the root, judged by the lock."""
    who = holder(state)
    if who is None:
        return passed("daemon", "lock", "no daemon is running")
    if not who.pid:
        return passed("daemon", "lock", "a daemon is just starting")
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(who.started_at))
    return passed("daemon", "lock", f"version {who.version} is running: pid {who.pid} on {who.host}, since {since}")


def database_findings(facts: DatabaseFacts | None) -> tuple[Finding, ...]:
    """Report on the store."""
    group = "database"
    if facts is None:
        return (passed(group, "file", "none yet; it is made at the first start"),)
    version = ".".join(map(str, facts.sqlite))
    findings = [passed(group, "sqlite", version)]
    if facts.writers_share_checkpoints and not _wal_reset_is_fixed(facts.sqlite):
        message = f"{version} can, very rarely, damage a database when two programs checkpoint at the same moment"
        findings = [warned(group, "sqlite", message, "Use a Python with SQLite 3.51.3 or newer.")]
    if facts.came is not Arrival.SAME:
        message = f"{facts.came}: it lies elsewhere than when a daemon last owned it; {_CAME[facts.came]}"
        findings.append(warned("daemon", "root", message, "None is needed if that was meant."))
    if facts.held:
        findings.append(warned("daemon", "held", facts.held, f"Find out what ends it, then: {COMMAND} resume"))
    if facts.quick_check == "ok":
        findings.append(passed(group, "integrity", "ok"))
    else:
        fix = f"Stop the daemon, then: {COMMAND} doctor --repair"
        findings.append(failed(group, "integrity", facts.quick_check.splitlines()[0][:200], fix))
    if facts.schema > facts.schema_known:
        message = f"version {facts.schema} was written by a newer program; this one knows {facts.schema_known}"
        findings.append(failed(group, "schema", message, "Update the program."))
    elif facts.schema < facts.schema_known:
        message = f"version {facts.schema} is brought to {facts.schema_known} at the next start"
        findings.append(passed(group, "schema", message))
    else:
        findings.append(passed(group, "schema", f"version {facts.schema}"))
    return tuple(findings)


def _wal_reset_is_fixed(version: tuple[int, int, int]) -> bool:
    branch = _WAL_RESET_FIXED_IN_BRANCH.get(version[:2])
    return version >= _WAL_RESET_FIXED or (branch is not None and version[2] >= branch)


def clock_finding(now: float) -> Finding:
    """Report on a clock that cannot be right."""
    if now < _BUILT_AFTER:
        said = time.strftime("%Y-%m-%d", time.gmtime(now))
        return failed(
            "machine", "clock", f"it shows {said}, before this program was written", "sudo timedatectl set-ntp true"
        )
    return passed("machine", "clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def open_files_finding(soft_limit: int) -> Finding:
    """Report on how many files a process may hold open; a negative limit is none."""
    if 0 <= soft_limit < _FEW_FILES:
        return warned("machine", "open files", f"at most {soft_limit}", f"ulimit -n {_FEW_FILES * 4}")
    return passed("machine", "open files", "no limit" if soft_limit < 0 else f"at most {soft_limit}")


async def _database(given: Given) -> Sequence[Finding]:
    try:
        return database_findings(await given.database())
    except (OSError, OrchestratorError) as error:
        message = error.message if isinstance(error, OrchestratorError) else str(error)
        lasting = isinstance(error, StoreError) and error.lasting
        fix = f"Stop the daemon, then: {COMMAND} doctor --repair" if lasting else "See what it says, then ask again."
        return [failed("database", "file", message, fix)]


def _guarded(group: str, name: str, probe: Callable[[], Findings]) -> Sequence[Finding]:
    try:
        findings = probe()
    except (OSError, OrchestratorError) as error:
        message = error.message if isinstance(error, OrchestratorError) else str(error)
        return [Finding(group, name, Level.FAIL, f"could not be looked at: {message}", "Check the folder's rights.")]
    return [findings] if isinstance(findings, Finding) else findings


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
