"""A root for tests of the command line: a Program over a store in memory."""

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import FakeClock, MemoryStore
from tests.reading import rules

from orchestrator.api.cli import parse
from orchestrator.api.output import Output
from orchestrator.api.program import Component, Owner, Program, Show
from orchestrator.core.agents import AgentProfile
from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.finding import Finding
from orchestrator.core.jobfile import JobPlan, JobTask
from orchestrator.core.lifecycle import State
from orchestrator.core.lint import LintReport
from orchestrator.core.notice_ports import Told
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import EndedTask, NewTask
from orchestrator.core.repair_report import RepairReport
from orchestrator.core.report import COMMAND
from orchestrator.core.requirements import Requirements, read_requirements
from orchestrator.core.service import ServiceState
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.engine.bell import Bell
from orchestrator.engine.service import Orchestrator


@dataclass
class World:
    """A root in memory: a real service on a store that passes the same suite as the real one."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=FakeClock)
    running: Owner | None = None
    findings: tuple[Finding, ...] = ()
    repaired: RepairReport = field(default_factory=RepairReport)
    files: dict[str, TaskSpec] = field(default_factory=dict)
    put: list[tuple[str, bytes]] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    lint: LintReport = field(default_factory=lambda: LintReport((), (), ()))
    parsed: list[tuple[str, str, bool]] = field(default_factory=list)
    linted: list[tuple[tuple[str, ...], bool, float]] = field(default_factory=list)
    ends: State = State.SUCCEEDED
    service: ServiceState = field(default_factory=lambda: ServiceState("orchestrator-r-1", "systemd", "/h/r.service"))
    asked: list[tuple[str, bool]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    policy: RunPolicy = field(
        default_factory=lambda: RunPolicy(3, {"claude": AgentProfile("claude")}, "claude", {}, "/w", "/w", "/attempts")
    )

    async def add(self, task_id: str, *events: EventKind, priority: Priority = Priority.MEDIUM, **data: Any) -> Task:
        """Accept a task and let *events* happen to it."""
        uid, now = self.clock.new_uid(), self.clock.now()
        spec = TaskSpec(id=task_id, type="analyze", priority=priority, title=f"Title of {task_id}", prompt="Do.")
        task = Task(uid, task_id, spec, "0" * 64, now)
        (task,) = await self.store.accept([NewTask(task, b"", [Event(EventKind.RECEIVED, now, uid)])])
        for kind in events:
            attempt, epoch = (1, 1) if kind is not EventKind.STARTED else (task.attempt + 1, task.epoch)
            (task,) = await self.store.commit([Event(kind, now, uid, attempt, epoch, data)])
        return task

    def program(self) -> Program:
        return Program(
            root="/root-of-test",
            command=COMMAND,
            slots=3,
            now=self.clock.now,
            open_service=self._open,
            open_to_keep=self._open,
            owner=lambda: self.running,
            components=self._components,
            findings=self._findings,
            repair=self._repair,
            task_files=list,
            check_file=self._check,
            check_job=self._check_job,
            lint=self._lint,
            context=self._context,
            parse=self._parse,
            put_files=self._put_files,
            put_task=self._put,
            run_daemon=self._run_daemon,
            run_file=self._run_file,
            clean_tasks=self._clean,
            remove_artifacts=self._remove,
            remove_attempts=self._remove_attempts,
            result_files=self._results,
            demo=self._demo,
            service=self._service,
            notify_test=self._notify_test,
            telegram_setup=self._telegram_setup,
        )

    async def _telegram_setup(self, ask: Callable[[str], Awaitable[str]], say: Callable[[str], None]) -> int:
        say(f"token of {len(await ask('Token: '))} characters")
        return 0

    async def _notify_test(self, name: str) -> Sequence[Told]:
        return [one for one in self.told if name in ("", one.sink)]

    async def call(self, *words: str) -> tuple[int, str, str]:
        """Run a command line. Returns exit code, stdout, stderr."""
        args = parse(words)
        stdout, stderr = io.StringIO(), io.StringIO()
        out = Output(as_json=args.json, colour=False, stdout=stdout, stderr=stderr)
        code = await args.run(self.program(), out, args)
        return int(code), stdout.getvalue(), stderr.getvalue()

    async def json(self, *words: str) -> dict[str, Any]:
        """Return the one JSON document that a command prints."""
        _, stdout, _ = await self.call(*words, "--json")
        found: dict[str, Any] = json.loads(stdout)
        return found

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Orchestrator]:
        yield Orchestrator(
            store=self.store, clock=self.clock, bell=Bell(), policy=lambda: self.policy, redact=lambda value: value
        )

    async def _components(self) -> Sequence[Component]:
        return (Component("claude", usable=False, words="not usable: not installed"),)

    async def _repair(self) -> RepairReport:
        return self.repaired

    async def _findings(self) -> Sequence[Finding]:
        return self.findings

    def _check(self, path: str) -> TaskSpec:
        if path not in self.files:
            raise TaskFileError("prompt_missing", "it does not say what to do", file=path, line=3, hint="Say it.")
        return self.files[path]

    def _check_job(self, path: str) -> JobPlan:
        return JobPlan("night", tuple(JobTask(spec, b"") for spec in self.files.values()))

    async def _lint(self, paths: Sequence[str], run: bool, seconds: float) -> LintReport:
        self.linted.append((tuple(paths), run, seconds))
        return self.lint

    async def _context(self, given: str) -> str:
        return given

    async def _parse(self, text: str, context: str, ask: bool) -> Requirements:
        self.parsed.append((text, context, ask))
        return read_requirements(text, rules(), context=context)

    async def _put_files(self, folder: str, files: Sequence[tuple[str, bytes]]) -> Sequence[str]:
        self.put += files
        return [f"{folder}/{name}" for name, _ in files]

    async def _put(self, name: str, body: bytes) -> str:
        self.put.append((name, body))
        return f"tasks/{name}"

    async def _run_daemon(self, show: Show, started: Callable[[], Awaitable[None]]) -> int:
        await started()
        show(Event(EventKind.RECEIVED, self.clock.now()), None)
        show(Event(EventKind.PROGRESS, self.clock.now(), data={"text": "chatter"}), None)
        return 0

    async def _run_file(self, path: str, show: Show) -> Task:
        show(Event(EventKind.PROGRESS, self.clock.now(), data={"what": "tool", "text": "Write a"}), None)
        kind = EventKind.SUCCEEDED if self.ends is State.SUCCEEDED else EventKind.FAILED
        return await self.add(
            path, EventKind.STARTED, EventKind.FINISHED, kind, reason="" if kind is EventKind.SUCCEEDED else "timeout"
        )

    async def _clean(self, dry_run: bool) -> Sequence[str]:
        return ["tasks/a.task.md"]

    async def _remove(self, task: EndedTask, dry_run: bool) -> Sequence[str]:
        path = f"results/{task.name}_result.json"
        there = self.artifacts.get(path) if dry_run else self.artifacts.pop(path, None)
        return [path] if there else []

    async def _remove_attempts(self, before_ts: float, dry_run: bool) -> Sequence[str]:
        return []

    async def _results(self) -> Sequence[tuple[str, bytes]]:
        return list(self.artifacts.items())

    async def _service(self, action: str, dry_run: bool) -> ServiceState:
        self.asked.append((action, dry_run))
        return self.service

    async def _demo(self, say: Any) -> int:
        say("SCRIPTED")
        return 0
