"""The application service: what every door says, in the same words, with the same errors."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.errors import AmbiguousError, ConfigError, ConflictError, IllegalEventError, NotFoundError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.job_progress import Family, last_runs
from orchestrator.core.lifecycle import PENDING, TERMINAL, WAITING, State
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, EndedTask, Store
from orchestrator.core.question import Question
from orchestrator.core.retry import DAY_S
from orchestrator.core.shelf import Shelf
from orchestrator.core.task import Label, Task
from orchestrator.core.work import CleanedArea, Recovered
from orchestrator.engine.analysis import Analysis
from orchestrator.engine.answers import Answers
from orchestrator.engine.batch import batch_report, begins_after, seq_before
from orchestrator.engine.bell import POLL_S, Bell
from orchestrator.engine.control import Control
from orchestrator.engine.jobs import Jobs, waits_words
from orchestrator.engine.look import DayBudget, Status, look, waits
from orchestrator.engine.orchestrating import Orchestrating
from orchestrator.engine.pausing import Pausing
from orchestrator.engine.projector import event_line
from orchestrator.engine.rerunning import run_of
from orchestrator.engine.taking import Results, require
from orchestrator.engine.times import anew, template_of
from orchestrator.engine.unblocking import PARENT_ENDED
from orchestrator.validation.result import build_result

__all__ = ["Control", "DayBudget", "Orchestrator", "Status"]

FOLLOW_BATCH = 500
KNOWN_TASKS = 64  # whole ones, with prompts of any size: those that events come of again and again
PIECE = 500  # of ended tasks at once


class Orchestrator(Orchestrating, Pausing):
    """Holds the store open for the doors. Every method may be called from another process than the daemon's."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        bell: Bell,
        policy: Callable[[], RunPolicy],
        redact: Callable[[Json], Json],
        reload: Callable[[], Sequence[str]] | None = None,
        at_start: frozenset[str] = frozenset(),
        shortage: Callable[[], str] = lambda: "",
        result_names: Callable[[], Awaitable[Sequence[str]]] | None = None,
        shelf: Shelf | None = None,
        results: Results | None = None,
    ) -> None:
        """*reload* returns the names of the settings that changed; those in *at_start* count from the next start on.

        *result_names* returns the names of the files in the folder of the results.
        """
        self._result_names = result_names
        self._at_start = at_start
        self._shortage = shortage
        self._shelf = shelf
        self._results = results
        self._policy = policy
        self._redact = redact
        self._known: dict[TaskUid, Task | None] = {}
        self._store = store
        self._clock = clock
        self._bell = bell
        self._reload = reload
        self._answers = Answers(store=store, clock=clock, redact=redact)
        self.jobs = Jobs(store, clock, bell, self.cancel)

    async def task(self, key: str) -> Task:
        """Return the newest task whose uid, its beginning (4 or more) or last 8 digits, id, name or file name is *key*.

        Raises NotFoundError, or AmbiguousError when a piece of a uid fits several.
        """
        found = await self._store.find(key)
        if not found:
            raise NotFoundError(f"no task is called {key!r}", hint="`python main.py status` lists the tasks.")
        exact = [task for task in found if key in (task.spec.id, task.name, task.uid, task.file_name)]
        if not exact and len(found) > 1:
            names = ", ".join(f"{task.uid[-8:]} ({task.spec.id})" for task in found[:5])
            raise AmbiguousError(f"{key!r} fits {len(found)} tasks: {names}", hint="Give more of the uid.")
        return (exact or found)[0]

    async def going_on(self, key: str) -> Task:
        """Return the task that *key* means to who would look at, stop or hold it: `task`, but the template of a run
        while that makes further ones. Raises as `task` does."""
        return await template_of(self._store, await self.task(key), key, lambda one: one.state not in TERMINAL)

    async def attempts(self, task: Task) -> Sequence[AttemptRecord]:
        """Return the attempts of *task*, oldest first."""
        return await self._store.attempts(task.uid)

    async def result(self, task: Task) -> dict[str, Json]:
        """Return the result of an ended task as its file has it. Raises ConflictError while it has none."""
        if task.state not in TERMINAL or task.state is State.REJECTED:
            raise ConflictError(f"{task.spec.id} has no result: it is {task.state}")
        result = self._redact(build_result(task, await self._store.attempts(task.uid)))
        return dict(result) if isinstance(result, Mapping) else {}

    async def recover_work(self, key: str, attempt: int = 0, *, folder: str = "", branch: str = "") -> Recovered:
        """Bring back what an attempt of a task left (0: the last), as a new folder or as a new branch.

        Raises NotFoundError, AmbiguousError; ConflictError when it runs, or what is asked for is there already.
        """
        return await self._shelves().recover(await self.task(key), attempt, folder=folder, branch=branch)

    async def clean_work(self, *, days: int | None = None, dry_run: bool = False) -> Sequence[CleanedArea]:
        """Remove the work areas of tasks that ended *days* ago (None: as configured), if nothing is lost by it."""
        shelf, found = self._shelves(), []
        before_ts = self._clock.now() - (self._policy().keep_days if days is None else days) * DAY_S
        for uid in await shelf.uids():
            task = await self._store.task(uid)
            if task is not None and task.state in TERMINAL and task.ended_ts <= before_ts:
                found.append(await shelf.clean(uid, dry_run=dry_run))
        if not dry_run:
            await shelf.tidy()
        return found

    @property
    def results(self) -> Results:
        """What came of tasks, to be taken or left. Raises NotFoundError where no work areas are kept."""
        return require(self._results)

    async def family(self, task: Task) -> Family:
        """Return what *task* belongs to: its job, the task that split into it, its own sub-tasks."""
        jobs = await self._store.job(task.job) if task.job else ()
        parent = await self._store.task(task.parent) if task.parent else None
        return Family(next(iter(jobs), None), parent, last_runs(await self._store.children(task.uid)))

    @property
    def analysis(self) -> Analysis:
        """What a job or a period says of itself, and what a batch will take."""
        return Analysis(self._store, self._clock, self._policy, self._redact)

    def _shelves(self) -> Shelf:
        if self._shelf is None:
            raise ConflictError("nothing is kept of work here")
        return self._shelf

    async def cancel(self, key: str, *, reason: str = "cancelled") -> Task:
        """Cancel a task: at once when it waits, else the daemon ends its whole process tree.

        Raises ConflictError when it has ended already.
        """
        for _ in range(5):
            task = await self.going_on(key)
            if task.state in TERMINAL:
                raise ConflictError(f"{task.spec.id} has already ended: {task.state}")
            kind = EventKind.CANCELLED if task.state in PENDING else EventKind.CANCEL_REQUESTED
            data: dict[str, Json] = {"reason": reason, "detail": f"{reason} by request"}
            try:
                after = await self._commit(Event(kind, self._clock.now(), task.uid, task.attempt, task.epoch, data))
            except IllegalEventError:
                continue  # it moved on this very moment: look again
            if task.state is State.SPLIT:
                await self._cancel_sub_tasks(task.uid)
            return after
        raise ConflictError(f"{key} keeps moving on; try again")

    async def _cancel_sub_tasks(self, parent: TaskUid) -> None:
        """Nobody waits for them any more. What a crash leaves of them here, the daemon cancels."""
        for uid in await self._store.abandoned([parent]):
            with contextlib.suppress(ConflictError):  # it has ended this very moment
                await self.cancel(uid, reason=PARENT_ENDED)

    async def answer(self, key: str, text: str, *, door: str) -> Task:
        """Answer the question of a task, by which it is queued again; of a question with options a number will do.

        Raises NotFoundError, AmbiguousError, UsageError for an answer without a word, ConflictError when the task waits
        for none.
        """
        after = await self._answers.give(await self.task(key), text, door=door)
        self._bell.ring()
        return after

    async def question(self, task: Task) -> Question | None:
        """Return what *task* waits to be told; None when it waits for no answer."""
        return await self._answers.question(task)

    async def retry(self, key: str, *, strategy: str = "", budget_usd: float | None = None) -> Task:
        """Run an ended task again, as a new task with a uid of its own; the old result stays. Returns the new one.

        *strategy* is the one that wants it, "" for a person; *budget_usd* what it may cost, None: the same as before.
        Of a file that was refused when it came again, the newest task of that name that did run is meant; of a template
        that was cancelled, that and not its last run.
        Raises ConflictError when it has not ended, or was only ever rejected: then its file must be corrected.
        """
        old = await template_of(self._store, await self.task(key), key, lambda one: one.state is State.CANCELLED)
        if old.state is State.REJECTED and key != old.uid:
            same = [task for task in await self._store.find(key) if key in (task.spec.id, task.name, task.file_name)]
            old = next((task for task in same if task.state is not State.REJECTED), old)
        if old.state is State.REJECTED:
            again = "Add `rerun: true` to its front matter" if old.reason == "duplicate_content" else "Correct the file"
            raise ConflictError(
                f"{old.file_name or old.spec.id} was rejected: {old.detail}",
                hint=f"{again} in tasks/failed/ and move it back to tasks/.",
            )
        if old.state not in TERMINAL:
            raise ConflictError(f"{old.spec.id} has not ended: it is {old.state}", hint="`cancel` it first.")
        spec = old.spec if budget_usd is None else replace(old.spec, budget_usd=budget_usd)
        new = await run_of(self._store, self._clock, old, spec=spec, strategy=strategy)
        accepted = await self._store.accept([anew(new, self._clock.now())])
        self._bell.ring()
        return accepted[0]

    async def status(self, *, limit: int = 10) -> Status:
        """Return the state of everything; lists are cut at *limit* entries."""
        return await look(self._store, self._policy(), self._clock.now(), self.agent_of, self._shortage(), limit=limit)

    async def waits_for(self, task: Task) -> str:
        """Return why *task* has not been started, "" when it may start now or does not wait."""
        if task.state not in WAITING:
            return await waits_words(self._store, task)
        found = await look(self._store, self._policy(), self._clock.now(), self.agent_of, self._shortage(), limit=0)
        return (await waits(self._store, self._policy(), self._clock.now(), self.agent_of, [task], found))[task.uid]

    async def report(self, *, since: float | None = None, after_seq: int | None = None) -> Mapping[str, Json]:
        """Return the batch report (batch.schema.json) on what ended, and on how things stand now.

        From *since* (seconds since the epoch) or the event *after_seq* on; else on the batch that is going on, and
        where nothing has ended in it yet, on the last one.
        """
        if after_seq is None:
            names = await self._result_names() if self._result_names is not None else []
            known = begins_after(self._store, names) if since is None else seq_before(self._store, since)
            after_seq = await known
        look_at = (self._store, self._policy(), self._clock.now(), self.agent_of, self._shortage())
        told = self._redact(await batch_report(*look_at, after_seq=after_seq))
        return told if isinstance(told, Mapping) else {}

    async def recent_events(self, *, lines: int, key: str = "") -> Sequence[Event]:
        """Return the last *lines* events, of one task when *key* names it; oldest first."""
        if key:
            return await self._store.events_of((await self.task(key)).uid, limit=lines)
        last = await self._store.last_seq()
        return await self._store.events_after(max(0, last - lines), limit=lines)

    async def follow(self, after: int, *, uid: TaskUid | None = None) -> AsyncIterator[Event]:
        """Yield events with a seq above *after*, for ever, as they are committed by whatever process."""
        while True:
            batch = await self._store.events_after(after, limit=FOLLOW_BATCH)
            for event in batch:
                after = event.seq
                if uid is None or event.uid == uid:
                    yield event
            if not batch:
                await self._clock.sleep(POLL_S)

    async def task_of(self, event: Event) -> Task | None:
        """Return the task that *event* is about, as it was when it was first asked for; None for the daemon's own."""
        if not event.uid:
            return None
        if event.uid not in self._known:
            if len(self._known) >= KNOWN_TASKS:
                del self._known[next(iter(self._known))]
            self._known[event.uid] = await self._store.task(event.uid)
        return self._known[event.uid]

    async def line(self, event: Event) -> bytes:
        """Return *event* as a line of events.ndjson."""
        task = await self.task_of(event)
        return event_line(event, None if task is None else Label(task.spec.id, task.name))

    async def cleaned(self, tasks: Sequence[Task | EndedTask]) -> None:
        """Remember that the artefacts of *tasks* were removed on purpose, so that nobody writes them again."""
        now = self._clock.now()
        if tasks:
            await self._store.commit([Event(EventKind.ARTIFACTS_CLEANED, now, task.uid) for task in tasks])

    async def ended_before(self, ts: float) -> AsyncIterator[Sequence[EndedTask]]:
        """Yield, piece by piece, the tasks with artefacts that ended before *ts* (seconds since the epoch)."""
        after = 0
        while batch := await self._store.ended(after=after, before_ts=ts, limit=PIECE):
            after = batch[-1].order
            if kept := [task for task in batch if task.artifacts and not task.cleaned]:
                yield kept

    async def reload_from_env(self) -> Sequence[str]:
        """Read the configuration again and use it from now on. Returns the names of the settings that changed.

        An invalid configuration changes nothing: the old one stays in force and an event says so.
        """
        if self._reload is None:
            return []
        try:
            changed = self._reload()
        except ConfigError as error:
            data: dict[str, Json] = {"message": error.message}
            await self._store.commit([Event(EventKind.CONFIG_INVALID, self._clock.now(), data=data)])
            raise
        if changed:
            later = [name for name in changed if name in self._at_start]
            named: dict[str, Json] = {"changed": list(changed), "needs_restart": later}
            await self._store.commit([Event(EventKind.CONFIG_RELOADED, self._clock.now(), data=named)])
            self._bell.ring()
        return changed

    async def _commit(self, *events: Event) -> Task:
        after = (await self._store.commit(events))[-1]
        self._bell.ring()
        return after
