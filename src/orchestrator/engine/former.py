"""What an earlier life of the root left behind, before its database was deleted or put back from a backup.

Its files are set aside, never continued and never overwritten. Whose they are is read from themselves: a line of the
log is ours if the store has exactly this event, a result if it names our task.
"""

import hashlib
import json
import logging

from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.ports import Artifacts, Clock, EventSink, Store
from orchestrator.validation.result import iso

log = logging.getLogger(__name__)


async def where_the_log_goes_on(sink: EventSink, store: Store, clock: Clock) -> int:
    """Return the seq after which the event log goes on. A log of another life is set aside, and a warning tells so."""
    last = await sink.last_seq()
    if last == 0 or await _is_ours(await sink.last_line(), last, store):
        return last
    now = clock.now()
    where = await sink.set_aside(f"former-{iso(now).replace(':', '')}")
    detail = f"the event log was not written from this database: it lies in {where}/, a new one begins"
    log.warning("%s", detail)
    data: dict[str, Json] = {"reason": "event_log_set_aside", "detail": detail, "path": where}
    await store.commit([Event(EventKind.WARNING, now, data=data)])
    return 0


async def _is_ours(line: bytes, seq: int, store: Store) -> bool:
    stored = await store.events_after(seq - 1, limit=1)
    said = json.loads(line)
    return bool(stored) and (said.get("ts"), said.get("event")) == (iso(stored[0].ts), stored[0].kind.value)


async def keep_former_result(artifacts: Artifacts, uid: TaskUid, result: str, summary: str) -> None:
    """Copy a result that is not of task *uid*, and its summary, to a name of their own before they are overwritten.

    The name is `<name>.<last 8 digits of its own uid>_…`, as that of a later task of the same name would be.
    """
    there = await artifacts.read(result)
    if there is None or (owner := _owner(there)) == uid:
        return
    for path in (summary, result):  # the result last: until it is copied, both are looked at again
        stem, _, ending = path.rpartition("_")
        aside = f"{stem}.{owner[-8:]}_{ending}"
        data = await artifacts.read(path)
        if data is not None and not await artifacts.exists(aside):
            await artifacts.write(aside, data)


def _owner(result: bytes) -> str:
    """Return the uid that a result names; for anything else a name that only these bytes have."""
    try:
        return str(json.loads(result)["task"]["uid"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return hashlib.sha256(result).hexdigest()


def is_json(data: bytes) -> bool:
    """Return whether *data* is one whole JSON document."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
