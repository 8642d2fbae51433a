"""`workspace/job_<id>/`: each job as a folder of workers, reports and logs, for who looks at files and nothing else.

Everything here is written from the store, cleared of secrets, and may be deleted: it comes back. Only what is to be
other than it was is written again. Files of more than MOST_WORKERS workers are left out; the reports name them all.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.errors import OrchestratorError, StoreError
from orchestrator.core.events import Event, Json, TaskUid
from orchestrator.core.job import ENDED_JOB
from orchestrator.core.job_progress import JobLook
from orchestrator.core.job_tree import MOST_WORKERS, Report, Work, Worker, final_result, folder_of, job_json, workers_of
from orchestrator.core.job_tree import level_report as level_text
from orchestrator.core.lifecycle import TERMINAL, State
from orchestrator.core.ports import Artifacts, Clock, Store
from orchestrator.core.report import COMMAND, summary_text
from orchestrator.core.task import Task
from orchestrator.core.text import printable
from orchestrator.engine.bell import Bell
from orchestrator.validation.result import build_result, iso, result_bytes

log = logging.getLogger(__name__)

LEAST_S = 1.0  # between two looks, however much happens
LOOK_EVERY_S = 30.0
RETRY_S = 5.0
REST = 5.0  # times as long as writing took, nothing is written
PIECE = 500
NEWEST = 50  # jobs whose files come back when they are gone
MOST_EVENTS = 500  # of one worker
MOST_LINES = 5000  # of the log of a job
MOST_PATCH_BYTES = 1024 * 1024
Pages = Callable[[str], Awaitable[Mapping[str, bytes]]]


@dataclass(slots=True)
class _Known:
    """What is known of the files of one job: the digest of each, and what its workers did that have ended."""

    written: dict[str, str] = field(default_factory=dict)
    work: dict[TaskUid, Work] = field(default_factory=dict)


class JobFiles:
    """Runs beside the projector. *look* tells how a job stands, *pages* makes its analytics; *wanted* is asked again
    each time. *relative* turns the absolute path of a file of ours into one relative to the root, "" of any other."""

    def __init__(
        self,
        *,
        store: Store,
        artifacts: Artifacts,
        clock: Clock,
        bell: Bell,
        look: Callable[[str], Awaitable[JobLook]],
        redact: Callable[[Json], Json],
        wanted: Callable[[], bool],
        relative: Callable[[str], str],
        pages: Pages | None = None,
        command: str = COMMAND,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._clock = clock
        self._bell = bell
        self._look_at = look
        self._redact = redact
        self._wanted = wanted
        self._relative = relative
        self._pages = pages
        self._command = command
        self._known: dict[str, _Known] = {}
        self._job_of: dict[TaskUid, str] = {}
        self._seen_seq = 0
        self._all_at: float | None = None
        self._not_before = 0.0
        self._owed: dict[str, None] = {}  # uids of jobs, in order

    async def run(self, stopping: asyncio.Event) -> None:
        """Write what is due whenever something happened, until *stopping*; then once more."""
        while not stopping.is_set():
            seen = self._bell.count
            wait_s = LOOK_EVERY_S if await self._attempted() else RETRY_S
            await self._bell.wait(seen, wait_s)
            try:
                async with asyncio.timeout(LEAST_S):
                    await stopping.wait()
            except TimeoutError:
                continue
        self._not_before = 0.0
        await self._attempted()

    async def _attempted(self) -> bool:
        try:
            await self.look()
        except (OSError, StoreError) as error:
            if isinstance(error, StoreError) and error.lasting:
                raise
            log.warning("folders of jobs cannot be written for now: %s", error)
            return False
        except Exception:
            log.exception("folders of jobs: a bug of ours, please report it")
            return False
        return not self._owed

    async def look(self) -> None:
        """Write the folders of jobs in which something has happened. Raises OSError, StoreError."""
        if not self._wanted():
            self._all_at = None  # once it is wanted again, everything is looked at
            return
        now = self._clock.monotonic()
        if self._all_at is None or now >= self._all_at:
            await self._look_at_all(first=self._all_at is None)
            self._all_at = now + LOOK_EVERY_S
        while events := await self._store.events_after(self._seen_seq, limit=PIECE):
            for uid in dict.fromkeys(event.uid for event in events if event.uid):
                if job := await self._job(uid):
                    self._owed.setdefault(job, None)
            self._seen_seq = events[-1].seq
        if now < self._not_before:
            return
        for job in list(self._owed):
            began = self._clock.monotonic()
            try:
                await self._write(job)
            except Exception:
                self._owed[job] = self._owed.pop(job)  # the others first: its folder alone may be the trouble
                raise
            del self._owed[job]
            took_s = self._clock.monotonic() - began
            self._not_before = max(self._not_before, self._clock.monotonic() + REST * took_s)

    async def _look_at_all(self, *, first: bool) -> None:
        """Find jobs whose folder is gone; at the start also those that went on while nobody wrote."""
        if first:
            self._seen_seq = await self._store.last_seq()
        for job in await self._store.jobs(limit=NEWEST):
            if first or not await self._is_there(f"{folder_of(job)}/result.json"):
                self._known.pop(job.uid, None)
                self._owed.setdefault(job.uid, None)

    async def _is_there(self, name: str) -> bool:
        try:
            return await self._artifacts.exists(name)
        except OSError:
            return False  # writing it will tell what is in the way

    async def _job(self, uid: TaskUid) -> str:
        if uid not in self._job_of:
            if len(self._job_of) > 100_000:
                self._job_of.clear()
            task = await self._store.task(uid)
            self._job_of[uid] = task.job if task is not None else ""
        return self._job_of[uid]

    async def _write(self, uid: str) -> None:
        try:
            look = await self._look_at(uid)
        except OrchestratorError as error:
            if isinstance(error, StoreError):
                raise
            return  # no such job any more
        if not look.tasks:
            return
        known = self._known.setdefault(uid, _Known())
        workers = workers_of(look.tasks, look.children, _first_orders(await self._store.job_tasks(uid)))
        for worker in workers:
            await self._learn(worker.task, known)
        report = Report(look.job, look.progress, workers, known.work)
        folder, files = report.folder, dict[str, bytes]()
        lines: list[tuple[int, str]] = []
        for worker in workers[:MOST_WORKERS]:
            files |= await self._files_of(worker)
            told = await self._lines_of(worker)
            lines += told
            files[worker.log] = _log_bytes(told)
        files["logs/orchestrator.log"] = _log_bytes(sorted(lines)[-MOST_LINES:])
        for depth in sorted({worker.depth for worker in workers}):
            files[f"depth_{depth}/LEVEL_{depth}_REPORT.md"] = self._text(level_text(report, depth))
        ended = look.progress.state in ENDED_JOB
        if ended:
            files["FINAL_RESULT.md"] = self._text(final_result(report))
            if self._pages is not None:
                files |= {f"reports/{name}": page for name, page in (await self._pages(uid)).items()}
        clean = self._redact(job_json(report))
        files["result.json"] = result_bytes(clean if isinstance(clean, Mapping) else {})  # last: by it all is there
        await self._put(folder, files, known)
        if ended:
            known.work.clear()

    async def _put(self, folder: str, files: Mapping[str, bytes], known: _Known) -> None:
        for name, data in files.items():
            digest = hashlib.sha256(data).hexdigest()
            if known.written.get(name) == digest:
                continue
            if name not in known.written and await self._artifacts.read(f"{folder}/{name}") == data:
                known.written[name] = digest
                continue
            await self._artifacts.write(f"{folder}/{name}", data)
            known.written[name] = digest
        for name in [name for name in known.written if name not in files]:  # a worker that has another name now
            await self._artifacts.remove(f"{folder}/{name}")
            del known.written[name]

    async def _learn(self, task: Task, known: _Known) -> None:
        if task.uid in known.work or task.state not in TERMINAL:
            return
        attempts = await self._store.attempts(task.uid)
        known.work[task.uid] = _work(task, attempts)

    async def _files_of(self, worker: Worker) -> dict[str, bytes]:
        task = worker.task
        body = (await self._store.body(task.uid)).decode("utf-8", "replace")
        files = {f"{worker.folder}/task.md": self._text(body)}
        if task.state not in TERMINAL or task.state is State.REJECTED:
            return files
        attempts = await self._store.attempts(task.uid)
        result = self._redact(build_result(task, attempts))
        assert isinstance(result, Mapping)
        files[f"{worker.folder}/result.json"] = result_bytes(result)
        files[f"{worker.folder}/summary.txt"] = self._text(summary_text(result, self._command))
        if (patch := await self._patch(result)) is not None:
            files[f"{worker.folder}/changes.patch"] = patch
        return files

    async def _patch(self, result: Mapping[str, Json]) -> bytes | None:
        work = result.get("work")
        path = work.get("patch") if isinstance(work, Mapping) else ""
        where = self._relative(path) if isinstance(path, str) and path else ""
        data = await self._artifacts.read(where) if where else None
        if data is None or len(data) > MOST_PATCH_BYTES:
            return None
        return self._text(data.decode("utf-8", "surrogateescape"), errors="surrogateescape")

    async def _lines_of(self, worker: Worker) -> list[tuple[int, str]]:
        events = await self._store.events_of(worker.task.uid, limit=MOST_EVENTS)
        return [(event.seq, str(self._redact(_line(event, worker)))) for event in events]

    def _text(self, text: str, *, errors: str = "backslashreplace") -> bytes:
        return str(self._redact(text)).encode("utf-8", errors)


def _first_orders(every: Sequence[Task]) -> Mapping[TaskUid, int]:
    """Return the order of the first run of each task."""
    first: dict[tuple[str, str], int] = {}
    for task in sorted(every, key=lambda one: one.order):
        first.setdefault((task.parent, task.id_key), task.order)
    return {task.uid: first[task.parent, task.id_key] for task in every}


def _work(task: Task, attempts: Sequence[AttemptRecord]) -> Work:
    told = build_result(task, attempts)
    work, changes, usage = (_mapping(told.get(key)) for key in ("work", "changes", "usage"))
    timing = _mapping(told.get("timing"))
    last = _mapping(attempts[-1].outcome.get("report")) if attempts else {}
    files = [(str(row.get("path")), str(row.get("status"))) for row in _rows(work.get("files"))]
    if not files:
        kinds = (("created", "A"), ("modified", "M"), ("deleted", "D"))
        files = [(str(path), kind) for key, kind in kinds for path in _list(changes.get(key))]
    cost, running = usage.get("cost_usd"), timing.get("running_s")
    return Work(
        agent=attempts[-1].agent if attempts else "",
        model=str(last.get("model") or ""),
        answer=str(told.get("answer") or ""),
        seconds=float(running) if isinstance(running, (int, float)) else 0.0,
        cost_usd=float(cost) if isinstance(cost, (int, float)) else None,
        branch=str(work.get("branch") or "") if work.get("delivered") is True else "",
        files=tuple(files),
    )


def _line(event: Event, worker: Worker) -> str:
    data = event.data
    keys = ("what", "text", "reason", "detail", "on", "children", "agent", "path")
    parts = [f"{key}={printable(str(data[key]))[:300]}" for key in keys if data.get(key)]
    return (
        f"{iso(event.ts)} {worker.name} {printable(worker.task.spec.id)} {event.kind.value} {' '.join(parts)}".rstrip()
    )


def _log_bytes(lines: Sequence[tuple[int, str]]) -> bytes:
    return "".join(f"{line}\n" for _, line in lines).encode("utf-8", "backslashreplace")


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _rows(value: Json) -> Sequence[Mapping[str, Json]]:
    return [row for row in _list(value) if isinstance(row, Mapping)]
