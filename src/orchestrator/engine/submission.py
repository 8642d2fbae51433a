"""A task that comes by another door than the folder: accepted as understood, with the file it would have been."""

import hashlib

from orchestrator.core.codec import to_json
from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.job import Job
from orchestrator.core.ports import Clock, NewTask, Store
from orchestrator.core.task import Task, TaskSpec
from orchestrator.core.taskfile import render_task_file
from orchestrator.core.text import slug
from orchestrator.engine.bell import Bell
from orchestrator.engine.ties import Ties, tied
from orchestrator.engine.times import timed

NO_UID = TaskUid("")


async def submit(
    store: Store,
    clock: Clock,
    bell: Bell,
    spec: TaskSpec,
    *,
    words: str,
    door: str,
    by: str,
    uid: TaskUid = NO_UID,
    job: Job | None = None,
) -> Task:
    """Accept *spec*, which *by* asked for through *door* in these *words*. Returns the task as it is stored.

    *uid* "" is a fresh one; *job* is a new one that it belongs to. Raises TaskFileError dependency_cycle.
    """
    (tie,), jobs = await Ties(store, clock).of([spec], door=door)
    if isinstance(tie, TaskFileError):
        raise tie
    spec = tie.spec
    try:
        body = render_task_file(spec).encode("utf-8", "surrogatepass")
    except ValueError:  # no task file says it: then the words themselves are kept
        body = words.encode("utf-8", "replace")
    sha256 = hashlib.sha256(body).hexdigest()
    uid, now = uid or clock.new_uid(), clock.now()
    parsed: dict[str, Json] = {
        "type": spec.type,
        "priority": spec.priority.value,
        "inferred": to_json(spec.inferred),
        "warnings": to_json(spec.notices),
    }
    events = [
        Event(EventKind.RECEIVED, now, uid, data={"door": door, "by": by, "sha256": sha256}),
        Event(EventKind.PARSED, now, uid, data=parsed),
    ]
    task = Task(uid, slug(spec.id), spec, sha256, now, job=job.uid if job else "")
    new = timed(tied(NewTask(task, body, events), tie), now)
    accepted = await store.accept([new], [*jobs, job] if job else jobs)
    bell.ring()
    return accepted[0]
