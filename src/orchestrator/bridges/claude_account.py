"""Whose allowance Claude Code would use now, as a short digest: it tells two accounts apart and nothing more.

What decides is looked at in the order in which the program does: a key or token of the environment, then the login it
keeps in its own folder. Of a login the account is taken and not its tokens, which are exchanged every few hours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from orchestrator.bridges.claude_command import ClaudeConfig, config_dir, environment
from orchestrator.core.events import Json

_OF_THE_ENVIRONMENT = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
_OF_A_LOGIN = ("accountUuid", "organizationUuid", "emailAddress")
_LOGIN_BYTES = 64 * 1024 * 1024


class Account:
    """Finds it; a login is read again only when its file has changed."""

    def __init__(self) -> None:
        self._seen: tuple[str, int, int] | None = None
        self._login: tuple[str, ...] = ()

    def digest(self, config: ClaudeConfig) -> str:
        """Return 12 hex digits, "" when there is neither a key nor a login."""
        env = environment(config)
        at = env.get("ANTHROPIC_BASE_URL", "")
        for name in _OF_THE_ENVIRONMENT:
            if value := env.get(name):
                return _digest(name, value, at)
        login = self._of_login(config, env)
        return _digest("login", *login, at) if login else ""

    def _of_login(self, config: ClaudeConfig, env: Mapping[str, str]) -> tuple[str, ...]:
        folder = env.get("CLAUDE_CONFIG_DIR") or env.get("HOME", "")
        path = Path(folder, ".claude.json")
        try:
            facts = path.stat()
            seen = (str(path), facts.st_mtime_ns, facts.st_size)
            if seen != self._seen:
                self._login = _account_in(path) if facts.st_size <= _LOGIN_BYTES else ()
                self._seen = seen
        except (OSError, ValueError):
            return ()
        # Without a name of the account the folder stands for it: another folder is another login.
        return self._login or ((config_dir(config),) if Path(config_dir(config), ".credentials.json").exists() else ())


def _account_in(path: Path) -> tuple[str, ...]:
    found: Json = json.loads(path.read_bytes())
    account = found.get("oauthAccount") if isinstance(found, Mapping) else None
    if not isinstance(account, Mapping):
        return ()
    named = tuple(str(account.get(name) or "") for name in _OF_A_LOGIN)
    return named if any(named) else ()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]
