"""The bridge to Telegram: the real python-telegram-bot against a Bot API server on loopback."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

pytest.importorskip("telegram", reason="python-telegram-bot is not installed: pip install -e '.[telegram]'")

from tests.telegram_server import ME, NOT_MODIFIED, OWNER, TOKEN, TelegramServer

from orchestrator.bridges.telegram_bot import Bot, open_bot
from orchestrator.core.chat import Attachment, ChatButton, ChatError, Outgoing, Words

A_MESSAGE = {"message_id": 1, "date": 1, "chat": {"id": OWNER, "type": "private"}, "text": "x"}
BUTTONS = ((ChatButton("run", "run:1"), ChatButton("drop", "drop:1")),)


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


@pytest.fixture
async def bot(server: TelegramServer) -> AsyncIterator[Bot]:
    async with open_bot(TOKEN, api_url=server.url) as opened:
        yield opened


async def refused(doing: object) -> ChatError:
    with pytest.raises(ChatError) as caught:
        await doing  # type: ignore[misc]
    assert TOKEN not in caught.value.why
    return caught.value


async def test_what_people_write_and_press_comes_in_with_who_and_where(server: TelegramServer, bot: Bot) -> None:
    message = await bot.send(OWNER, Outgoing("go?", buttons=BUTTONS))
    server.say("hello", reply_to=message)
    server.press(message, "drop")
    server.say("/status@orchestrator_bot", user=5, chat=-100)
    last, (said, pressed, grouped) = await bot.updates(0, timeout_s=5)
    assert (said.text, said.user_id, said.chat_id, said.private, said.reply_to) == (
        "hello",
        OWNER,
        OWNER,
        True,
        message,
    )
    assert (pressed.button, pressed.message_id, bool(pressed.query_id)) == ("drop:1", message, True)
    assert (grouped.user_id, grouped.chat_id, grouped.private, grouped.number) == (5, -100, False, last)


async def test_updates_stay_at_the_server_until_they_are_confirmed(server: TelegramServer, bot: Bot) -> None:
    server.say("one")
    first, _ = await bot.updates(0, timeout_s=5)
    again, [same] = await bot.updates(0, timeout_s=5)
    assert (same.text, again, server.pending) == ("one", first, 1)
    await bot.updates(first, timeout_s=0)
    assert server.pending == 0


async def test_a_wait_for_updates_ends_when_one_comes(server: TelegramServer, bot: Bot) -> None:
    waiting = asyncio.create_task(bot.updates(0, timeout_s=20))
    await asyncio.to_thread(server.wait, lambda: server.count("getUpdates"), "a poll")
    server.say("now")
    _, [one] = await asyncio.wait_for(waiting, 5)
    assert one.text == "now"
    assert server.count("getUpdates") == 1


async def test_an_update_that_cannot_be_read_does_not_stop_the_others(server: TelegramServer, bot: Bot) -> None:
    server.update({"message": {"message_id": 1, "chat": {"id": OWNER}}})
    server.update({"message": "no message at all"})
    server.say("still here")
    last, [one] = await bot.updates(0, timeout_s=5)
    assert (one.text, one.number) == ("still here", last)


async def test_what_bots_and_channels_say_is_nobodys_word(server: TelegramServer, bot: Bot) -> None:
    server.update({"message": {**A_MESSAGE, "from": {"id": 8, "is_bot": True, "first_name": "Bot"}}})
    server.say("x", chat=-100, sender_chat={"id": -100, "type": "supergroup", "title": "anonymous"})
    server.say("hi", forward_origin={"type": "hidden_user", "date": 1, "sender_user_name": "Somebody"})
    _, [one] = await bot.updates(0, timeout_s=5)
    assert (one.text, one.forwarded) == ("hi", True)


async def test_bold_and_code_reach_the_chat_at_their_places_behind_emoji(server: TelegramServer, bot: Bot) -> None:
    words = Words("😀 ").bold("bold").plain(" and ").code("<b>&</b>")
    await bot.send(OWNER, Outgoing(words.text, words.marks))
    (sent,) = server.sent()
    assert sent["text"] == "😀 bold and <b>&</b>"
    assert [(one["type"], one["offset"], one["length"]) for one in sent["entities"]] == [
        ("bold", 3, 4),
        ("code", 12, 8),
    ]


async def test_markup_that_is_refused_costs_the_markup_and_not_the_message(server: TelegramServer, bot: Bot) -> None:
    server.fail("sendMessage", 400, "Bad Request: can't parse entities: ENTITY_BOUNDS_INVALID")
    words = Words().bold("all of it")
    await bot.send(OWNER, Outgoing(words.text, words.marks))
    (sent,) = server.sent()
    assert (sent["text"], sent.get("entities")) == ("all of it", None)


async def test_a_text_too_long_for_one_message_comes_in_parts_with_the_buttons_last(
    server: TelegramServer, bot: Bot
) -> None:
    last = await bot.send(OWNER, Outgoing("😀" * 5000, buttons=BUTTONS))
    assert [len(text) for text in server.texts()] == [2048, 2048, 904]
    assert server.buttons(last) == ["run", "drop"]


async def test_a_text_that_would_be_a_stream_comes_as_a_file(server: TelegramServer, bot: Bot) -> None:
    last = await bot.send(OWNER, Outgoing("line\n" * 5000))
    assert server.documents[last] == b"line\n" * 5000
    assert len(server.sent()) == 1


async def test_a_long_text_with_a_file_is_a_message_and_then_the_file(server: TelegramServer, bot: Bot) -> None:
    last = await bot.send(OWNER, Outgoing("x" * 1500, attachment=Attachment("sum.txt", b"sum"), buttons=BUTTONS))
    assert [len(text) for text in server.texts()] == [1500, 0]
    assert (server.documents[last], server.buttons(last)) == (b"sum", ["run", "drop"])


async def test_an_edit_that_changes_nothing_is_no_error(server: TelegramServer, bot: Bot) -> None:
    message = await bot.send(OWNER, Outgoing("one", buttons=BUTTONS))
    await bot.edit(OWNER, message, Outgoing("two"))
    await bot.edit(OWNER, message, Outgoing("two"))
    assert (server.texts(), server.buttons(message)) == (["two"], [])
    assert server.count("editMessageText") == 2
    assert "not modified" in NOT_MODIFIED


async def test_an_edit_of_a_message_that_is_gone_is_final(server: TelegramServer, bot: Bot) -> None:
    assert (await refused(bot.edit(OWNER, 999, Outgoing("x")))).final


async def test_a_button_is_answered_and_one_of_yesterday_passed_over(server: TelegramServer, bot: Bot) -> None:
    query = server.press(await bot.send(OWNER, Outgoing("go?", buttons=BUTTONS)), "run")
    await bot.answer(query, "done")
    await bot.answer(query, "done")
    assert server.answered == {query: "done"}


async def test_a_wait_that_is_asked_for_is_told(server: TelegramServer, bot: Bot) -> None:
    server.fail("sendMessage", 429, retry_after=7)
    error = await refused(bot.send(OWNER, Outgoing("x")))
    assert (error.retry_after_s, error.final, error.unsure) == (7, False, False)


async def test_somebody_who_blocks_the_bot_is_gone(server: TelegramServer, bot: Bot) -> None:
    server.chats[OWNER].blocked = True
    error = await refused(bot.send(OWNER, Outgoing("x")))
    assert (error.final, error.gone) == (True, True)
    assert (await refused(bot.send(77, Outgoing("x")))).gone


@pytest.mark.parametrize("fault", [{"code": 500}, {"code": 502}, {"drop": True}, {"code": 500, "done": True}])
async def test_an_answer_that_is_lost_leaves_it_open_whether_the_message_arrived(
    server: TelegramServer, bot: Bot, fault: dict[str, object]
) -> None:
    server.fail("sendMessage", **fault)  # type: ignore[arg-type]
    error = await refused(bot.send(OWNER, Outgoing("x")))
    assert (error.unsure, error.final) == (True, False)


async def test_a_server_that_is_not_there_has_taken_nothing(server: TelegramServer, bot: Bot) -> None:
    server.stop()
    await refused(bot.send(OWNER, Outgoing("the connection that was open is found closed")))
    error = await refused(bot.send(OWNER, Outgoing("x")))
    assert (error.unsure, error.final) == (False, False)
    server.start()
    assert await bot.send(OWNER, Outgoing("x"))


async def test_a_second_poller_is_told_apart_from_a_dead_network(server: TelegramServer, bot: Bot) -> None:
    waiting = asyncio.create_task(bot.updates(0, timeout_s=20))
    await asyncio.to_thread(server.wait, lambda: server.count("getUpdates"), "a poll")
    async with open_bot(TOKEN, api_url=server.url) as other:
        await other.updates(0, timeout_s=0)
        error = await refused(waiting)
    assert (error.gone, error.final) == (True, False)
    assert "another process" in error.why


async def test_a_wrong_token_is_final(server: TelegramServer) -> None:
    wrong = TOKEN[:-3] + "xyz"
    for token in (wrong, "no token"):
        with pytest.raises(ChatError) as caught:
            async with open_bot(token, api_url=server.url):
                pass
        assert caught.value.final
        assert token not in str(caught.value)


async def test_the_bot_knows_its_name_and_leaves_a_webhook_behind(server: TelegramServer, bot: Bot) -> None:
    server.webhook = "https://127.0.0.1/x"
    assert (await refused(bot.updates(0, timeout_s=0))).gone
    await bot.prepare([("status", "what runs and waits")])
    await bot.updates(0, timeout_s=0)
    assert bot.username == ME["username"]
    assert server.commands == [{"command": "status", "description": "what runs and waits"}]


async def test_no_log_of_any_level_holds_the_token_of_a_failing_bot(
    server: TelegramServer, bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        server.fail("sendMessage", 429, retry_after=1)
        await refused(bot.send(OWNER, Outgoing("x")))
        server.fail("sendMessage", drop=True)
        await refused(bot.send(OWNER, Outgoing("x")))
        server.stop()
        await refused(bot.send(OWNER, Outgoing("x")))
        await refused(bot.updates(0, timeout_s=0))
    assert TOKEN not in caplog.text
