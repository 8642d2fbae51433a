"""A real daemon, a real repository, a server on loopback: from a message to a merge, killed on the way."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("telegram", reason="python-telegram-bot is not installed: pip install -e '.[telegram]'")

from tests.bridges.git_rig import git, needs_git, repository
from tests.e2e.command_root import CommandRoot, script
from tests.harness import DaemonProcess, events, wait_until
from tests.telegram_server import OWNER, TOKEN, TelegramServer

pytestmark = needs_git

ASKS = "There are two drivers.\n\n1. psycopg\n2. asyncpg\n\nWhich of the two should I use?"
ANSWER = "the second one, please"


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


WRITES = ({"init": 0}, {"write": {"path": "hello.txt", "text": "hello\n"}}, {"result": "All is done."})


def request(*steps: dict[str, Any], **more: str) -> str:
    prompt = script(*(steps or WRITES), **more)
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


def asking(root: Root) -> str:
    """Return a request whose agent asks at first, and each of whose runs is written down."""
    first = {"first_time": [{"result": ASKS}, {"exit": 0}]}
    return request({"init": 0}, first, *WRITES[1:], journal=str(root.path / "runs"))


def killed_while_it_sends(root: Root, running: DaemonProcess, act: Callable[[], object], what: str) -> None:
    """Kill the daemon when what follows on *act* is on its way: it never arrives."""
    sent = root.server.count("sendMessage")
    root.server.fail("sendMessage", hang_s=30, drop=True)
    act()
    root.server.wait(lambda: root.server.count("sendMessage") > sent, what)
    running.kill()


def prompts(root: Root) -> list[str]:
    """Return what the agent was given, attempt by attempt."""
    return [path.read_text("utf-8") for path in sorted((root.path / ".orchestrator" / "attempts").glob("*/prompt"))]


def test_an_answer_by_reply_reaches_the_agent_once_over_two_kills_and_two_presses_merge_once(root: Root) -> None:
    server = root.server
    with root.daemon() as running:
        server.say(asking(root))
        run = partial(server.press, server.wait_text("Run it?")["message_id"], "Run")
        killed_while_it_sends(root, running, run, "the notice of the question")
    with root.daemon() as running:
        notice = server.wait_text("(perhaps once more) hello: asks")
        assert "Which of the two should I use?" in notice["text"]
        reply = partial(server.say, ANSWER, reply_to=notice["message_id"])
        killed_while_it_sends(root, running, reply, "the word that the answer is taken")
    with root.daemon() as running:
        server.wait_text(f"goes on with it: {ANSWER}")
        done = server.wait_text("SUCCEEDED")
        assert "[proven] exists: `hello.txt`" in done["text"]
        sent = len(server.texts())
        for _ in range(2):
            server.press(done["message_id"], "Merge")
        server.wait(lambda: len(server.texts()) >= sent + 2 and not server.pending, "what both presses came to")
        assert running.stop() == 0
    it_was_asked_answered_and_merged_once(root)


def it_was_asked_answered_and_merged_once(root: Root) -> None:
    kinds = [event["event"] for event in events(root.path)]
    once = ("task_received", "question_asked", "question_answered", "task_succeeded", "result_taken")
    assert {kind: kinds.count(kind) for kind in once} == dict.fromkeys(once, 1)
    runs = [(line.split()[0], line.split()[2]) for line in (root.path / "runs").read_text().splitlines()]
    assert runs == [("start", "1"), ("end", "1"), ("start", "2"), ("end", "2")]
    assert [given.count(ANSWER) for given in prompts(root)] == [0, 1]
    assert git(root.top, "log", "--format=%s", "main").splitlines() == ["Say hello", "first"]
    texts = root.server.texts()
    pieces = ("hello: asks", f"goes on with it: {ANSWER}", "SUCCEEDED", "hello is merged: main is at")
    assert {piece: sum(piece in text for text in texts) for piece in pieces} == dict.fromkeys(pieces, 1)


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
