"""After an unclean stop: is what the store calls written really there, and whole?

The store may hold on to what the disk has lost: a name without its content, or without the last of its blocks. Every
file that events since the last good end speak of is compared with what the row gives, and made again where it is torn
or gone. What a person has edited is never touched: see `core.torn`.
"""

import logging
from collections.abc import AsyncIterator, Sequence

from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Clock, Inbox, Store
from orchestrator.core.task import Task
from orchestrator.core.text import printable
from orchestrator.engine.projector import Projector

log = logging.getLogger(__name__)

PIECE = 1000
NAMED = 50  # files an event names
_PLACED = frozenset({EventKind.ARTIFACTS_WRITTEN, EventKind.ARCHIVED})


async def verify(
    store: Store, projector: Projector, inbox: Inbox, clock: Clock, *, after_seq: int, rebooted: bool
) -> Sequence[str]:
    """Make whole what events after *after_seq* say was written, and the files of waiting tasks. Returns their paths.

    *rebooted*: the machine went down meanwhile; a waiting file that is gone was then lost and not removed by a person.
    """
    last = await store.last_seq()
    after = after_seq if after_seq <= last else 0  # the store is older than that: it was put back from a backup
    mended: list[str] = []
    async for event in _placed(store, after):
        if event.kind is EventKind.ARTIFACTS_WRITTEN:
            mended += await projector.mend(event.uid)
        elif path := await _archived(store, inbox, event):
            mended.append(path)
    mended += [path async for path in _waiting(store, inbox, rebooted=rebooted)]
    if mended:
        log.warning("files that the last stop had left torn or missing were written again: %s", ", ".join(mended))
        told: Json = [printable(path) for path in mended[:NAMED]]
        detail = f"after an unclean stop {len(mended)} files were torn or missing; they were written again"
        data: dict[str, Json] = {"reason": "files_mended", "detail": detail, "count": len(mended), "files": told}
        await store.commit([Event(EventKind.WARNING, clock.now(), data=data)])
    return mended


async def _placed(store: Store, after: int) -> AsyncIterator[Event]:
    while batch := await store.events_after(after, limit=PIECE):
        after = batch[-1].seq
        for event in batch:
            if event.kind in _PLACED and event.uid:
                yield event


async def _archived(store: Store, inbox: Inbox, event: Event) -> str:
    """Mend an archived task file. One that was refused is only made whole: its author takes it away to correct it."""
    task = await store.task(event.uid)
    path = event.data.get("path")
    if task is None or not isinstance(path, str) or not path.startswith("tasks/"):
        return ""
    body = await store.body(task.uid)
    if task.state is State.REJECTED:
        path = path.removesuffix(".error.json")
        return path if body and await inbox.mend(path, body, create=False) else ""
    return path if await inbox.mend(path, body, create=True) else ""


async def _waiting(store: Store, inbox: Inbox, *, rebooted: bool) -> AsyncIterator[str]:
    """Mend the files in the inbox of tasks that are stored already: only those that look different are read."""
    scan = await inbox.scan()
    if scan.trouble:
        return
    for name, stamp, uid, _order in await store.waiting_files():
        entry = scan.entries.get(name)
        if entry is not None and entry.stamp == stamp:
            continue
        task = await store.task(uid)
        if task is None or await _is_claimed(inbox, task):
            continue
        body = await store.body(TaskUid(uid))
        path = f"tasks/{name}"
        if await inbox.mend(path, body, create=rebooted and entry is None and task.attempt == 0):
            yield path


async def _is_claimed(inbox: Inbox, task: Task) -> bool:
    return task.attempt > 0 or await inbox.holds(task)
