"""The command `telegram setup`: from a token to a test message, with the chat found by itself.

Who writes to a new bot first may be anybody: only who sends the number on this screen is taken for its owner.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from orchestrator.api.telegram_line import Access
from orchestrator.api.telegram_words import COMMANDS
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.files import ArtifactFiles
from orchestrator.bridges.root_lock import holder
from orchestrator.chatting import MISSING, connected, installed
from orchestrator.configuration import Configuration
from orchestrator.core.chat import ChatError, ChatLine, Incoming, Outgoing
from orchestrator.core.errors import ConfigError, ConflictError, ExitCode
from orchestrator.core.text import printable

Ask = Callable[[str], Awaitable[str]]
Say = Callable[[str], None]
TRIES = 3
WAIT_S = 600.0
POLL_S = 20.0
_TOKEN, _USERS, _CHAT = "TELEGRAM_BOT_TOKEN", "TELEGRAM_ALLOWED_USERS", "TELEGRAM_CHAT_ID"


async def introduce(configuration: Configuration, ask: Ask, say: Say) -> int:
    """Walk through it. *ask* returns what a person types, the token without showing it. Returns an exit code.

    Raises ConfigError without the library or with a token that is refused, ConflictError while a daemon polls.
    """
    if not installed():
        raise ConfigError(MISSING, hint="Then type this again.")
    state = Path(configuration.settings.paths.state)
    if configuration.settings.telegram.token is not None and state.exists() and holder(state) is not None:
        hint = "Stop it (Ctrl-C, or `service uninstall`), type this again, then start it."
        raise ConflictError("the daemon of this root polls the bot, and only one may", hint=hint)
    code = f"{int(SystemClock().new_session_id()[:8], 16) % 1_000_000:06d}"
    for left in range(TRIES, 0, -1):
        token = await _token(configuration, ask, first=left == TRIES)
        try:
            async with connected(_access(configuration, token)) as line:
                await line.prepare(COMMANDS)
                say(f"This is @{line.username}. Open https://t.me/{line.username} and send it the number {code}")
                owner = await _owner(line, code)
                await _kept(configuration, token, owner)
                await line.send(owner.chat_id, Outgoing("This is your orchestrator. It tells you here what happens."))
        except ChatError as error:
            if not error.final or left == 1:
                raise ConfigError(f"Telegram: {error.why}", hint="Nothing more was changed. Try it again.") from None
            say(f"{error.why}: copy it again from @BotFather")
        else:
            return _done(configuration, owner, say)
    return int(ExitCode.FAILED)  # pragma: no cover - the last try raises


def _done(configuration: Configuration, owner: Incoming, say: Say) -> int:
    say(f"You are {owner.user_id}. A test message is on your phone, and .env knows the rest.")
    say(f"start it: {configuration.command}")
    return int(ExitCode.OK)


def _access(configuration: Configuration, token: str) -> Access:
    return Access(token, configuration.settings.telegram.api_url)


async def _token(configuration: Configuration, ask: Ask, *, first: bool) -> str:
    """Return the token that is configured, when a person wants to keep it; else the one that is typed."""
    known = configuration.settings.telegram.token
    if known is not None and first:
        said = await ask("A token is set. Keep it? [Y/n] ")
        if said.strip().lower() in ("", "y", "yes"):
            return known.get_secret_value()
    return (await ask("Token of your bot, as @BotFather shows it (it is not shown here): ")).strip()


async def _owner(line: ChatLine, code: str) -> Incoming:
    """Return who sends *code* in private. Raises ChatError, also when nobody does in time."""
    after = 0
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                after, arrived = await line.updates(after, timeout_s=POLL_S)
                found = next((one for one in arrived if one.private and code in one.text), None)
                if found is not None:
                    await line.updates(after, timeout_s=0)  # it is ours alone: no daemon takes it for a task
                    return found
    except TimeoutError:
        raise ChatError("nobody sent the number in time", final=False) from None


async def _kept(configuration: Configuration, token: str, owner: Incoming) -> None:
    """Write what was found into .env; people who may use the bot already stay."""
    users = dict.fromkeys([*configuration.settings.telegram.allowed_users, owner.user_id])
    values = {_TOKEN: token, _USERS: ",".join(map(str, users)), _CHAT: str(owner.chat_id)}
    files = ArtifactFiles(configuration.root)
    before = (await files.read(".env") or b"").decode("utf-8", "surrogateescape")
    await files.write(".env", with_values(before, values).encode("utf-8", "surrogateescape"))


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a .env file with *values* in place of what it says of them; all else stays as it is."""
    lines, left = [], dict(values)
    for line in text.splitlines():
        name = re.match(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", line)
        if name and name[1] in values:
            if name[1] in left:
                lines.append(f"{name[1]}={left.pop(name[1])}")
            continue
        lines.append(line)
    lines += [f"{name}={printable(value)}" for name, value in left.items()]
    return "\n".join(lines) + "\n"
