"""Progress in a chat: one message for a task, edited while it goes on, never a stream of them.

Each message is edited at most once in EDIT_EVERY_S, each chat at most once in its own time; what is shown last is how
it ended. Which messages are alive is remembered, so the next daemon goes on with them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping

from orchestrator.api.render import event_words
from orchestrator.api.telegram_desk import Desk, live_key, message_key, place_of
from orchestrator.api.telegram_words import event_line, progress
from orchestrator.core.chat import ChatError, Outgoing
from orchestrator.core.errors import ConflictError, NotFoundError, StoreError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import ACTIVE, TERMINAL, State
from orchestrator.core.task import Task

log = logging.getLogger(__name__)

EDIT_EVERY_S = 3.0
ELAPSED_EVERY_S = 30.0  # nothing new but the time it takes
MOST_ALIVE = 30
LINES, QUESTION_LINES = 3, 12
LOOKED_BACK = 50  # events of a task that a new message begins with


class LiveMessages:
    """The messages that tell how tasks go on."""

    def __init__(self, desk: Desk, *, every_s: float = EDIT_EVERY_S) -> None:
        self._desk = desk
        self._every_s = every_s
        self._alive: dict[tuple[int, int], TaskUid] = {}
        self._lines: dict[TaskUid, deque[str]] = {}
        self._since: dict[TaskUid, float] = {}
        self._changed: set[tuple[int, int]] = set()
        self._shown: dict[tuple[int, int], float] = {}
        self._wait_until = 0.0

    async def begin(self, chat_id: int, message_id: int, task: Task) -> None:
        """Let a message of ours tell from now on how it goes with *task*."""
        place = (chat_id, message_id)
        kept = {live_key(*place): str(task.uid), message_key(*place): f"task:{task.uid}"}
        oldest = next(iter(self._alive), None)
        if oldest is not None and len(self._alive) >= MOST_ALIVE:
            self._forget(oldest)
            await self._desk.remember({live_key(*oldest): None})
        await self._desk.remember(kept)
        await self._look_back(task.uid)
        self._alive[place] = task.uid
        self._changed.add(place)

    async def message(self, task: Task) -> Outgoing:
        """Return how it stands with *task* now."""
        await self._look_back(task.uid)
        return await self._text(task)

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep the messages true until *stopping*."""
        for key, uid in (await self._desk.memory.recall(live_key())).items():
            self._alive[place_of(key)] = TaskUid(uid)
            await self._look_back(TaskUid(uid))
        self._changed.update(self._alive)
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow())
            while not stopping.is_set():
                await self._show()
                try:
                    async with asyncio.timeout(self._every_s):
                        await stopping.wait()
                except TimeoutError:
                    pass
            following.cancel()
            await self._show()

    async def _follow(self) -> None:
        after = (await self._desk.service.status(limit=0)).last_seq
        while True:
            try:
                async for event in self._desk.service.follow(after):
                    after = event.seq
                    self._hear(event)
            except StoreError as error:
                log.error("progress is not followed for now: %s", error)  # noqa: TRY400 - expected, not a bug
                await self._desk.clock.sleep(self._every_s)

    def _hear(self, event: Event) -> None:
        if event.uid not in self._alive.values():
            return
        self._note(event)
        self._changed.update(place for place, uid in self._alive.items() if uid == event.uid)

    def _note(self, event: Event) -> None:
        if event.kind is EventKind.STARTED:
            self._since[event.uid] = event.ts
        if line := event_line(event, event_words(event)):
            self._lines.setdefault(event.uid, deque(maxlen=LINES)).append(line)

    async def _look_back(self, uid: TaskUid) -> None:
        if uid in self._lines:
            return
        try:
            for event in await self._desk.service.recent_events(lines=LOOKED_BACK, key=uid):
                self._note(event)
        except NotFoundError:
            return

    async def _show(self) -> None:
        now = self._desk.clock.monotonic()
        if now < self._wait_until:
            return
        said: set[int] = set()
        for place, uid in list(self._alive.items()):
            aged = now - self._shown.get(place, 0.0) >= ELAPSED_EVERY_S
            if place[0] in said or not (place in self._changed or aged):
                continue
            try:
                if await self._edit(place, uid, only_if_active=place not in self._changed):
                    said.add(place[0])
                    self._shown[place] = now
            except ChatError as error:
                if not error.final:
                    self._wait_until = now + max(error.retry_after_s, self._every_s)
                    return
                log.info("the progress of %s is told no more: %s", uid[-8:], error.why)
                await self._end(place)
            except StoreError as error:
                log.error("progress is not shown for now: %s", error)  # noqa: TRY400 - expected, not a bug
                return

    async def _edit(self, place: tuple[int, int], uid: TaskUid, *, only_if_active: bool) -> bool:
        """Make the message true. Returns False where nothing had to be done."""
        try:
            task = await self._desk.service.task(uid)
        except NotFoundError:
            await self._end(place)
            return False
        if only_if_active and task.state not in ACTIVE:
            self._shown[place] = self._desk.clock.monotonic()
            return False
        self._changed.discard(place)
        try:
            await self._desk.chat.edit(*place, await self._text(task))
        except ChatError:
            self._changed.add(place)
            raise
        if task.state in TERMINAL:
            await self._end(place)
        return True

    async def _text(self, task: Task) -> Outgoing:
        facts: Mapping[str, Json] = {}
        if task.state in TERMINAL and task.state is not State.REJECTED:
            try:
                facts = await self._desk.service.result(task)
            except ConflictError:  # accepted or cleaned this moment
                facts = {}
        lines = list(self._lines.get(task.uid, ()))
        if (question := await self._desk.service.question(task)) is not None:
            offered = [f"{n}. {option}" for n, option in enumerate(question.options, 1)]
            lines = ["it asks:", *question.text.splitlines()[:QUESTION_LINES], *offered]
        return progress(task, self._desk.clock.now(), self._since.get(task.uid, 0.0), lines, facts)

    async def _end(self, place: tuple[int, int]) -> None:
        self._forget(place)
        await self._desk.remember({live_key(*place): None})

    def _forget(self, place: tuple[int, int]) -> None:
        uid = self._alive.pop(place, None)
        self._changed.discard(place)
        self._shown.pop(place, None)
        if uid is not None and uid not in self._alive.values():
            self._lines.pop(uid, None)
            self._since.pop(uid, None)
