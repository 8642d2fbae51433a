"""How far a job has come: a fold over its tasks, in which one that was run again counts by its last run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.events import TaskUid
from orchestrator.core.job import Job, JobState, job_state
from orchestrator.core.lifecycle import ACTIVE, TERMINAL, State
from orchestrator.core.task import Task


@dataclass(frozen=True, slots=True)
class Progress:
    """Numbers of tasks. *waiting* are those that have neither begun nor ended, however they wait."""

    state: JobState
    total: int
    succeeded: int
    failed: int
    cancelled: int
    running: int
    waiting: int

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class JobLook:
    """A job as it stands. *tasks* are the last runs of its tasks, oldest first; *waits* says by uid what those wait for
    that wait for others; *children* by uid the uids of the sub-tasks of a task, each by its last run. *holds* are what
    keeps its tasks from being started until a person acts, each with its scope, as `resume` takes it, and why."""

    job: Job
    progress: Progress
    tasks: Sequence[Task] = ()
    waits: Mapping[str, str] = field(default_factory=dict)
    children: Mapping[str, Sequence[TaskUid]] = field(default_factory=dict)
    holds: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """What a task belongs to, and what belongs to it."""

    job: Job | None
    parent: Task | None
    children: Sequence[Task]


def last_runs(tasks: Iterable[Task]) -> Sequence[Task]:
    """Return *tasks*, oldest first, without those that were run again, be it by a retry or by a corrected file of the
    same id; sub-tasks of different tasks may have the same id. What was refused is no run."""
    newest: dict[tuple[str, str], Task] = {}
    again: set[str] = set()
    for task in sorted(tasks, key=lambda one: one.order):
        if task.state is not State.REJECTED:
            newest[task.parent, task.id_key] = task
            again.add(task.rerun_of)
    return sorted((task for task in newest.values() if task.uid not in again), key=lambda one: one.order)


def progress_of(tasks: Iterable[Task]) -> Progress:
    """Return how far a job of *tasks*, runs anew among them, has come."""
    counts = Counter(task.state for task in last_runs(tasks))
    total = counts.total()
    running = sum(counts[state] for state in ACTIVE)
    ended = sum(counts[state] for state in TERMINAL)
    return Progress(
        state=job_state(counts),
        total=total,
        succeeded=counts[State.SUCCEEDED],
        failed=counts[State.FAILED],
        cancelled=counts[State.CANCELLED],
        running=running,
        waiting=total - running - ended,
    )
