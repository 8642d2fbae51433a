"""apprise against real servers on loopback, by its services for plain JSON and for ntfy."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.far_side import FarSide, answers, far_side, hangs
from tests.harness import SOURCE, until
from tests.ports.outbox_contract import FULL

from orchestrator.core.errors import ConfigError
from orchestrator.core.notice import Delivery, NotSent
from orchestrator.core.redact import Redactor

pytest.importorskip("apprise", reason="the extra `notify` is not installed: no apprise")

from orchestrator.bridges.apprise_sink import AppriseSink

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise imports it
DELIVERY = Delivery(FULL, "0123456789abcdef0123456789abcdef")
TOPIC = "a-topic-nobody-knows"


@pytest.fixture
def far() -> Iterator[FarSide]:
    with far_side(FarSide(always=answers(200))) as served:
        yield served


def sink(far: FarSide, scheme: str = "json", more: str = "") -> AppriseSink:
    url = f"{scheme}://{far.address.removeprefix('http://')}/{TOPIC}{more}"
    return AppriseSink(url, Redactor([TOPIC]).text)


async def test_a_notice_arrives_with_its_commands_and_its_document(far: FarSide) -> None:
    await sink(far).send(DELIVERY)
    (asked,) = far.asked
    assert asked.path == f"/{TOPIC}"
    assert asked.json["title"] == FULL.title
    assert asked.json["message"].startswith("It ran for 300 s.")
    assert "python main.py retry 0000002a" in asked.json["message"]
    assert [one["filename"] for one in asked.json["attachments"]] == ["lint_all_summary.txt"]


async def test_a_repeat_says_so(far: FarSide) -> None:
    await sink(far).send(replace(DELIVERY, again=True))
    assert far.asked[0].json["message"].startswith("(This may have come before.)")


async def test_ntfy_takes_it_too(far: FarSide) -> None:
    await sink(far, "ntfy").send(replace(DELIVERY, notice=replace(FULL, document=None)))
    assert (far.asked[0].json["topic"], far.asked[0].json["title"]) == (TOPIC, FULL.title)


@pytest.mark.parametrize("status", [429, 500])
async def test_a_refusal_is_told_in_words_without_the_secret_and_may_be_tried_again(far: FarSide, status: int) -> None:
    far.always = answers(status)
    with pytest.raises(NotSent) as caught:
        await sink(far, "ntfy").send(DELIVERY)
    assert f"error={status}" in caught.value.why
    assert TOPIC not in caught.value.why
    assert not caught.value.final


async def test_nobody_there_is_told_apart_from_a_bug() -> None:
    gone = AppriseSink("json://127.0.0.1:1/x", lambda text: text)
    with pytest.raises(NotSent, match="JSON: "):
        await gone.send(DELIVERY)


async def test_a_url_that_apprise_cannot_read_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="cannot read the url"):
        AppriseSink("nonsense://somewhere", lambda text: text)


async def test_a_slow_far_side_holds_nobody_and_gets_no_second_try_meanwhile(far: FarSide) -> None:
    far.acts = [hangs]
    slow = sink(far, more="?rto=30")
    sending = asyncio.create_task(slow.send(DELIVERY))
    await until(lambda: far.asked, what="the request")
    sending.cancel()
    await asyncio.wait([sending])
    with pytest.raises(NotSent, match="has still not come to its end"):
        await slow.send(DELIVERY)
    far.ended.set()
    await until(lambda: not [one for one in threading.enumerate() if one.name == "apprise"], what="the thread's end")
    await slow.send(DELIVERY)
    assert len(far.asked) == 2


class Kept(logging.Handler):
    """What reaches the handlers of the program."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def test_nothing_is_logged_of_where_it_goes(far: FarSide) -> None:
    kept, root = Kept(), logging.getLogger()
    before = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    try:
        far.acts = [answers(500)]
        with pytest.raises(NotSent):
            await sink(far, "ntfy").send(DELIVERY)
        await sink(far, "ntfy").send(DELIVERY)
        logging.getLogger("urllib3.connectionpool").warning("a word on %s", TOPIC)
    finally:
        root.setLevel(before)
        root.removeHandler(kept)
    assert not [line for line in kept.lines if TOPIC in line]


def test_who_uses_no_apprise_does_not_import_it() -> None:
    code = "import sys, orchestrator.app, orchestrator.compose, orchestrator.assembly; print('apprise' in sys.modules)"
    env = {"PYTHONPATH": str(SOURCE), "PATH": ""}
    told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
