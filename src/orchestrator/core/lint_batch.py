"""Lint before bed, tasks side by side: ids, dependencies, shared target files, and what they all need of the machine.

Part of core/lint.py; pure as that.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from orchestrator.core.agents import AgentProfile
from orchestrator.core.budget import BUDGET_SCOPE, dollars
from orchestrator.core.dependencies import DependencyPolicy, cycle_in, spelled_out
from orchestrator.core.events import Json
from orchestrator.core.finding import Finding, Level
from orchestrator.core.lifecycle import State
from orchestrator.core.lint import LintTask, Refused, Remark, Weight
from orchestrator.core.plan import EVERYTHING, in_force
from orchestrator.core.ports import Pause
from orchestrator.core.report import COMMAND
from orchestrator.core.task import id_key
from orchestrator.core.text import printable

UNKNOWN = "not known"  # so begins what a probe says of what it cannot tell
SHOWN = 5  # paths and names in one line


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a task would work. *top* is the repository that is cloned, "" where none is and *why* says why not;
    *missing*: the folder is not there at all. *uncommitted* are paths relative to *top*, that the clone will not have.
    *unknown* is why nobody could tell whether there are any."""

    top: str = ""
    why: str = ""
    missing: bool = False
    refused: bool = False  # isolation.mode asks for a clone, and none can be made
    uncommitted: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Money:
    """*day_usd* is the budget of a day, 0 for none; *left_usd* what is left of this one. *caps_usd* is what the tasks
    may cost together, infinite where one has no cap."""

    day_usd: float
    left_usd: float
    caps_usd: float


def id_remarks(
    tasks: Sequence[LintTask], known: Mapping[str, State], done: Mapping[str, str] | None = None
) -> list[Remark]:
    """Return what is wrong with the ids of *tasks*. *known* are the open tasks of the root by id; *done* names for a
    file the task that did exactly the same before."""
    found: list[Remark] = []
    first: dict[str, LintTask] = {}
    open_ids = {id_key(one): one for one in known}
    for task in tasks:
        mine, other = task.spec.id, first.setdefault(id_key(task.spec.id), task)
        if other is not task:
            found.append(_same_id(task, other))
        rival = open_ids.get(id_key(mine), mine)
        if rival != mine:
            words = f"its id {mine} differs only in case from {rival}, which is {known[rival]}: it will be refused"
            found.append(Remark(Weight.FAIL, "id_conflict", words, "Choose another id.", task.file))
        elif mine in known:
            words = f"a task with the id {mine} is {known[mine]}: this one waits until it has ended"
            found.append(Remark(Weight.NOTE, "id_open", words, "", task.file))
        if done and (before := done.get(task.file)) and not task.spec.rerun:
            words = f"exactly this file was done before, as {before}: it will be refused"
            found.append(
                Remark(Weight.FAIL, "duplicate_content", words, "Add `rerun: true` to do it again.", task.file)
            )
    return found


def _same_id(task: LintTask, other: LintTask) -> Remark:
    if task.spec.id != other.spec.id:
        words = f"its id {task.spec.id} differs only in case from that of {other.file}: one of them will be refused"
        return Remark(Weight.FAIL, "id_conflict", words, "Choose another id.", task.file)
    words = f"{other.file} has the id {task.spec.id} too: they run one after the other, and share one name in results"
    return Remark(Weight.WARN, "id_duplicate", words, "Give each file an id of its own.", task.file)


def named_by(tasks: Sequence[LintTask]) -> Mapping[str, Mapping[str, Sequence[LintTask]]]:
    """Return by file, for each id that its task waits for, the tasks that are meant: siblings of its job first."""
    everywhere: dict[str, list[LintTask]] = {}
    beside: dict[tuple[str, str], list[LintTask]] = {}
    for task in tasks:
        key = id_key(task.spec.id)
        everywhere.setdefault(key, []).append(task)
        if task.group:
            beside.setdefault((task.group, key), []).append(task)
    return {
        task.file: {on: beside.get((task.group, id_key(on)), everywhere.get(id_key(on), [])) for on in task.depends_on}
        for task in tasks
    }


def edges_of(tasks: Sequence[LintTask]) -> Mapping[str, tuple[str, ...]]:
    """Return by file the files of what its task waits for."""
    named = named_by(tasks)
    return {file: tuple(one.file for found in needs.values() for one in found) for file, needs in named.items()}


def dependency_remarks(
    tasks: Sequence[LintTask], known: Mapping[str, State], refused: Sequence[Refused] = ()
) -> list[Remark]:
    """Return unknown, ambiguous and circular dependencies. *known* are tasks of the root by the key of their id, the
    newest each."""
    named, found = named_by(tasks), list[Remark]()
    for task in tasks:
        for on, meant in named[task.file].items():
            if len(meant) > 1:
                words = f"it waits for {on}, and {len(meant)} files have that id"
                found.append(Remark(Weight.FAIL, "dependency_ambiguous", words, "Change one id.", task.file))
            elif not meant and id_key(on) not in known:
                found.append(_unknown(task, on, refused))
            elif not meant and known[id_key(on)] in _ENDED_BADLY:
                found += _on_failed(task, on, known[id_key(on)])
    return [*found, *_cycles(tasks)]


_ENDED_BADLY = frozenset({State.FAILED, State.CANCELLED, State.REJECTED})


def _on_failed(task: LintTask, on: str, state: State) -> list[Remark]:
    if task.policy == DependencyPolicy.RUN_ANYWAY:
        return []
    what = "be cancelled" if task.policy == DependencyPolicy.SKIP else "not start"
    words = f"it would {what}: it waits for {on}, which is {state}"
    fix = f"{COMMAND} retry {on}, or `on_dependency: run_anyway` in its front matter"
    return [Remark(Weight.FAIL, "dependency_failed", words, fix, task.file)]


def _unknown(task: LintTask, on: str, refused: Sequence[Refused]) -> Remark:
    then = "its file would be refused" if task.is_one_of_many else "it would wait until somebody brings it"
    words = f"it waits for {printable(on)}, and nobody has that id: {then}"
    fix = "Correct depends_on, or add the task that it waits for."
    if refused:
        fix += f" It may be one that would be refused: {', '.join(one.file for one in refused[:SHOWN])}"
    return Remark(Weight.FAIL, "dependency_unknown", words, fix, task.file)


def _cycles(tasks: Sequence[LintTask]) -> list[Remark]:
    """Return one remark for each group of tasks that wait for each other, at the file that closes it."""
    named = {task.file: task for task in tasks}
    edges = edges_of(tasks)
    found = []
    while cycle := cycle_in(edges):
        words = (
            f"they wait for each other, so they would be refused: {spelled_out(named[one].spec.id for one in cycle)}"
        )
        fix = "Take one of these out of a depends_on."
        found.append(Remark(Weight.FAIL, "dependency_cycle", words, fix, cycle[0]))
        edges = {one: on for one, on in edges.items() if one not in cycle}
    return found


def overlap_remarks(tasks: Sequence[LintTask]) -> list[Remark]:
    """Return which tasks name the same target file, or a folder with it, and do not wait for each other anyhow.

    Each is told about the last one before it: of a hundred tasks on one file nobody reads 4950 lines.
    """
    edges = edges_of(tasks)
    at: dict[str, LintTask] = {}  # by a path that was named
    below: dict[str, tuple[str, LintTask]] = {}  # by each folder above a path that was named
    found: list[Remark] = []
    for task in tasks:
        met: dict[str, tuple[LintTask, list[str]]] = {}
        for path in (one.rstrip("/") for one in task.targets):
            for other, shared in _meeting(path, at, below):
                met.setdefault(other.file, (other, []))[1].append(shared)
        for other, paths in met.values():
            if not (_waits(edges, task.file, other.file) or _waits(edges, other.file, task.file)):
                found.append(_overlap(task, other, list(dict.fromkeys(paths))))
        for path in (one.rstrip("/") for one in task.targets):
            at[path] = task
            below |= dict.fromkeys(_above(path), (path, task))
    return found


def _meeting(
    path: str, at: Mapping[str, LintTask], below: Mapping[str, tuple[str, LintTask]]
) -> list[tuple[LintTask, str]]:
    named = [at[one] for one in (path, *_above(path)) if one in at]
    inside = [(task, deeper) for deeper, task in (below[path],)] if path in below else []
    return [*((task, path) for task in named), *inside]


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(len(parts) - 1, 1, -1)]


def _overlap(task: LintTask, other: LintTask, shared: Sequence[str]) -> Remark:
    words = (
        f"it names the same target as {other.file}: {_some(shared)}; they run one after the other, each from the same "
        "base, so their results may not fit together"
    )
    fix = f"Let one wait for the other: `depends_on: [{other.spec.id}]`"
    return Remark(Weight.WARN, "targets_overlap", words, fix, task.file)


def _waits(edges: Mapping[str, Collection[str]], one: str, other: str) -> bool:
    """Return whether *one* waits for *other*, over any number of steps, or is the same."""
    seen, left = {one}, [one]
    while left:
        here = left.pop()
        if here == other:
            return True
        fresh = [on for on in edges.get(here, ()) if on not in seen]
        seen.update(fresh)
        left += fresh
    return False


def _shared(ones: Sequence[str], others: Sequence[str]) -> bool:
    pairs = ((one.rstrip("/"), other.rstrip("/")) for one in ones for other in others)
    return any(a == b or a.startswith(f"{b}/") or b.startswith(f"{a}/") for a, b in pairs)


def repository_remarks(tasks: Sequence[LintTask], repositories: Mapping[str, Repository]) -> list[Remark]:
    """Return what is wrong with where *tasks* would work; *repositories* by their files."""
    found: list[Remark] = []
    dirty: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        where = repositories.get(task.file)
        if where is None:
            continue
        if where.missing:
            words = f"the folder it is to work in cannot be used: {where.why}"
            found.append(Remark(Weight.FAIL, "folder_missing", words, f"mkdir -p {task.cwd}", task.file))
        elif where.refused:
            fix = "isolation.mode: auto works in place where no clone is possible."
            found.append(
                Remark(Weight.FAIL, "not_cloneable", f"isolation.mode is clone, but {where.why}", fix, task.file)
            )
        elif not where.top and where.why:
            words = f"it will work in place: {where.why}; no branch and no clean base, so nothing can be proven"
            fix = f"cd {task.cwd} && git init && git add -A && git commit -m start"
            weight = Weight.WARN if task.expects_changes else Weight.NOTE
            found.append(Remark(weight, "works_in_place", words, fix if task.expects_changes else "", task.file))
        if where.unknown:
            words = f"whether {where.top} has uncommitted changes is not known: {where.unknown}"
            found.append(Remark(Weight.NOTE, "uncommitted_unknown", words, "", task.file))
        dirty |= {where.top: where.uncommitted} if where.uncommitted else {}
        mine = [path for path in where.uncommitted if _shared([f"{where.top}/{path.rstrip('/')}"], task.targets)]
        if mine:
            words = f"its target has changes that are not committed, and it will not see them: {_some(mine)}"
            fix = f"cd {where.top} && git commit, or git stash"
            found.append(Remark(Weight.WARN, "target_uncommitted", words, fix, task.file))
    return [*found, *(_dirty(top, paths) for top, paths in dirty.items())]


def _dirty(top: str, paths: Sequence[str]) -> Remark:
    what = "1 path is" if len(paths) == 1 else f"{len(paths)} paths are"
    words = f"{top}: {what} not committed, and tasks begin from the last commit, without: {_some(paths)}"
    return Remark(Weight.WARN, "repository_dirty", words, f"cd {top} && git status")


def agent_remarks(
    tasks: Sequence[LintTask], agents: Mapping[str, AgentProfile], default: str, pauses: Sequence[Pause], now: float
) -> list[Remark]:
    """Return which agents that *tasks* need start nothing now."""
    needed: dict[str, list[str]] = {}
    for task in tasks:
        needed.setdefault(task.spec.agent or default, []).append(task.file)
    found = [_held(pause, "all tasks", now) for pause in in_force(pauses, now, EVERYTHING)]
    for name, files in needed.items():
        profile = agents.get(name)
        if profile is None or not profile.enabled:
            words = f"the agent {name} is switched off, and {_some(files)} would wait for it"
            found.append(Remark(Weight.FAIL, "agent_off", words, f"Set agents.{name}.enabled: true"))
        found += [_held(pause, _some(files), now) for pause in in_force(pauses, now, name) if pause.scope == name]
    return found


def _held(pause: Pause, who: str, now: float) -> Remark:
    scope = {EVERYTHING: "the queue", BUDGET_SCOPE: "the budget of the day"}.get(
        pause.scope, f"the agent {pause.scope}"
    )
    resume = f"{COMMAND} resume{'' if pause.scope == EVERYTHING else f' {pause.scope}'}"
    why = f"{scope} is held: {printable(pause.detail or pause.reason)}"
    if not pause.until:
        return Remark(Weight.FAIL, "held", f"{why}; {who} would not start", resume)
    minutes = max(1, round((pause.until - now) / 60))
    return Remark(Weight.WARN, "held", f"{why}; {who} would start in {minutes} minutes at the earliest", resume)


def money_remarks(money: Money) -> list[Remark]:
    """Return whether what is left of the day may not be enough."""
    if not money.day_usd or money.left_usd <= 0:
        fix = "Raise budget.per_day_usd, or: " + f"{COMMAND} resume budget"
        spent = f"the budget of the day, {dollars(money.day_usd)}, is used up: nothing would start before the next one"
        return [Remark(Weight.FAIL, "budget_used_up", spent, fix)] if money.day_usd else []
    if money.caps_usd == inf or money.caps_usd <= money.left_usd:
        return []
    caps, left = dollars(money.caps_usd), dollars(money.left_usd)
    words = f"the tasks may cost {caps} together, and {left} is left of this day's budget"
    return [Remark(Weight.WARN, "budget_small", words, "Raise budget.per_day_usd, or lower budget_usd of tasks.")]


def forecast_remarks(forecast: Mapping[str, Json] | None, money: Money) -> list[Remark]:
    """Return whether what is left of the day is less than *forecast*, as the command of that name has it, says."""
    cost = forecast.get("cost_usd") if forecast else None
    if not isinstance(cost, Mapping) or not money.day_usd or money.left_usd <= 0:
        return []
    middle, most = (_usd(cost.get(key)) for key in ("p50", "p90"))
    if most <= money.left_usd:
        return []
    would = "would not be enough" if middle > money.left_usd else "may not be enough"
    words = (
        f"{dollars(money.left_usd)}, which is left of this day's budget, {would}: by the forecast the tasks cost "
        f"{dollars(middle)}, in one of ten such batches more than {dollars(most)}"
    )
    return [Remark(Weight.WARN, "forecast_over_budget", words, f"Raise budget.per_day_usd, or: {COMMAND} forecast")]


def _usd(value: Json) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def question_remarks(waiting: Sequence[str], *, told: bool) -> list[Remark]:
    """*waiting* are the files whose questions wait for a person; *told*: somebody would hear of one."""
    if told or not waiting:
        return []
    words = f"nobody is told when an agent asks, and these would wait until you look: {_some(waiting)}"
    fix = f"{COMMAND} telegram setup, a place under notify, or `if_unanswered: skip` in the front matter"
    return [Remark(Weight.WARN, "questions_unheard", words, fix)]


def finding_remarks(findings: Sequence[Finding]) -> list[Remark]:
    """Return what `doctor` has to object to as remarks, and what it says that nobody knows."""
    found = []
    for one in findings:
        unknown = one.level is Level.PASS and one.message.startswith(UNKNOWN)
        weight = Weight.NOTE if unknown else {Level.FAIL: Weight.FAIL, Level.WARN: Weight.WARN}.get(one.level)
        if weight is not None:
            code = f"machine_{one.group}".replace(" ", "_")
            found.append(Remark(weight, code, f"{one.group}, {one.name}: {one.message}", one.fix))
    return found


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
