"""Signed webhooks against real servers on loopback, good ones and bad ones."""

import asyncio
import hashlib
import hmac
import socket
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate

import pytest
from tests.far_side import Act, FarSide, answers, babbles, cuts, far_side, hangs, trickles
from tests.harness import until
from tests.ports.outbox_contract import FULL

from orchestrator.bridges.webhook import Webhook
from orchestrator.core.notice import Delivery, NotSent, notice_of

SECRET = "a secret of some length"
NOW = 1_700_000_000.0
DELIVERY = Delivery(FULL, "0123456789abcdef0123456789abcdef")


@pytest.fixture
def far() -> Iterator[FarSide]:
    with far_side() as served:
        yield served


def webhook(far: FarSide, path: str = "/hook?x=1", secret: str = SECRET) -> Webhook:
    return Webhook(far.address + path, secret, lambda: NOW)


async def refused(sink: Webhook, delivery: Delivery = DELIVERY) -> NotSent:
    with pytest.raises(NotSent) as caught:
        await sink.send(delivery)
    return caught.value


async def test_a_notice_arrives_whole_with_the_id_of_its_message(far: FarSide) -> None:
    await webhook(far).send(replace(DELIVERY, tries=3, again=True))
    (asked,) = far.asked
    assert asked.path == "/hook?x=1"
    assert asked.headers["Content-Type"] == "application/json"
    assert notice_of(asked.json) == FULL
    assert (asked.json["id"], asked.json["again"], asked.json["try"]) == (DELIVERY.id, True, 3)
    assert asked.headers["Webhook-Id"] == DELIVERY.id


async def test_a_receiver_that_has_the_secret_can_tell_that_it_is_ours(far: FarSide) -> None:
    await webhook(far).send(DELIVERY)
    (asked,) = far.asked
    stamp = asked.headers["Webhook-Timestamp"].encode()
    assert stamp == b"1700000000"
    plain = hmac.new(SECRET.encode(), stamp + b"." + asked.body, hashlib.sha256).hexdigest()
    assert asked.headers["X-Orchestrator-Signature"] == f"sha256={plain}"
    content = DELIVERY.id.encode() + b"." + stamp + b"." + asked.body
    standard = b64encode(hmac.new(SECRET.encode(), content, hashlib.sha256).digest()).decode()
    assert asked.headers["Webhook-Signature"] == f"v1,{standard}"


async def test_a_secret_of_standard_webhooks_is_taken_as_that(far: FarSide) -> None:
    key = bytes(range(32))
    await webhook(far, secret="whsec_" + b64encode(key).decode()).send(DELIVERY)
    (asked,) = far.asked
    content = f"{DELIVERY.id}.{asked.headers['Webhook-Timestamp']}.".encode() + asked.body
    given = b64decode(asked.headers["Webhook-Signature"].removeprefix("v1,"))
    assert given == hmac.new(key, content, hashlib.sha256).digest()


async def test_another_secret_gives_another_signature(far: FarSide) -> None:
    await webhook(far).send(DELIVERY)
    await webhook(far, secret=SECRET + "!").send(DELIVERY)
    one, other = far.asked
    assert one.body == other.body
    for name in ("Webhook-Signature", "X-Orchestrator-Signature"):
        assert one.headers[name] != other.headers[name]


@pytest.mark.parametrize(
    ("act", "final", "unsure", "retry_after_s"),
    [
        (answers(400, b"no such thing"), True, False, 0.0),
        (answers(401), False, False, 0.0),
        (answers(404), False, False, 0.0),
        (answers(413), True, False, 0.0),
        (answers(429), False, False, 0.0),
        (answers(429, Retry_After="17"), False, False, 17.0),
        (answers(429, Retry_After=formatdate(NOW + 90, usegmt=True)), False, False, 90.0),
        (answers(429, Retry_After="soon"), False, False, 0.0),
        (answers(503, Retry_After="5"), False, True, 5.0),
        (answers(500), False, True, 0.0),
        (answers(302, Location="http://127.0.0.1:1/other"), False, False, 0.0),
        (cuts, False, True, 0.0),
        (babbles, False, True, 0.0),
    ],
)
async def test_what_a_far_side_does_is_told_apart(
    far: FarSide, act: Act, final: bool, unsure: bool, retry_after_s: float
) -> None:
    far.acts = [act]
    failure = await refused(webhook(far))
    assert (failure.final, failure.unsure, failure.retry_after_s) == (final, unsure, retry_after_s)
    assert len(far.asked) == 1


async def test_the_words_of_a_refusal_are_handed_on_and_are_harmless(far: FarSide) -> None:
    far.acts = [answers(400, b"too \x1b[31mlong\nand more"), answers(400, b"x" * 10_000_000)]
    assert (await refused(webhook(far))).why == "the far side answered 400: too \\x1b[31mlong"
    assert len((await refused(webhook(far))).why) < 300


async def test_nobody_there_is_surely_not_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        failure = await refused(Webhook(f"http://127.0.0.1:{taken.getsockname()[1]}/secret-path", SECRET, lambda: NOW))
    assert (failure.final, failure.unsure) == (False, False)
    assert failure.why == "127.0.0.1: Connection refused"


async def test_a_far_side_that_speaks_no_tls_is_told_apart(far: FarSide) -> None:
    failure = await refused(Webhook(far.address.replace("http:", "https:"), SECRET, lambda: NOW))
    assert "TLS" in failure.why
    assert not failure.unsure


@pytest.mark.parametrize("act", [hangs, trickles])
async def test_a_slow_far_side_holds_nobody_and_leaves_no_thread_behind(far: FarSide, act: Act) -> None:
    far.acts = [act]
    sending = asyncio.create_task(webhook(far).send(DELIVERY))
    await until(lambda: far.asked, what="the request")
    sending.cancel()
    await asyncio.wait([sending])
    assert sending.cancelled()
    await until(lambda: not [one for one in threading.enumerate() if one.name == "webhook"], what="the thread's end")
