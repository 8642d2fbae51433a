"""Every sink keeps the promises of the port Notifier, against a real server on loopback where it has one."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes_of_notices import FakeNotifier
from tests.far_side import FarSide, answers, far_side, hangs
from tests.ports.notifier_contract import NotifierContract

from orchestrator.bridges.apprise_sink import AppriseSink, installed
from orchestrator.bridges.webhook import Webhook
from orchestrator.core.notice import Delivery, NotSent
from orchestrator.core.ports import Notifier


class FakeWorld:
    """The fake of the engine's tests."""

    def __init__(self) -> None:
        self.notifier: Notifier = self
        self._fake = FakeNotifier()
        self._hangs = False
        self._asked = 0

    async def send(self, delivery: Delivery) -> str:
        self._asked += 1
        if self._hangs:
            await asyncio.Event().wait()
        return await self._fake.send(delivery)

    def arrived(self) -> list[str]:
        return [f"{one.notice.title}\n{one.notice.text}" for one in self._fake.taken]

    def refuse(self) -> None:
        self._fake.answers = [NotSent("no")]

    def hang(self) -> None:
        self._hangs = True

    def asked(self) -> int:
        return self._asked


class ServedWorld:
    """A sink that posts JSON with a title, and its server."""

    def __init__(self, far: FarSide, notifier: Notifier, text_in: str) -> None:
        self.notifier = notifier
        self._far, self._text_in = far, text_in
        self._refused: list[int] = []

    def arrived(self) -> list[str]:
        taken = [one for n, one in enumerate(self._far.asked) if n not in self._refused]
        return [self._text(json.loads(one.body)) for one in taken]

    def _text(self, said: Any) -> str:
        return f"{said['title']}\n{said[self._text_in]}"

    def refuse(self) -> None:
        self._refused.append(len(self._far.asked))
        self._far.acts = [answers(503)]

    def hang(self) -> None:
        self._far.acts = [hangs]

    def asked(self) -> int:
        return len(self._far.asked)


class TestFakeNotifier(NotifierContract):
    @pytest.fixture
    def world(self) -> FakeWorld:
        return FakeWorld()


class TestWebhook(NotifierContract):
    @pytest.fixture
    def world(self) -> Iterator[ServedWorld]:
        with far_side() as far:
            yield ServedWorld(far, Webhook(f"{far.address}/x", "a secret of some length", lambda: 1e9), "text")


@pytest.mark.skipif(not installed(), reason="the extra `notify` is not installed: no apprise")
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise imports it
class TestApprise(NotifierContract):
    @pytest.fixture
    def world(self) -> Iterator[ServedWorld]:
        with far_side(FarSide(always=answers(200))) as far:
            url = f"json://{far.address.removeprefix('http://')}/x"
            yield ServedWorld(far, AppriseSink(url, lambda text: text), "message")
