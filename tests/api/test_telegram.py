"""The Telegram door, from a message on the phone to a task and back; the real library against a server on loopback."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("telegram", reason="python-telegram-bot is not installed: pip install -e '.[telegram]'")

from tests.agents import FakeAgent
from tests.telegram_rig import phone
from tests.telegram_server import OWNER, TelegramServer

from orchestrator.core.attempt import AgentMessage, MessageKind
from orchestrator.core.lifecycle import State

STRANGER, GROUP = 666, -100200300


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


async def test_free_words_become_a_task_that_is_confirmed_runs_and_is_told_in_one_message(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server) as me:
        me.say("Analyze the database connection timeout in /backend, urgent")
        asked = await me.reads("Run it?")
        assert "priority high" in asked["text"]
        assert f"folder {tmp_path / 'work' / 'backend'}" in asked["text"]
        assert server.buttons(asked["message_id"]) == ["Run", "Change", "Drop"]
        assert await me.names() == []
        me.press(asked, "Run")
        done = await me.reads("SUCCEEDED")
        assert done["message_id"] == asked["message_id"]
        assert len(server.sent()) == 1
        (order,) = me.agent.starts
        assert order.cwd == str(tmp_path / "work" / "backend")


async def test_a_task_by_command_runs_at_once_and_its_message_is_edited_as_it_goes(
    server: TelegramServer, tmp_path: Path
) -> None:
    agent = FakeAgent()
    agent.gates["say_hello"] = gate = asyncio.Event()
    agent.says["say_hello"] = [AgentMessage(MessageKind.TOOL, "Read main.py")]
    async with phone(tmp_path, server, agent) as me:
        me.say("/task say hello")
        first = await me.reads("Read main.py")
        assert "running, attempt 1" in first["text"]
        assert server.buttons(first["message_id"]) == ["Cancel"]
        gate.set()
        last = await me.reads("SUCCEEDED")
        assert last["message_id"] == first["message_id"]
        assert len(server.sent()) == 1


async def test_a_request_is_dropped_or_written_anew(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        me.say("Review the parser")
        me.press(await me.reads("Run it?"), "Drop")
        await me.reads("Dropped: Review the parser")
        me.say("Review the lexer")
        me.press(await me.reads("Review the lexer"), "Change")
        prompt = await me.reads("as a reply to this message")
        me.say("Review the lexer and the parser, no rush", reply_to=prompt["message_id"])
        anew = await me.reads("no rush")
        assert "priority low" in anew["text"]
        me.press(anew, "Run")
        await me.reads("queued")
        assert await me.names() == ["review_lexer_parser_no_rush"]


async def test_a_replaced_or_dropped_request_cannot_be_run_any_more(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        me.say("Review the parser")
        asked = await me.reads("Run it?")
        me.say("Review the lexer instead", reply_to=asked["message_id"])
        await me.reads("lexer instead")
        query = me.press(asked, data="run:700000001", label="")
        await me.sees(lambda: "gone" in server.answered.get(query, ""), "the button's answer")
        assert await me.names() == []


async def test_what_lies_outside_the_root_is_said_and_not_used(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        for words in ("Fix the build in /etc/ssh", r"Fix the build in C:\path\to\project"):
            me.say(f"/task {words}")
            said = await me.reads("does not lie under the allowed root")
            assert "folder: the configured one" in said["text"]
            assert server.buttons(said["message_id"])[0] == "Run"
            me.press(said, "Drop")
            await me.reads("Dropped")
        assert await me.names() == []


async def test_a_message_may_not_bring_a_command_to_run_and_is_told_so(server: TelegramServer, tmp_path: Path) -> None:
    text = "Fix it\n\n**Prompt:**\nFix it.\n\n**Success Criteria:**\n- [ ] the tests pass: `sh -c 'curl evil'`"
    async with phone(tmp_path, server, works=False) as me:
        me.say(text)
        refused = await me.reads("a criterion brings a command to run")
        assert "proof.allow_commands_from" in refused["text"]
    file = tmp_path / "config" / "orchestrator.yaml"
    file.write_text(file.read_text("utf-8") + "proof:\n  allow_commands_from: [telegram]\n", "utf-8")
    async with phone(tmp_path, server, works=False) as me:
        me.say(text)
        assert "criterion 1: the tests pass" in (await me.reads("Run it?"))["text"]


async def test_a_whole_task_file_works_as_a_message(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        me.say("---\nid: fix_db\ntype: fix\npriority: high\n---\n\n# Fix it\n\n**Prompt:**\nPlease.\n")
        me.press(await me.reads("fix_db"), "Run")
        await me.reads("queued")
        task = await me.task("fix_db")
        assert (task.spec.type, task.spec.prompt, task.file_name) == ("fix", "Please.", "")


async def test_a_second_request_in_the_same_words_is_another_task(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        me.say("/task review it")
        me.say("/task review it")
        await me.sees(lambda: len(server.sent()) == 2, "two tasks")
        await me.all_read()
        first, second = await me.names()
        assert (first, second.startswith("review_it_")) == ("review_it", True)


async def test_the_commands_say_how_it_stands_and_hold_and_release(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        me.say("/status")
        await me.reads("Nothing runs, waits or has ended yet")
        me.say("/pause")
        await me.reads("The queue is paused: nothing more is started")
        me.say("/pause")
        await me.reads("is paused already")
        me.say("/task review it")
        await me.reads("queued")
        me.say("/status@orchestrator_bot")
        await me.reads("Waiting (1)")
        me.say("/pause review_it")
        await me.reads("review_it is held")
        me.say("/resume review_it")
        await me.reads("review_it is queued")
        me.say("/resume")
        await me.reads("The queue goes on")
        me.say("/cancel review_it")
        await me.reads("review_it is cancelled")
        me.say("/report")
        await me.reads("1 task ended: 1 cancelled")
        me.say("/progress review_it")
        await me.reads("CANCELLED")
        me.say("/retry review_it")
        await me.reads("review_it.")
        assert await me.names() == ["review_it", "review_it"]
        assert (await me.task("review_it")).state is State.QUEUED


async def test_what_cannot_be_done_is_said_with_what_to_do(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        for text, answer in (
            ("/cancel nothing", "no task is called 'nothing'"),
            ("/cancel", "Which one? /cancel TASK"),
            ("/task", "Say what is to be done"),
            ("/progress", "Nothing runs"),
            ("/answer", "No task asks anything"),
            ("/report yesterday", "is no time"),
            ("/fly", "There is no /fly here"),
            ("/start", "takes tasks from you"),
            ("/help", "/progress TASK"),
        ):
            me.say(text)
            await me.reads(answer)


async def test_a_failed_task_is_run_again_by_its_button_once_however_often_it_is_pressed(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server) as me:
        me.say("/task fix the build")
        failed = await me.reads("no_changes")
        assert server.buttons(failed["message_id"]) == ["Retry"]
        me.press(failed, "Retry")
        me.press(failed, data="retry:" + (await me.task("fix_build")).uid, label="")
        await me.all_read()
        assert await me.names() == ["fix_build", "fix_build"]


async def test_a_running_task_is_cancelled_by_its_button(server: TelegramServer, tmp_path: Path) -> None:
    agent = FakeAgent()
    agent.gates["say_hello"] = asyncio.Event()
    async with phone(tmp_path, server, agent) as me:
        me.say("/task say hello")
        me.press(await me.reads("running"), "Cancel")
        message = await me.reads("CANCELLED")
        assert server.buttons(message["message_id"]) == ["Retry"]
        assert not agent.alive


# --- who may -----------------------------------------------------------------------------------------------------


async def test_a_stranger_gets_silence_whatever_he_says_or_presses(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        me.say("/task review it")
        mine = await me.reads("queued")
        before = len(server.calls)
        for text in ("/start", "/status", "/cancel review_it", "delete everything"):
            me.say(text, user=STRANGER)
        me.press(mine, data=f"cancel:{(await me.task('review_it')).uid}", label="", user=STRANGER, chat=OWNER)
        me.say("/status", user=OWNER, chat=GROUP)
        me.say("/status", user=STRANGER, chat=GROUP)
        await me.all_read()
        methods = {name for name, _ in server.calls[before:]}
        assert methods <= {"getUpdates", "editMessageText"}
        assert server.texts(STRANGER) == server.texts(GROUP) == []
        assert (await me.task("review_it")).state is State.QUEUED


async def test_a_listed_group_hears_commands_of_those_who_may_and_no_chatter(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server, works=False) as me:
        file = tmp_path / "config" / "orchestrator.yaml"
        text = file.read_text("utf-8").replace("telegram:\n", f"telegram:\n  allowed_chats: [{GROUP}]\n")
        file.write_text(text, "utf-8")
        me.parts.configuration.reload()
        me.say("nice weather today", chat=GROUP)
        me.say("/status@some_other_bot", chat=GROUP)
        me.say("/status", user=STRANGER, chat=GROUP)
        me.say("/status@orchestrator_bot", chat=GROUP)
        await me.reads("Nothing runs", chat=GROUP)
        assert len(server.sent(GROUP)) == 1


async def test_nobody_on_the_list_means_nobody_and_no_connection(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False, TELEGRAM_ALLOWED_USERS="") as me:
        me.say("/status")
        await asyncio.sleep(0.3)
        assert server.calls == []


async def test_a_forwarded_command_is_not_carried_out_and_forwarded_words_are_asked_about(
    server: TelegramServer, tmp_path: Path
) -> None:
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Somebody"}
    async with phone(tmp_path, server, works=False) as me:
        me.say("/pause", forward_origin=origin)
        await me.reads("forwarded command is not carried out")
        me.say("Review it", forward_origin=origin)
        await me.reads("Run it?")
        assert await me.parts.store.pauses() == []
        assert await me.names() == []


async def test_a_flood_of_tasks_is_bounded_and_the_rest_told_when_to_come_again(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server, works=False) as me:
        for n in range(8):
            me.say(f"/task review part {n}")
        await me.reads("Not accepted: at most 5 in 1m00s and 100 in 1d0h")
        await me.all_read()
        assert len(await me.names()) == 5


async def test_a_flood_of_messages_is_passed_over_and_does_not_fill_the_store(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server, works=False) as me:
        for _ in range(200):
            me.say("/status")
        await me.all_read()
        assert len(server.sent()) <= 30


async def test_a_file_is_not_read_and_a_forged_button_does_nothing(server: TelegramServer, tmp_path: Path) -> None:
    photo = [{"file_id": "f", "file_unique_id": "f", "width": 1, "height": 1}]
    async with phone(tmp_path, server, works=False) as me:
        me.say("", photo=photo)
        said = await me.reads("Only text is read")
        for data in (
            "run:1",
            "run:x",
            "merge:nobody",
            "fly:1",
            "answer:" + "0" * 32 + ":1",
            "resume",
            ":::",
            "cancel:",
        ):
            me.press(said, data=data, label="")
        await me.all_read()
        assert await me.names() == []


# --- what goes wrong on the way -----------------------------------------------------------------------------------


async def test_an_answer_waits_as_long_as_it_is_asked_to_and_then_arrives_once(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server, works=False) as me:
        server.fail("sendMessage", 429, retry_after=1)
        me.say("/task review it")
        await me.reads("queued")
        await me.all_read()
        assert len(server.sent()) == 1
        assert await me.names() == ["review_it"]


async def test_what_ended_while_the_network_was_gone_is_told_when_it_is_back(
    server: TelegramServer, tmp_path: Path
) -> None:
    agent = FakeAgent()
    agent.gates["say_hello"] = gate = asyncio.Event()
    async with phone(tmp_path, server, agent) as me:
        me.say("/task say hello")
        await me.reads("running")
        server.stop()
        gate.set()
        while (await me.task("say_hello")).state is not State.SUCCEEDED:
            await asyncio.sleep(0.02)
        server.start()
        await me.reads("SUCCEEDED")
        assert sum("say_hello  " in text for text in server.texts()) == 1


async def test_the_next_daemon_goes_on_telling_in_the_same_message(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        me.say("/task review it")
        first = await me.reads("queued")
        await me.all_read()
    async with phone(tmp_path, server) as me:
        done = await me.reads("SUCCEEDED")
        assert done["message_id"] == first["message_id"]


async def test_who_is_put_on_the_list_may_use_the_bot_at_once(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False, TELEGRAM_ALLOWED_USERS="") as me:
        me.say("/status")
        file = tmp_path / "config" / "orchestrator.yaml"
        text = file.read_text("utf-8").replace("telegram:\n", f"telegram:\n  allowed_users: [{OWNER}]\n")
        file.write_text(text, "utf-8")
        me.parts.configuration.reload()
        await me.reads("Nothing runs, waits or has ended yet")
