"""What commands do with the files of a root: check, put, submit, clean, validate."""

import asyncio
import hashlib
import os
import re
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator import __version__
from orchestrator.api.program import Show
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.files import ArtifactFiles
from orchestrator.bridges.files import opened as opened_fd
from orchestrator.bridges.inbox import TaskFolder, is_task_name
from orchestrator.bridges.root_lock import Holder, holder, take_root
from orchestrator.bridges.settled import Lease, read_settled
from orchestrator.bridges.start_journal import StartJournal
from orchestrator.compose import Parts, make_folders, opened, require_root
from orchestrator.configuration import Configuration
from orchestrator.core.errors import ConflictError, NotFoundError, TaskFileError, UsageError
from orchestrator.core.events import Event, EventKind, TaskUid
from orchestrator.core.jobfile import MAX_BYTES, JobPlan, is_job_file, read_job_file
from orchestrator.core.lifecycle import PENDING, TERMINAL, WAITING, State
from orchestrator.core.ports import EndedTask, NewTask, NotReady
from orchestrator.core.report import COMMAND
from orchestrator.core.report_batch import report_ended
from orchestrator.core.task import FileStamp, Task, TaskSpec
from orchestrator.core.taskfile import parse_task_file
from orchestrator.core.text import printable, slug
from orchestrator.engine.bell import POLL_S
from orchestrator.engine.daemon import Signals
from orchestrator.engine.projector import CLEANED, result_path, summary_path
from orchestrator.engine.ties import Ties, tied
from orchestrator.engine.times import at_once
from orchestrator.settings import Door, task_rules
from orchestrator.validation.result import iso

PATH_CHARS = 4096  # what is longer is no path
TAKEN_S = 30.0  # a daemon takes a file within moments; an older task of that name is another one
_GO_ON = {State.HELD: "resume {}` releases it.", State.NEEDS_INPUT: "answer {} TEXT` lets it go on."}
_LIKE_A_PATH = re.compile(r"\.{0,2}/\S+|\S+/\S+\.\w{1,5}|\S+\.(md|txt|rst)")
_CONTEXT = "A path counts from the folder you are in. What is known of the project may also be said in words."
_ATTEMPT = re.compile(r"[0-9a-f]{32}\.[1-9][0-9]*")


class RootFiles:
    """The files of one root, for commands."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def check(self, path: str) -> TaskSpec:
        """Read a task file as the daemon would. Raises TaskFileError, NotFoundError."""
        return self._parse(path, self._bytes(path))

    def check_job(self, path: str) -> JobPlan:
        """Read a file of many tasks in the same way."""
        body, rules = self._bytes(path, MAX_BYTES), task_rules(self._configuration.settings, "folder")
        try:
            return read_job_file(body, file_name=Path(path).name, rules=rules, limit_bytes=MAX_BYTES)
        except TaskFileError as error:
            raise _found_at(path, error) from None

    async def put(self, file_name: str, body: bytes) -> str:
        """Create a file in tasks/, all of it at once. Raises ConflictError if it exists."""
        make_folders(self._configuration.root, ("tasks",))
        folder = TaskFolder(self._configuration.root, state=self._state())
        return await folder.put(file_name, body)

    async def context(self, given: str) -> str:
        """Return the text of the file that *given* names, else *given* itself. Raises UsageError."""
        try:
            there = bool(given) and len(given) < PATH_CHARS and "\n" not in given and Path(given).is_file()
        except (OSError, ValueError):
            there = False
        if not there and _LIKE_A_PATH.fullmatch(given):
            raise UsageError(f"there is no file {given} to take the context from", hint=_CONTEXT)
        return self._bytes(given).decode("utf-8", "replace") if there else given

    async def put_new(self, folder: str, files: Sequence[tuple[str, bytes]]) -> Sequence[str]:
        """Create all of *files*, by name, in *folder*, which is made. Raises ConflictError where one is there already:
        then none is written."""
        paths = [Path(folder, name) for name, _ in files]
        if taken := [str(path) for path in paths if os.path.lexists(path)]:
            hint = "Nothing was written. Give another folder, or move these away."
            raise ConflictError(f"{', '.join(taken[:5])} {'is' if len(taken) == 1 else 'are'} there already", hint=hint)
        Path(folder).mkdir(parents=True, exist_ok=True)
        for path, (_, body) in zip(paths, files, strict=True):
            with open(path, "xb") as file:  # whoever was quicker keeps his
                file.write(body)
        return [str(path) for path in paths]

    async def submit(self, parts: Parts, path: str) -> Task:
        """Accept the task in *path*; where that is a file of tasks/ that waits there already, return that one."""
        self._refuse_other_files(path)
        body = self._bytes(path)
        spec = self._parse(path, body, "folder" if self.lies_in_tasks(path) else "cli")
        sha256 = hashlib.sha256(body).hexdigest()
        for known in (await parts.store.namesakes([(spec.id, sha256)]))[0]:
            if known.state in WAITING and known.sha256 == sha256:
                return known
            if known.state not in TERMINAL:
                words = _GO_ON.get(known.state, "").format(known.uid[-8:])
                hint = f"`{COMMAND} {words}" if words else ""
                raise ConflictError(f"a task with the id {spec.id} has not ended: it is {known.state}", hint=hint)
        if spec.schedule and self.lies_in_tasks(path):
            hint = f"Start the daemon: {COMMAND}. To run it once now, copy it out of tasks/ and name the copy."
            raise ConflictError(f"{spec.id} has a schedule, and stays in tasks/ for its times", hint=hint)
        (tie,), jobs = await Ties(parts.store, parts.clock).of([spec], door="run")
        if isinstance(tie, TaskFileError):
            raise _found_at(path, tie)
        clock, uid = parts.clock, parts.clock.new_uid()
        now, spec = clock.now(), tie.spec
        file_name = Path(path).name if self.lies_in_tasks(path) else ""
        task = Task(uid, slug(Path(path).name), spec, sha256, now, file_name=file_name)
        events = [
            Event(EventKind.RECEIVED, now, uid, data={"door": "run", "sha256": sha256, "file": Path(path).name}),
            Event(EventKind.PARSED, now, uid, data={"type": spec.type, "priority": spec.priority.value}),
        ]
        return (await parts.store.accept([at_once(tied(NewTask(task, body, events), tie), now)], jobs))[0]

    def _refuse_other_files(self, path: str) -> None:
        """A mistyped name costs money: only what looks like a text for people is run."""
        if is_job_file(Path(path).name):
            hint = f"Put it into tasks/ and start the daemon: {COMMAND}"
            raise UsageError(f"{path} is a job of many tasks, and one file runs one task", hint=hint)
        if Path(path).suffix.lower() not in (".md", ".txt") and Path(path).exists():
            hint = "A task file ends in .task.md (or .md, .txt): rename it, or name another one."
            raise UsageError(f"{path} does not look like a task file", hint=hint)

    def lies_in_tasks(self, path: str) -> bool:
        """Return whether *path* is a file that the intake of a daemon takes by itself."""
        inside = Path(path).absolute().parent == Path(self._configuration.settings.paths.tasks)
        return inside and is_task_name(Path(path).name)

    async def taken_by_daemon(self, parts: Parts, path: str) -> Task:
        """Return the task that a running daemon makes, or has made, of a file in tasks/.

        Raises TaskFileError, NotFoundError, ConflictError when it was refused, or not taken in TAKEN_S seconds.
        """
        began = parts.clock.now()
        while True:
            there = Path(path).exists()  # first: what the daemon moves, it has stored before
            with suppress(NotFoundError):
                self.check(path)
            since = began if there else began - TAKEN_S
            known = [task for task in await parts.store.find(Path(path).name) if task.file_name == Path(path).name]
            mine = next((task for task in known if task.state not in TERMINAL or task.created_ts >= since), None)
            if mine is not None and mine.state is State.REJECTED:
                hint = "The whole reason lies beside the file in tasks/failed/."
                raise ConflictError(f"the daemon refused {path}: {mine.detail}", hint=hint)
            if mine is not None:
                return mine
            if not there:
                self._bytes(path)  # says that there is none
            if parts.clock.now() - began > TAKEN_S:
                raise ConflictError(f"the daemon has not taken {path}", hint=f"`{COMMAND} status` says what it does.")
            await parts.clock.sleep(POLL_S)

    async def wait_for(self, parts: Parts, task: Task, show: Show) -> Task:
        """Show what happens to *task* until it has ended and its files lie where they stay, or waits for an answer
        without an end."""
        first = await parts.store.events_of(task.uid, limit=100_000)
        async for event in parts.service.follow(first[0].seq - 1 if first else 0, uid=task.uid):
            current = await parts.store.task(task.uid)
            show(event, current)
            asks = event.kind is EventKind.QUESTION_ASKED and not event.data.get("deadline")
            waits = asks and current is not None and current.state is State.NEEDS_INPUT
            template = current is not None and current.state is State.SCHEDULED
            if event.kind is EventKind.ARCHIVED or waits or template:
                break
        ended = await parts.store.task(task.uid)
        assert ended is not None  # nothing is ever removed from the store
        return ended

    async def run_alone(self, parts: Parts, task: Task, signals: Signals, show: Show) -> Task | None:
        """Run just *task*; other queued tasks stay queued. Returns None when a signal interrupted it.

        Raises ConflictError for one that waits for others: nobody would do them.
        """
        waits = (await parts.store.standing([task.uid])).get(task.uid, ())
        if missing := [need.on_key for need, state in waits if state is not State.SUCCEEDED]:
            hint = f"It is stored, and runs when they have succeeded: {COMMAND} starts the daemon."
            raise ConflictError(f"{task.spec.id} depends on {', '.join(missing[:20])}", hint=hint)
        pool = parts.pool(only=task.uid)

        async def until_ended() -> None:
            await self.wait_for(parts, task, show)
            signals.stop()

        def owned() -> bool:
            return True

        async def no_intake(stopping: asyncio.Event) -> None:
            await stopping.wait()

        daemon = parts.daemon(no_intake, pool=pool, still_owner=owned)
        watcher = asyncio.create_task(until_ended())
        try:
            await daemon.run(signals, {"only": task.uid})
        finally:
            watcher.cancel()
        ended = await parts.store.task(task.uid)
        return ended if ended is not None and ended.state in TERMINAL | {State.NEEDS_INPUT} else None

    async def clean_tasks(self, dry_run: bool) -> Sequence[str]:
        """Put the files in tasks/ into tasks/processed/ without running them; a running daemon does it for us."""
        require_root(self._configuration.root)
        if dry_run or holder(self._state()) is not None:
            async with opened(self._configuration, daemon=False) as parts:
                return await self._clean(parts, dry_run=dry_run)
        make_folders(self._configuration.root)
        me = Holder(os.getpid(), socket.gethostname(), SystemClock().now(), __version__)
        with await take_root(self._state(), me):
            journal = StartJournal(self._state())
            window_s = self._configuration.settings.crash_loop.window_s
            start = journal.begin(SystemClock().now(), window_s=window_s, counts=False)
            async with opened(self._configuration, daemon=True) as parts:
                await parts.recover(journal, start)
                async with parts.watch() as watch:
                    await parts.intake(watch).scan_once()  # what nobody has looked at yet gets its record first
                cleaned = await self._clean(parts, dry_run=dry_run)
                await parts.ended_well(journal)
                return cleaned

    async def _clean(self, parts: Parts, *, dry_run: bool) -> list[str]:
        paid = {State.NEEDS_INPUT, State.SPLIT}  # what waits for an answer or for sub-tasks lies in running/
        loose = sorted(PENDING - paid - {State.SCHEDULED})  # a template is to stay
        waiting = [task for task in await parts.store.tasks(loose, limit=1_000_000) if task.file_name]
        names = {task.file_name for task in waiting}
        if dry_run:
            names.update((await parts.inbox.scan()).entries)  # also what nobody has looked at yet
        else:
            for task in waiting:
                await parts.service.cancel(task.uid, reason=CLEANED)
        return [f"tasks/{printable(name)}" for name in sorted(names)]

    def _state(self) -> Path:
        return Path(self._configuration.settings.paths.state)

    async def remove_artifacts(self, task: EndedTask, dry_run: bool) -> Sequence[str]:
        """Remove result and summary of *task*. Returns the paths that were there."""
        artifacts = ArtifactFiles(self._configuration.root)
        act = artifacts.exists if dry_run else artifacts.remove
        return [path for path in (result_path(task), summary_path(task)) if await act(path)]

    async def remove_attempts(self, before_ts: float, dry_run: bool) -> Sequence[str]:
        """Remove the folders of attempts whose tasks ended before *before_ts*, of an open task never one; old reports.

        A folder that no task knows (the database was deleted) counts from its last change. Returns their paths.
        """
        folder = self._state() / "attempts"
        found = sorted(path.name for path in folder.glob("*.*") if _ATTEMPT.fullmatch(path.name))
        removed = []
        async with opened(self._configuration, daemon=False) as parts:
            for name in found:
                task = await parts.store.task(TaskUid(name.partition(".")[0]))
                over_ts = task.ended_ts if task else (folder / name).stat(follow_symlinks=False).st_mtime
                if (task is None or task.state in TERMINAL) and over_ts < before_ts:
                    if not dry_run:
                        await asyncio.to_thread(shutil.rmtree, folder / name, ignore_errors=True)
                    removed.append(f"{os.path.relpath(folder, self._configuration.root)}/{name}/")
        return [*removed, *await self._remove_reports(before_ts, dry_run)]

    async def _remove_reports(self, before_ts: float, dry_run: bool) -> Sequence[str]:
        """Remove the reports on batches that ended before *before_ts*. Returns their paths."""
        artifacts = ArtifactFiles(self._configuration.root)
        removed = []
        for name in await artifacts.names("results"):
            if (ended := report_ended(name)) and ended < iso(before_ts):
                if not dry_run:
                    await artifacts.remove(f"results/{name}")
                removed.append(f"results/{name}")
        return removed

    async def results(self) -> Sequence[tuple[str, bytes]]:
        """Return every results/*.json with its bytes."""
        require_root(self._configuration.root)
        artifacts = ArtifactFiles(self._configuration.root)
        names = [name for name in await artifacts.names("results") if name.endswith(".json")]
        return [(f"results/{name}", await artifacts.read(f"results/{name}") or b"") for name in names]

    def _parse(self, path: str, body: bytes, door: Door = "folder") -> TaskSpec:
        rules = task_rules(self._configuration.settings, door)
        try:
            return parse_task_file(body, file_name=Path(path).name, rules=rules)
        except TaskFileError as error:
            raise _found_at(path, error) from None

    def _bytes(self, path: str, limit: int = 0) -> bytes:
        """Read *path* as the intake reads: no link, no device, nothing too large, and never blocked."""
        limit = limit or task_rules(self._configuration.settings).limits.file_bytes
        if Path(path).is_dir():
            raise UsageError(f"{path} is a folder", hint=f"Name the files in it: {path.rstrip('/')}/*.task.md")
        try:
            with opened_fd(os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as folder:
                read = read_settled(folder, Path(path).name, limit=limit, settled=_always, lease=_no_lease)
        except TaskFileError as error:
            raise _found_at(path, error) from None
        except (FileNotFoundError, NotADirectoryError):
            read = NotReady("gone", 0.0)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
        if not isinstance(read, NotReady):
            return read.body
        if read.reason != "gone":
            raise UsageError(
                f"{path} cannot be read now: {read.reason}", hint="Try again when it is not being written."
            )
        hint = f"A path counts from the folder you are in. `{COMMAND} create-sample` writes one to begin with."
        raise NotFoundError(f"there is no file {path}", hint=hint)


def _always(_: FileStamp) -> bool:
    return True


def _no_lease(_: int) -> Lease:
    return Lease.UNKNOWN  # who asks for a file by name wants it as it is now, an editor may have it open


def _found_at(path: str, error: TaskFileError) -> TaskFileError:
    """Return *error* with the path that was given instead of the bare name: it can be jumped to."""
    error.where = ":".join([printable(path), *(str(number) for number in (error.line, error.column) if number)])
    return error
