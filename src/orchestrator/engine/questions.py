"""Questions that wait for a person: their files, what is written into them, and what follows when nobody answers.

All that counts is in the store: that a task waits, what it asked, until when. A file is only a door. So a daemon that
was killed anywhere here goes on by looking again: it writes what is missing, reads what was answered, and removes what
nobody waits for any more.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.core.errors import ConflictError, IllegalEventError, OrchestratorError, StoreError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Clock, Store
from orchestrator.core.question import BY_DEFAULT, chosen, default_in, question_in
from orchestrator.core.report import COMMAND
from orchestrator.core.task import FileStamp, Task
from orchestrator.core.text import printable
from orchestrator.core.waiting import SUFFIX, Reply, WaitingFiles, mark_of, question_text, reply_in
from orchestrator.engine.answers import Answers
from orchestrator.engine.bell import Bell

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how soon a saved answer is seen
LEAST_S = 0.1
IDLE_S = 30.0
RETRY_S = 5.0
MOST = 10_000
WRITTEN_AGAIN_S = 5.0  # programs that save under another name leave a moment without the file
DOOR = "folder"
_TAKEN = FileStamp(inode=-1)  # something that is no file has its name: it is tried again after a while


def file_name(task: Task) -> str:
    """Return the name of the file for the question of *task*. Names of tasks are short, and never used again."""
    return f"{task.name}{SUFFIX}"


def moment(ts: float) -> str:
    """Return a time for people, in the zone of this machine."""
    return datetime.fromtimestamp(ts, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z")


@dataclass(slots=True)
class _Seen:
    """What is remembered of a file between two looks; a restart looks anew. Times in monotonic seconds."""

    stamp: FileStamp | None = None
    missing_since: float | None = None
    told: str = ""  # the trouble that a warning was written of


class Questions:
    """Keeps `tasks/waiting/` in step with the store, in both directions."""

    def __init__(
        self,
        *,
        store: Store,
        files: WaitingFiles,
        clock: Clock,
        bell: Bell,
        redact: Callable[[Json], Json],
        command: str = COMMAND,
    ) -> None:
        self._store = store
        self._files = files
        self._clock = clock
        self._bell = bell
        self._redact = redact
        self._command = command
        self._answers = Answers(store=store, clock=clock, redact=redact)
        self._seen: dict[str, _Seen] = {}
        self._conflicts: frozenset[str] = frozenset()

    async def run(self, stopped: asyncio.Event) -> None:
        """Look whenever something happened, and once a second while a task waits, until *stopped*."""
        while not stopped.is_set():
            seen = self._bell.count
            await self._bell.wait(seen, await self._looked())
            with contextlib.suppress(TimeoutError):  # a busy daemon rings all the time
                await asyncio.wait_for(stopped.wait(), LEAST_S)
        await self._looked()

    async def _looked(self) -> float:
        try:
            return await self.look()
        except (OSError, OrchestratorError) as error:
            if isinstance(error, StoreError) and error.lasting:
                raise
            log.error("tasks/waiting/ is looked at again in %g s: %s", RETRY_S, error)  # noqa: TRY400 - expected
            return RETRY_S

    async def look(self) -> float:
        """Act on everything that is due. Returns in how many seconds to look again. Raises OSError, StoreError."""
        there = await self._files.scan()
        waiting = await self._store.tasks([State.NEEDS_INPUT], limit=MOST)
        mine = {file_name(task): task for task in waiting}
        for name in there.keys() - mine.keys():
            await self._left_over(name, there[name])
        await self._tell_conflicts()
        for name, task in mine.items():
            if not await self._answered(name, task, there.get(name)):
                await self._overdue(task)
        self._seen = {name: seen for name, seen in self._seen.items() if name in mine}
        return LOOK_S if waiting else IDLE_S

    async def _tell_conflicts(self) -> None:
        """Say once of each second version that a sync tool has made: which of the two is meant, nobody knows."""
        found = frozenset(await self._files.conflicts())
        for name in sorted(found - self._conflicts):
            detail = f"tasks/waiting/{printable(name)} is a second version made by a sync tool, and is not read"
            await self._warn("answer_not_understood", detail, name)
        self._conflicts = found

    async def _answered(self, name: str, task: Task, stamp: FileStamp | None) -> bool:
        """Read the file of *task*, or write it. Returns whether there was an answer in it."""
        seen = self._seen.setdefault(name, _Seen())
        if stamp is None:
            await self._write(name, task, seen)
            return False
        seen.missing_since = None
        if stamp == seen.stamp:
            return False
        if (data := await self._files.read(name)) is None:
            return False  # somebody is writing it
        reply = reply_in(data)
        if reply.mark not in ("", mark_of(task)):
            await self._of_another(name, stamp, reply)
            seen.stamp = None
            await self._write(name, task, seen, again_s=0.0)
            return False
        if reply.trouble and reply.trouble != seen.told:
            seen.told = reply.trouble
            await self._warn("answer_not_understood", f"tasks/waiting/{name} is not understood: {reply.trouble}", name)
        taken = bool(reply.answer) and await self._take(name, task, stamp, reply)
        seen.stamp = stamp  # not before: what could not be stored is read again
        return taken

    async def _take(self, name: str, task: Task, stamp: FileStamp, reply: Reply) -> bool:
        """The answer is stored first; a file that could not be removed then is removed at the next look."""
        try:
            await self._answers.give(task, reply.answer, door=DOOR)
        except ConflictError:
            return False  # by another door this very moment: the next look tells what becomes of the file
        except OrchestratorError as error:
            await self._warn("answer_not_understood", f"tasks/waiting/{name}: {error.message}", name)
            return False
        await self._files.remove(name, stamp)
        self._bell.ring()
        return True

    async def _write(self, name: str, task: Task, seen: _Seen, *, again_s: float = WRITTEN_AGAIN_S) -> None:
        """Write the file of *task*; one that was there before and is gone only after a while."""
        now = self._clock.monotonic()
        if seen.stamp is not None:
            seen.missing_since = now if seen.missing_since is None else seen.missing_since
            if now - seen.missing_since < again_s:
                return
        attempts = await self._store.attempts(task.uid)
        question = question_in(attempts[-1].verdict) if attempts else None
        if question is None:
            return
        told = attempts[-1].verdict["question"]
        assert isinstance(told, Mapping)
        asked_ts = told.get("ts")
        text = question_text(
            task,
            question,
            if_unanswered=str(told.get("if_unanswered", "")),
            asked=moment(asked_ts if isinstance(asked_ts, (int, float)) else self._clock.now()),
            until=moment(task.not_before) if task.not_before else "",
            command=self._command,
        )
        created = await self._files.create(name, text.encode("utf-8", "backslashreplace"))
        seen.stamp, seen.missing_since = None if created else _TAKEN, None

    async def _overdue(self, task: Task) -> None:
        """Its time is over: the default answers, or it fails. Who answers this very moment is first."""
        if not task.not_before or task.not_before > self._clock.now():
            return
        attempts = await self._store.attempts(task.uid)
        told = attempts[-1].verdict.get("question") if attempts else None
        rule = str(told.get("if_unanswered", "")) if isinstance(told, Mapping) else ""
        try:
            if default := default_in(rule):
                await self._answers.give(task, default, door="", by=BY_DEFAULT)
            else:
                detail = f"nobody answered in time: {task.detail}"
                data: dict[str, Json] = {"reason": "unanswered", "detail": detail}
                await self._store.commit([self._event(EventKind.FAILED, task, data)])
        except (IllegalEventError, ConflictError):
            return
        self._bell.ring()

    async def _left_over(self, name: str, stamp: FileStamp) -> None:
        """Nobody waits for it: one that was never answered is removed, what a person wrote stays under another name."""
        if (data := await self._files.read(name)) is None:
            return
        await self._of_another(name, stamp, reply_in(data))

    async def _of_another(self, name: str, stamp: FileStamp, reply: Reply) -> None:
        """A file of a question that is no longer asked. Its words may be what was taken a moment ago."""
        if reply.mark and not reply.trouble and (not reply.answer or await self._was_taken(reply)):
            await self._files.remove(name, stamp)
            return
        if where := await self._files.set_aside(name):
            detail = f"tasks/waiting/{name} came too late, its question is no longer asked; it is kept as {where}"
            await self._warn("answer_too_late", detail, where)

    async def _was_taken(self, reply: Reply) -> bool:
        """Return whether the words of a file are the answer that is stored for its very question."""
        uid8, _, attempt = reply.mark.partition(".")
        for task in await self._store.find(uid8):
            for record in await self._store.attempts(task.uid):
                given = record.verdict.get("answered")
                if record.number == int(attempt) and isinstance(given, Mapping):
                    asked = question_in(record.verdict)
                    said = chosen(reply.answer.replace("\0", ""), asked.options if asked else ())
                    return given.get("answer") == self._redact(said)
        return False

    async def _warn(self, reason: str, detail: str, name: str) -> None:
        log.warning("%s", detail)
        data: dict[str, Json] = {"reason": reason, "detail": printable(detail), "file": printable(name)}
        await self._store.commit([Event(EventKind.WARNING, self._clock.now(), data=data)])

    def _event(self, kind: EventKind, task: Task, data: Mapping[str, Json]) -> Event:
        clean = self._redact(data)
        told = clean if isinstance(clean, Mapping) else {}
        return Event(kind, self._clock.now(), TaskUid(task.uid), task.attempt, task.epoch, told)
