"""Which Claude Code is used: order of the places, version floor, and what a person is told."""

import os
import sys
from pathlib import Path

import pytest

from orchestrator.bridges.claude_find import Finder, Source, auth_status, locate
from orchestrator.core.attempt import FailureKind


def program(folder: Path, name: str = "claude", *, prints: str = "2.1.329 (Claude Code)", code: int = 0) -> Path:
    """Write a program that prints *prints* and counts its runs in a file beside it."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho x >> '{path}.runs'\ncat <<'END'\n{prints}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return path


def runs(path: Path) -> int:
    return Path(f"{path}.runs").read_text().count("x")


def env(*folders: Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"])}


def test_a_configured_command_wins_over_the_path(tmp_path: Path) -> None:
    on_path, configured = program(tmp_path / "bin"), program(tmp_path, "mine")
    located = locate((str(configured), "--flag"), str(on_path.parent))
    assert located.command == (str(configured), "--flag")
    assert located.source is Source.CONFIGURED


def test_a_configured_name_is_looked_for_on_the_path(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "claude-next")
    assert locate(("claude-next",), str(path.parent)).command == (str(path),)


def test_a_configured_command_that_is_missing_is_not_replaced_by_another(tmp_path: Path) -> None:
    on_path = program(tmp_path / "bin")
    located = locate(("/nowhere/claude",), str(on_path.parent))
    assert located.command == ()
    assert "/nowhere/claude" in located.problem


def test_the_path_wins_over_the_extra(tmp_path: Path) -> None:
    path = program(tmp_path / "bin")
    located = locate((), str(path.parent))
    assert (located.command, located.source) == ((str(path),), Source.PATH)


def test_the_extra_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "claude_agent_sdk"
    path = program(package, prints="").rename(package / "claude.sh")
    (package / "_bundled").mkdir()
    bundled = path.rename(package / "_bundled" / "claude")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    located = locate((), str(tmp_path / "empty"))
    assert (located.command, located.source) == ((str(bundled),), Source.EXTRA)
    assert "claude_agent_sdk" not in sys.modules


@pytest.mark.parametrize(
    ("prints", "kind"),
    [
        ("2.1.214 (Claude Code)", None),
        ("2.1.329 (Claude Code)", None),
        ("3.0.0", None),
        ("2.1.213 (Claude Code)", FailureKind.AGENT_OUTDATED),
        ("1.99.999 (Claude Code)", FailureKind.AGENT_OUTDATED),
        ("something else", FailureKind.AGENT_OUTDATED),
        ("", FailureKind.AGENT_MISSING),
    ],
)
async def test_a_version_is_new_enough_or_it_is_not_used(tmp_path: Path, prints: str, kind: FailureKind | None) -> None:
    path = program(tmp_path / "bin", prints=prints)
    probe = await Finder((str(path),), env()).probe()
    assert probe.kind is kind
    if kind is FailureKind.AGENT_OUTDATED:
        assert "2.1.214" in probe.detail


async def test_a_program_that_does_not_work_is_missing_and_says_why(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", code=3)
    probe = await Finder((str(path),), env()).probe()
    assert probe.kind is FailureKind.AGENT_MISSING
    assert "exit code 3" in probe.detail


async def test_nothing_found_tells_how_to_install(tmp_path: Path) -> None:
    probe = await Finder(("no-such-claude",), env(tmp_path)).probe()
    assert probe.kind is FailureKind.AGENT_MISSING
    assert "pip install" in probe.detail


async def test_a_version_is_asked_for_once_per_program_file(tmp_path: Path) -> None:
    path = program(tmp_path / "bin")
    finder = Finder((str(path),), env())
    assert (await finder.probe()).version == (await finder.probe()).version == "2.1.329"
    assert runs(path) == 1
    program(tmp_path / "bin", prints="2.2.0 (Claude Code)")
    os.utime(path, ns=(1, 1))
    assert (await finder.probe()).version == "2.2.0"


@pytest.mark.parametrize(
    ("prints", "logged_in", "method"),
    [
        ('{"loggedIn": true, "authMethod": "oauth_token"}', True, "oauth_token"),
        ('{"loggedIn": false, "authMethod": "none"}', False, "none"),
        ("Error: unknown command", False, "unknown"),
        ("[]", False, "unknown"),
    ],
)
async def test_the_login_is_what_the_program_says(tmp_path: Path, prints: str, logged_in: bool, method: str) -> None:
    path = program(tmp_path / "bin", prints=prints, code=0 if logged_in else 1)
    status = await auth_status((str(path),), env())
    assert (status.logged_in, status.method) == (logged_in, method)
    assert bool(status.detail) is not logged_in
