"""Lint before bed, put together: reads the files, looks at repositories and machine, runs the checks on their bases.

It changes nothing: what it has to make lies in a temporary folder, the database is opened read only, and no event is
written. What can be wrong is decided in core/lint.py and core/lint_batch.py.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.bridges.check_runner import CheckConfig, ConfinedChecks
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.git import GitError
from orchestrator.bridges.git_commits import GitCommits
from orchestrator.bridges.inbox import is_task_name
from orchestrator.bridges.repository_look import Place, RepositoryLook
from orchestrator.bridges.sqlite import open_store
from orchestrator.bridges.timed_checks import TimedChecks
from orchestrator.compose import DATABASE
from orchestrator.configuration import Configuration
from orchestrator.core.budget import Spending, day_of
from orchestrator.core.errors import OrchestratorError, StoreError, TaskFileError, UsageError
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.jobfile import JobPlan, is_job_file
from orchestrator.core.lifecycle import ACTIVE, PENDING, State
from orchestrator.core.lint import (
    Checked,
    LintReport,
    LintTask,
    Refused,
    Remark,
    Weight,
    check_remarks,
    counted,
    never_run,
    sorted_remarks,
    task_remarks,
)
from orchestrator.core.lint_batch import (
    Money,
    Repository,
    agent_remarks,
    dependency_remarks,
    finding_remarks,
    forecast_remarks,
    id_remarks,
    money_remarks,
    overlap_remarks,
    question_remarks,
    repository_remarks,
)
from orchestrator.core.lint_times import time_remarks
from orchestrator.core.notice import NoticeKind
from orchestrator.core.plan import spec_paths
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Pause, Store
from orchestrator.core.question import QuestionRules
from orchestrator.core.task import Task, TaskSpec, id_key
from orchestrator.diagnosis import before_bed
from orchestrator.engine.analysis import Analysis
from orchestrator.engine.proof import Prover
from orchestrator.live_claude import choose_container
from orchestrator.proving import checks_in
from orchestrator.root_files import RootFiles
from orchestrator.validation.proof import checks_of

OPEN_TASKS = 10_000  # of the root that are looked at
NO_RUN = "--no-run was given"


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store of the root says, all of it empty where there is none."""

    pauses: Sequence[Pause] = ()
    open: Mapping[str, Task] = field(default_factory=dict)
    named: Mapping[str, State] = field(default_factory=dict)
    done: Mapping[str, str] = field(default_factory=dict)
    spending: Spending = field(default_factory=Spending)
    forecast: Mapping[str, Json] | None = None


async def lint(configuration: Configuration, paths: Sequence[str], *, run: bool, seconds: float) -> LintReport:
    """Return everything that is wrong with the task files in *paths*, files and folders of them.

    *run*: the checks of the tasks are run on their bases, for *seconds* at most in all. Raises UsageError for a folder
    without a task file, NotFoundError for a file that is not there.
    """
    began = time.monotonic()
    tasks, refused = _read(configuration, task_files(paths))
    known = await _known(configuration, tasks)
    with TemporaryDirectory(prefix="orchestrator-") as folder:
        places = await _places(configuration, tasks, Path(folder))
        ends = began + seconds if run else 0.0
        checked = await _checked(configuration, tasks, places, Path(folder), ends=ends)
    remarks = [one.why for one in refused]
    for task, result in zip(tasks, checked, strict=True):
        remarks += [*task_remarks(task), *check_remarks(task, result)]
    remarks += _side_by_side(tasks, refused, known)
    remarks += repository_remarks(tasks, {task.file: place.found for task, place in zip(tasks, places, strict=True)})
    remarks += [*_agents(configuration, tasks, known), *finding_remarks(await before_bed(configuration))]
    done, skipped = counted(checked)
    spent = time.monotonic() - began
    return LintReport(tuple(tasks), tuple(refused), sorted_remarks(remarks), done, skipped, spent, known.forecast)


def task_files(paths: Sequence[str]) -> list[str]:
    """Return the files that *paths* mean: of a folder those which a daemon would take. Raises UsageError."""
    found: dict[str, None] = {}
    for path in paths:
        if not Path(path).is_dir():
            found.setdefault(path)
            continue
        inside = sorted(one.name for one in Path(path).iterdir() if _is_ours(one))
        if not inside:
            hint = "A task file ends in .task.md: docs/task-files.md"
            raise UsageError(f"{path} is a folder without a task file", hint=hint)
        found |= dict.fromkeys(str(Path(path, name)) for name in inside)
    return list(found)


def _is_ours(path: Path) -> bool:
    return (is_task_name(path.name) or is_job_file(path.name)) and not path.is_dir()


def _read(configuration: Configuration, files: Sequence[str]) -> tuple[list[LintTask], list[Refused]]:
    reader, policy = RootFiles(configuration), configuration.policy()
    tasks: list[LintTask] = []
    refused: list[Refused] = []
    for file in files:
        try:
            if is_job_file(Path(file).name):
                tasks += _of_job(reader.check_job(file), file, policy)
            else:
                spec = reader.check(file)
                digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
                group = f"job {spec.job}" if spec.job else ""
                tasks.append(replace(_task(file, spec, policy), sha256=digest, group=group))
        except TaskFileError as error:
            where = f" ({error.field})" if error.field else ""
            why = Remark(Weight.FAIL, error.reason, f"{error.message}{where}", error.hint, file, error.line or 0)
            refused.append(Refused(file, why))
        except OrchestratorError as error:  # it is not there, or no file for people
            refused.append(Refused(file, Remark(Weight.FAIL, error.code, error.message, error.hint, file)))
    return tasks, refused


def _of_job(plan: JobPlan, file: str, policy: RunPolicy) -> list[LintTask]:
    """A task of a file of many is called by the file and its id."""
    found = []
    for one in plan.tasks:
        spec = replace(one.spec, on_dependency=one.spec.on_dependency or plan.on_dependency)
        found.append(replace(_task(f"{file}: {spec.id}", spec, policy), group=file))
    return found


def _task(file: str, spec: TaskSpec, policy: RunPolicy) -> LintTask:
    kind = policy.types.get(spec.type)
    cwd, targets = spec.cwd or policy.base_cwd, spec_paths(spec, policy.base_cwd)
    changes = kind is not None and kind.expects_changes
    on_dependency = spec.on_dependency or policy.on_dependency
    return LintTask(file, spec, cwd, targets, expects_changes=changes, policy=on_dependency)


# --- what the store knows ---------------------------------------------------------------------------------------------


async def _known(configuration: Configuration, tasks: Sequence[LintTask]) -> _Known:
    path = Path(configuration.settings.paths.state) / DATABASE
    if not path.exists():
        return _Known()
    try:
        async with open_store(path, read_only=True) as store:
            rows = await store.tasks(sorted(PENDING | ACTIVE), limit=OPEN_TASKS)
            digests = [task.sha256 for task in tasks]
            asked = [(task.spec.id, digest) for task, digest in zip(tasks, digests, strict=True)]
            done: dict[str, str] = {}
            for task, digest, others in zip(tasks, digests, await store.namesakes(asked), strict=True):
                for one in others:
                    if (one.state, one.sha256, one.spec.id) == (State.SUCCEEDED, digest, task.spec.id):
                        done.setdefault(task.file, one.name)
            named: dict[str, State] = {}
            needed = sorted({on for task in tasks for on in task.depends_on})
            for others in await store.namesakes([(on, "") for on in needed]):
                named |= {id_key(one.spec.id): one.state for one in others[:1]}
            day = day_of(SystemClock().now())
            return _Known(
                pauses=await store.pauses(),
                open={one.spec.id: one for one in rows},
                named=named,
                done=done,
                spending=await store.spending(day.begins),
                forecast=await _forecast(configuration, store, tasks),
            )
    except (StoreError, OSError):  # told by the findings on the database
        return _Known()


_Told = Mapping[str, Json] | None


async def _forecast(configuration: Configuration, store: Store, tasks: Sequence[LintTask]) -> _Told:
    analysis = Analysis(store, SystemClock(), configuration.policy, configuration.redacted)
    try:
        return await analysis.forecast([task.spec for task in tasks])
    except UsageError:
        return None  # they wait for one another: a remark of its own


def _side_by_side(tasks: Sequence[LintTask], refused: Sequence[Refused], known: _Known) -> list[Remark]:
    """A file that the daemon has taken already is no rival of itself."""
    here = {Path(task.file).name for task in tasks}
    rivals = {name: one.state for name, one in known.open.items() if one.file_name not in here}
    return [
        *id_remarks(tasks, rivals, known.done),
        *dependency_remarks(tasks, known.named, refused),
        *overlap_remarks(tasks),
    ]


def _agents(configuration: Configuration, tasks: Sequence[LintTask], known: _Known) -> list[Remark]:
    policy, now = configuration.policy(), SystemClock().now()
    caps = []
    for task in tasks:
        profile = policy.agents.get(task.spec.agent or policy.default_agent)
        caps.append((task.spec.budget_usd or (profile.budget_usd if profile else 0.0)) or inf)
    left = policy.day_budget_usd - known.spending.spent_usd - known.spending.reserved_usd
    waiting = [task.file for task in tasks if _waits(task, policy.questions)]
    money = Money(policy.day_budget_usd, left, sum(caps))
    told = [
        *agent_remarks(tasks, policy.agents, policy.default_agent, known.pauses, now),
        *money_remarks(money),
        *forecast_remarks(known.forecast, money),
        *question_remarks(waiting, told=_is_told(configuration)),
        *time_remarks(tasks, policy.hours, policy.schedules.timezone, now),
    ]
    return [replace(one, fix=one.fix.replace("python main.py", configuration.command)) for one in told]


def _waits(task: LintTask, rules: QuestionRules) -> bool:
    own = replace(rules, if_unanswered=task.spec.if_unanswered) if task.spec.if_unanswered else rules
    return own.if_unanswered == "wait"


def _is_told(configuration: Configuration) -> bool:
    settings = configuration.settings
    bot = settings.telegram.token is not None and settings.telegram.chat_id is not None
    places = [one for one in settings.notify if NoticeKind.NEEDS_YOU in one.on]
    return bot or any(one.to != "telegram" for one in places)


# --- where they work, and their checks --------------------------------------------------------------------------------


async def _places(configuration: Configuration, tasks: Sequence[LintTask], folder: Path) -> list[Place]:
    policy, paths = configuration.policy(), configuration.settings.paths
    own = [Path(one) for one in (paths.tasks, paths.results, paths.summaries, paths.logs, paths.state)]
    look = RepositoryLook(
        configuration.git(),
        folder / "git",
        mode=configuration.settings.isolation.mode,
        base_cwd=Path(policy.base_cwd),
        own=own,
    )
    found = []
    for task in tasks:
        try:
            found.append(await look.at(task.cwd, task.spec.target_files, policy.allowed_root))
        except (GitError, OSError) as error:
            found.append(Place(Repository(why=f"its repository cannot be looked at: {error}"), task.cwd))
    return found


async def _checked(
    configuration: Configuration, tasks: Sequence[LintTask], places: Sequence[Place], folder: Path, *, ends: float
) -> list[Checked]:
    """Run the checks of each task on its base; equal ones on the same base once. *ends* 0.0: none is run."""
    if not ends or not any(checks_of(task.spec.criteria) for task in tasks):
        return [Checked(task.file, why_not=NO_RUN) for task in tasks]
    container = await choose_container(configuration, settle=False, now=SystemClock().now())
    config = replace(checks_in(container, configuration), tmp_dir=str(folder / "tmp"))
    checkouts = GitCommits(configuration.git(), folder / "tmp", copied=lambda: configuration.settings.isolation.copy_)
    runner = TimedChecks(config, monotonic=time.monotonic, ends=ends)
    prover = Prover(runner=runner, checkouts=checkouts)
    found = []
    for task, place in zip(tasks, places, strict=True):
        if place.area is None:
            found.append(await _in_place(task, place, config))
            continue
        key = TaskUid(f"{place.area.source}\0{place.area.cwd}")
        runs = await prover.base_runs(key, task.spec, place.area)
        mine = {check: runs[check] for check in checks_of(task.spec.criteria)}
        found.append(Checked(task.file, place.area.base, mine))
    return found


async def _in_place(task: LintTask, place: Place, config: CheckConfig) -> Checked:
    """Look at files where they lie; a command might change something there, so it is not run."""
    checks = checks_of(task.spec.criteria)
    if not Path(place.cwd or "/nowhere").is_dir():
        return Checked(task.file, why_not=place.found.why or "its folder is not there yet")
    looks = [check for check in checks if not check.argv]
    seen = await ConfinedChecks(lambda: config).run(looks, place.cwd, inside="", commit="")
    runs = dict(zip(looks, seen, strict=True))
    why = "there is no clean checkout to run it in, and here it might change something"
    return Checked(task.file, "", {check: runs.get(check) or never_run(why) for check in checks})
