"""Builds a running orchestrator for one root out of bridges and engine."""

import asyncio
import logging
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator import agents, language, plugins, repositories
from orchestrator.beside import parts_beside
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.event_file import EventFile
from orchestrator.bridges.files import ArtifactFiles, TargetFiles, refused
from orchestrator.bridges.inbox import TaskFolder
from orchestrator.bridges.leftovers import remove_leftovers
from orchestrator.bridges.parse_guard import ParseGuard
from orchestrator.bridges.rebuild import put_in_place
from orchestrator.bridges.sqlite import SqliteStore, open_store
from orchestrator.bridges.sqlite_health import refuse_damaged
from orchestrator.bridges.start_journal import Start, StartJournal
from orchestrator.bridges.watch import FolderWatch
from orchestrator.configuration import READ_AT_START, Configuration
from orchestrator.core.errors import RootError
from orchestrator.core.events import TaskUid
from orchestrator.core.ports import Agent
from orchestrator.core.report import COMMAND
from orchestrator.core.task import Task, TaskRules, TaskSpec
from orchestrator.core.taskfile import parse_task_file
from orchestrator.engine.after_hooks import AfterHooks
from orchestrator.engine.batch import BatchReports
from orchestrator.engine.bell import Bell
from orchestrator.engine.clockwatch import ClockWatch
from orchestrator.engine.daemon import Daemon
from orchestrator.engine.executor import Executor
from orchestrator.engine.gate import Gate
from orchestrator.engine.intake import Intake, IntakeLimits
from orchestrator.engine.pool import Pool
from orchestrator.engine.projector import Projector
from orchestrator.engine.recovery import recover
from orchestrator.engine.service import Orchestrator
from orchestrator.engine.verification import verify
from orchestrator.live_claude import LiveClaude
from orchestrator.notifying import Notices, notices_of
from orchestrator.proving import examiner, prove_again
from orchestrator.settings import task_rules
from orchestrator.worker_splits import WorkerSplits

log = logging.getLogger(__name__)

FOLDERS = ("tasks", "results", "summaries", "logs", ".orchestrator", ".orchestrator/attempts", ".orchestrator/tmp")
DATABASE = "orchestrator.db"


def require_root(root: Path) -> None:
    """Refuse a folder that nobody has made a root. Raises RootError: for commands that only look, or mend."""
    if not root.is_dir():
        raise RootError("there is no such folder", where=str(root), hint="Correct --root DIR or ORCHESTRATOR_ROOT.")
    if not (root / "tasks").is_dir() and not (root / "config" / "orchestrator.yaml").exists():
        hint = f"Give --root DIR, or begin here: {COMMAND} create-sample"
        raise RootError("this folder is no root of tasks: it has no tasks/ in it", where=str(root), hint=hint)


def make_folders(root: Path, names: Sequence[str] = FOLDERS) -> None:
    """Create what is missing under *root*. Raises RootError when the disk refuses."""
    for name in names:
        try:
            (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise RootError(
                f"the folder cannot be made: {error.strerror or error}",
                where=str(root / name),
                hint="Give --root a folder that you may write to.",
            ) from None


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything of one root that is open."""

    configuration: Configuration
    store: SqliteStore
    clock: SystemClock
    bell: Bell
    service: Orchestrator
    inbox: TaskFolder
    artifacts: ArtifactFiles
    executor: Executor
    claude: LiveClaude
    projector: Projector
    clockwatch: ClockWatch
    notices: Notices
    gate: Gate
    after_hooks: AfterHooks
    tool: WorkerSplits

    def pool(self, *, only: TaskUid | None = None, kept: Callable[[Task], bool] = lambda _: False) -> Pool:
        """Return a pool for all tasks, or for one."""
        return Pool(
            store=self.store,
            executor=self.executor,
            inbox=self.inbox,
            clock=self.clock,
            bell=self.bell,
            policy=self.configuration.policy,
            only=only,
            kept=kept,
            shortage=partial(_shortage, self.configuration),
            clockwatch=self.clockwatch,
            gate=self.gate,
        )

    def service_on(self, store: SqliteStore) -> Orchestrator:
        """Return the application service on *store*, which is ours or a view of it."""
        alone = self.service.results.alone
        return _service(self.configuration, store, self.clock, self.bell, self.claude, alone)

    def watch(self) -> FolderWatch:
        """Return the watch on tasks/, to be entered."""
        root = self.configuration.root
        return FolderWatch(root / "tasks", force_polling=self.configuration.settings.intake.force_polling)

    def intake(self, watch: FolderWatch) -> Intake:
        """Return what reads tasks/."""
        intake = Intake(
            self.store,
            self.inbox,
            watch,
            self.clock,
            lambda: task_rules(self.configuration.settings),
            parse=ParseGuard(Path(self.configuration.settings.paths.state), _parse).parse,
            targets=TargetFiles(),
            redact=self.configuration.redacted,
            free_bytes=lambda: shutil.disk_usage(self.configuration.root).free,
            limits=self._intake_limits,
            words=language.reader(self.configuration),
            max_workers=lambda: self.configuration.settings.jobs.max_workers,
        )
        self.clockwatch.on_jump.append(intake.look_soon)
        return intake

    def _intake_limits(self) -> IntakeLimits:
        chosen = self.configuration.settings.intake
        return IntakeLimits(scan_interval_s=chosen.scan_interval_s, min_free_bytes=chosen.min_free_bytes)

    def daemon(
        self,
        intake: Callable[[asyncio.Event], Coroutine[None, None, None]],
        *,
        pool: Pool,
        still_owner: Callable[[], bool],
    ) -> Daemon:
        """Return the daemon; recovery is the caller's."""
        return Daemon(
            clockwatch=self.clockwatch,
            store=self.store,
            clock=self.clock,
            bell=self.bell,
            service=self.service,
            intake=intake,
            pool=pool,
            projector=self.projector,
            config_changed=self.configuration.changed_on_disk,
            still_owner=still_owner,
            disk_refused=refused,
            telling=self.notices.telling,
            beside=parts_beside(self.configuration, self.store, self.clock, self.bell, self.service, self.clockwatch),
            last=[self.after_hooks.run],
        )

    async def recover(self, journal: StartJournal, start: Start, *, prove: bool = True) -> int:
        """Take up what an earlier daemon left; after an unclean stop see to it that every file is whole.

        Without *prove* the pool runs the checks that were not run to their end.
        """
        await remove_leftovers(self.configuration.root, Path(self.configuration.settings.paths.state))
        await self.after_hooks.begin()
        taken_up = await recover(self.store, self.executor, self.projector, self.inbox, prove=prove)
        if not start.clean:
            where = (self.store, self.projector, self.inbox, self.clock)
            await verify(*where, after_seq=start.verified_seq, rebooted=start.rebooted)
            journal.verified(await self.store.last_seq())
        return taken_up

    async def try_settings(self) -> str:
        """Try what holds the agent before a task depends on it; if it does not, hold the agent. Returns why, or ""."""
        if not self.configuration.settings.agents.claude.enabled or (failure := await self.claude.untrusted()) is None:
            return ""
        await self.executor.holds.distrust(agents.CLAUDE, failure)
        return failure.detail

    async def ended_well(self, journal: StartJournal) -> None:
        """Note down a clean stop, unless something is still owed to the disk."""
        if await self.projector.catch_up():
            journal.stopped(await self.store.last_seq())


@asynccontextmanager
async def opened(
    configuration: Configuration, *, daemon: bool, keep: bool = False, agent: Agent | None = None
) -> AsyncIterator[Parts]:
    """Open the store of a root and build everything around it. *agent* replaces the Claude CLI (tests).

    Without *daemon* nothing is made but, to *keep* what is written, the database. Raises RootError for a folder that
    is no root.
    """
    root = configuration.root
    if daemon:
        make_folders(root)
    else:
        require_root(root)
        if keep:
            make_folders(root)
    clock, bell = SystemClock(), Bell()
    paths = configuration.settings.paths
    if daemon:
        await asyncio.to_thread(put_in_place, Path(paths.state) / DATABASE)
        await asyncio.to_thread(refuse_damaged, Path(paths.state) / DATABASE)
    with _database(Path(paths.state) / DATABASE, made=daemon or keep) as path:
        async with open_store(path, checkpoint=daemon, committed=bell.ring) as store:
            if daemon:
                await store.arrive(socket.gethostname(), clock.now())
            parts = _parts(configuration, store, clock, bell, agent, await store.root_tag())
            try:
                yield parts
            finally:
                await parts.tool.stop()


@contextmanager
def _database(path: Path, *, made: bool) -> Iterator[Path]:
    """A root on which nothing has run yet has no database, and who only looks at it leaves none behind."""
    if made or path.exists():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        yield Path(folder) / DATABASE


def _parts(
    configuration: Configuration, store: SqliteStore, clock: SystemClock, bell: Bell, agent: Agent | None, root_tag: str
) -> Parts:
    root, state = configuration.root, Path(configuration.settings.paths.state)
    inbox = TaskFolder(root, state=state, settle_s=configuration.settings.intake.settle_s)
    artifacts, claude, redact = ArtifactFiles(root), LiveClaude(configuration, clock), configuration.redacted
    known = agents.by_name(configuration, claude, clock.new_session_id, agent)
    tool = WorkerSplits(configuration, store, clock)
    executor = Executor(
        store=store,
        agents=tool.offered_to(known),
        account_of=lambda name: claude.account() if name == agents.CLAUDE else "",
        inbox=inbox,
        workspace=repositories.workspace(configuration, _own(configuration)),
        examiner=examiner(configuration, claude.container, known),
        clock=clock,
        policy=configuration.policy,
        redact=redact,
        root_tag=root_tag,
        strategies=plugins.strategies(configuration),
    )
    service = _service(configuration, store, clock, bell, claude)
    notices = notices_of(configuration, store, clock, bell)
    projector = Projector(
        store=store,
        artifacts=artifacts,
        events=EventFile(root / "logs" / "events.ndjson", rotate_bytes=configuration.settings.logs.events_bytes),
        inbox=inbox,
        clock=clock,
        bell=bell,
        redact=redact,
        command=configuration.command,
        reports=_reports(configuration, store, artifacts, clock, service, notices),
    )
    watch = ClockWatch(store=store, clock=clock, policy=configuration.policy)
    hooked = _hooked(configuration, store, clock, bell, executor)
    made = (inbox, artifacts, executor, claude, projector, watch, notices, *hooked, tool)
    return Parts(configuration, store, clock, bell, service, *made)


def _hooked(
    configuration: Configuration, store: SqliteStore, clock: SystemClock, bell: Bell, executor: Executor
) -> tuple[Gate, AfterHooks]:
    """Return what runs the hooks before and after tasks."""
    hooks, redact, agent_of = plugins.hooks(configuration), configuration.redacted, executor.agent_of
    gate = Gate(store=store, hooks=hooks, clock=clock, redact=redact, agent_of=agent_of)
    after = AfterHooks(store=store, places=store, hooks=hooks, clock=clock, bell=bell, redact=redact, agent_of=agent_of)
    return gate, after


def _own(configuration: Configuration) -> frozenset[Path]:
    """Return the folders of the root that are the daemon's own."""
    paths = configuration.settings.paths
    return frozenset(Path(path) for path in (paths.tasks, paths.results, paths.summaries, paths.logs, paths.state))


def _reports(
    configuration: Configuration,
    store: SqliteStore,
    artifacts: ArtifactFiles,
    clock: SystemClock,
    service: Orchestrator,
    notices: Notices,
) -> BatchReports:
    return BatchReports(
        store=store,
        artifacts=artifacts,
        clock=clock,
        report=lambda seq: service.report(after_seq=seq),
        command=configuration.command,
        announce=notices.noticing.batch_ended,
    )


def _service(
    configuration: Configuration,
    store: SqliteStore,
    clock: SystemClock,
    bell: Bell,
    claude: LiveClaude,
    alone: asyncio.Lock | None = None,
) -> Orchestrator:
    return Orchestrator(
        store=store,
        clock=clock,
        bell=bell,
        policy=configuration.policy,
        redact=configuration.redacted,
        reload=configuration.reload,
        at_start=READ_AT_START,
        shortage=partial(_shortage, configuration),
        result_names=partial(ArtifactFiles(configuration.root).names, "results"),
        shelf=repositories.shelf(configuration),
        results=repositories.results(configuration, store, clock, prove_again(configuration, claude.container), alone),
    )


def _parse(data: bytes, file_name: str, rules: TaskRules) -> TaskSpec:
    return parse_task_file(data, file_name=file_name, rules=rules)


def _shortage(configuration: Configuration) -> str:
    """Return why nothing can be started for now, "" when it can."""
    least = configuration.settings.intake.min_free_bytes
    try:
        free = shutil.disk_usage(configuration.root).free
    except OSError as error:
        return f"the disk of the root cannot be looked at: {error.strerror or error}"
    return f"the disk is full: less than {least} bytes are free" if free < least else ""
