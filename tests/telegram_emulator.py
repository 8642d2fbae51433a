"""The independent emulator `telegram-test-api` of npm, behind the same words as tests/telegram_server.py."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from tests.harness import wait_until
from tests.telegram_server import OWNER, TOKEN

HERE = Path(__file__).with_name("emulator")
INSTALL_S = 120


def installed() -> Path:
    """Return the folder with the emulator in it, as its lock says. Skips, and says why, where that cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not on PATH: telegram-test-api cannot run")
    done = HERE / "node_modules" / "telegram-test-api" / "package.json"
    if not done.exists():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        ran = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False, timeout=INSTALL_S)
        if ran.returncode != 0:
            pytest.skip(f"npm ci could not install telegram-test-api: {ran.stderr.strip()[-200:]}")
    assert json.loads(done.read_text("utf-8"))["version"] == "4.2.1"
    return HERE


class Emulator:
    """Runs while the `with` block does."""

    token = TOKEN

    def __enter__(self) -> Self:
        folder = installed()
        node = shutil.which("node")
        assert node is not None
        self._process = subprocess.Popen(
            [node, "serve.js"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.kill()
        self._process.wait(20)

    def say(self, text: str, *, user: int = OWNER) -> None:
        """A person writes a message."""
        person = {"id": user, "first_name": f"Person {user}", "is_bot": False}
        message = {
            "botToken": TOKEN,
            "from": person,
            "chat": {"id": user, "type": "private", "first_name": person["first_name"]},
            "date": int(time.time()),
            "text": text,
        }
        if text.startswith("/"):
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
        self._post("/sendCommand" if text.startswith("/") else "/sendMessage", message)

    def sent(self, chat: int = OWNER) -> list[dict[str, Any]]:
        """Return what the bot has written in *chat*, as it stands now, oldest first."""
        history = self._post("/getUpdatesHistory", {"token": TOKEN})["result"]
        mine = [one for one in history if str(one["message"].get("chat_id")) == str(chat)]
        return [{"message_id": one["messageId"], **one["message"]} for one in mine]

    def texts(self, chat: int = OWNER) -> list[str]:
        return [str(message["text"]) for message in self.sent(chat)]

    def buttons(self, message_id: int, chat: int = OWNER) -> list[str]:
        (message,) = [one for one in self.sent(chat) if one["message_id"] == message_id]
        rows = message.get("reply_markup", {}).get("inline_keyboard", [])
        return [button["text"] for row in rows for button in row]

    def wait(self, fact: Callable[[], object], what: str, deadline_s: float = 20.0) -> None:
        wait_until(fact, what=f"{what}; the chat: {self.texts()}", deadline_s=deadline_s)

    def wait_text(self, piece: str, chat: int = OWNER, deadline_s: float = 20.0) -> dict[str, Any]:
        """Return the newest message of the bot with *piece* in it, once there is one."""
        self.wait(lambda: any(piece in text for text in self.texts(chat)), f"{piece!r}", deadline_s)
        return next(message for message in reversed(self.sent(chat)) if piece in message["text"])

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
