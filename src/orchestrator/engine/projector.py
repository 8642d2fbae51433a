"""From the event log to files: events.ndjson, results, summaries, archive.

The log file knows how far it got from its own last line, a result by being there; so a crash neither
loses nor doubles anything, and everything here can be thrown away and written again.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.failpoint import hit
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Artifacts, Clock, EndedTask, EventSink, Inbox, Store
from orchestrator.core.report import COMMAND, summary_text
from orchestrator.core.task import Label, Task
from orchestrator.core.torn import is_torn
from orchestrator.engine.batch import BatchReports
from orchestrator.engine.bell import Bell
from orchestrator.engine.former import is_json, keep_former_result, where_the_log_goes_on
from orchestrator.validation.result import build_result, iso, result_bytes
from orchestrator.validation.schema import result_problems

log = logging.getLogger(__name__)

BATCH = 500
REMEMBERED = 5000  # labels
PIECE = 5000  # of light rows
FOLDERS = ("results", "summaries")
RETRY_S = 5.0
LOOK_AT_LEAST_EVERY_S = 30.0
CLEANED = "cleaned"  # the reason of tasks that `clean tasks` put away without running them
_FOLDERS = {
    State.SUCCEEDED: "processed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.REJECTED: "failed",
}


def result_path(task: Task | EndedTask) -> str:
    """Return where the result of *task* lies, relative to the root."""
    return f"results/{task.name}_result.json"


def summary_path(task: Task | EndedTask) -> str:
    """Return where the summary of *task* lies, relative to the root."""
    return f"summaries/{task.name}_summary.txt"


def event_line(event: Event, label: Label | None) -> bytes:
    """Return one line of events.ndjson, without its newline."""
    about: dict[str, Json] = {"task_id": label.task_id, "name": label.name, "uid": event.uid} if label else {}
    if event.attempt:
        about["attempt"] = event.attempt
    line = {"seq": event.seq, "ts": iso(event.ts), "event": event.kind.value, **about, "data": event.data}
    return json.dumps(line, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


class Projector:
    """Writes files from the store; holds only a small memory of which task an event belongs to."""

    def __init__(
        self,
        *,
        store: Store,
        artifacts: Artifacts,
        events: EventSink,
        inbox: Inbox,
        clock: Clock,
        bell: Bell,
        redact: Callable[[Json], Json],
        command: str = COMMAND,
        reports: BatchReports | None = None,
    ) -> None:
        self._reports = reports
        self._redact = redact
        self._command = command
        self._store = store
        self._artifacts = artifacts
        self._events = events
        self._inbox = inbox
        self._clock = clock
        self._bell = bell
        self._seq = -1
        self._owed: dict[TaskUid, float] = {}  # when (monotonic seconds) to try again
        self._labels: dict[TaskUid, Label] = {}

    async def run(self, stopped: asyncio.Event) -> None:
        """Write what is due whenever something happened, until *stopped*; then once more."""
        while not stopped.is_set():
            seen = self._bell.count
            wait_s = LOOK_AT_LEAST_EVERY_S if await self.catch_up() else RETRY_S
            await self._bell.wait(seen, await self._look_at_the_batch(wait_s))
        await self.catch_up()
        await self._look_at_the_batch(0.0, last=True)

    async def _look_at_the_batch(self, wait_s: float, *, last: bool = False) -> float:
        """Write the report on a batch that has ended. Returns in how many seconds to look again, *wait_s* at most."""
        again: list[float] = []

        async def look() -> None:
            if self._reports is not None and (rest_s := await self._reports.look(last=last)):
                again.append(rest_s)

        well = await self._attempted("the batch report", look())
        return min([wait_s, *again, *([] if well else [RETRY_S])])

    async def catch_up(self) -> bool:
        """Write everything that is due. Returns False when something is still owed; the store keeps it.

        One task whose files cannot be written holds up no other. Raises StoreError only for a lasting one.
        """
        listed = await self._attempted("the tasks to write files for", self._project_due())
        written = await self._attempted("events.ndjson", self._append_events())
        return listed and written and not self._owed

    async def _project_due(self) -> None:
        now = self._clock.monotonic()
        while True:
            tasks = await self._store.unprojected(limit=BATCH + len(self._owed))
            due = [task for task in tasks if self._owed.get(task.uid, 0.0) <= now]
            if not due:
                return
            for task in due:
                if await self._attempted(f"the files of task {task.name or task.uid}", self._project(task)):
                    self._owed.pop(task.uid, None)
                else:
                    self._owed[task.uid] = now + RETRY_S

    async def _attempted(self, what: str, work: Awaitable[None]) -> bool:
        try:
            await work
        except (OSError, StoreError) as error:
            if isinstance(error, StoreError) and error.lasting:
                raise
            log.error("%s cannot be written for now: %s", what, error)  # noqa: TRY400 - expected, not a bug
            return False
        except Exception:
            log.exception("%s: a bug of ours, please report it", what)
            return False
        return True

    async def restore(self) -> int:
        """Write results and summaries again that are gone though nobody cleaned them. Returns of how many tasks."""
        present = {f"{folder}/{name}" for folder in FOLDERS for name in await self._artifacts.names(folder)}
        restored = after = 0
        while batch := await self._store.ended(after=after, limit=PIECE):
            after = batch[-1].order
            for one in batch:
                wanted = {result_path(one), summary_path(one)} if one.artifacts and not one.cleaned else set()
                if not wanted <= present:
                    restored += await self._attempted(f"the result of {one.name}", self._rewrite(one.uid))
        return restored

    async def mend(self, uid: TaskUid) -> Sequence[str]:
        """Write result and summary of an ended task again where they are torn or gone. Returns the paths that were.

        A whole file is left as it is, also where it differs from what would be written today. A result that is
        neither whole nor a piece of ours is kept under another name, as a former one.
        """
        task = await self._store.task(uid)
        if task is None or not task.artifacts or task.cleaned:
            return []
        paths, contents = await self._built(task)
        found = [await self._artifacts.read(path) for path in paths]
        broken = [
            path
            for path, there, whole in zip(paths, found, contents, strict=True)
            if there is None or is_torn(there, whole)
        ]
        if paths[0] not in broken and not is_json(found[0] or b""):
            await keep_former_result(self._artifacts, uid, *paths)
            broken.append(paths[0])
        for path, whole in zip(paths, contents, strict=True):
            if path in broken:
                await self._artifacts.write(path, whole)
        return broken

    async def _rewrite(self, uid: TaskUid) -> None:
        if (task := await self._store.task(uid)) is not None:
            await self._write_result(task)

    async def _project(self, task: Task) -> None:
        events: list[Event] = []
        if task.state is not State.REJECTED and not task.artifacts and not task.cleaned:
            paths = await self._write_result(task)
            events += [
                self._note(EventKind.SUMMARIZED, task, {"path": paths[1]}),
                self._note(EventKind.ARTIFACTS_WRITTEN, task, {"path": paths[0]}),
            ]
        if not task.archived:
            body = await self._store.body(task.uid)
            where = await self._inbox.archive(
                task, body, "processed" if task.reason == CLEANED else _FOLDERS[task.state]
            )
            events.append(self._note(EventKind.ARCHIVED, task, {"path": where}))
        await self._store.commit(events)
        hit("project.noted")
        self._bell.ring()

    async def _write_result(self, task: Task) -> tuple[str, str]:
        paths, contents = await self._built(task)
        await keep_former_result(self._artifacts, task.uid, *paths)
        await self._artifacts.write(paths[1], contents[1])
        hit("project.summary")
        await self._artifacts.write(paths[0], contents[0])
        hit("project.result")
        return paths

    async def _built(self, task: Task) -> tuple[tuple[str, str], tuple[bytes, bytes]]:
        """Return paths and contents of the result and the summary of *task*."""
        built = build_result(task, await self._store.attempts(task.uid))
        result = self._redact(built)
        assert isinstance(result, Mapping)
        if problems := result_problems(result):
            log.error("result of %s does not satisfy its schema: %s", task.uid, "; ".join(problems))
        summary = summary_text(result, self._command).encode("utf-8", "backslashreplace")
        return (result_path(task), summary_path(task)), (result_bytes(result), summary)

    async def _append_events(self) -> None:
        if self._seq < 0:
            self._seq = await where_the_log_goes_on(self._events, self._store, self._clock)
        while batch := await self._store.events_after(self._seq, limit=BATCH):
            await self._learn_labels(batch)
            lines = [(event.seq, event_line(event, self._labels.get(event.uid))) for event in batch]
            self._seq = await self._events.append(lines)
            if self._seq < batch[-1].seq:
                raise OSError("events.ndjson took only a part")

    async def _learn_labels(self, events: Sequence[Event]) -> None:
        unknown = [uid for uid in dict.fromkeys(event.uid for event in events) if uid and uid not in self._labels]
        if unknown:
            if len(self._labels) > REMEMBERED:
                self._labels.clear()
                unknown = list(dict.fromkeys(event.uid for event in events if event.uid))
            self._labels.update(await self._store.labels(unknown))

    def _note(self, kind: EventKind, task: Task, data: Mapping[str, Json]) -> Event:
        return Event(kind, self._clock.now(), task.uid, task.attempt, task.epoch, data)
