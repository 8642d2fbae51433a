"""Questions of agents on the phone: answered by reply, by command and by button, each into the same session, once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("telegram", reason="python-telegram-bot is not installed: pip install -e '.[telegram]'")

from tests.agents import DONE, FakeAgent
from tests.telegram_rig import Phone, phone
from tests.telegram_server import OWNER, TelegramServer

from orchestrator.api.telegram_notices import TelegramNotifier
from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.notice import Act, Button, Delivery, Document, Notice, NoticeKind, NotSent

TEXT = "There are two drivers.\n\n1. psycopg\n2. asyncpg\n\nWhich of the two should I use?"
ASKS = replace(DONE, report=replace(DONE.report, answer=TEXT))


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


def asking() -> FakeAgent:
    return FakeAgent({"review_it": [ASKS]})


async def answers(me: Phone, name: str = "review_it") -> Sequence[object]:
    events = await me.parts.store.events_of((await me.task(name)).uid, limit=1000)
    return [event.data["answer"] for event in events if event.kind is EventKind.ANSWERED]


async def test_a_question_stands_in_the_message_of_its_task_and_a_reply_to_it_is_the_answer(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server, asking()) as me:
        me.say("/task review it")
        asks = await me.reads("Which of the two should I use?")
        assert "· 2. asyncpg" in asks["text"]
        assert server.buttons(asks["message_id"]) == ["Answer", "Cancel"]
        me.say("use asyncpg, please", reply_to=asks["message_id"])
        await me.reads("review_it goes on with it: use asyncpg, please")
        done = await me.reads("SUCCEEDED")
        assert done["message_id"] == asks["message_id"]
        first, second = me.agent.starts
        assert (second.session_id, second.continue_prompt) == (first.session_id, "use asyncpg, please")


async def test_the_answer_button_asks_for_words_and_takes_a_number_for_an_option(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server, asking()) as me:
        me.say("/task review it")
        me.press(await me.reads("Which of the two"), "Answer")
        prompt = await me.reads("as a reply to this message")
        me.say("2", reply_to=prompt["message_id"])
        await me.reads("SUCCEEDED")
        assert await answers(me) == ["asyncpg"]


@pytest.mark.parametrize("text", ["/answer review_it use asyncpg", "/answer use asyncpg"])
async def test_an_answer_by_command_names_its_task_or_is_for_the_only_one_that_asks(
    server: TelegramServer, tmp_path: Path, text: str
) -> None:
    async with phone(tmp_path, server, asking()) as me:
        me.say("/task review it")
        await me.reads("Which of the two")
        me.say("/status")
        await me.reads("Ask you (1)")
        me.say("/answer")
        await me.reads("These ask something: review_it")
        me.say(text)
        await me.reads("SUCCEEDED")
        assert await answers(me) == ["use asyncpg"]


async def test_an_answer_to_a_task_that_asks_nothing_is_refused(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        me.say("/task review it")
        message = await me.reads("queued")
        me.say("go on", reply_to=message["message_id"])
        await me.reads("waits for no answer")
        me.say("/answer review_it")
        await me.reads("asks nothing")
        assert (await me.task("review_it")).state is State.QUEUED


# --- notices, as the outbox sends them ---------------------------------------------------------------------------


def question(uid: str) -> Notice:
    buttons = tuple(Button(Act.ANSWER, one, one) for one in ("psycopg", "asyncpg"))
    return Notice(
        f"q:{uid}",
        NoticeKind.NEEDS_YOU,
        "review_it: asks",
        "Which of the two should I use?",
        1.0,
        buttons=(*buttons, Button(Act.CANCEL, "Cancel")),
        uid=uid,  # type: ignore[arg-type]
        name="review_it",
    )


async def told(me: Phone, notice: Notice, *, again: bool = False) -> str:
    """Send *notice* as the outbox does, and note what it became."""
    outbox = me.parts.store.outbox
    await outbox.owe([("telegram", notice)], through=1)
    (owed,) = await outbox.owed("telegram", limit=1)
    reference = await TelegramNotifier(me.telegram.line, lambda: OWNER).send(Delivery(notice, "id", again=again))
    await outbox.sent([owed.order], me.parts.clock.now(), reference)
    return reference


async def test_an_option_is_chosen_by_its_button_once_and_stale_buttons_do_nothing(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server, asking()) as me:
        me.say("/task review it")
        await me.reads("Which of the two")
        uid = (await me.task("review_it")).uid
        await told(me, question(uid))
        notice = await me.reads("review_it: asks")
        assert server.buttons(notice["message_id"]) == ["psycopg", "asyncpg", "Cancel"]
        me.press(notice, "asyncpg")
        again = me.press(notice, data=f"answer:{uid}:0", label="")
        await me.sees(lambda: "does not ask that any more" in server.answered.get(again, ""), "both to be seen")
        assert await answers(me) == ["asyncpg"]
        assert server.buttons(notice["message_id"]) == []


async def test_a_reply_to_a_notice_of_a_question_is_the_answer(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, asking()) as me:
        me.say("/task review it")
        await me.reads("Which of the two")
        await told(me, question((await me.task("review_it")).uid))
        notice = await me.reads("review_it: asks")
        me.say("neither, use sqlite", reply_to=notice["message_id"])
        await me.reads("SUCCEEDED")
        assert await answers(me) == ["neither, use sqlite"]


async def test_a_notice_is_one_message_with_its_summary_as_a_file_and_the_next_step_as_a_button(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server, works=False) as me:
        me.say("/task review it")
        await me.reads("queued")
        task = await me.task("review_it")
        ended = Notice(
            "e:1",
            NoticeKind.FAILED,
            "review_it: FAILED",
            "Why: it <b>says</b> it is done & is not",
            1.0,
            ("python main.py retry review_it",),
            (Button(Act.RETRY, "Retry"),),
            Document("review_it_summary.txt", "x" * 9000),
            task.uid,
            task.name,
        )
        reference = await told(me, ended, again=True)
        sent = await me.reads("review_it: FAILED")
        assert reference == f"{OWNER}:{sent['message_id']}"
        assert sent["caption"] == "(perhaps once more) review_it: FAILED\nWhy: it <b>says</b> it is done & is not"
        assert server.documents[sent["message_id"]] == b"x" * 9000
        assert server.buttons(sent["message_id"]) == ["Retry"]


async def test_a_held_queue_is_resumed_by_the_button_of_its_notice(server: TelegramServer, tmp_path: Path) -> None:
    async with phone(tmp_path, server, works=False) as me:
        await me.parts.service.pause("claude")
        held = Notice("h:1", NoticeKind.NEEDS_YOU, "held", "x", 1.0, buttons=(Button(Act.RESUME, "Resume", "claude"),))
        await me.sees(lambda: me.telegram.line.name, "a connection")
        await told(me, held)
        me.press(await me.reads("held"), "Resume")
        await me.all_read()
        assert await me.parts.store.pauses() == []


async def test_without_a_connection_or_a_chat_a_notice_is_not_sent_and_waits_or_is_dropped(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with phone(tmp_path, server, works=False, TELEGRAM_ALLOWED_USERS="") as me:
        delivery = Delivery(question("0" * 32), "id")
        with pytest.raises(NotSent) as later:
            await TelegramNotifier(me.telegram.line, lambda: OWNER).send(delivery)
        with pytest.raises(NotSent) as never:
            await TelegramNotifier(me.telegram.line, lambda: None).send(delivery)
        assert (later.value.final, later.value.unsure, never.value.final) == (False, False, True)
