"""Which Claude Code is used, whether it is new enough, whether it is logged in.

Looked for in this order: the configured command, `claude` on PATH, the program in the wheel that the `claude` extra
installs. A configured command that does not exist is an error and not a reason to take another one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestrator.bridges.process import run_quick
from orchestrator.core.attempt import FailureKind
from orchestrator.core.events import Json

OLDEST = "2.1.214"
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_PROBE_S = 20.0
_INSTALL = (
    "Install Claude Code (https://claude.com/claude-code), or the extra: pip install 'ai-task-orchestrator[claude]'"
)


class Source(StrEnum):
    """Where a command came from."""

    CONFIGURED = "configured"
    PATH = "PATH"
    EXTRA = "claude extra"
    NONE = "not found"


@dataclass(frozen=True, slots=True)
class Located:
    """A command to start Claude Code with; () when there is none, and *problem* says why."""

    command: tuple[str, ...]
    source: Source
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of a command. *kind* None: it can be used; else *detail* says what is wrong and what to do."""

    located: Located
    version: str = ""
    kind: FailureKind | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AuthStatus:
    """What `auth status` says. A wrong key still counts as logged in: only a run shows that."""

    logged_in: bool
    method: str
    detail: str = ""


def locate(configured: tuple[str, ...], path: str) -> Located:
    """Return the command to use. *path* is a list of folders as in PATH."""
    if configured:
        found = shutil.which(configured[0], path=path)
        if found is None:
            problem = f"the configured command {configured[0]!r} is not an executable file and not on PATH"
            return Located((), Source.CONFIGURED, problem)
        return Located((found, *configured[1:]), Source.CONFIGURED)
    if found := shutil.which("claude", path=path):
        return Located((found,), Source.PATH)
    if bundled := _bundled():
        return Located((bundled,), Source.EXTRA)
    return Located((), Source.NONE, "claude is not on PATH, and the claude extra is not installed")


def _bundled() -> str:
    """Return the program within the wheel, "" without one. The wheel's own code is not imported: it is slow to."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / "_bundled" / "claude"
        if os.access(program, os.X_OK):
            return str(program)
    return ""


class Finder:
    """Finds and probes Claude Code; remembers a version until the program's file changes."""

    def __init__(self, configured: tuple[str, ...], env: Mapping[str, str], *, oldest: str = OLDEST) -> None:
        """*env* is the environment that runs get; its PATH is searched. *oldest* is the first release accepted."""
        self._oldest = oldest
        self._configured = configured
        self._env = env
        self._versions: dict[tuple[tuple[str, ...], int, int], str] = {}

    def locate(self) -> Located:
        """Return the command that would be used now, untried."""
        return locate(self._configured, self._env.get("PATH", os.defpath))

    async def probe(self) -> Probe:
        """Return what can be used now. Costs a quarter of a second once, then a look at the file."""
        located = self.locate()
        if not located.command:
            return Probe(located, kind=FailureKind.AGENT_MISSING, detail=f"{located.problem}. {_INSTALL}")
        version, detail = await self._version(located.command)
        if not version:
            return Probe(located, kind=FailureKind.AGENT_MISSING, detail=detail)
        number, oldest = _numbers(version), _numbers(self._oldest)
        if number is None or (oldest is not None and number < oldest):
            detail = f"{located.command[0]} is version {version}; at least {self._oldest} is needed. Run: claude update"
            return Probe(located, version, FailureKind.AGENT_OUTDATED, detail)
        return Probe(located, version)

    async def _version(self, command: tuple[str, ...]) -> tuple[str, str]:
        """Return (version, "") or ("", why there is none)."""
        try:
            stat = Path(command[0]).stat()
        except OSError as error:
            return "", f"{command[0]}: {error.strerror}"
        key = (command, stat.st_mtime_ns, stat.st_size)
        if key not in self._versions:
            done = await run_quick([*command, "--version"], env=self._env, timeout_s=_PROBE_S)
            said = done.stdout.decode(errors="replace").strip()
            if done.exit_code != 0 or not said:
                why = done.stderr.decode(errors="replace").strip() or done.detail or f"exit code {done.exit_code}"
                return "", f"{' '.join(command)} --version does not work: {why[:300]}"
            self._versions[key] = said.split()[0]
        return self._versions[key], ""


def _numbers(version: str) -> tuple[int, int, int] | None:
    match = _VERSION.match(version)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


async def auth_status(command: tuple[str, ...], env: Mapping[str, str]) -> AuthStatus:
    """Ask the program whether it has a credential. Costs up to a second; asks nobody over the network."""
    done = await run_quick([*command, "auth", "status"], env=env, timeout_s=_PROBE_S)
    try:
        raw: Json = json.loads(done.stdout)
    except ValueError:
        raw = None
    if not isinstance(raw, Mapping):
        why = done.stderr.decode(errors="replace").strip() or done.detail or f"exit code {done.exit_code}"
        return AuthStatus(False, "unknown", f"auth status gave no answer: {why[:300]}")
    method = str(raw.get("authMethod") or "unknown")
    logged_in = raw.get("loggedIn") is True
    hint = "" if logged_in else "Run `claude` once and log in, or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN"
    return AuthStatus(logged_in, method, hint)
