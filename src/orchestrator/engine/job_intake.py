"""From a file of many tasks to a job in the store: all of its tasks in one transaction, or none.

The store's commit is the acknowledgement, as for a single task file; then the file is moved to `tasks/processed/`. One
that lies in `tasks/` though its job is stored, because of a crash between the two, is known by how it looks and moved.
"""

import asyncio
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.core.codec import to_json
from orchestrator.core.dependencies import Need
from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import NOBODY, Event, EventKind, Json, TaskUid
from orchestrator.core.failpoint import hit
from orchestrator.core.job import ENDED_JOB, Job
from orchestrator.core.job_progress import progress_of
from orchestrator.core.jobfile import MAX_BYTES, NO_CYCLE, JobPlan, JobTask, paths_of, read_job_file, unknown_id
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Clock, FileBytes, Inbox, InboxEntry, NewTask, Store
from orchestrator.core.reasons import TASK_FILE_REASONS
from orchestrator.core.task import Priority, Task, TaskRules, TaskSpec
from orchestrator.core.text import slug
from orchestrator.engine import admission
from orchestrator.engine.absence import Known
from orchestrator.engine.reception import Reception, Taken
from orchestrator.engine.ties import Tie, closing, is_known, tied
from orchestrator.engine.times import timed

DOOR = "job_file"
TIMEOUT_S = 300.0  # what a task takes of which nothing is known
LOOKED_THROUGH = 50  # of the tasks that ended last
Clean = Callable[[Mapping[str, Json]], Mapping[str, Json]]


class JobIntake:
    """Takes in job files for the intake, which owns *known*. *max_workers* is what a job may run at once whose file
    says nothing; 0: no bound. *limit_bytes* bounds a file."""

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        clock: Clock,
        known: dict[str, Known],
        reception: Reception,
        clean: Clean,
        *,
        max_workers: Callable[[], int] = lambda: 0,
        limit_bytes: Callable[[], int] = lambda: MAX_BYTES,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._clock = clock
        self._known = known
        self._reception = reception
        self._clean = clean
        self._max_workers = max_workers
        self._limit_bytes = limit_bytes

    async def take(self, entries: Sequence[InboxEntry], rules: TaskRules) -> Taken:
        """Take in job files, one after the other; what is not ready is looked at later. Counts tasks, and files that
        are refused."""
        taken = Taken()
        complete, refusals = await self._reception.settled(entries, self._limit_bytes())
        for read in complete:
            try:
                taken.accepted += await self._take_one(read, rules)
            except TaskFileError as error:
                refusals[read.entry.file_name] = (error, read.entry, read.body)
        await self._reception.refuse(refusals, taken)
        return taken

    async def _take_one(self, read: FileBytes, rules: TaskRules) -> int:
        """Return how many tasks were accepted. Raises TaskFileError."""
        plan = await asyncio.to_thread(self._parsed, read, rules)
        source = _source(read)
        for job in await self._store.job(plan.name):
            if job.source == source:  # a crash, or a disk that refused to have it moved
                await self._put_away(job, read)
                return 0
            if job.name == plan.name and _digest_in(job.source) == _digest_in(source):
                await self._refuse_twice(job, read)
        for one in plan.outside or {}:
            if not await is_known(self._store, one):
                raise unknown_id(plan, one, file_name=read.entry.file_name)
        job = self._job(plan, source)
        accepted = await self._store.accept(await self._new(plan, job, read), [job])
        hit("job.accepted")
        await self._put_away(job, read)
        return len(accepted)

    def _parsed(self, read: FileBytes, rules: TaskRules) -> JobPlan:
        name = read.entry.file_name
        try:
            return read_job_file(read.body, file_name=name, rules=rules, limit_bytes=self._limit_bytes())
        except TaskFileError:
            raise
        except Exception as error:
            raise admission.parser_bug(name, error) from error

    async def _refuse_twice(self, job: Job, read: FileBytes) -> None:
        """The same content once more is a new job, but for one that goes on: then it is a slip."""
        if progress_of(await self._store.job_tasks(job.uid)).state not in ENDED_JOB:
            raise TaskFileError(
                "job_duplicate",
                f"exactly this file is the job {job.name} ({job.short}), which has not ended",
                file=read.entry.file_name,
                hint=f"`job show {job.short}` tells how far it is, `job cancel {job.short}` ends it.",
            )

    def _job(self, plan: JobPlan, source: str) -> Job:
        workers = plan.max_workers or self._max_workers()
        given = {"request": plan.request, "on_dependency": plan.on_dependency, "source": source}
        return Job(self._clock.new_uid(), plan.name, self._clock.now(), DOOR, max_workers=workers, **given)

    async def _new(self, plan: JobPlan, job: Job, read: FileBytes) -> Sequence[NewTask]:
        """Return the tasks of *plan*. Raises TaskFileError."""
        specs = [task.spec for task in plan.tasks]
        if closed := await closing(self._store, specs) if plan.outside else {}:
            number, cycle = next(iter(closed.items()))
            message = f"it would wait for itself: {' → '.join(cycle)}"
            raise TaskFileError(
                "dependency_cycle",
                message,
                file=read.entry.file_name,
                line=plan.tasks[number].line,
                field=f"tasks[{number + 1}].depends_on",
                expected=NO_CYCLE,
                hint=TASK_FILE_REASONS["dependency_cycle"].hint,
            )
        digests = [admission.digest(task.body) for task in plan.tasks]
        found = await self._store.namesakes([(spec.id, "") for spec in specs])
        seconds = await self._seconds()
        paths = paths_of(plan, lambda spec: seconds.get(spec.type) or float(spec.timeout_s or TIMEOUT_S))
        rows = zip(plan.tasks, digests, found, paths, strict=True)
        return self._tied([self._accepted(job, *row) for row in rows], job)

    def _accepted(self, job: Job, task: JobTask, sha256: str, others: Sequence[Task], path: float) -> NewTask:
        behind = admission.among(replace(task.spec, rerun=True), sha256, others)
        now, uid, spec = self._clock.now(), self._clock.new_uid(), task.spec
        received: dict[str, Json] = {"door": DOOR, "job": job.uid, "sha256": sha256, "bytes": len(task.body)}
        parsed: dict[str, Json] = {
            "id": spec.id,
            "type": spec.type,
            "priority": spec.priority.value,
            "title": spec.title,
            "inferred": to_json(spec.inferred),
            "notices": to_json(spec.notices),
        }
        told = [(EventKind.RECEIVED, received), (EventKind.PARSED, parsed)]
        if behind is not None:
            told.append((EventKind.DUPLICATE_ID, {"id": spec.id, "behind": behind}))
        events = [Event(kind, now, uid, data=self._clean(data)) for kind, data in told]
        return NewTask(Task(uid, slug(spec.id), spec, sha256, now, path=path), task.body, events)

    def _tied(self, new: Sequence[NewTask], job: Job) -> Sequence[NewTask]:
        """Return *new* as tasks of *job*; who depends on one of them is told which, so that nobody has to look."""
        uids = {one.task.id_key: one.task.uid for one in new}
        now = self._clock.now()
        found = [timed(tied(one, Tie(one.task.spec, job.uid, job.on_dependency)), now) for one in new]
        return [
            replace(one, needs=[Need(need.uid, need.on_key, uids.get(need.on_key, need.on_uid)) for need in one.needs])
            for one in found
        ]

    async def _seconds(self) -> Mapping[str, float]:
        """Return how long tasks of each type took lately: the median of those that succeeded."""
        took: dict[str, list[float]] = {}
        for task in await self._store.ended_last(limit=LOOKED_THROUGH):
            if task.state is State.SUCCEEDED:
                attempts = await self._store.attempts(task.uid)
                took.setdefault(task.spec.type, []).append(sum(_span(one.started_ts, one.ended_ts) for one in attempts))
        return {kind: statistics.median(each) for kind, each in took.items()}

    async def _put_away(self, job: Job, read: FileBytes) -> None:
        """Move the file to its archive. One that cannot be moved is left alone until it looks different."""
        name = read.entry.file_name
        try:
            await self._inbox.archive(_as_task(job, read), read.body, "processed")
            hit("job.archived")
        except OSError:
            self._known[name] = Known(NOBODY, read.entry.stamp, read.entry, waiting=False)
        else:
            self._known.pop(name, None)


def _as_task(job: Job, read: FileBytes) -> Task:
    """Return what the inbox needs to know to move a file: whose it is, and how it looked."""
    spec = TaskSpec(slug(job.name), "", Priority.MEDIUM, job.name, "")
    entry = read.entry
    return Task(TaskUid(job.uid), slug(job.name), spec, "", job.created_ts, entry.file_name, entry.stamp)


def _source(read: FileBytes) -> str:
    """Return what a job remembers of its file: content, and how the file looked that was read."""
    stamp = read.entry.stamp
    return f"{admission.digest(read.body)} {stamp.inode}.{stamp.mtime_ns}.{stamp.size} {read.entry.file_name!r}"


def _digest_in(source: str) -> str:
    return source.partition(" ")[0]


def _span(began: float, ended: float) -> float:
    return max(0.0, ended - began) if ended else 0.0
