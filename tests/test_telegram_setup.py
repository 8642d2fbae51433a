"""`telegram setup` leads from a token to a test message, and takes nobody else for the owner."""

import asyncio
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("telegram", reason="python-telegram-bot is not installed: pip install -e '.[telegram]'")

from tests.telegram_server import OWNER, TOKEN, TelegramServer

from orchestrator.chatting import OneShot, findings
from orchestrator.configuration import Configuration
from orchestrator.core.errors import ConfigError
from orchestrator.core.finding import Level
from orchestrator.notifying import tried
from orchestrator.telegram_setup import introduce, with_values


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


class Walk:
    """A person before the screen: types *typed*, and sends the number that is shown when the time has come."""

    def __init__(self, root: Path, server: TelegramServer, *typed: str, **environ: str) -> None:
        (root / "config").mkdir()
        (root / "config" / "orchestrator.yaml").write_text(f"telegram:\n  api_url: {server.url}\n", "utf-8")
        self.root = root
        self.server = server
        self.typed = list(typed)
        self.asked: list[str] = []
        self.shown: list[str] = []
        self.environ = environ

    async def ask(self, question: str) -> str:
        self.asked.append(question)
        return self.typed.pop(0)

    def say(self, text: str) -> None:
        self.shown.append(text)
        if code := re.search(r"send it the number (\d{6})", text):
            self.server.say("hello, who are you?", user=666)
            self.server.say(f"{int(code[1]) + 1:06d}", user=666)
            self.server.say(code[1], user=666, chat=-100)
            self.server.say(f"here: {code[1]}")

    async def to_the_end(self) -> int:
        return await asyncio.wait_for(introduce(Configuration(self.root, self.environ), self.ask, self.say), 20)


async def test_who_sends_the_number_is_the_owner_and_the_rest_of_env_stays(
    server: TelegramServer, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("# mine\nANTHROPIC_API_KEY='x # y'\nTELEGRAM_CHAT_ID=1\nTELEGRAM_CHAT_ID=2\n")
    walk = Walk(tmp_path, server, f" {TOKEN}\n")
    assert await walk.to_the_end() == 0
    assert (tmp_path / ".env").read_text() == (
        f"# mine\nANTHROPIC_API_KEY='x # y'\nTELEGRAM_CHAT_ID={OWNER}\n"
        f"TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={OWNER}\n"
    )
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert server.texts() == ["This is your orchestrator. It tells you here what happens."]
    assert server.texts(666) == []
    assert server.pending == 0
    assert "@orchestrator_bot" in walk.shown[0]
    assert TOKEN not in "".join(walk.shown + walk.asked)
    again = Configuration(tmp_path, {}).settings.telegram
    assert (again.allowed_users, again.chat_id) == ((OWNER,), OWNER)


async def test_a_known_token_and_people_who_may_are_kept(server: TelegramServer, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS=5\n")
    walk = Walk(tmp_path, server, "")
    assert await walk.to_the_end() == 0
    assert Configuration(tmp_path, {}).settings.telegram.allowed_users == (5, OWNER)


async def test_a_token_that_is_refused_may_be_typed_again_and_leaves_nothing_behind(
    server: TelegramServer, tmp_path: Path
) -> None:
    walk = Walk(tmp_path, server, "no token", TOKEN[:-1] + "x", "neither")
    with pytest.raises(ConfigError, match="has not the form"):
        await walk.to_the_end()
    assert len(walk.asked) == 3
    assert not (tmp_path / ".env").exists()


def test_values_replace_what_a_file_says_of_them_once() -> None:
    text = "export A=1\n B = 2 # two\nC=3"
    assert with_values(text, {"A": "x", "B": "y", "D": "z"}) == "A=x\nB=y\nC=3\nD=z\n"


async def test_doctor_says_whether_the_bot_can_be_reached_and_asks_nobody_where_nobody_may_use_it(
    server: TelegramServer, tmp_path: Path
) -> None:
    walk = Walk(tmp_path, server, TELEGRAM_BOT_TOKEN=TOKEN, TELEGRAM_ALLOWED_USERS=str(OWNER))
    (answers,) = await findings(Configuration(tmp_path, walk.environ))
    assert (answers.level, answers.message) == (Level.PASS, "@orchestrator_bot answers")
    server.fail("getMe", 401)
    (refused,) = await findings(Configuration(tmp_path, walk.environ))
    assert (refused.level, refused.message) == (Level.WARN, "Telegram refuses the token")
    asked = server.count("getMe")
    assert await findings(Configuration(tmp_path, {"TELEGRAM_BOT_TOKEN": TOKEN})) == ()
    assert server.count("getMe") == asked


async def test_a_test_of_notices_goes_by_a_connection_of_its_own(server: TelegramServer, tmp_path: Path) -> None:
    environ = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_ALLOWED_USERS": str(OWNER), "TELEGRAM_CHAT_ID": str(OWNER)}
    configuration = Configuration(tmp_path, Walk(tmp_path, server, **environ).environ)
    (told,) = await tried(configuration, "", OneShot(configuration))
    assert (told.sink, told.trouble) == ("telegram", "")
    (text,) = server.texts()
    assert "If you can read this, notices reach you here" in text
