"""Builds a running orchestrator for one root out of bridges and engine."""

import asyncio
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from orchestrator import agents, language, repositories
from orchestrator.beside import parts_beside
from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_account import Account
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_levels import programs
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.container import Container, choose
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
from orchestrator.core.attempt import Failed, Outcome, WorkOrder, not_begun
from orchestrator.core.errors import RootError
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.ports import Agent, Say
from orchestrator.core.report import COMMAND
from orchestrator.core.task import Task, TaskRules, TaskSpec
from orchestrator.core.taskfile import parse_task_file
from orchestrator.engine.batch import BatchReports
from orchestrator.engine.bell import Bell
from orchestrator.engine.clockwatch import ClockWatch
from orchestrator.engine.daemon import Daemon
from orchestrator.engine.executor import Executor
from orchestrator.engine.intake import Intake, IntakeLimits
from orchestrator.engine.pool import Pool
from orchestrator.engine.projector import Projector
from orchestrator.engine.recovery import recover
from orchestrator.engine.service import Orchestrator
from orchestrator.engine.verification import verify
from orchestrator.notifying import Notices, notices_of
from orchestrator.proving import examiner, prove_again
from orchestrator.settings import task_rules
from orchestrator.settings_trial import RECORD, SettingsTrial

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


async def choose_container(configuration: Configuration, *, settle: bool, now: float) -> Container:
    """Return what will hold the processes of an attempt together here."""
    environ = configuration.environ
    path = environ.get("PATH", os.defpath)
    which = partial(shutil.which, path=path)
    container = await choose(env={"PATH": path}, which=which, settle=settle, now=now)
    log.info("attempts are held by %s%s", container.in_force, f" ({container.without})" if container.without else "")
    return container


def claude_in(container: Container, configuration: Configuration) -> ClaudeConfig:
    """Return how the CLI is run where *container* is what the machine offers.

    Every door asks this, so that none tells of what is not in force. Installed is not enough: where the kernel
    lets bubblewrap make nothing, `auto` means no shell.
    """
    path = configuration.environ.get("PATH", "")
    installed = all(shutil.which(program, path=path) for program in programs(as_root=os.geteuid() == 0))
    config = configuration.claude(sandbox_available=installed and bool(container.words))
    return replace(config, container=container.words, cgroups=container.cgroups)


def _failed(done: "asyncio.Task[Container]") -> bool:
    """Whether the look at the machine met an error: what it lacked then it may have by now."""
    return done.done() and (done.cancelled() or done.exception() is not None)


class LiveClaude:
    """The Claude agent as configured at the start of each attempt: a changed setting counts from the next one on."""

    def __init__(self, configuration: Configuration, clock: SystemClock) -> None:
        self._configuration = configuration
        self._clock = clock
        self._agent: tuple[object, ClaudeConfig, ClaudeAgent] | None = None
        self._container: asyncio.Task[Container] | None = None
        self._account = Account()
        state = Path(configuration.settings.paths.state)
        self._trial = SettingsTrial(state / "trial", state / RECORD, clock.new_session_id)

    async def container(self) -> Container:
        """Return what the machine offers: tried once, by the first who needs it, and again where that met an error."""
        if self._container is None or _failed(self._container):
            self._container = asyncio.create_task(
                choose_container(self._configuration, settle=True, now=self._clock.now())
            )
        return await asyncio.shield(self._container)

    async def now(self) -> tuple[ClaudeConfig, ClaudeAgent]:
        """Return the configuration in force and its agent; built anew only when that changed."""
        container = await self.container()
        loaded = self._configuration.loaded
        if self._agent is None or self._agent[0] is not loaded:
            config = claude_in(container, self._configuration)
            self._agent = (loaded, config, ClaudeAgent(config, self._clock.new_session_id))
        return self._agent[1:]

    async def untrusted(self) -> Failed | None:
        """Return why nothing may be started: what should hold the agent was tried and did not."""
        config, _ = await self.now()
        return await self._trial.failure(config) if self._configuration.settings.agents.claude.self_test else None

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        if failure := await self.untrusted():
            return replace(failure, report=not_begun(order))
        return await (await self.now())[1].run(order, say)

    async def collect(self, order: WorkOrder) -> Outcome | None:
        return await (await self.now())[1].collect(order)

    def account(self) -> str:
        """Return a digest that tells whose allowance the next attempt would use, "" when nobody knows."""
        return self._account.digest(self._configuration.claude(sandbox_available=False))


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
        )

    def service_on(self, store: SqliteStore) -> Orchestrator:
        """Return the application service on *store*, which is ours or a view of it."""
        return _service(self.configuration, store, self.clock, self.bell, self.claude)

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
            redact=partial(_redacted, self.configuration),
            free_bytes=lambda: shutil.disk_usage(self.configuration.root).free,
            limits=self._intake_limits,
            words=language.reader(self.configuration),
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
            beside=parts_beside(self.configuration, self.store, self.clock, self.bell, self.service.results),
        )

    async def recover(self, journal: StartJournal, start: Start, *, prove: bool = True) -> int:
        """Take up what an earlier daemon left; after an unclean stop see to it that every file is whole.

        Without *prove* the pool runs the checks that were not run to their end.
        """
        await remove_leftovers(self.configuration.root, Path(self.configuration.settings.paths.state))
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
            yield _parts(configuration, store, clock, bell, agent, await store.root_tag())


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
    root, paths = configuration.root, configuration.settings.paths
    inbox = TaskFolder(root, state=Path(paths.state), settle_s=configuration.settings.intake.settle_s)
    artifacts = ArtifactFiles(root)
    own = frozenset(Path(path) for path in (paths.tasks, paths.results, paths.summaries, paths.logs, paths.state))
    claude, redact = LiveClaude(configuration, clock), partial(_redacted, configuration)
    known = agents.by_name(configuration, claude, clock.new_session_id, agent)
    executor = Executor(
        store=store,
        agents=known,
        account_of=lambda name: claude.account() if name == agents.CLAUDE else "",
        inbox=inbox,
        workspace=repositories.workspace(configuration, own),
        examiner=examiner(configuration, claude.container, known),
        clock=clock,
        policy=configuration.policy,
        redact=redact,
        root_tag=root_tag,
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
    said = (service, inbox, artifacts, executor, claude, projector, watch, notices)
    return Parts(configuration, store, clock, bell, *said)


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
    configuration: Configuration, store: SqliteStore, clock: SystemClock, bell: Bell, claude: LiveClaude
) -> Orchestrator:
    return Orchestrator(
        store=store,
        clock=clock,
        bell=bell,
        policy=configuration.policy,
        redact=partial(_redacted, configuration),
        reload=configuration.reload,
        at_start=READ_AT_START,
        shortage=partial(_shortage, configuration),
        result_names=partial(ArtifactFiles(configuration.root).names, "results"),
        shelf=repositories.shelf(configuration),
        results=repositories.results(configuration, store, clock, prove_again(configuration, claude.container)),
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


def _redacted(configuration: Configuration, value: Json) -> Json:
    return configuration.redactor.json(value)
