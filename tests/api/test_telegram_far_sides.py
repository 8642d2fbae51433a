"""What the door does on every far side we can run: our own Bot API server, and the independent telegram-test-api.

The second cannot do everything (docs/telegram.md lists what); the rest is tried on the first, in test_telegram.py.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

pytest.importorskip("telegram", reason="python-telegram-bot is not installed: pip install -e '.[telegram]'")

from tests.agents import FakeAgent
from tests.telegram_emulator import Emulator
from tests.telegram_rig import phone
from tests.telegram_server import OWNER, TelegramServer

from orchestrator.api.telegram_notices import TelegramNotifier
from orchestrator.core.attempt import AgentMessage, MessageKind
from orchestrator.core.notice import Delivery, Notice, NoticeKind


@pytest.fixture(params=["ours", "telegram-test-api"])
def far_side(request: pytest.FixtureRequest) -> Iterator[TelegramServer]:
    if request.param == "ours":
        with TelegramServer() as server:
            yield server
        return
    with Emulator() as emulator:
        yield cast("TelegramServer", emulator)


async def test_commands_are_answered_and_strangers_are_not(far_side: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, far_side, works=False) as me:
        me.say("/status", user=666)
        me.say("/start")
        await me.reads("takes tasks from you")
        me.say("/help")
        await me.reads("/progress TASK")
        me.say("/pause")
        await me.reads("The queue is paused")
        me.say("/resume")
        await me.reads("The queue goes on")
        me.say("/report")
        await me.reads("0 tasks ended")
        assert far_side.texts(666) == []


async def test_free_words_are_understood_and_asked_about(far_side: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, far_side, works=False) as me:
        me.say("Fix the database connection timeout in /backend")
        asked = await me.reads("Run it?")
        assert f"folder {tmp_path / 'work' / 'backend'}" in asked["text"]
        assert far_side.buttons(asked["message_id"]) == ["Run", "Change", "Drop"]
        assert await me.names() == []


async def test_a_task_is_told_in_one_message_that_is_edited(far_side: TelegramServer, tmp_path: Path) -> None:
    agent = FakeAgent()
    agent.gates["say_hello"] = gate = asyncio.Event()
    agent.says["say_hello"] = [AgentMessage(MessageKind.TOOL, "Read main.py")]
    async with phone(tmp_path, far_side, agent) as me:
        me.say("/task say hello")
        first = await me.reads("Read main.py")
        assert far_side.buttons(first["message_id"]) == ["Cancel"]
        me.say("/cancel nothing")
        await me.reads("no task is called 'nothing'")
        gate.set()
        last = await me.reads("SUCCEEDED")
        assert last["message_id"] == first["message_id"]


async def test_a_notice_arrives(far_side: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, far_side, works=False) as me:
        me.say("/start")
        await me.reads("takes tasks from you")
        notice = Notice("x", NoticeKind.BATCH_FINISHED, "3 tasks ended", "2 proven, 1 failed", 1.0)
        reference = await TelegramNotifier(me.telegram.line, lambda: OWNER).send(Delivery(notice, "id"))
        sent = await me.reads("3 tasks ended\n2 proven, 1 failed")
        assert reference == f"{OWNER}:{sent['message_id']}"
