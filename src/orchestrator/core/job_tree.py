"""A job as a tree of workers, as its folder draws it: who stands where, and what its reports say. Pure.

workspace/job_<id>/depth_0/worker_1/            a task
                   depth_0/worker_2_recursive/  one that split into others
                   depth_1/worker_2_1/          the first of these
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.events import Json, TaskUid
from orchestrator.core.job import Job, JobState
from orchestrator.core.job_progress import Progress
from orchestrator.core.lifecycle import ACTIVE, TERMINAL, State
from orchestrator.core.task import Task
from orchestrator.core.text import printable

JOB_FOLDER = re.compile(r"job_[0-9a-f]{8}\Z")  # under workspace/
MOST_WORKERS = 500  # that get a folder of their own
MOST_FILES = 2000  # in the table of who made what
ANSWER_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Worker:
    """One task of a job and its place in the tree. *plain* is its name without what it became; *children* are the plain
    names of its sub-tasks."""

    task: Task
    plain: str
    depth: int
    children: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.plain}_recursive" if self.children else self.plain

    @property
    def folder(self) -> str:
        return f"depth_{self.depth}/{self.name}"

    @property
    def log(self) -> str:
        return f"logs/depth_{self.depth}_{self.name}.log"


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker did. *files* are (path, A, M or D)."""

    agent: str = ""
    model: str = ""
    answer: str = ""
    seconds: float = 0.0
    cost_usd: float | None = None
    branch: str = ""
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the reports on a job are made of."""

    job: Job
    progress: Progress
    workers: Sequence[Worker]
    work: Mapping[TaskUid, Work] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return folder_of(self.job)


def folder_of(job: Job) -> str:
    """Return the folder of a job, relative to the root."""
    return f"workspace/job_{job.short}"


def workers_of(
    tasks: Sequence[Task], children: Mapping[str, Sequence[TaskUid]], first: Mapping[TaskUid, int]
) -> Sequence[Worker]:
    """Return the workers of the last runs *tasks*, parents first. *children* by uid of the parent; *first* is the order
    of the first run of each, by which it keeps its number however often it is run."""
    by_uid = {task.uid: task for task in tasks}
    below = {uid for each in children.values() for uid in each if uid in by_uid}
    order = {uid: first.get(uid, task.order) for uid, task in by_uid.items()}
    found: list[Worker] = []
    level = [(uid, "worker", 0) for uid in sorted(by_uid, key=order.__getitem__) if uid not in below]
    counts: dict[str, int] = {}
    seen: set[TaskUid] = set()
    while level:
        below_it: list[tuple[TaskUid, str, int]] = []
        for uid, parent, depth in level:
            if uid in seen:
                continue
            seen.add(uid)
            counts[parent] = counts.get(parent, 0) + 1
            plain = f"{parent}_{counts[parent]}"
            own = sorted((one for one in children.get(uid, ()) if one in by_uid), key=order.__getitem__)
            names = tuple(f"{plain}_{number}" for number in range(1, len(own) + 1))
            found.append(Worker(by_uid[uid], plain, depth, names))
            below_it += [(one, plain, depth + 1) for one in own]
        level = below_it
    return found


# What the files say


def status_of(worker: Worker, states: Mapping[str, State]) -> str:
    """Return how a worker stands: success, failed, cancelled, running or waiting; of one that split and has ended
    recursive_success, recursive_partial, recursive_failed or recursive_cancelled."""
    state = worker.task.state
    if state in TERMINAL:
        word = {State.SUCCEEDED: "success", State.FAILED: "failed"}.get(state, "cancelled")
        if not worker.children:
            return word
        good = sum(states.get(one) is State.SUCCEEDED for one in worker.children)
        if state is not State.SUCCEEDED and good:
            return "recursive_partial"
        return f"recursive_{word}"
    return "running" if state in ACTIVE else "waiting"


def job_word(state: JobState) -> str:
    """Return the state of a job in the words of those who wait for `completed`."""
    return "completed" if state is JobState.SUCCEEDED else state.value


def job_json(report: Report) -> dict[str, Json]:
    """Return `result.json` of a job."""
    by_name = {worker.plain: worker for worker in report.workers}
    states = {name: worker.task.state for name, worker in by_name.items()}

    def one(worker: Worker) -> dict[str, Json]:
        work = report.work.get(worker.task.uid, Work())
        told: dict[str, Json] = {
            "worker_id": worker.plain,
            "status": status_of(worker, states),
            "output": work.answer[:ANSWER_CHARS],
            "files_created": [path for path, kind in work.files if kind == "A"],
            "files_modified": [path for path, kind in work.files if kind == "M"],
            "task_id": worker.task.spec.id,
            "task_uid": worker.task.uid,
            "depth": worker.depth,
            "reason": worker.task.reason,
            "branch": work.branch,
        }
        if worker.children:
            told["child_job_id"] = worker.task.uid[-8:]
            told["child_results"] = [one(by_name[name]) for name in worker.children if name in by_name]
        return told

    return {
        "job_id": report.job.short,
        "status": job_word(report.progress.state),
        "name": report.job.name,
        "request": report.job.request,
        "results": {
            "tasks": [one(worker) for worker in report.workers if worker.depth == 0],
            "workspace": report.folder,
            "final_report": f"{report.folder}/FINAL_RESULT.md",
        },
    }


def level_report(report: Report, depth: int) -> str:
    """Return `LEVEL_<n>_REPORT.md`: the workers of one depth, each with its result."""
    workers = [worker for worker in report.workers if worker.depth == depth]
    states = {worker.plain: worker.task.state for worker in report.workers}
    lines = [f"# Level {depth} of {_cell(report.job.name)} (job {report.job.short})", ""]
    lines += ["| worker | task | status | seconds | cost | files |", "|---|---|---|---|---|---|"]
    for worker in workers:
        work = report.work.get(worker.task.uid, Work())
        figures = f"{work.seconds:.0f} | {_usd(work.cost_usd)} | {len(work.files)}"
        lines.append(f"| {worker.name} | {_cell(worker.task.spec.id)} | {status_of(worker, states)} | {figures} |")
    for worker in workers[:MOST_WORKERS]:
        lines += ["", f"## {worker.name}: {_cell(worker.task.spec.title)}", "", *_said(worker, report)]
    return "\n".join(lines) + "\n"


def _said(worker: Worker, report: Report) -> list[str]:
    work, task = report.work.get(worker.task.uid, Work()), worker.task
    lines = [f"- state: {task.state.value}{f' ({_cell(task.reason)})' if task.reason else ''}"]
    lines += [f"- branch: {_cell(work.branch)}"] if work.branch else []
    lines += [f"- sub-tasks: {', '.join(worker.children)}"] if worker.children else []
    if words := work.answer.strip():
        lines += ["", *(f"    {printable(line)}" for line in words[:ANSWER_CHARS].splitlines())]
    return lines


def final_result(report: Report) -> str:
    """Return `FINAL_RESULT.md`: how the job ended, its tree, and which worker made which file."""
    job, progress = report.job, report.progress
    states = {worker.plain: worker.task.state for worker in report.workers}
    counts = f"{progress.succeeded} of {progress.total} tasks succeeded"
    counts += f", {progress.failed} failed" if progress.failed else ""
    counts += f", {progress.cancelled} cancelled" if progress.cancelled else ""
    lines = [f"# {_cell(job.name)}: {job_word(progress.state)}", "", f"Job {job.short}. {counts}.", ""]
    if job.request:
        lines += ["## Request", "", *(f"    {printable(line)}" for line in job.request.splitlines()), ""]
    lines += ["## Workers", ""]
    for worker in _in_tree_order(report.workers):
        work = report.work.get(worker.task.uid, Work())
        by = " ".join(part for part in (work.agent, work.model) if part)
        told = f"{status_of(worker, states)}{f', by {_cell(by)}' if by else ''}"
        lines.append(f"{'  ' * worker.depth}- {worker.name}: {_cell(worker.task.spec.id)}, {told}")
    lines += ["", "## Which worker made which file", "", *_files(report)]
    return "\n".join(lines) + "\n"


def _in_tree_order(workers: Sequence[Worker]) -> Sequence[Worker]:
    return sorted(workers, key=lambda worker: [int(part) for part in worker.plain.split("_")[1:]])


def _files(report: Report) -> list[str]:
    """A file that came to a worker from those below it is told there, with who made it."""
    rows, below = [], _files_below(report)
    for worker in _in_tree_order(report.workers):
        work = report.work.get(worker.task.uid, Work())
        by = " ".join(part for part in (work.agent, work.model) if part)
        who = f"{worker.name} | {_cell(worker.task.spec.id)} | {_cell(by)} | {_cell(work.branch)}"
        words = {"A": "created", "M": "changed", "D": "deleted", "T": "changed"}
        rows += [
            f"| {_cell(path)} | {words.get(kind, kind)} | {who} |"
            for path, kind in work.files
            if path not in below[worker.plain]
        ]
    if not rows:
        return ["No worker changed a file."]
    left = [f"\n{len(rows) - MOST_FILES} more are in `result.json`."] if len(rows) > MOST_FILES else []
    head = ["| file | what | worker | task | agent | branch |", "|---|---|---|---|---|---|"]
    return [*head, *rows[:MOST_FILES], *left]


def _files_below(report: Report) -> Mapping[str, set[str]]:
    """Return for each worker the files that workers below it have made or changed."""
    below: dict[str, set[str]] = {worker.plain: set() for worker in report.workers}
    for worker in report.workers:
        paths = {path for path, _ in report.work.get(worker.task.uid, Work()).files}
        above = worker.plain.rpartition("_")[0]
        while above in below:
            below[above] |= paths
            above = above.rpartition("_")[0]
    return below


def _cell(text: str) -> str:
    """Return *text* as it may stand in a line or table of Markdown: one line that is no markup."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", printable(" ".join(text.split()))[:200])


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"${value:.4f}"
