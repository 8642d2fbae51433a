"""Jobs as people ask for them: how far each is, ending it, doing again what of it did not succeed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.core.account import tree_scope
from orchestrator.core.dependencies import NeedKind
from orchestrator.core.errors import AmbiguousError, ConflictError, IllegalEventError, NotFoundError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.job import Job, JobState
from orchestrator.core.job_progress import JobLook, last_runs, progress_of
from orchestrator.core.lifecycle import PENDING, TERMINAL, WAITING, State
from orchestrator.core.plan import EVERYTHING
from orchestrator.core.ports import Clock, Pause, Store
from orchestrator.core.task import JOINED, Task
from orchestrator.engine.bell import Bell
from orchestrator.engine.rerunning import run_of

TOGETHER = 500
SHOWN = 20  # of what a task waits for, in one sentence
JOB_CANCELLED = "job_cancelled"


class Jobs:
    """Part of the application service. *cancel* cancels one task by its uid."""

    def __init__(self, store: Store, clock: Clock, bell: Bell, cancel: Callable[[str], Awaitable[object]]) -> None:
        self._store = store
        self._clock = clock
        self._bell = bell
        self._cancel = cancel

    async def list(self, *, limit: int = 20) -> Sequence[JobLook]:
        """Return the newest jobs with their progress, without their tasks."""
        jobs = await self._store.jobs(limit=limit)
        pauses = await self._store.pauses()
        looks = []
        for job in jobs:
            every = await self._store.job_tasks(job.uid)
            looks.append(held_look(JobLook(job, progress_of(every), last_runs(every)), pauses))
        return [replace(look, tasks=()) for look in looks]

    async def find(self, key: str) -> Job:
        """Return the newest job whose uid, its beginning or its last 8 digits, or name is *key*. Raises NotFoundError,
        AmbiguousError when a piece of a uid fits several."""
        found = await self._store.job(key.removeprefix("job_") if key.startswith("job_") else key)
        if not found:
            raise NotFoundError(f"no job is called {key!r}", hint="`python main.py jobs` lists them.")
        exact = [job for job in found if key in (job.name, job.uid)]
        if not exact and len(found) > 1:
            names = ", ".join(f"{job.short} ({job.name})" for job in found[:5])
            raise AmbiguousError(f"{key!r} fits {len(found)} jobs: {names}", hint="Give more of the uid.")
        return (exact or found)[0]

    async def look(self, key: str) -> JobLook:
        """Return how a job stands, with its tasks. Raises as `find` does."""
        job = await self.find(key)
        return await self._look(job)

    async def _look(self, job: Job) -> JobLook:
        every = await self._store.job_tasks(job.uid)
        tasks = last_runs(every)
        waiting = [task for task in tasks if task.state in (State.BLOCKED, State.SPLIT)]
        waits: dict[str, str] = {task.uid: await waits_words(self._store, task) for task in waiting[:TOGETHER]}
        look = JobLook(job, progress_of(every), tasks, waits, await self._children(every, tasks))
        return held_look(look, await self._store.pauses())

    async def _children(self, every: Sequence[Task], tasks: Sequence[Task]) -> Mapping[str, Sequence[TaskUid]]:
        """A parent needs its sub-tasks for ever; of one that was run again, its last run counts."""
        if not any(task.parent for task in every):
            return {}
        newest = {(task.parent, task.id_key): task.uid for task in tasks}
        last = {task.uid: newest.get((task.parent, task.id_key), task.uid) for task in every}
        needs = await self._store.needs([task.uid for task in tasks])
        found = {
            uid: list(dict.fromkeys(last.get(need.on_uid, need.on_uid) for need in each if need.kind is NeedKind.CHILD))
            for uid, each in needs.items()
        }
        return {uid: children for uid, children in found.items() if children}

    async def cancel(self, key: str) -> JobLook:
        """Cancel all tasks of a job that have not ended. Raises ConflictError when all have, and as `find` does."""
        job = await self.find(key)
        open_ones = [task for task in await self._store.job_tasks(job.uid) if task.state not in TERMINAL]
        if not open_ones:
            hint = f"`python main.py job show {job.short}` shows how; `job retry {job.short}` does again what failed."
            raise ConflictError(f"the job {job.name} has already ended", hint=hint)
        waiting = [task for task in reversed(open_ones) if task.state in PENDING]  # first: nothing more is started
        for begin in range(0, len(waiting), TOGETHER):
            await self._cancel_waiting(waiting[begin : begin + TOGETHER])
        for task in await self._store.job_tasks(job.uid):
            if task.state not in TERMINAL and task.state is not State.CANCELLING:  # or one that has just split
                await self._cancel_one(task.uid)
        self._bell.ring()
        return await self._look(job)

    async def _cancel_waiting(self, tasks: Sequence[Task]) -> None:
        data: dict[str, Json] = {"reason": JOB_CANCELLED, "detail": "its job was cancelled by request"}
        now = self._clock.now()
        try:
            await self._store.commit(
                [Event(EventKind.CANCELLED, now, task.uid, task.attempt, task.epoch, data) for task in tasks]
            )
        except IllegalEventError:  # one of them moved on this very moment
            for task in tasks:
                await self._cancel_one(task.uid)

    async def _cancel_one(self, uid: TaskUid) -> None:
        try:
            await self._cancel(uid)
        except ConflictError:
            return  # it has ended meanwhile

    async def retry(self, key: str) -> Sequence[Task]:
        """Do again what of a job failed, was cancelled or skipped. Returns the new tasks, which are accepted together.

        Who waits for one of them waits for its new run. A task that split into sub-tasks of which any is done again
        joins once more: the new runs, and what succeeded before. Raises ConflictError when there is nothing to do
        again, and as `find` does.
        """
        job = await self.find(key)
        look = await self._look(job)
        again = _to_do_again(look)
        if not again:
            running = look.progress.total - look.progress.ended
            hint = f"{running} of its tasks go on; wait for them." if running else "All of its tasks have succeeded."
            raise ConflictError(f"nothing of the job {job.name} is to be done again", hint=hint)
        new_uid: dict[str, TaskUid] = {}
        keys = {task.uid: task.id_key for task in look.tasks}
        made = []
        for task in sorted(again, key=lambda one: (-one.depth, one.order)):  # sub-tasks before who joins them
            children = [(keys[uid], new_uid.get(uid, uid)) for uid in look.children.get(task.uid, ()) if uid in keys]
            new = await run_of(self._store, self._clock, task, children=children)
            new_uid[task.uid] = new.task.uid
            made.append(new)
        order = {task.uid: number for number, task in enumerate(again)}
        made.sort(key=lambda one: order[TaskUid(one.task.rerun_of)])
        accepted = await self._store.accept(made)
        self._bell.ring()
        return accepted


def held_look(look: JobLook, pauses: Sequence[Pause]) -> JobLook:
    """Return *look* with the holds that keep its tasks from being started until a person acts: one on the whole queue,
    or on their tree. Where nothing else of the job goes on, it waits."""
    lasting = {pause.scope: pause for pause in pauses if pause.until == 0}
    ready = [task for task in look.tasks if task.state in WAITING]
    found: dict[str, str] = {}
    held = 0
    for task in ready:
        own = [tree_scope(task.lineage)] if task.reason != JOINED else []  # joining costs nothing, and goes on
        holding = [lasting[scope] for scope in (EVERYTHING, *own) if scope in lasting]
        found |= {pause.scope: pause.detail or pause.reason for pause in holding}
        held += bool(holding)
    stands = look.progress
    if held and held == len(ready) and not stands.running:
        stands = replace(stands, state=JobState.WAITING)
    return replace(look, progress=stands, holds=tuple(found.items()))


def _to_do_again(look: JobLook) -> Sequence[Task]:
    """Return, oldest first, the tasks without success, and those that joined what they came to without them."""
    again = {task.uid for task in look.tasks if task.state in (State.FAILED, State.CANCELLED)}
    ended = {task.uid for task in look.tasks if task.state in TERMINAL}
    grows = True
    while grows:
        joined = {uid for uid in ended if again & set(look.children.get(uid, ()))}
        grows = not joined <= again
        again |= joined
    return [task for task in look.tasks if task.uid in again]


async def waits_words(store: Store, task: Task) -> str:
    """Return what *task*, which is blocked or split, waits for, and how that stands; "" for any other."""
    if task.state not in (State.BLOCKED, State.SPLIT):
        return ""
    splits = task.state is State.SPLIT
    standing = [
        (need, state)
        for need, state in (await store.standing([task.uid])).get(task.uid, ())
        if state is not State.SUCCEEDED and not (splits and state in TERMINAL)  # that is waited for no more
    ]
    parts = [
        f"{need.on_key} ({state.value if state else await _nobody(store, need.on_key)})"
        for need, state in standing[:SHOWN]
    ]
    more = f" and {len(standing) - SHOWN} more" if len(standing) > SHOWN else ""
    what = "its sub-tasks " if splits else ""
    return f"waits for {what}{', '.join(parts)}{more}" if parts else "is about to go on"


async def _nobody(store: Store, key: str) -> str:
    """Return why no task has the id of *key*: a file that was refused is none until it is corrected, and of a schedule
    only its runs are."""
    same = [task for task in await store.find(key) if task.id_key == key]
    if any(task.spec.schedule and task.state not in TERMINAL for task in same):
        return "a schedule that has made no run yet"
    return "its file was refused" if any(task.state is State.REJECTED for task in same) else "nobody has submitted it"
