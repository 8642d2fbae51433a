"""The command `report`: the same document as text and as JSON, from a time that people write."""

from datetime import UTC, datetime

import pytest
from tests.api.world import World

from orchestrator.api.cli_report import moment_of
from orchestrator.core.errors import UsageError
from orchestrator.core.events import EventKind
from orchestrator.validation.schema import batch_problems

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()


async def test_it_tells_what_ended_and_what_has_not_started() -> None:
    world = World()
    await world.add("good", EventKind.STARTED, EventKind.FINISHED, EventKind.SUCCEEDED)
    await world.add("bad", EventKind.STARTED, EventKind.FINISHED, EventKind.FAILED, reason="asked_a_question")
    await world.add("later")
    code, text, _ = await world.call("report")
    assert code == 0
    assert "**2 tasks ended**: 1 unproven, 1 failed, 1 waiting for you, 1 not started." in text
    assert "- `later`: " in text
    told = await world.json("report")
    assert batch_problems(told) == []
    assert [row["name"] for row in told["failed"]] == ["bad"]


async def test_since_leaves_out_what_ended_before() -> None:
    world = World()
    await world.add("old", EventKind.STARTED, EventKind.FINISHED, EventKind.SUCCEEDED)
    world.clock.advance(7200)
    await world.add("new", EventKind.STARTED, EventKind.FINISHED, EventKind.SUCCEEDED)
    assert [row["name"] for row in (await world.json("report", "--since", "1h"))["unproven"]] == ["new"]
    assert [row["name"] for row in (await world.json("report", "--since", "3h"))["unproven"]] == ["old", "new"]


async def test_nothing_ended_is_told_as_such() -> None:
    assert "**0 tasks ended**." in (await World().call("report"))[1]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("30m", NOW - 1800),
        ("2d", NOW - 2 * 86_400),
        ("2026-11-27T10:00:00Z", NOW - 7200),
        ("2026-11-27T13:00:00+02:00", NOW - 3600),
    ],
)
def test_a_time_is_read_as_people_write_it(words: str, wanted: float) -> None:
    assert moment_of(words, NOW) == wanted


@pytest.mark.parametrize("words", ["yesterday", "", "-1h", "2026-13-01", "99999999d", "0001-01-01"])
def test_what_is_no_time_is_refused_with_the_forms(words: str) -> None:
    with pytest.raises(UsageError) as raised:
        moment_of(words, NOW)
    assert "12h" in raised.value.hint
