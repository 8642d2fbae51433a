"""A real daemon, a real repository, a server on loopback: from a message to a merge, killed on the way."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("telegram", reason="python-telegram-bot is not installed: pip install -e '.[telegram]'")

from tests.bridges.git_rig import git, needs_git, repository
from tests.e2e.command_root import CommandRoot, script
from tests.harness import events, wait_until
from tests.telegram_server import OWNER, TOKEN, TelegramServer

pytestmark = needs_git

ASKS = "There are two drivers.\n\n1. psycopg\n2. asyncpg\n\nWhich of the two should I use?"


class Root(CommandRoot):
    """A root beside a person's repository, with a bot."""

    def __init__(self, path: Path, server: TelegramServer) -> None:
        super().__init__(path)
        self.server = server
        self.top = repository(path / "project", app__py="answer = 41\n")
        (path / "config").mkdir()
        (path / "config" / "orchestrator.yaml").write_text(f"telegram:\n  api_url: {server.url}\n", "utf-8")
        self.env |= {
            "CLAUDE_ALLOWED_ROOT": str(self.top),
            "PATH": os.environ["PATH"],
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "TELEGRAM_ALLOWED_USERS": str(OWNER),
            "TELEGRAM_CHAT_ID": str(OWNER),
            "LOG_LEVEL": "DEBUG",
        }

    def logs(self) -> str:
        files = [self.path / "daemon.out", *self.path.glob("logs/*")]
        return "".join(file.read_text("utf-8", "replace") for file in files if file.exists())


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    with TelegramServer() as server:
        yield Root(tmp_path, server)


def request() -> str:
    steps = ({"init": 0}, {"write": {"path": "hello.txt", "text": "hello\n"}}, {"result": "All is done."})
    prompt = script(*steps)
    return (
        "---\nid: hello\ntype: analyze\nretries: 0\n---\n\n# Say hello\n\n"
        f"**Prompt:**\n{prompt}\n\n**Success Criteria:**\n- [ ] exists: `hello.txt`\n"
    )


def test_a_message_becomes_a_proven_branch_and_a_button_merges_it_over_two_kills(root: Root) -> None:
    server = root.server
    with root.daemon() as running:
        server.fail("sendMessage", hang_s=30, drop=True)  # the question is on its way when the daemon is killed
        server.say(request())
        server.wait(lambda: server.count("sendMessage"), "a question on its way")
        running.kill()
    server.say("/status", user=666)
    with root.daemon() as running:
        asked = server.wait_text("Run it?")
        server.fail("editMessageText", hang_s=30, drop=True)  # it is accepted, and nobody has been told
        server.press(asked["message_id"], "Run")
        server.wait(lambda: server.count("editMessageText"), "progress on its way")
        running.kill()
    with root.daemon() as running:
        done = server.wait_text("SUCCEEDED", deadline_s=60)
        assert "[proven] exists: `hello.txt`" in done["text"]
        assert "branch orchestrator/hello" in done["text"]
        assert server.buttons(done["message_id"]) == ["Merge", "Discard"]
        server.press(done["message_id"], "Merge")
        server.wait_text("hello is merged: main is at")
        assert (root.top / "hello.txt").read_text() == "hello\n"
        assert git(root.top, "rev-parse", "main") == git(root.top, "rev-parse", "HEAD")
        wait_until(lambda: "1 task ended" in " ".join(server.texts()), what="the notice of the batch")
        assert running.stop() == 0
    kinds = [event["event"] for event in events(root.path)]
    assert (kinds.count("task_received"), kinds.count("task_succeeded")) == (1, 1)
    assert server.texts(666) == []
    assert sum("SUCCEEDED" in text for text in server.texts()) == 1
    assert TOKEN not in root.logs()
    assert "[redacted]" not in (root.path / "logs" / "events.ndjson").read_text()


def test_a_bot_that_is_refused_or_cut_off_or_polled_by_another_costs_no_task(root: Root) -> None:
    server = root.server
    server.fail("getMe", 401)
    with root.daemon() as running:
        wait_until(lambda: "Telegram refuses the token" in root.logs(), what="a word in the log")
        root.drop("first", script({"init": 0}, {"result": "All is done."}))
        root.wait("first")
        assert running.stop() == 0
    server.fail("getUpdates", 409, times=2)
    with root.daemon() as running:
        wait_until(lambda: "another process polls this bot" in root.logs(), what="a word in the log")
        server.say("/status")
        server.wait_text("Ended last")
        server.stop()
        wait_until(lambda: "Telegram cannot be reached" in root.logs(), what="a word in the log")
        server.start()
        server.say("/pause")
        server.wait_text("The queue is paused")
        assert running.stop() == 0
    assert TOKEN not in root.logs()
