"""The conformance suite of the port Notifier: whatever sends notices has to pass it."""

import asyncio
from dataclasses import replace
from typing import Protocol

import pytest
from tests.harness import until
from tests.ports.outbox_contract import FULL

from orchestrator.core.events import TaskUid
from orchestrator.core.notice import Delivery, Notice, NotSent
from orchestrator.core.ports import Notifier

BARE = replace(FULL, commands=(), buttons=(), document=None, text="", uid=TaskUid(""), name="")
ODD = replace(BARE, title="<b>&amp; *x* _y_ `z` [a](b)", text="<i>\n\U0001f600 \u202e \udc80", commands=("a 'b' \\",))


class FarWorld(Protocol):
    """A sink and a hold on its far side."""

    notifier: Notifier

    def arrived(self) -> list[str]:
        """Return everything that arrived, each message as the text in it."""
        ...

    def refuse(self) -> None:
        """Let the next message be refused."""
        ...

    def hang(self) -> None:
        """Let the next message not be answered."""
        ...

    def asked(self) -> int:
        """Return how often the far side was spoken to."""
        ...


class NotifierContract:
    """Subclass it with a fixture `world` that gives a FarWorld."""

    async def test_a_message_arrives_with_its_title(self, world: FarWorld) -> None:
        await world.notifier.send(Delivery(FULL, "1" * 32))
        (text,) = world.arrived()
        assert FULL.title in text
        assert "It ran for 300 s." in text

    @pytest.mark.parametrize("notice", [BARE, ODD])
    async def test_little_and_odd_things_arrive_too(self, world: FarWorld, notice: Notice) -> None:
        await world.notifier.send(Delivery(notice, "1" * 32))
        assert len(world.arrived()) == 1

    async def test_a_refusal_says_why_and_the_next_may_arrive(self, world: FarWorld) -> None:
        world.refuse()
        with pytest.raises(NotSent) as caught:
            await world.notifier.send(Delivery(FULL, "1" * 32))
        assert caught.value.why
        assert world.arrived() == []
        await world.notifier.send(Delivery(FULL, "1" * 32, tries=2))
        assert len(world.arrived()) == 1

    async def test_who_is_cancelled_goes_at_once(self, world: FarWorld) -> None:
        world.hang()
        sending = asyncio.create_task(world.notifier.send(Delivery(FULL, "1" * 32)))
        await until(world.asked, what="the message")
        sending.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait([sending])
        assert sending.cancelled()
