"""Looks at the programs and services around the daemon for `doctor`.

Programs are started through what the caller hands in; nothing here starts one itself, or opens a connection.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from orchestrator.bridges.git import OLDEST as GIT_OLDEST
from orchestrator.bridges.git_merge import OLDEST as GIT_TO_MERGE
from orchestrator.core.finding import Finding, failed, passed, warned

Which = Callable[[str], str | None]
Run = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]
"""Runs a short program to its end and returns (exit code, what it wrote to standard output). May raise OSError."""

_INSTALL_CLAUDE = "pip install -e '.[claude]', or npm install -g @anthropic-ai/claude-code"
_GIT_FLOOR = GIT_OLDEST
_PYTHON_FLOOR = (3, 11)
_BOT_TOKEN = re.compile(r"\d{6,12}:[\w-]{35,}")


@dataclass(frozen=True, slots=True)
class ClaudeProbe:
    """How the CLI is asked: *find* returns the command or () when there is none; *version* its version such as
    2.1.214, "" when it does not say; *login* how it is logged in (api_key, oauth_token …), "" when it is not.
    *misnamed* is what is wrong with the command that the configuration names, "" when it names none."""

    find: Callable[[], Sequence[str]]
    version: Callable[[], Awaitable[str]]
    login: Callable[[], Awaitable[str]]
    misnamed: Callable[[], str] = str


def python_finding(version: tuple[int, int, int], *, in_venv: bool) -> Finding:
    said = ".".join(map(str, version))
    if version[:2] < _PYTHON_FLOOR:
        return failed("python", "version", f"{said}, 3.11 is the oldest that works", "Install Python 3.11 or newer.")
    if not in_venv:
        fix = "python3 -m venv .venv && .venv/bin/pip install -e ."
        return warned("python", "version", f"{said}, outside a virtual environment", fix)
    return passed("python", "version", f"{said}, in a virtual environment")


async def git_findings(run: Run, which: Which) -> tuple[Finding, ...]:
    """Report on git and on whose name its commits would bear."""
    path = which("git")
    if path is None:
        said = "git is not on the PATH: a task in a repository works in place, and nothing of its work is kept"
        return (failed("git", "version", said, "sudo apt install -y git"),)
    try:
        _, said = await run([path, "--version"])
    except (OSError, TimeoutError) as error:
        return (failed("git", "version", f"{path} does not run: {error}", f"{path} --version"),)
    found = re.search(r"(\d+)\.(\d+)[\w.]*", said)
    if found is None:
        return (warned("git", "version", f"{path} does not say its version", f"{path} --version"),)
    if (int(found[1]), int(found[2])) < _GIT_FLOOR:
        version = warned(
            "git", "version", f"{found[0]} is old; without 2.31 tasks work in place", "sudo apt install -y git"
        )
    elif (int(found[1]), int(found[2])) < GIT_TO_MERGE:
        said = f"{found[0]} is old; without 2.38 a task cannot begin with the results of several others"
        version = warned("git", "version", said, "sudo apt install -y git")
    else:
        version = passed("git", "version", f"{found[0]} ({path})")
    return (version, await _git_identity(run, path))


def gh_finding(which: Which) -> Finding:
    """Report on the program that opens pull requests. Only `pr` needs it: without it nothing is wrong."""
    path = which("gh")
    return passed("git", "gh", path or "not on the PATH; only the command `pr` needs it (cli.github.com)")


async def _git_identity(run: Run, path: str) -> Finding:
    missing = []
    for key in ("user.name", "user.email"):
        try:
            code, said = await run([path, "config", "--get", key])
        except (OSError, TimeoutError):
            code, said = 1, ""
        if code or not said.strip():
            missing.append(key)
    if missing:
        fix = "; ".join(f'git config --global {key} "…"' for key in missing)
        return warned("git", "identity", f"{' and '.join(missing)} not set; agents cannot commit", fix)
    return passed("git", "identity", "set")


async def claude_findings(probe: ClaudeProbe, *, floor: str) -> tuple[Finding, ...]:
    """Report on the Claude Code CLI: where, how old, logged in. Its login is not tried: that would cost a request."""
    group = "claude"
    command = probe.find()
    if problem := probe.misnamed():
        fix = "Correct agents.claude.command (variable ORCHESTRATOR_CLAUDE_COMMAND), or leave it empty to look for it."
        return (failed(group, "program", problem, fix),)
    if not command:
        return (failed(group, "program", "the Claude Code CLI was not found", _INSTALL_CLAUDE),)
    findings = [passed(group, "program", " ".join(command))]
    try:
        version = await probe.version()
    except (OSError, TimeoutError) as error:
        fix = " ".join([*command, "--version"])
        return (*findings, failed(group, "version", f"it does not start: {error}", fix))
    if not version:
        findings.append(failed(group, "version", "it does not say its version", " ".join([*command, "--version"])))
    elif _numbers(version) < _numbers(floor):
        message = f"{version} is older than {floor}, which closes known holes (npm on an old node installs old ones)"
        findings.append(failed(group, "version", message, _INSTALL_CLAUDE))
    else:
        findings.append(passed(group, "version", f"{version}, {floor} or newer is needed"))
    try:
        login = await probe.login()
    except (OSError, TimeoutError) as error:
        return (
            *findings,
            warned(group, "login", f"could not be asked: {error}", " ".join([*command, "auth", "status"])),
        )
    if login:
        findings.append(passed(group, "login", login))
    else:
        fix = f"Run {' '.join(command)} once and log in, or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN."
        findings.append(failed(group, "login", "not logged in", fix))
    return tuple(findings)


def telegram_findings(token: str, allowed_users: Sequence[int], chat_id: int | None) -> tuple[Finding, ...]:
    """Report on the bot's settings; Telegram itself is not asked."""
    group = "telegram"
    if not token:
        return (passed(group, "token", "not configured"),)
    if _BOT_TOKEN.fullmatch(token):
        findings = [passed(group, "token", f"set ({len(token)} characters)")]
    else:
        message = f"set ({len(token)} characters), but not of the form 123456789:AA…"
        findings = [warned(group, "token", message, "Copy it again from @BotFather into .env.")]
    if allowed_users:
        findings.append(passed(group, "allowed users", f"{len(allowed_users)}"))
    else:
        fix = "Put your own number (ask @userinfobot) into TELEGRAM_ALLOWED_USERS."
        findings.append(warned(group, "allowed users", "empty: nobody may use the bot", fix))
    if chat_id is None:
        fix = "Set TELEGRAM_CHAT_ID to the chat that is to be told about ended tasks."
        findings.append(warned(group, "chat", "not set: no notifications", fix))
    else:
        findings.append(passed(group, "chat", "set"))
    return tuple(findings)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
