"""`tasks/running/<name>.status.md`: how a running task stands, for who looks at the folder and nothing else.

They are written from the store and can be thrown away at any time; what is left of a daemon that was killed is removed
by the next one. A file that does not begin with our own first line is a person's, and is left alone.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import cost_of
from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import ACTIVE
from orchestrator.core.ports import Artifacts, Clock, Store
from orchestrator.core.task import Task
from orchestrator.core.text import printable
from orchestrator.engine.bell import Bell

log = logging.getLogger(__name__)

FOLDER = "tasks/running"
SUFFIX = ".status.md"
MARK = "<!-- written by the orchestrator, again and again: do not edit -->"
LEAST_S = 1.0  # between two looks, however much happens
MOST = 1000
LOOKED_THROUGH = 20  # of the last events of a task, for what it said last


class StatusFiles:
    """Writes them every so many seconds while tasks run. *every_s* is asked again each time; 0: no such files."""

    def __init__(
        self,
        *,
        store: Store,
        artifacts: Artifacts,
        clock: Clock,
        bell: Bell,
        every_s: Callable[[], float],
        command: str,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._clock = clock
        self._bell = bell
        self._every_s = every_s
        self._command = command
        self._written: dict[str, tuple[str, float]] = {}  # the line that is said first and when, monotonic seconds

    async def run(self, stopping: asyncio.Event) -> None:
        """Look whenever something happened, and every so often, until *stopping*; then remove what is there."""
        while not stopping.is_set():
            seen = self._bell.count
            await self._looked()
            await self._bell.wait(seen, max(LEAST_S, self._every_s() / 2) if self._written else 60.0)
            try:
                async with asyncio.timeout(LEAST_S):
                    await stopping.wait()
            except TimeoutError:
                continue
        await self._looked(last=True)

    async def _looked(self, *, last: bool = False) -> None:
        try:
            await self.look(last=last)
        except (OSError, StoreError) as error:
            if isinstance(error, StoreError) and error.lasting:
                raise
            log.warning("status files cannot be written for now: %s", error)

    async def look(self, *, last: bool = False) -> None:
        """Write what is due and remove what nobody needs any more; *last*: all of it. Raises OSError, StoreError."""
        wanted = self._every_s() > 0 and not last
        tasks = await self._store.tasks(sorted(ACTIVE), limit=MOST) if wanted else []
        mine = {f"{task.name}{SUFFIX}": task for task in tasks}
        for name, task in mine.items():
            await self._write(name, task)
        for name in await self._artifacts.names(FOLDER):
            if name.endswith(SUFFIX) and name not in mine and await self._is_ours(name):
                await self._artifacts.remove(f"{FOLDER}/{name}")
        self._written = {name: seen for name, seen in self._written.items() if name in mine}

    async def _write(self, name: str, task: Task) -> None:
        now = self._clock.monotonic()
        events = await self._store.events_of(task.uid, limit=LOOKED_THROUGH)
        said = f"{task.state} {task.attempt} {last_word(events)}"
        before, since = self._written.get(name, ("", float("-inf")))
        rest_s = self._every_s() - (now - since)
        if rest_s > 0 and (said == before or rest_s > self._every_s() / 2):
            return
        if since == float("-inf") and not await self._is_free(name):
            return
        attempts = await self._store.attempts(task.uid)
        text = status_text(task, attempts, events, now=self._clock.now(), command=self._command)
        await self._artifacts.write(f"{FOLDER}/{name}", text.encode("utf-8", "backslashreplace"))
        self._written[name] = (said, now)

    async def _is_free(self, name: str) -> bool:
        return not await self._artifacts.exists(f"{FOLDER}/{name}") or await self._is_ours(name)

    async def _is_ours(self, name: str) -> bool:
        return (await self._artifacts.read(f"{FOLDER}/{name}") or b"").startswith(MARK.encode())


def last_word(events: Sequence[Event]) -> str:
    """Return the last line of progress in *events*, oldest first; "" when there is none."""
    said = (event for event in reversed(events) if event.kind is EventKind.PROGRESS)
    words = next((f"{event.data.get('what', '')}: {event.data.get('text', '')}" for event in said), "")
    return printable(" ".join(words.split()))[:200]


def status_text(
    task: Task, attempts: Sequence[AttemptRecord], events: Sequence[Event], *, now: float, command: str
) -> str:
    """Return the file. What agents and authors wrote stands in an indented block, where it is no markup."""
    started = attempts[-1].started_ts if attempts else now
    cost = sum(cost_of(record.outcome) or 0.0 for record in attempts[:-1])
    before = f"${cost:.4f} by earlier attempts; this one is told" if len(attempts) > 1 else "told"
    rows = (
        ("task", printable(f"{task.spec.id}: {task.spec.title}")[:120]),
        ("state", task.state.value),
        ("attempt", str(task.attempt)),
        ("elapsed", f"{_span(now - started)} in this attempt"),
        ("cost", f"{before} at its end"),
        ("last", last_word(events) or "nothing said yet"),
        ("written", datetime.fromtimestamp(now, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")),
    )
    lines = [MARK, "", f"# {printable(task.name)}", "", *(f"    {key:<8}  {value}" for key, value in rows), ""]
    lines += [
        "Cancel it: move its task file to `tasks/cancelled/`, or type",
        "",
        f"    {command} cancel {task.name}",
        "",
    ]
    return "\n".join(lines)


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
