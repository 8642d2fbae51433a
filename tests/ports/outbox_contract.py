"""The conformance suite of the port Outbox."""

from dataclasses import replace

from orchestrator.core.events import TaskUid
from orchestrator.core.notice import Act, Button, Document, Notice, NoticeKind
from orchestrator.core.ports import Outbox

FULL = Notice(
    key="task_failed:7",
    kind=NoticeKind.FAILED,
    title="lint_all: FAILED – timeout",
    text="It ran for 300 s.\nünïcode \U0001f600",
    ts=12.5,
    commands=("python main.py retry 0000002a",),
    buttons=(Button(Act.RETRY, "Retry"), Button(Act.ANSWER, "Yes", "yes")),
    document=Document("lint_all_summary.txt", "long\n" * 100),
    uid=TaskUid("0" * 30 + "2a"),
    name="lint_all",
)


def notice(n: int) -> Notice:
    return replace(FULL, key=f"task_failed:{n}", title=f"number {n}")


class OutboxContract:
    """Subclass it with a fixture `outbox`."""

    async def put(self, outbox: Outbox, *numbers: int, sink: str = "web") -> list[int]:
        await outbox.owe([(sink, notice(n)) for n in numbers], through=max(numbers))
        return [one.order for one in await outbox.owed(sink, limit=99)]

    async def test_nobody_is_told_anything_at_first(self, outbox: Outbox) -> None:
        assert await outbox.told_through() == -1
        assert await outbox.owed("web", limit=9) == []
        assert await outbox.sinks() == []

    async def test_what_is_owed_comes_back_as_it_was_oldest_first_and_to_its_sink_only(self, outbox: Outbox) -> None:
        await outbox.owe([("web", FULL), ("chat", notice(1)), ("web", notice(2))], through=8)
        first, second = await outbox.owed("web", limit=9)
        assert first.notice == FULL
        assert (first.message, first.sending, first.tries, first.next_ts, first.trouble) == ("", False, 0, 0.0, "")
        assert second.notice == notice(2)
        assert [one.notice for one in await outbox.owed("chat", limit=9)] == [notice(1)]
        assert len(await outbox.owed("web", limit=1)) == 1

    async def test_the_same_key_is_owed_once_to_each_sink(self, outbox: Outbox) -> None:
        (order,) = await self.put(outbox, 1)
        await self.put(outbox, 1)
        await outbox.owe([("chat", notice(1))], through=1)
        assert len(await outbox.owed("web", limit=9)) == 1
        assert len(await outbox.owed("chat", limit=9)) == 1
        await outbox.sending([order], "m")
        await outbox.sent([order], 5.0, "")
        await self.put(outbox, 1)
        assert await outbox.owed("web", limit=9) == [], "nor once it was sent"

    async def test_the_place_in_the_log_moves_on_and_goes_back_only_to_nowhere(self, outbox: Outbox) -> None:
        await outbox.owe([], through=0)
        assert await outbox.told_through() == 0
        await outbox.owe([("web", notice(9))], through=9)
        await outbox.owe([], through=4)
        assert await outbox.told_through() == 9
        await outbox.owe([], through=-1)
        assert await outbox.told_through() == -1
        assert len(await outbox.owed("web", limit=9)) == 1

    async def test_what_is_being_sent_is_still_owed_and_says_as_which_message(self, outbox: Outbox) -> None:
        orders = await self.put(outbox, 1, 2, 3)
        await outbox.sending(orders[:2], "m1")
        rows = await outbox.owed("web", limit=9)
        assert [(row.message, row.sending, row.tries) for row in rows] == [
            ("m1", True, 1),
            ("m1", True, 1),
            ("", False, 0),
        ]

    async def test_what_was_sent_is_owed_no_more_and_found_by_what_the_far_side_calls_it(self, outbox: Outbox) -> None:
        (order,) = await self.put(outbox, 1)
        await outbox.sending([order], "m1")
        await outbox.sent([order], 5.0, "chat:17")
        assert await outbox.owed("web", limit=9) == []
        assert await outbox.told_as("web", "chat:17") == notice(1)
        assert await outbox.told_as("chat", "chat:17") is None
        assert await outbox.told_as("web", "chat:18") is None
        assert await outbox.told_as("web", "") is None

    async def test_a_message_of_several_is_about_none_of_them(self, outbox: Outbox) -> None:
        orders = await self.put(outbox, 1, 2)
        await outbox.sending(orders, "m1")
        await outbox.sent(orders, 5.0, "17")
        assert await outbox.told_as("web", "17") is None

    async def test_what_surely_did_not_arrive_may_go_another_way(self, outbox: Outbox) -> None:
        orders = await self.put(outbox, 1, 2)
        await outbox.sending(orders, "m1")
        await outbox.not_sent(orders, 60.0, "no network", unsure=False)
        rows = await outbox.owed("web", limit=9)
        assert [(row.message, row.sending, row.tries, row.next_ts) for row in rows] == [("", False, 1, 60.0)] * 2
        assert rows[0].trouble == "no network"

    async def test_what_may_have_arrived_stays_the_message_it_was(self, outbox: Outbox) -> None:
        orders = await self.put(outbox, 1, 2)
        await outbox.sending(orders, "m1")
        await outbox.not_sent(orders, 60.0, "the answer was lost", unsure=True)
        rows = await outbox.owed("web", limit=9)
        assert [(row.message, row.sending, row.tries) for row in rows] == [("m1", False, 1)] * 2

    async def test_what_is_dropped_is_owed_no_more_and_was_not_sent(self, outbox: Outbox) -> None:
        (order,) = await self.put(outbox, 1)
        await outbox.drop([order], 5.0, "too old")
        assert await outbox.owed("web", limit=9) == []
        assert await outbox.messages_since("web", 0.0) == []
        (facts,) = await outbox.sinks()
        assert (facts.sent, facts.dropped) == (0, 1)

    async def test_what_is_done_stays_done(self, outbox: Outbox) -> None:
        (order,) = await self.put(outbox, 1)
        await outbox.sending([order], "m1")
        await outbox.sent([order], 5.0, "17")
        await outbox.sending([order], "m2")
        await outbox.not_sent([order], 9.0, "late", unsure=False)
        await outbox.drop([order], 9.0, "late")
        assert await outbox.owed("web", limit=9) == []
        assert await outbox.messages_since("web", 0.0) == [5.0]

    async def test_a_message_of_many_notices_counts_as_one(self, outbox: Outbox) -> None:
        orders = await self.put(outbox, 1, 2, 3)
        await outbox.sending(orders[:2], "m1")
        await outbox.sent(orders[:2], 5.0, "")
        await outbox.sending(orders[2:], "m2")
        await outbox.sent(orders[2:], 7.0, "")
        assert await outbox.messages_since("web", 0.0) == [5.0, 7.0]
        assert await outbox.messages_since("web", 5.5) == [7.0]
        assert await outbox.messages_since("chat", 0.0) == []

    async def test_how_it_stands_is_told_of_each_sink(self, outbox: Outbox) -> None:
        orders = await self.put(outbox, 1, 2, 3, 4)
        await self.put(outbox, 1, sink="chat")
        await outbox.sending(orders[:2], "m1")
        await outbox.sent(orders[:1], 5.0, "")
        await outbox.sent(orders[1:2], 6.0, "")
        await outbox.not_sent(orders[2:3], 9.0, "no network", unsure=False)
        chat, web = await outbox.sinks()
        assert (chat.sink, chat.waiting, chat.sent, chat.last_sent_ts, chat.trouble) == ("chat", 1, 0, 0.0, "")
        assert (web.sink, web.waiting, web.sent, web.dropped, web.last_sent_ts) == ("web", 2, 2, 0, 6.0)
        assert web.trouble == "no network"

    async def test_what_was_done_long_ago_is_forgotten_and_what_is_owed_is_not(self, outbox: Outbox) -> None:
        orders = await self.put(outbox, 1, 2, 3)
        await outbox.sending(orders[:1], "m1")
        await outbox.sent(orders[:1], 5.0, "17")
        await outbox.drop(orders[1:2], 50.0, "too old")
        await outbox.forget_sent(before=10.0)
        assert await outbox.told_as("web", "17") is None
        (facts,) = await outbox.sinks()
        assert (facts.waiting, facts.sent, facts.dropped) == (1, 0, 1)

    async def test_what_is_owed_to_a_place_that_is_no_more_is_dropped(self, outbox: Outbox) -> None:
        await self.put(outbox, 1, 2)
        await self.put(outbox, 1, sink="chat")
        assert await outbox.forget_others(["chat"], 5.0) == 2
        assert await outbox.owed("web", limit=9) == []
        assert len(await outbox.owed("chat", limit=9)) == 1
        assert await outbox.forget_others([], 6.0) == 1

    async def test_a_thousand_are_marked_at_once(self, outbox: Outbox) -> None:
        await outbox.owe([("web", notice(n)) for n in range(1200)], through=1200)
        orders = [one.order for one in await outbox.owed("web", limit=2000)]
        await outbox.sending(orders, "m1")
        await outbox.sent(orders, 5.0, "")
        assert await outbox.owed("web", limit=9) == []
        assert await outbox.messages_since("web", 0.0) == [5.0]
