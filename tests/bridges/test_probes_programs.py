"""What `doctor` finds out about programs, services and the whole, on real sockets and a real lock."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.findings import FAIL, PASS, TOKEN, UID, WARN, by_name, levels

from orchestrator.bridges.probes import (
    Configured,
    DatabaseFacts,
    Given,
    clock_finding,
    daemon_finding,
    database_findings,
    examine,
    open_files_finding,
)
from orchestrator.bridges.probes_ollama import OllamaUse
from orchestrator.bridges.probes_programs import (
    ClaudeProbe,
    claude_findings,
    gh_finding,
    git_findings,
    python_finding,
    telegram_findings,
)
from orchestrator.bridges.root_lock import Holder, take_root
from orchestrator.core.errors import StoreError
from orchestrator.core.finding import Level

# --- programs and services ---


def nothing(name: str) -> str | None:
    return None


def everything(name: str) -> str | None:
    return f"/usr/bin/{name}"


async def real_run(argv: Sequence[str]) -> tuple[int, str]:
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


async def test_the_real_git_is_recognised() -> None:
    git = "/usr/bin/git"
    if not Path(git).exists():
        pytest.skip("git is not installed")
    findings = await git_findings(real_run, everything)
    assert levels(findings)["version"] is PASS


@pytest.mark.parametrize(
    ("version", "name", "level", "identity"),
    [
        ("git version 2.39.5", "me", PASS, PASS),
        ("git version 2.39.5 (Apple Git-154)", "", PASS, WARN),
        ("git version 2.20.1", "me", WARN, PASS),
        ("git version 2.37.7", "me", WARN, PASS),
    ],
)
async def test_git_is_judged_by_age_and_by_whose_name_it_has(
    version: str, name: str, level: Level, identity: Level
) -> None:
    async def run(argv: Sequence[str]) -> tuple[int, str]:
        said = version if argv[-1] == "--version" else name
        return (0 if said else 1), said

    assert levels(await git_findings(run, everything)) == {"version": level, "identity": identity}


async def test_a_missing_git_fails_with_the_command() -> None:
    (finding,) = await git_findings(real_run, nothing)
    assert (finding.level, finding.fix) == (FAIL, "sudo apt install -y git")


def test_gh_is_named_and_its_absence_is_no_fault() -> None:
    assert (gh_finding(nothing).level, gh_finding(nothing).name) == (PASS, "gh")
    assert "only the command `pr` needs it" in gh_finding(nothing).message
    assert gh_finding(everything).message == everything("gh")


def claude(version: str | Exception = "2.1.329", login: str | Exception = "api_key", found: bool = True) -> ClaudeProbe:
    async def answer(what: str | Exception) -> str:
        if isinstance(what, Exception):
            raise what
        return what

    return ClaudeProbe(lambda: ["/bin/claude"] if found else [], lambda: answer(version), lambda: answer(login))


@pytest.mark.parametrize(
    ("probe", "wanted"),
    [
        (claude(), {"program": PASS, "version": PASS, "login": PASS}),
        (claude(found=False), {"program": FAIL}),
        (claude(version="2.1.213"), {"program": PASS, "version": FAIL, "login": PASS}),
        (claude(version="2.1.99"), {"program": PASS, "version": FAIL, "login": PASS}),
        (claude(version="2.2.0"), {"program": PASS, "version": PASS, "login": PASS}),
        (claude(version=""), {"program": PASS, "version": FAIL, "login": PASS}),
        (claude(login=""), {"program": PASS, "version": PASS, "login": FAIL}),
        (claude(login=TimeoutError()), {"program": PASS, "version": PASS, "login": WARN}),
        (claude(version=OSError("exec format error")), {"program": PASS, "version": FAIL}),
    ],
)
async def test_the_cli_is_judged_by_being_there_its_age_and_its_login(
    probe: ClaudeProbe, wanted: dict[str, Level]
) -> None:
    assert levels(await claude_findings(probe, floor="2.1.214")) == wanted


@pytest.mark.parametrize(
    ("token", "users", "chat", "wanted"),
    [
        ("", (), None, {"token": PASS}),
        (TOKEN, (1,), 2, {"token": PASS, "allowed users": PASS, "chat": PASS}),
        (TOKEN, (), None, {"token": PASS, "allowed users": WARN, "chat": WARN}),
        ("your_bot_token", (1,), 2, {"token": WARN, "allowed users": PASS, "chat": PASS}),
    ],
)
def test_the_bot_is_judged_without_asking_telegram(
    token: str, users: tuple[int, ...], chat: int | None, wanted: dict[str, Level]
) -> None:
    findings = telegram_findings(token, users, chat)
    assert levels(findings) == wanted
    assert not token or token not in repr(findings)


@pytest.mark.parametrize(
    ("version", "venv", "level"), [((3, 11, 0), True, PASS), ((3, 10, 9), True, FAIL), ((3, 13, 1), False, WARN)]
)
def test_python_is_judged_by_version_and_environment(version: tuple[int, int, int], venv: bool, level: Level) -> None:
    assert python_finding(version, in_venv=venv).level is level


# --- daemon, database, machine ---


async def test_the_daemon_is_known_by_its_lock(tmp_path: Path) -> None:
    assert daemon_finding(tmp_path).message == "no daemon is running"
    with await take_root(tmp_path, Holder(4812, "box", 1_790_000_000.0, "0.1.0")):
        assert "pid 4812 on box, since 2026-09-21" in daemon_finding(tmp_path).message
    assert daemon_finding(tmp_path).message == "no daemon is running"


FINE = DatabaseFacts((3, 51, 3), "ok", 3, 3, writers_share_checkpoints=True)


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (FINE, {"sqlite": PASS, "integrity": PASS, "schema": PASS}),
        (replace(FINE, sqlite=(3, 40, 1)), {"sqlite": WARN, "integrity": PASS, "schema": PASS}),
        (replace(FINE, sqlite=(3, 50, 7)), {"sqlite": PASS, "integrity": PASS, "schema": PASS}),
        (replace(FINE, sqlite=(3, 51, 2)), {"sqlite": WARN, "integrity": PASS, "schema": PASS}),
        (
            replace(FINE, sqlite=(3, 40, 1), writers_share_checkpoints=False),
            {"sqlite": PASS, "integrity": PASS, "schema": PASS},
        ),
        (replace(FINE, quick_check="row 3 missing"), {"sqlite": PASS, "integrity": FAIL, "schema": PASS}),
        (replace(FINE, schema=4), {"sqlite": PASS, "integrity": PASS, "schema": FAIL}),
        (replace(FINE, schema=2), {"sqlite": PASS, "integrity": PASS, "schema": PASS}),
        (None, {"file": PASS}),
    ],
)
def test_the_database_is_judged_by_what_it_says_of_itself(
    facts: DatabaseFacts | None, wanted: dict[str, Level]
) -> None:
    assert levels(database_findings(facts)) == wanted


@pytest.mark.parametrize(("limit", "level"), [(256, WARN), (1024, PASS), (-1, PASS)])
def test_few_open_files_are_a_warning(limit: int, level: Level) -> None:
    assert open_files_finding(limit).level is level


def test_a_clock_before_this_program_fails() -> None:
    assert clock_finding(0.0).level is FAIL
    assert clock_finding(time.time()).level is PASS


# --- the whole report ---


async def no_database() -> DatabaseFacts | None:
    return None


async def broken_database() -> DatabaseFacts | None:
    raise StoreError("file is not a database")


def given_root(root: Path) -> Given:
    names = {"root": "", "tasks": "tasks", "results": "results", "summaries": "summaries", "logs": "logs"}
    folders = {key: root / name for key, name in names.items()} | {"state": root / ".orchestrator"}
    configured = Configured(
        folders=folders,
        base_cwd=root / "workspace",
        allowed_root=root / "workspace",
        min_free_bytes=1,
        confinement="auto",
        allow_unconfined=False,
        skip_permissions=False,
        project_settings=False,
        project_notes=True,
        min_version="2.1.214",
        ollama=OllamaUse("http://127.0.0.1:9"),
        telegram_token=TOKEN,
        telegram_users=(1,),
        telegram_chat=2,
        effective=[("pool.max_concurrent_tasks", "3", "defaults"), ("telegram.token", "set (46 characters)", ".env")],
        warnings=["LOG_LEVL is not a variable of this program"],
    )
    return Given(
        configured=configured,
        now=time.time(),
        uid=UID,
        python=sys.version_info[:3],
        in_venv=True,
        is_sandbox="",
        sandbox_available=False,
        without="bubblewrap (bwrap) is not on the PATH",
        open_files=1024,
        run=real_run,
        which=nothing,
        claude=claude(found=False),
        database=no_database,
    )


async def test_the_report_covers_every_group_and_shows_no_secret(tmp_path: Path) -> None:
    findings = await examine(given_root(tmp_path))
    groups = list(dict.fromkeys(finding.group for finding in findings))
    assert groups == [
        "python", "configuration", "settings", "folders", "file system", "machine", "watching", "daemon", "database",
        "git", "claude", "sandbox", "ollama", "telegram",
    ]  # fmt: skip
    assert TOKEN not in repr(findings)
    assert by_name(findings, "sources").level is WARN
    assert by_name(findings, "telegram.token").message == "set (46 characters) (.env)"


async def test_what_is_wrong_always_says_what_to_do(tmp_path: Path) -> None:
    given = replace(given_root(tmp_path / "gone"), database=broken_database)
    findings = await examine(given)
    wrong = [finding for finding in findings if finding.level is not PASS]
    assert len(wrong) > 5
    assert [finding for finding in wrong if not finding.fix] == []
    assert "file is not a database" in repr(findings)


async def test_looking_leaves_the_root_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    await examine(given_root(tmp_path))
    assert [path.name for path in tmp_path.rglob("*")] == ["tasks"]
