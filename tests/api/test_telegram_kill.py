"""Killed anywhere between a message and its answer, the next daemon does what was asked, once, and says so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("telegram", reason="python-telegram-bot is not installed: pip install -e '.[telegram]'")

from tests.rig import Engine, Open, open_engine
from tests.telegram_server import OWNER, TOKEN, TelegramServer

from orchestrator.api.telegram import Allowed, TelegramDoor
from orchestrator.api.telegram_desk import Desk
from orchestrator.bridges.telegram_bot import Bot, open_bot
from orchestrator.core import failpoint
from orchestrator.core.chat import Outgoing
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task, TaskRules, TaskSpec
from orchestrator.engine.service import Orchestrator
from orchestrator.engine.submission import submit
from orchestrator.engine.words import read_request

__all__ = ["open_engine"]
NEVER = 10_000
EVERY = 2  # steps: the stories go through the same ones, shifted


class KilledHere(BaseException):
    """What a process does not survive, and nobody in it can do anything about."""


@dataclass
class Mortal:
    """Dies at step *at* and does nothing any more, whatever is tried."""

    at: int
    steps: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) > self.at:
            raise KilledHere(name)

    @property
    def dead(self) -> bool:
        return len(self.steps) > self.at


@dataclass
class MortalLine:
    """A connection of somebody who may die before a call, or when it was made and nobody knows."""

    bot: Bot
    mortal: Mortal

    async def send(self, chat_id: int, message: Outgoing) -> int:
        self.mortal.step("before send")
        sent = await self.bot.send(chat_id, message)
        self.mortal.step("after send")
        return sent

    async def edit(self, chat_id: int, message_id: int, message: Outgoing) -> None:
        self.mortal.step("before edit")
        await self.bot.edit(chat_id, message_id, message)
        self.mortal.step("after edit")

    async def unbutton(self, chat_id: int, message_id: int) -> None:
        await self.bot.unbutton(chat_id, message_id)

    async def answer(self, query_id: str, text: str) -> None:
        self.mortal.step("before answer")
        await self.bot.answer(query_id, text)


def desk(engine: Engine, line: MortalLine) -> Desk:
    rules = TaskRules(engine.policy.types, ("claude",), engine.policy.base_cwd, engine.policy.allowed_root)
    store, clock = engine.store, engine.clock

    async def ask(key: str, spec: TaskSpec, words: str, by: str) -> Task:
        return await submit(
            store.once(key, ts=clock.now()), clock, engine.bell, spec, words=words, door="telegram", by=by
        )

    async def read(text: str, name: str) -> TaskSpec:
        return await read_request(text, file_name=f"{name}.task.md", rules=rules)

    async def told_as(_: str) -> None:
        return None

    def once(key: str) -> Orchestrator:
        view = store.once(key, ts=clock.now())
        return Orchestrator(
            store=view, clock=clock, bell=engine.bell, policy=lambda: engine.policy, redact=lambda value: value
        )

    return Desk(line, store, clock, engine.service, once, ask, read, told_as)


async def one_life(opened: Open, server: TelegramServer, bot: Bot, mortal: Mortal) -> None:
    """Take and handle what the server has, to the end of it or of us."""
    failpoint.install(lambda name: mortal.step(name) if name.startswith("store.") else None)
    try:
        async with opened() as engine:
            try:
                await _handle_all(engine, server, bot, mortal)
            except BaseExceptionGroup as group:
                _, others = group.split(KilledHere)
                if others is not None:
                    raise others from None
    except KilledHere:
        pass  # while the store was opened or closed
    finally:
        failpoint.install(None)


async def _handle_all(engine: Engine, server: TelegramServer, bot: Bot, mortal: Mortal) -> None:
    allowed = Allowed(frozenset({OWNER}), frozenset())
    line = MortalLine(bot, mortal)
    door = TelegramDoor(desk(engine, line), lambda: allowed, lambda: bot.username, edit_every_s=0.05)
    stopping = asyncio.Event()

    async def take() -> None:
        after = 0
        while True:
            asked = asyncio.ensure_future(bot.updates(after, timeout_s=0))
            try:
                after, arrived = await asyncio.shield(asked)
            finally:
                await asyncio.wait([asked])  # the connection is shared with the next life
            mortal.step("taken")
            await door.take(arrived)
            if not server.pending and not await engine.store.recall("telegram:in:"):
                stopping.set()
                return
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as group:
        group.create_task(door.run(stopping))
        group.create_task(take())


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


@pytest.fixture
async def bot(server: TelegramServer) -> AsyncIterator[Bot]:
    async with open_bot(TOKEN, api_url=server.url) as opened:
        yield opened


def newest(server: TelegramServer, piece: str) -> int:
    return int(next(m["message_id"] for m in reversed(server.sent()) if piece in m["text"]))


Step = Callable[[TelegramServer], object]
STORIES: dict[str, list[Step]] = {
    "words that are asked about and run": [
        lambda server: server.say("Review it"),
        lambda server: server.press(newest(server, "Run it?"), "Run"),
    ],
    "a task that is cancelled and run again": [
        lambda server: server.say("/task review it"),
        lambda server: (server.say("/cancel review_it"), server.say("/retry review_it")),
    ],
}
TASKS = {
    "words that are asked about and run": [State.QUEUED],
    "a task that is cancelled and run again": [State.CANCELLED, State.QUEUED],
}


@pytest.mark.parametrize("story", STORIES)
async def test_killed_at_any_step_nothing_is_lost_and_no_task_is_made_twice(
    story: str, open_engine: Open, tmp_path: Path, server: TelegramServer, bot: Bot
) -> None:
    deaths, at = set(), list(STORIES).index(story) % EVERY
    while True:
        for file in (tmp_path / ".orchestrator").glob("test.db*"):
            file.unlink()  # a new root for each death
        server.chats[OWNER].messages.clear()
        died = ""
        for step in STORIES[story]:
            step(server)
            mortal = Mortal(at if not died else NEVER)
            await one_life(open_engine, server, bot, mortal)
            if mortal.dead:
                died = mortal.steps[at]
                await one_life(open_engine, server, bot, Mortal(NEVER))
            elif not died:
                at_left = at - len(mortal.steps)
                assert at_left >= 0
        async with open_engine() as engine:
            tasks = sorted(await engine.store.tasks(list(State), limit=99), key=lambda task: task.order)
        assert [task.state for task in tasks] == TASKS[story], f"killed at step {at}: {died}"
        _said_once_or_knowingly_twice(server, died)
        if not died:
            break
        deaths.add(died)
        at += EVERY
    assert len(deaths) >= 4, deaths


def _said_once_or_knowingly_twice(server: TelegramServer, died: str) -> None:
    """Every message has its answer; one is there twice only where we died when it was sent and that was not noted."""
    texts = [text.partition("\n")[0].partition("  ")[0] for text in server.texts()]
    doubles = len(texts) - len(set(texts))
    assert texts, died
    assert doubles <= 1, (texts, died)
