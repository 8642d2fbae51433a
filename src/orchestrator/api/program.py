"""What the composition root hands to the command line: everything a command can do to the outside world."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.core.events import Event
from orchestrator.core.finding import Finding
from orchestrator.core.jobfile import JobPlan
from orchestrator.core.lint import LintReport
from orchestrator.core.notice_ports import Told
from orchestrator.core.ports import EndedTask
from orchestrator.core.repair_report import RepairReport
from orchestrator.core.requirements import Requirements
from orchestrator.core.service import ServiceState
from orchestrator.core.task import Task, TaskSpec

if TYPE_CHECKING:  # loading it costs a quarter of a second, which `help` need not wait for
    from orchestrator.engine.service import Orchestrator

Show = Callable[[Event, Task | None], None]


@dataclass(frozen=True, slots=True)
class Owner:
    """The daemon that owns the root. *started_ts* is seconds since the epoch."""

    pid: int
    host: str
    started_ts: float
    version: str


@dataclass(frozen=True, slots=True)
class Component:
    """A part the program can use: *usable* or not, and in a few words which one it is or what stands in for it."""

    name: str
    usable: bool
    words: str


@dataclass(frozen=True, slots=True)
class Program:
    """One root with its configuration. File names are relative to *root* where they lie under it."""

    root: str
    command: str  # what people type to reach this root, as "python main.py --root DIR"
    slots: int
    now: Callable[[], float]
    open_service: "Callable[[], AbstractAsyncContextManager[Orchestrator]]"
    open_to_keep: "Callable[[], AbstractAsyncContextManager[Orchestrator]]"  # what is written stays on a new root too
    owner: Callable[[], Owner | None]
    components: Callable[[], Awaitable[Sequence[Component]]]
    findings: Callable[[], Awaitable[Sequence[Finding]]]
    repair: Callable[[], Awaitable[RepairReport]]
    task_files: Callable[[Sequence[str]], Sequence[str]]  # of files and folders; raises UsageError for an empty one
    check_file: Callable[[str], TaskSpec]  # raises TaskFileError, NotFoundError
    check_job: Callable[[str], JobPlan]  # of a file of many tasks; raises the same
    lint: Callable[[Sequence[str], bool, float], Awaitable[LintReport]]  # paths; run checks? for how many seconds
    context: Callable[[str], Awaitable[str]]  # a file, or the text itself
    parse: Callable[[str, str, bool], Awaitable[Requirements]]  # text, context; may a model be asked?
    put_files: Callable[[str, Sequence[tuple[str, bytes]]], Awaitable[Sequence[str]]]  # into a folder, or none of them
    put_task: Callable[[str, bytes], Awaitable[str]]  # atomically into tasks/; returns the path
    run_daemon: Callable[[Show, Callable[[], Awaitable[None]]], Awaitable[int]]  # the second once the root is ours
    run_file: Callable[[str, Show], Awaitable[Task]]
    clean_tasks: Callable[[bool], Awaitable[Sequence[str]]]  # dry run?; returns what it concerns
    remove_artifacts: Callable[[EndedTask, bool], Awaitable[Sequence[str]]]  # dry run?; returns what was there
    remove_attempts: Callable[[float, bool], Awaitable[Sequence[str]]]  # of tasks ended before; dry run?
    result_files: Callable[[], Awaitable[Sequence[tuple[str, bytes]]]]
    demo: Callable[[Callable[[str], None]], Awaitable[int]]
    telegram_setup: Callable[[Callable[[str], Awaitable[str]], Callable[[str], None]], Awaitable[int]]  # ask, say
    notify_test: Callable[[str], Awaitable[Sequence[Told]]]  # one place by its name; "" for all
    service: Callable[[str, bool], Awaitable[ServiceState]]  # install, uninstall or status; dry run?
