"""A real folder, a real inbox, a real parser and a store in memory, with a clock that the test moves."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.fakes import FakeClock, MemoryStore

from orchestrator.bridges.files import TargetFiles
from orchestrator.bridges.inbox import TaskFolder
from orchestrator.bridges.settled import Lease, take_lease
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Store, TextReader, Watch
from orchestrator.core.redact import Redactor
from orchestrator.core.task import Task, TaskRules, TaskSpec, TaskType
from orchestrator.core.taskfile import parse_task_file
from orchestrator.engine.intake import Intake, IntakeLimits, ScanOutcome

STATES = list(State)


def body(task_id: str, prompt: str = "Fix the login.", *, extra: str = "", targets: Sequence[str] = ()) -> bytes:
    """Return a good task file."""
    files = "".join(f"- {target}\n" for target in targets)
    section = f"**Target Files:**\n{files}\n" if targets else ""
    return f"---\nid: {task_id}\ntype: fix\n{extra}---\n\n# A task\n\n{section}**Prompt:**\n{prompt}\n".encode()


def parse(data: bytes, file_name: str, rules: TaskRules) -> TaskSpec:
    return parse_task_file(data, file_name=file_name, rules=rules)


class SilentWatch:
    """A watch that never hints, as when every notification was lost; time passes instead."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.waits: list[float] = []
        self.why = ""

    async def wait(self, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        self._clock.advance(timeout_s)
        return False

    def polling(self) -> str:
        return self.why


class Rig:
    """Everything an intake needs, in one folder."""

    def __init__(
        self,
        root: Path,
        *,
        store: Store | None = None,
        watch: Watch | None = None,
        inbox: TaskFolder | None = None,
        lease: Callable[[int], Lease] = take_lease,
        parser: Callable[[bytes, str, TaskRules], TaskSpec] = parse,
        limits: IntakeLimits | None = None,
        words: TextReader | None = None,
    ) -> None:
        self.words = words
        self.root = root
        self.tasks_path = root / "tasks"
        self.tasks_path.mkdir(exist_ok=True)
        self.clock = FakeClock()
        self.store: Store = store or MemoryStore()
        self.inbox = inbox or TaskFolder(
            root, state=root / ".orchestrator", monotonic=self.clock.monotonic, lease=lease
        )
        self.silent = SilentWatch(self.clock)
        self.watch: Watch = watch or self.silent
        self.free = 1 << 40
        self.redactor = Redactor(())
        self.parser = parser
        self.limits = limits
        self.rules = TaskRules(
            types={"fix": TaskType("fix", (), True), "analyze": TaskType("analyze", (), False)},
            agents=("claude",),
            base_cwd=str(root / "work"),
            allowed_root=str(root / "work"),
        )
        (root / "work").mkdir(exist_ok=True)
        self.intake = self.restarted()

    def restarted(self) -> Intake:
        """Return the intake of a new daemon on the same folder and store."""
        self.intake = Intake(
            self.store,
            self.inbox,
            self.watch,
            self.clock,
            lambda: self.rules,
            parse=self.parser,
            targets=TargetFiles(),
            redact=self.redactor.json,
            free_bytes=lambda: self.free,
            limits=lambda: self.limits or IntakeLimits(),
            words=self.words,
        )
        return self.intake

    def drop(self, name: str, data: bytes) -> Path:
        """Put a whole file into the folder, as a careful program does."""
        temporary = self.tasks_path / f".{len(name)}.part"
        temporary.write_bytes(data)
        path = self.tasks_path / name
        temporary.rename(path)
        return path

    async def scan(self, after_s: float = 0.0) -> ScanOutcome:
        self.clock.advance(after_s)
        return await self.intake.scan_once()

    async def tasks(self, *states: State) -> Sequence[Task]:
        return await self.store.tasks(states or STATES, limit=100_000)

    async def only(self) -> Task:
        (task,) = await self.tasks()
        return task

    async def events(self, *kinds: EventKind) -> Sequence[Event]:
        return [event for event in await self.store.events_after(0, limit=100_000) if event.kind in kinds]

    def error(self, name: str) -> dict[str, Any]:
        """Return the error beside a rejected file."""
        found: dict[str, Any] = json.loads((self.tasks_path / "failed" / f"{name}.error.json").read_bytes())
        return found

    async def started(self, task: Task) -> Task:
        event = Event(EventKind.STARTED, self.clock.now(), task.uid, task.attempt + 1, task.epoch + 1)
        return (await self.store.commit([event]))[0]

    async def succeeded(self, task: Task, *, attempt: int = 1) -> Task:
        """Bring a task to its good end, its file to the archive."""
        running = await self.started(task)
        data = await self.store.body(task.uid)
        await self.inbox.claim(running, data)
        at = (running.uid, running.attempt, running.epoch)
        kinds = [EventKind.FINISHED, EventKind.VALIDATED, EventKind.SUCCEEDED]
        done = (await self.store.commit([Event(kind, self.clock.now(), *at) for kind in kinds]))[0]
        path = await self.inbox.archive(done, data, "processed")
        archived = Event(EventKind.ARCHIVED, self.clock.now(), task.uid, data={"path": path})
        return (await self.store.commit([archived]))[0]

    def with_rules(self, **changes: Any) -> None:
        self.rules = replace(self.rules, **changes)

    def files(self) -> dict[str, bytes]:
        """Every file under `tasks/` by its path there, error files left out."""
        found = [path for path in self.tasks_path.rglob("*") if path.is_file() and path.suffix != ".json"]
        return {str(path.relative_to(self.tasks_path)): path.read_bytes() for path in found}

    def files_of_all(self) -> dict[str, bytes]:
        """Every file under `tasks/` by its path there."""
        found = [path for path in self.tasks_path.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.tasks_path)): path.read_bytes() for path in found}
