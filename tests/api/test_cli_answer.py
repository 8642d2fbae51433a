"""The command `answer`, and what `status` and `show` say of a task that asks."""

from typing import Any

import pytest
from tests.api.world import World

from orchestrator.core.errors import ConflictError, NotFoundError, UsageError
from orchestrator.core.events import EventKind as K
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task

QUESTION = {"question": "Which driver?\nSay it.", "options": ["psycopg", "asyncpg"], "source": "text"}


@pytest.fixture
def world() -> World:
    return World()


async def asking(world: World, name: str = "t", deadline: float = 0.0) -> Task:
    more: Any = {**QUESTION, "reason": "asked_a_question", "detail": "it asks: Which driver?", "deadline": deadline}
    return await world.add(name, K.STARTED, K.FINISHED, K.VALIDATED, K.QUESTION_ASKED, **more)


async def test_an_answer_is_the_words_behind_the_task(world: World) -> None:
    task = await asking(world)
    code, text, note = await world.call("answer", "t", "use", "asyncpg")
    assert code == 0
    assert text == "t is answered and queued again; it goes on in the same session.\n"
    assert "No daemon runs" in note
    assert (await world.store.attempts(task.uid))[0].verdict["answered"] == {
        "answer": "use asyncpg",
        "by": "person",
        "door": "cli",
        "ts": world.clock.now(),
    }


async def test_the_number_of_an_option_will_do_and_json_says_what_was_understood(world: World) -> None:
    await asking(world)
    found = await world.json("answer", "t", "2")
    assert (found["answer"], found["task"]["state"]) == ("asyncpg", "queued")


async def test_who_asks_nothing_takes_no_answer(world: World) -> None:
    await world.add("waits")
    with pytest.raises(ConflictError, match="waits for no answer: it is queued"):
        await world.call("answer", "waits", "yes")
    with pytest.raises(NotFoundError):
        await world.call("answer", "nobody", "yes")
    with pytest.raises(UsageError):
        await world.call("answer", "waits")


async def test_status_shows_the_question_and_the_next_command(world: World) -> None:
    task = await asking(world, deadline=world.clock.now() + 7200)
    _, text, _ = await world.call("status")
    assert "asking 1" in text
    assert "answer within 2h00m" in text
    assert "Which driver? Say it." in text
    assert f"it waits for you: python main.py answer {task.uid[-8:]} TEXT" in text
    (row,) = (await world.json("status"))["asking"]
    assert row["state"] == State.NEEDS_INPUT.value
    assert row["question"] == {
        "text": "Which driver?\nSay it.",
        "options": ["psycopg", "asyncpg"],
        "source": "text",
        "deadline": world.clock.now() + 7200,
        "file": "tasks/waiting/t.question.md",
    }


async def test_show_has_the_whole_question_and_both_doors(world: World) -> None:
    task = await asking(world)
    _, text, _ = await world.call("show", "t")
    assert "it asks:\n  Which driver?\n  Say it.\n  1. psycopg\n  2. asyncpg\n" in text
    assert f"answer: python main.py answer {task.uid[-8:]} TEXT" in text
    assert "tasks/waiting/t.question.md" in text
    assert "ASKS: Which driver? Say it." in text
    assert (await world.json("show", "t"))["task"]["question"]["options"] == ["psycopg", "asyncpg"]
