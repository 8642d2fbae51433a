"""An engine on real bridges: SQLite, folders, files; only the agent is a fake."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.agents import FakeAgent
from tests.fakes_of_proof import plain_examiner
from tests.harness import until

from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.event_file import EventFile
from orchestrator.bridges.files import ArtifactFiles
from orchestrator.bridges.inbox import TaskFolder
from orchestrator.bridges.sqlite import SqliteStore, open_store
from orchestrator.bridges.waiting_folder import WaitingFolder
from orchestrator.bridges.workspace import InPlaceWorkspace
from orchestrator.core.agents import AgentProfile
from orchestrator.core.events import Event, EventKind, TaskUid
from orchestrator.core.hooks import Hooks
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import NewTask, Opinions, Workspace
from orchestrator.core.remedies import Strategies
from orchestrator.core.retry import POLICIES
from orchestrator.core.task import Priority, Task, TaskSpec, TaskType
from orchestrator.engine.after_hooks import AfterHooks
from orchestrator.engine.bell import Bell
from orchestrator.engine.daemon import Daemon, Signals
from orchestrator.engine.examiner import Examiner
from orchestrator.engine.executor import Executor
from orchestrator.engine.gate import Gate
from orchestrator.engine.pool import Pool
from orchestrator.engine.projector import Projector
from orchestrator.engine.questions import Questions
from orchestrator.engine.recovery import recover
from orchestrator.engine.service import Orchestrator

READ = TaskType("analyze", ("Read",), expects_changes=False)
IntakeRun = Callable[[asyncio.Event], Coroutine[None, None, None]]
FIX = TaskType("fix", ("Read", "Edit", "Write", "Bash"), expects_changes=True)


@dataclass
class Engine:
    """Everything of one root, with a policy that a test may change."""

    root: Path
    store: SqliteStore
    agent: FakeAgent
    policy: RunPolicy
    clock: SystemClock
    bell: Bell
    inbox: TaskFolder
    executor: Executor
    projector: Projector
    service: Orchestrator
    questions: Questions
    gate: Gate | None = None
    last: list[IntakeRun] = field(default_factory=list)

    def hooked(self, hooks: Hooks) -> AfterHooks:
        """Run *hooks* before and after each task from now on."""
        given: dict[str, Any] = {
            "store": self.store,
            "hooks": hooks,
            "clock": self.clock,
            "redact": lambda value: value,
        }
        given |= {"agent_of": self.executor.agent_of}
        self.gate = Gate(**given)
        after = AfterHooks(**given, places=self.store, bell=self.bell)
        self.last = [after.run]
        return after

    async def add(self, task_id: str, *, priority: Priority = Priority.MEDIUM, **given: object) -> Task:
        """Accept a task as another door would; *job_uid* is that of its job."""
        spec = TaskSpec(id=task_id, type="analyze", priority=priority, title=task_id, prompt="Do it.")
        job = str(given.pop("job_uid", ""))
        spec = replace(spec, **given)  # type: ignore[arg-type]
        uid, now = self.clock.new_uid(), self.clock.now()
        task = Task(uid, task_id, spec, "0" * 64, now, job=job)
        events = [Event(EventKind.RECEIVED, now, uid), Event(EventKind.PARSED, now, uid)]
        stored = (await self.store.accept([NewTask(task, b"body of " + task_id.encode(), events)]))[0]
        self.bell.ring()
        return stored

    async def task(self, uid: TaskUid) -> Task:
        found = await self.store.task(uid)
        assert found is not None
        return found

    def daemon(self, intake: IntakeRun | None = None) -> Daemon:
        async def no_intake(stopping: asyncio.Event) -> None:
            await stopping.wait()

        pool = Pool(
            store=self.store,
            executor=self.executor,
            inbox=self.inbox,
            clock=self.clock,
            bell=self.bell,
            policy=lambda: self.policy,
            gate=self.gate,
        )
        return Daemon(
            store=self.store,
            clock=self.clock,
            bell=self.bell,
            service=self.service,
            intake=intake or no_intake,
            pool=pool,
            projector=self.projector,
            config_changed=lambda: False,
            still_owner=lambda: True,
            beside=[self.questions.run],
            last=self.last,
        )

    async def recover(self) -> int:
        return await recover(self.store, self.executor, self.projector, self.inbox)

    async def run_until(self, fact: Callable[[], object], what: str) -> None:
        """Run a daemon until *fact*, then stop it and wait for its end."""
        signals = Signals()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.daemon().run(signals, {}))
            try:
                await until(fact, what=what, deadline_s=20)
            finally:
                signals.stop()

    def archived(self, name: str) -> bool:
        return any((self.root / "tasks").glob(f"[pfc]*/{name}.task.md"))


Open = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture
def open_engine(tmp_path: Path) -> Open:
    """Return what opens an engine on the test's folder; opened a second time it is another daemon's."""

    @asynccontextmanager
    async def opened(
        agent: FakeAgent | None = None,
        *,
        opinions: Opinions | None = None,
        strategies: Strategies | None = None,
        workspace: Workspace | None = None,
        examiner: Examiner | None = None,
        **changes: object,
    ) -> AsyncIterator[Engine]:
        for name in ("tasks", "results", "summaries", "logs", "work", ".orchestrator/attempts"):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
        quick = {
            kind: replace(policy, first_delay_s=min(policy.first_delay_s, 0.02)) for kind, policy in POLICIES.items()
        }
        policy = RunPolicy(
            slots=3,
            agents={"claude": AgentProfile("claude")},
            default_agent="claude",
            types={"analyze": READ, "fix": FIX},
            base_cwd=str(tmp_path / "work"),
            allowed_root=str(tmp_path / "work"),
            attempts_dir=str(tmp_path / ".orchestrator" / "attempts"),
            drain_s=0.0,
            retries=quick,
        )
        async with open_store(tmp_path / ".orchestrator" / "test.db") as store:
            changed = replace(policy, **changes)  # type: ignore[arg-type]
            given = (workspace, examiner or plain_examiner(tmp_path / "commits", opinions), strategies)
            yield _engine(tmp_path, store, agent or FakeAgent(), changed, *given)

    return opened


def _engine(
    root: Path,
    store: SqliteStore,
    agent: FakeAgent,
    policy: RunPolicy,
    workspace: Workspace | None,
    examiner: Examiner,
    strategies: Strategies | None,
) -> Engine:
    clock, bell = SystemClock(), Bell()
    inbox = TaskFolder(root, state=root / ".orchestrator")
    engine = Engine(root, store, agent, policy, clock, bell, inbox, None, None, None, None)  # type: ignore[arg-type]
    engine.executor = Executor(
        store=store,
        agents={"claude": agent, "local": agent},
        inbox=inbox,
        examiner=examiner,
        workspace=workspace or InPlaceWorkspace(base_cwd=lambda: root / "work", own=frozenset()),
        clock=clock,
        policy=lambda: engine.policy,
        redact=lambda value: value,
        strategies=strategies,
    )
    engine.projector = Projector(
        store=store,
        artifacts=ArtifactFiles(root),
        events=EventFile(root / "logs" / "events.ndjson"),
        inbox=inbox,
        clock=clock,
        bell=bell,
        redact=lambda value: value,
    )
    engine.service = Orchestrator(
        store=store, clock=clock, bell=bell, policy=lambda: engine.policy, redact=lambda value: value
    )
    engine.questions = Questions(
        store=store, files=WaitingFolder(root), clock=clock, bell=bell, redact=lambda value: value
    )
    return engine
