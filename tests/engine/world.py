"""What outlives a daemon (store, folders, agents, time) and daemons that live in it, die at any call and come again."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from tests.engine.intake_rig import parse
from tests.engine.still_loop import StillLoop
from tests.fake_folders import MemoryArtifacts, MemoryFolder, MemoryInbox, MemoryLog
from tests.fakes import FakeClock, MemoryStore
from tests.fakes_of_proof import plain_examiner

from orchestrator.core.agents import AgentProfile
from orchestrator.core.attempt import AgentMessage, Interrupted, MessageKind, Outcome, WorkOrder
from orchestrator.core.events import Event, EventKind
from orchestrator.core.evidence import Changes
from orchestrator.core.notes import NotesWanted, ProjectNote
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Say, TargetFact
from orchestrator.core.task import Task, TaskRules, TaskType
from orchestrator.core.work import Area, CommitWords, Delivery, Isolation
from orchestrator.engine.bell import Bell
from orchestrator.engine.clockwatch import ClockWatch
from orchestrator.engine.daemon import Daemon, Signals
from orchestrator.engine.executor import Executor
from orchestrator.engine.intake import Intake
from orchestrator.engine.pool import Pool
from orchestrator.engine.projector import Projector
from orchestrator.engine.recovery import recover
from orchestrator.engine.service import Orchestrator

AGENTS = ("claude", "other")
Part = Callable[[asyncio.Event], Coroutine[None, None, None]]
TYPES = {"analyze": TaskType("analyze", ("Read",), expects_changes=False)}
RULES = TaskRules(types=TYPES, agents=AGENTS, base_cwd="/area", allowed_root="/area")
POLICY = RunPolicy(
    slots=2,
    agents={name: AgentProfile(name) for name in AGENTS},
    default_agent="claude",
    types=TYPES,
    base_cwd="/area",
    allowed_root="/area",
    attempts_dir="/attempts",
    drain_s=30.0,
    max_interruptions=4,
)


class Life:
    """One daemon's. After its death none of its calls has an effect; *dies_in* calls to ports it dies by itself."""

    def __init__(self) -> None:
        self.dead = False
        self.may_start = True  # an agent
        self.dies_in = 0
        self.thawed = asyncio.Event()
        self.thawed.set()

    async def step(self) -> None:
        await self.thawed.wait()
        if self.dies_in > 0:
            self.dies_in -= 1
            self.dead = self.dead or self.dies_in == 0
        if self.dead:
            raise asyncio.CancelledError


class Mortal:
    """A port as one daemon sees it: before and after each call is a place to die, or to stand still."""

    def __init__(self, port: object, *lives: Life) -> None:
        self._port = port
        self._lives = lives

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)
        if not iscoroutinefunction(real):
            return real

        async def call(*args: Any, **given: Any) -> Any:
            for life in self._lives:
                await life.step()
            answer = await real(*args, **given)
            for life in self._lives:
                await life.step()
            return answer

        return call


@dataclass
class Process:
    """One attempt's agent. *left* is its exit record, None while it runs or if it never wrote one."""

    order: WorkOrder
    life: Life
    end: "asyncio.Future[Outcome]"
    alive: bool = True
    left: Outcome | None = None

    def ends(self, outcome: Outcome | None) -> None:
        """End, with a record or without one; who waits for it is told."""
        self.alive, self.left = False, outcome
        if outcome is not None and not self.end.done():
            self.end.set_result(outcome)


class Agents:
    """Implements the port `Agent` for one life, over processes that are the world's."""

    def __init__(self, world: "World", life: Life) -> None:
        self._world = world
        self._life = life

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        if not self._life.may_start:
            raise asyncio.CancelledError
        process = Process(order, self._life, asyncio.get_running_loop().create_future())
        await self._world.started(process)
        await say(AgentMessage(MessageKind.SESSION, "begun", {"session_id": order.session_id}))
        try:
            return await process.end
        except asyncio.CancelledError:
            if not self._life.dead:
                process.ends(process.left or Interrupted("stopped"))
            raise

    async def collect(self, order: WorkOrder) -> Outcome | None:
        found = self._world.processes.get(order.mark)
        if found is not None and found.alive:
            found.ends(Interrupted("collected"))
        return found.left if found else None


class NoArea:
    """Implements the port `Workspace`: nothing is ever changed."""

    async def prepare(self, order: WorkOrder, allowed_root: str, *, fresh: bool) -> Area:
        return Area(order.cwd, order.cwd, order.cwd, Isolation.IN_PLACE)

    async def area(self, order: WorkOrder) -> Area | None:
        return None

    async def keep(self, order: WorkOrder) -> Delivery | None:
        return None

    async def deliver(self, order: WorkOrder, words: CommitWords) -> Delivery | None:
        return None

    async def notes(self, cwd: str, wanted: NotesWanted) -> Sequence[ProjectNote]:
        return ()

    async def changes(self, order: WorkOrder) -> Changes:
        return Changes()

    def leave(self, order: WorkOrder) -> None: ...


class NoTargets:
    """Implements the port `Targets`."""

    async def look(self, targets: Any, *, base: str, allowed_root: str) -> list[TargetFact]:
        return [TargetFact(exists=True, inside=True) for _ in targets]


class NoHints:
    """Implements the port `Watch`: time alone wakes."""

    async def wait(self, timeout_s: float) -> bool:
        await asyncio.sleep(timeout_s)
        return False

    def polling(self) -> str:
        return ""


@dataclass
class Generation:
    """A daemon that runs. *door* is the life of its intake alone."""

    life: Life
    door: Life
    signals: Signals
    service: Orchestrator
    work: "asyncio.Task[None]"
    owner: bool = True


@dataclass
class World:
    """What is there, with or without a daemon. *seen_start* is asked of every agent that starts."""

    seen_start: Callable[[Process], None]
    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    folder: MemoryFolder = field(default_factory=MemoryFolder)
    artifacts: MemoryArtifacts = field(default_factory=MemoryArtifacts)
    log: MemoryLog = field(default_factory=MemoryLog)
    processes: dict[str, Process] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)  # what an agent that started should not have found
    at_once: Outcome | None = None  # how agents end that start from now on; None: they go on until told
    policy: RunPolicy = POLICY

    def __post_init__(self) -> None:
        self.loop = StillLoop(self.clock)

    async def started(self, process: Process) -> None:
        try:
            self.seen_start(process)
        except AssertionError as breach:  # the engine would take it for a fault of the agent
            self.breaches.append(str(breach))
        self.processes[process.order.mark] = process
        if self.at_once is not None:
            process.ends(self.at_once)

    def alive(self) -> list[Process]:
        return [process for process in self.processes.values() if process.alive]

    def born(self) -> Generation:
        """Start a daemon; it recovers first."""
        life, door, bell, signals = Life(), Life(), Bell(), Signals()
        seen: dict[str, Any] = {"store": Mortal(self.store, life), "clock": self.clock}
        service = Orchestrator(**seen, bell=bell, policy=lambda: self.policy, redact=_plain)
        inbox, area = Mortal(MemoryInbox(self.folder), life), Mortal(NoArea(), life)
        agents: dict[str, Any] = dict.fromkeys(AGENTS, Agents(self, life))
        given: dict[str, Any] = {"agents": agents, "inbox": inbox, "workspace": area, "policy": lambda: self.policy}
        executor = Executor(**seen, **given, examiner=plain_examiner(Path("/commits")), redact=_plain)
        artifacts, events = Mortal(self.artifacts, life), Mortal(self.log, life)
        projector = Projector(**seen, artifacts=artifacts, events=events, inbox=inbox, bell=bell, redact=_plain)
        intake = self._intake(life, door)
        pool = Pool(**seen, executor=executor, inbox=inbox, bell=bell, policy=lambda: self.policy, kept=intake.kept)
        clockwatch = ClockWatch(**seen, policy=lambda: self.policy)
        clockwatch.on_jump.append(bell.ring)
        generation = Generation(life, door, signals, service, None)  # type: ignore[arg-type]  # follows below
        daemon = Daemon(
            **seen,
            bell=bell,
            service=service,
            intake=intake.run,
            pool=pool,
            projector=projector,
            config_changed=lambda: False,
            still_owner=lambda: generation.owner,
            clockwatch=clockwatch,
            beside=self.parts_beside(life, service, bell),
        )

        async def live() -> None:
            await recover(seen["store"], executor, projector, inbox)
            await daemon.run(signals, {})

        generation.work = self.loop.create_task(live())
        self.loop.settle()
        return generation

    def parts_beside(self, life: Life, service: Orchestrator, bell: Bell) -> Sequence[Part]:
        """Return what else is run by a daemon."""
        return ()

    def _intake(self, life: Life, door: Life) -> Intake:
        return Intake(
            Mortal(self.store, life, door),
            Mortal(MemoryInbox(self.folder), life, door),
            NoHints(),
            self.clock,
            lambda: RULES,
            parse=parse,
            targets=NoTargets(),
            free_bytes=lambda: 1 << 40,
            redact=_plain,
        )

    def door(self) -> Orchestrator:
        """Return the service as a command in another process has it."""
        return Orchestrator(store=self.store, clock=self.clock, bell=Bell(), policy=lambda: self.policy, redact=_plain)

    def dies(self, generation: Generation, left: Outcome | None) -> None:
        """Kill a daemon this very moment. Its agents end with it, with the record *left* or none."""
        generation.life.dead = True
        for process in self.alive():
            if process.life is generation.life:
                process.alive, process.left = False, left
        generation.life.thawed.set()
        for _ in range(20):
            if generation.work.done():
                return
            generation.work.cancel()
            self.loop.settle()
        raise AssertionError("a dead daemon goes on")

    def commit(self, event: Event) -> Task:
        """Commit an event as somebody would from outside."""
        return self.loop.done(self.store.commit([event]))[0]

    def close(self) -> None:
        pending = asyncio.all_tasks(self.loop)
        for task in pending:
            task.cancel()
        self.loop.settle()
        self.loop.close()


def _plain(value: Any) -> Any:
    return value


def started_before(process: Process, events: list[Event]) -> bool:
    """Return whether the store had told of this attempt before it began."""
    order = process.order
    wanted = (EventKind.STARTED, order.uid, order.attempt)
    return any((event.kind, event.uid, event.attempt) == wanted for event in events)
