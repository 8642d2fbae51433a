"""The door for workers, over real sockets: who is let in, and what everybody else hears."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType

import pytest
from tests.worker_rig import MINE, OTHER, Answer, NotingDesk, ask, call, headers_of, host_of, message, opened, text_of

from orchestrator.api.worker_door import Door
from orchestrator.api.worker_guard import BURST, MAX_BODY_BYTES, STRANGERS_BURST, Bucket, Tokens
from orchestrator.core.worker_tool import Caller, ToolAccess, ToolMissingError

SPLIT = call("split_task", {"tasks": [], "why": "x"})


@dataclass
class Rig:
    door: Door
    desk: NotingDesk
    mine: ToolAccess
    other: ToolAccess


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    desk = NotingDesk()
    async with opened(desk) as door:
        yield Rig(door, desk, await door.open(MINE), await door.open(OTHER))


async def test_each_token_speaks_for_its_own_attempt_alone(rig: Rig) -> None:
    assert text_of(await ask(rig.mine, SPLIT)) == ("accepted: end your turn now", False)
    assert text_of(await ask(rig.other, call("my_limits"))) == ("attempt 2", False)
    assert [caller for caller, _ in rig.desk.asked] == [MINE]


async def test_a_client_finds_two_tools_and_their_forms(rig: Rig) -> None:
    answer = await ask(rig.mine, message("tools/list"))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    for word in (b'"split_task"', b'"my_limits"', b'"depends_on"', b'"additionalProperties":false'):
        assert word in answer.body
    assert text_of(await ask(rig.mine, call("rm"))) == (
        "refused: there is no tool of that name; there are split_task and my_limits.",
        True,
    )


Case = Callable[[Rig], Awaitable[Answer]]


def by(**changes: str | None) -> Case:
    """Return a good request with other headers; `TOKEN`, `HOST` and `PORT` in them stand for those of the worker."""

    async def case(rig: Rig) -> Answer:
        real = {"TOKEN": rig.mine.token, "HOST": host_of(rig.mine), "PORT": host_of(rig.mine).partition(":")[2]}
        given = dict(changes)
        for word, value in real.items():
            given = {name: text and text.replace(word, value) for name, text in given.items()}
        return await ask(rig.mine, SPLIT, headers_of(rig.mine, **given))

    return case


def at(path: str = "/mcp", method: str = "POST") -> Case:
    return lambda rig: ask(rig.mine, SPLIT, method=method, path=path)


async def token_in_the_address(rig: Rig) -> Answer:
    return await ask(rig.mine, SPLIT, headers_of(rig.mine, authorization=None), path=f"/mcp?token={rig.mine.token}")


async def a_part_of_the_token(rig: Rig) -> Answer:
    return await ask(rig.mine, SPLIT, headers_of(rig.mine, authorization=f"Bearer {rig.mine.token[:-1]}"))


async def two_tokens(rig: Rig) -> Answer:
    pairs = [*headers_of(rig.mine).items(), ("authorization", f"Bearer {rig.other.token}")]
    return await ask(rig.mine, SPLIT, pairs)


async def ended_attempt(rig: Rig) -> Answer:
    rig.door.close(OTHER)
    return await ask(rig.other, SPLIT)


async def too_large_in_pieces(rig: Rig) -> Answer:
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    return await ask(rig.mine, piece * 5, headers_of(rig.mine, transfer_encoding="chunked"))


async def said_to_be_too_large(rig: Rig) -> Answer:
    return await ask(rig.mine, b"", headers_of(rig.mine, content_length=str(MAX_BODY_BYTES + 1)))


REFUSED: dict[str, tuple[Case, int]] = {
    "no token": (by(authorization=None), 401),
    "wrong token": (by(authorization="Bearer TOKENx"), 401),
    "a part of the token": (a_part_of_the_token, 401),
    "a token that is no text": (by(authorization="Bearer \xff\xfe"), 401),
    "another scheme": (by(authorization="Basic TOKEN"), 401),
    "two tokens": (two_tokens, 401),
    "token in the address": (token_in_the_address, 401),
    "ended attempt": (ended_attempt, 401),
    "wrong host": (by(host="evil.example:PORT"), 421),
    "host without port": (by(host="127.0.0.1"), 421),
    "localhost": (by(host="localhost:PORT"), 421),
    "origin": (by(origin="http://HOST"), 403),
    "null origin": (by(origin="null"), 403),
    "said to be too large": (said_to_be_too_large, 413),
    "too large in pieces": (too_large_in_pieces, 413),
    "get": (at(method="GET"), 405),
    "delete": (at(method="DELETE"), 405),
    "another path": (at("/"), 404),
    "query": (at("/mcp?a=b"), 404),
    "a form": (by(content_type="application/x-www-form-urlencoded"), 415),
    "text": (by(content_type="text/plain"), 415),
    "not said what": (by(content_type=None), 415),
}


async def test_everybody_else_hears_a_status_and_nothing_more(rig: Rig) -> None:
    answers = {name: await case(rig) for name, (case, _) in REFUSED.items()}
    heard = {name: (answer.status, answer.body) for name, answer in answers.items()}
    assert heard == {name: (status, b"") for name, (_, status) in REFUSED.items()}
    told = {header for answer in answers.values() for header in answer.headers}
    assert told == {"content-length", "cache-control", "connection"}
    assert rig.desk.asked == []
    assert text_of(await ask(rig.mine, SPLIT))[1] is False


async def test_garbage_with_a_good_token_is_answered_by_an_error_and_does_no_harm(rig: Rig) -> None:
    for body in (b"", b"{garbage", b"[]", b'{"jsonrpc":"2.0"}', b"\xff", b"[" * 100_000, b"null"):
        assert (await ask(rig.mine, body)).status == 400, body[:20]
    assert text_of(await ask(rig.mine, SPLIT))[1] is False


async def test_one_attempt_that_asks_too_often_is_slowed_down_and_no_other(rig: Rig) -> None:
    statuses = [(await ask(rig.mine, call("my_limits"))).status for _ in range(int(BURST) + 30)]
    assert statuses[: int(BURST)] == [200] * int(BURST)
    assert 429 in statuses
    assert (await ask(rig.other, call("my_limits"))).status == 200


async def test_guessing_is_slowed_down_and_workers_are_not(rig: Rig) -> None:
    wrong = headers_of(rig.mine, authorization="Bearer guess")
    statuses = [(await ask(rig.mine, SPLIT, wrong)).status for _ in range(int(STRANGERS_BURST) + 20)]
    assert statuses[: int(STRANGERS_BURST)] == [401] * int(STRANGERS_BURST)
    assert 429 in statuses
    assert (await ask(rig.mine, SPLIT)).status == 200


async def test_a_request_that_is_never_sent_to_its_end_holds_up_nobody(rig: Rig) -> None:
    host, _, port = host_of(rig.mine).partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers_of(rig.mine).items())
    writer.write(f"POST /mcp HTTP/1.1\r\n{head}content-length: 9\r\n\r\n{{".encode())
    assert (await ask(rig.mine, SPLIT)).status == 200
    writer.close()


async def test_only_the_one_address_of_loopback_is_listened_on(rig: Rig) -> None:
    """Every address from 127.0.0.0/8 is this machine: who listens on all of them answers on the second, too."""
    host, _, port = host_of(rig.mine).partition(":")
    assert host == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.2", int(port))


async def test_a_token_is_random_and_never_the_same_again(rig: Rig) -> None:
    again = await rig.door.open(MINE)
    assert len({rig.mine.token, rig.other.token, again.token}) == 3
    assert all(len(access.token) >= len("orch-worker-") + 43 for access in (rig.mine, rig.other, again))
    assert (await ask(rig.mine, SPLIT)).status == 401
    assert (await ask(again, SPLIT)).status == 200


async def test_what_the_door_writes_into_the_log_names_no_token(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await ask(rig.mine, SPLIT)
    await ask(rig.mine, b"{garbage")
    await ask(rig.mine, SPLIT, headers_of(rig.mine, authorization=f"Bearer {rig.mine.token}x"))
    assert rig.mine.token not in caplog.text


async def test_a_door_that_is_stopped_is_closed_and_one_that_was_never_opened_stops_too() -> None:
    desk = NotingDesk()
    async with opened(desk) as door:
        access = await door.open(MINE)
        await door.stop()
        with pytest.raises(ConnectionRefusedError):
            await ask(access, SPLIT)
        again = await door.open(MINE)
        assert (await ask(again, SPLIT)).status == 200
    await Door(desk, chance=str, now=float).stop()


async def test_without_the_library_the_tool_is_missing_and_it_is_said_how_to_get_it() -> None:
    def absent() -> ModuleType:
        raise ImportError("No module named 'mcp'")

    door = Door(NotingDesk(), chance=str, now=float, load=absent)
    for _ in range(2):
        with pytest.raises(ToolMissingError, match=r"^the library mcp"):
            await door.open(MINE)
    await door.stop()


def test_the_holder_of_a_token_is_found_among_many() -> None:
    numbers = iter(range(100))
    tokens = Tokens(lambda: f"{next(numbers):043}", lambda: 0.0)
    issued = {tokens.issue(Caller(MINE.uid, n, 1)): n for n in range(1, 20)}
    for token, n in issued.items():
        holder = tokens.holder(token.encode())
        assert holder is not None
        assert holder[0].attempt == n
    tokens.revoke(Caller(MINE.uid, 7, 1))
    tokens.revoke(Caller(MINE.uid, 7, 1))
    gone = next(token for token, n in issued.items() if n == 7)
    assert tokens.holder(gone.encode()) is None


def test_a_bucket_fills_with_time_and_never_above_its_brim() -> None:
    bucket = Bucket(burst=2, per_s=1, left=2, filled_at=0)
    assert [bucket.take(0), bucket.take(0), bucket.take(0.5), bucket.take(1.0)] == [True, True, False, True]
    assert [bucket.take(100), bucket.take(100), bucket.take(100)] == [True, True, False]
