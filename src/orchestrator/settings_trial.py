"""Tries the settings that we generate for Claude Code on the real program, before any task depends on them.

One bad field makes the program drop a whole part of its settings without a word, and a new release may read them
otherwise: only a try tells. A scripted model on loopback asks for what must be refused and for what must be allowed;
then it is looked at what happened. No account is used and nothing of the person's home folder is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator import __version__
from orchestrator.bridges import claude_command
from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig, Session
from orchestrator.bridges.claude_find import Finder
from orchestrator.bridges.claude_levels import Level
from orchestrator.core.attempt import AgentMessage, Failed, FailureKind, Interrupted, WorkOrder, not_begun
from orchestrator.core.events import TaskUid
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Scenario, ToolCall

log = logging.getLogger(__name__)

RECORD = "settings_trial.json"  # of the last trial that was passed: what was tried, and with which program
TIME_LIMIT_S = 120
_PLACEHOLDER = "DeferredToolPlaceholder"  # in every request of recent releases; it does nothing
TOOLS = ("Bash", "Read", "Edit", "Write", "Glob", "Grep")
DENIED = "denied-by-a-rule.txt"  # nothing but a rule of ours keeps the agent from it
SECRET = "secret-of-the-settings-trial"  # noqa: S105 - made up, to look for it
_SCENARIO = "settings-trial"
_PASSED = ("PATH", "LANG", "LC_ALL", "SHELL", "TERM")


@dataclass(frozen=True, slots=True)
class _Ground:
    """The folders of one trial, all of them under *folder*."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def cwd(self) -> Path:
        return self.folder / "work"

    @property
    def attempt(self) -> Path:
        return self.folder / "attempt"

    def lay(self) -> None:
        """Make the folders, and what must have no effect in them. Raises OSError."""
        for place in (self.home / ".ssh", self.cwd / ".git" / "hooks", self.cwd / ".claude"):
            place.mkdir(parents=True, exist_ok=True)
        (self.home / ".ssh" / "id_trial").write_text(SECRET)
        (self.cwd / ".git" / "config").write_text("[core]\n")
        ran = f"touch '{self.cwd}/hook-ran'"
        hook = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": ran}]}]}}
        (self.cwd / ".claude" / "settings.json").write_text(json.dumps(hook))
        server = {"command": "sh", "args": ["-c", f"touch '{self.cwd}/server-ran'"]}
        (self.cwd / ".mcp.json").write_text(json.dumps({"mcpServers": {"trial": server}}))


class SettingsTrial:
    """Says whether the settings of a configuration hold.

    It knows what has passed, by *record* over restarts too; that is written only where it is to *remember*. *folder* is
    made for a trial and removed afterwards, unless something did not hold.
    """

    def __init__(self, folder: Path, record: Path, new_session_id: Callable[[], str], *, remember: bool = True) -> None:
        self._folder = folder
        self._record = record
        self._new_session_id = new_session_id
        self._remembers = remember
        self.passed = ""  # what the last trial that was passed was of
        self._one_at_a_time = asyncio.Lock()

    async def failure(self, config: ClaudeConfig) -> Failed | None:
        """Return why nothing may be started under *config*, None when its settings hold or nothing can be started.

        Costs a run of the program once for each of its releases and each change of the settings.
        """
        async with self._one_at_a_time:
            finder = Finder(config.command, claude_command.environment(config), oldest=config.min_version)
            located = finder.locate()
            if not located.command or claude_command.refusal(config):
                return None  # the run itself has better words for that
            subject = await asyncio.to_thread(_digest, config, located.command)
            if subject in (self.passed, await asyncio.to_thread(self._recorded)):
                self.passed = subject
                return None
            if (await finder.probe()).kind is not None:
                return None
            return await self._try(replace(config, command=located.command), subject)

    async def _try(self, config: ClaudeConfig, subject: str) -> Failed | None:
        ground = _Ground(self._folder)
        order = _order(ground)
        try:
            await self._clear(config, order)
            await asyncio.to_thread(ground.lay)
            with ScriptedModel() as model:
                model.play(_SCENARIO, _scenario(config, ground, model.port))
                ended = await self._agent(config, ground, model).run(order, _silent)
                given = {tool for request in model.requests(_SCENARIO) for tool in request.tools}
        except OSError as error:
            where = error.filename or str(ground.folder)
            return Failed(FailureKind.SHORTAGE, f"{where}: {error.strerror or error}", not_begun(order))
        if isinstance(ended, Failed) and ended.kind is FailureKind.SHORTAGE:
            return ended
        if isinstance(ended, Failed) and ended.kind is FailureKind.START_REFUSED:
            return None  # nothing was started, and nothing will be: the run itself has better words for that
        broken = await asyncio.to_thread(_broken, config, ground, given)
        if isinstance(ended, Failed | Interrupted):
            why = ended.detail if isinstance(ended, Failed) else ended.reason
            broken.insert(0, f"the run did not end well ({why})")
        if broken:
            detail = "; ".join(broken)
            if self._remembers:  # else the folder is the caller's, and gone before anybody could look
                log.error("the settings for %s do not hold: %s; see %s", config.command[0], detail, ground.folder)
            words = f"the self-test of its settings failed, so nothing is started: {detail}"
            return Failed(FailureKind.AGENT_UNTRUSTED, words, not_begun(order))
        await asyncio.to_thread(shutil.rmtree, ground.folder, ignore_errors=True)
        self.passed = subject
        await asyncio.to_thread(self._remember, subject)
        log.info("the settings for %s hold: tried", config.command[0])
        return None

    async def _clear(self, config: ClaudeConfig, order: WorkOrder) -> None:
        """Remove what an earlier trial left, first of all what may still run of it."""
        if Path(order.attempt_dir).exists():
            await ClaudeAgent(config, self._new_session_id).collect(order)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _agent(self, config: ClaudeConfig, ground: _Ground, model: ScriptedModel) -> ClaudeAgent:
        environ = {name: value for name, value in config.environ.items() if name in _PASSED} | {
            "HOME": str(ground.home),
            "ANTHROPIC_BASE_URL": model.base_url(_SCENARIO),
            "ANTHROPIC_API_KEY": "scripted-model-needs-no-key",
            "NO_PROXY": "127.0.0.1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        tried = replace(config, environ=environ, denied=(DENIED,), max_retries=0, tmp_dir=str(ground.folder / "tmp"))
        return ClaudeAgent(tried, self._new_session_id)

    def _recorded(self) -> str:
        with suppress(OSError, ValueError):
            found = json.loads(self._record.read_bytes())
            return str(found.get("passed", "")) if isinstance(found, dict) else ""
        return ""

    def _remember(self, subject: str) -> None:
        """A trial that is forgotten is only repeated, so this need not be durable."""
        if not self._remembers:
            return
        with suppress(OSError):
            new = self._record.with_suffix(".new")
            new.write_text(json.dumps({"schema_version": 1, "passed": subject}))
            new.replace(self._record)


async def _silent(_: AgentMessage) -> None:
    """Nobody listens to a trial."""


def _order(ground: _Ground) -> WorkOrder:
    """The same uid in the same folder each time: what an earlier trial left running is found by it."""
    uid = uuid.uuid5(uuid.NAMESPACE_URL, str(ground.folder.absolute())).hex
    return WorkOrder(
        uid=TaskUid(uid),
        attempt=1,
        epoch=1,
        task_id="settings-trial",
        agent="claude",
        prompt="Try what you may do.",
        cwd=str(ground.cwd),
        session_id=str(uuid.uuid4()),
        attempt_dir=str(ground.attempt),
        tools=TOOLS,
        timeout_s=TIME_LIMIT_S,
    )


def _digest(config: ClaudeConfig, command: tuple[str, ...]) -> str:
    """Return what stands for everything that a trial depends on: command line, program, what holds it, kernel."""
    fixed = _order(_Ground(Path("/trial")))
    words = claude_command.argv(config, command, fixed, Session("any"))
    path = config.environ.get("PATH", os.defpath)
    programs = [command[0], *(shutil.which(name, path=path) or "" for name in ("bwrap", "socat"))]
    seen: list[object] = [__version__, words, sorted(claude_command.environment(config)), config.container]
    seen += [_identity(program) for program in programs]
    seen += [os.uname().release, os.geteuid(), claude_command.level(config)]
    return hashlib.sha256(json.dumps(seen, default=str).encode()).hexdigest()


def _identity(program: str) -> tuple[str, int, int]:
    try:
        real = Path(program).resolve()
        stat = real.stat()
    except OSError:
        return (program, 0, 0)
    return (str(real), stat.st_mtime_ns, stat.st_size)


def _has_shell(config: ClaudeConfig) -> bool:
    return "Bash" in claude_command.tools(config, _order(_Ground(Path("/trial"))))


def _shell_is_held(config: ClaudeConfig) -> bool:
    return _has_shell(config) and claude_command.level(config) in (Level.PROCESS, Level.SHELL)


def _outside_is_closed(config: ClaudeConfig) -> bool:
    """Whether the file tools must not reach beyond the work area."""
    return not config.skip_permissions or claude_command.level(config) is Level.PROCESS


def _scenario(config: ClaudeConfig, ground: _Ground, port: int) -> Scenario:
    calls = [
        _write(ground.cwd / "allowed.txt"),
        _write(ground.cwd / DENIED),
        _write(ground.cwd / ".git" / "hooks" / "post-checkout"),
    ]
    if _outside_is_closed(config):
        calls.append(_write(ground.home / "outside.txt"))
    if _has_shell(config):
        calls.append(_bash("touch shell-allowed.txt"))
    if _shell_is_held(config):
        calls += [
            _bash(f"touch '{ground.home}/shell-outside.txt'"),
            _bash("cat ~/.ssh/id_trial > copied.txt"),
            _bash(f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' && touch reached.txt"),
        ]
    return Scenario(tuple(Answer("Next.", (call,)) for call in calls), Answer("Done."))


def _write(path: Path) -> ToolCall:
    return ToolCall("Write", {"file_path": str(path), "content": "tried\n"})


def _bash(command: str) -> ToolCall:
    return ToolCall("Bash", {"command": command, "description": "Try it"})


def _broken(config: ClaudeConfig, ground: _Ground, given: set[str]) -> list[str]:
    """Return in words what did not hold, [] when everything did."""
    cwd, home = ground.cwd, ground.home
    must: Mapping[Path, str] = {
        cwd / "allowed.txt": "it could not write in its work area",
        **({cwd / "shell-allowed.txt": "its shell did not work"} if _has_shell(config) else {}),
    }
    unloaded = {
        cwd / "hook-ran": "a hook of the project was run",
        cwd / "server-ran": "a server of the project was started",
    }
    must_not: Mapping[Path, str] = {
        cwd / DENIED: "a rule against writing had no effect",
        cwd / ".git" / "hooks" / "post-checkout": "it could write a hook of git",
        **({} if config.project_settings else unloaded),
        home / "outside.txt": "its file tools wrote outside of the work area",
        home / "shell-outside.txt": "its shell wrote outside of the work area",
        cwd / "reached.txt": "its shell reached the network",
    }
    found = [words for path, words in must.items() if not path.exists()]
    found += [words for path, words in must_not.items() if path.exists()]
    with suppress(OSError):
        if SECRET in (cwd / "copied.txt").read_text(errors="replace"):
            found.append("its shell read a file that is kept from it")
    if more := sorted(given - {*TOOLS, _PLACEHOLDER}):
        found.append(f"it was given tools that nobody listed: {', '.join(more)}")
    if "Bash" in given and not _has_shell(config):
        found.append("it was given a shell that nothing holds")
    return found
