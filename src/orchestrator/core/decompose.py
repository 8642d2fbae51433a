"""Whether a plan may be run: its checks, each answer in words.

A plan is never run as it came. What is wrong in a way that cannot be mended without guessing refuses the whole of it.
What can be mended is, and is told: two sub-tasks that name the same file and could run at once are put in order. What a
refused plan leads to is the caller's: never a lost request.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from orchestrator.core.dependencies import cycle_in, spelled_out
from orchestrator.core.events import Json
from orchestrator.core.paths import is_windows, resolve
from orchestrator.core.subtask import KEY_CHARS, Plan, PlanFinding, SubTask, plan_facts, read_plan
from orchestrator.core.text import has_controls, is_reserved, printable

MAX_PLAN_BYTES = 256 * 1024
_KEY = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{KEY_CHARS - 1}}}\Z")


@dataclass(frozen=True, slots=True)
class PlanBounds:
    """What a plan may be. *base* is where its relative target files start, *root* what none may leave: absolute paths.
    A plan has *min_children* to *max_children* sub-tasks, and no more than *room*: what its tree still takes in."""

    base: str
    root: str
    min_children: int = 2
    max_children: int = 7
    room: int = 40


@dataclass(frozen=True, slots=True)
class Checked:
    """A plan after its checks. *plan* is None where one of the *findings* is fatal, or it says itself that the request
    is one piece; *why* then says so in a sentence. Else the plan is as it will run, mended where that was needed."""

    plan: Plan | None
    findings: tuple[PlanFinding, ...] = ()
    why: str = ""


def check_plan(value: Json, bounds: PlanBounds) -> Checked:
    """Return whether *value*, the structured output of an agent, is a plan that may run under *bounds*. Pure; raises
    nothing, whatever *value* is."""
    plan, faults = read_plan(value)
    if faults:
        return _refused(faults)
    if plan.one_piece and not plan.tasks:
        return Checked(None, (), f"it was planned as one piece of work: {plan.one_piece}")
    return checked(plan, bounds)


def checked(plan: Plan, bounds: PlanBounds) -> Checked:
    """Return the same for a plan that was read already."""
    if faults := [*_size(plan, bounds), *_names(plan), *_texts(plan), *_targets(plan, bounds)]:
        return _refused(tuple(faults))
    plan, told = _known_dependencies(plan)
    if any(one.fatal for one in told):
        return _refused(tuple(told))
    if cycle := cycle_in(plan.edges):
        message = f"the sub-tasks wait for each other in a circle: {spelled_out(cycle)}"
        return _refused((PlanFinding("plan_cycle", message, tuple(dict.fromkeys(cycle))),))
    ordered, mended = _in_order(plan, bounds)
    return Checked(ordered, (*told, *mended))


def _refused(findings: tuple[PlanFinding, ...]) -> Checked:
    fatal = [one.message for one in findings if one.fatal]
    more = f" (and {len(fatal) - 3} more)" if len(fatal) > 3 else ""
    return Checked(None, findings, f"{'; '.join(fatal[:3])}{more}")


def _size(plan: Plan, bounds: PlanBounds) -> list[PlanFinding]:
    count, found = len(plan.tasks), list[PlanFinding]()
    if count < bounds.min_children:
        message = f"the plan has {_many(count)}, a split has {bounds.min_children} at least"
        found.append(PlanFinding("plan_too_small", message))
    if count > bounds.max_children:
        message = f"the plan has {_many(count)}, {bounds.max_children} may be"
        found.append(PlanFinding("plan_too_large", message))
    elif count > bounds.room:
        message = f"the plan has {_many(count)}, and its tree takes in {max(0, bounds.room)} more"
        found.append(PlanFinding("tree_too_large", message))
    if (size := len(json.dumps(plan_facts(plan)))) > MAX_PLAN_BYTES:
        found.append(PlanFinding("plan_too_large", f"the plan has {size:,} bytes, {MAX_PLAN_BYTES:,} may be"))
    return found


def _many(count: int) -> str:
    return "1 sub-task" if count == 1 else f"{count} sub-tasks"


def _names(plan: Plan) -> list[PlanFinding]:
    found = []
    for task in plan.tasks:
        if not _KEY.match(task.key) or is_reserved(task.key):
            shown = printable(task.key) or "(none)"
            wanted = f"1 to {KEY_CHARS} small letters, digits, - and _"
            found.append(PlanFinding("sub_task_id_invalid", f"the id {shown} of a sub-task is not {wanted}", (shown,)))
    twice = [key for key, times in Counter(task.key for task in plan.tasks).items() if times > 1]
    found += [PlanFinding("duplicate_sub_task", f"two sub-tasks have the id {key}", (key,)) for key in twice]
    return found


def _texts(plan: Plan) -> list[PlanFinding]:
    return [
        PlanFinding("prompt_missing", f"the sub-task {task.key} does not say what is to be done", (task.key,))
        for task in plan.tasks
        if not any(character.isalnum() for character in task.prompt)
    ]


def _targets(plan: Plan, bounds: PlanBounds) -> list[PlanFinding]:
    found = []
    for task in plan.tasks:
        for path in task.target_files:
            if has_controls(path) or "\n" in path or resolve(path, base=bounds.base, root=bounds.root) is None:
                what = f"the target file {printable(path)} of the sub-task {task.key}"
                message = f"{what} does not lie under {bounds.root or bounds.base}"
                found.append(PlanFinding("target_outside_root", message, (task.key,)))
    return found


def _known_dependencies(plan: Plan) -> tuple[Plan, list[PlanFinding]]:
    """Return *plan* with each dependency once; one on an id that is not in it refuses the plan."""
    keys, found, tasks = {task.key for task in plan.tasks}, list[PlanFinding](), list[SubTask]()
    for task in plan.tasks:
        for other in task.depends_on:
            if other not in keys:
                message = f"the sub-task {task.key} waits for {printable(other)}, which is not in the plan"
                found.append(PlanFinding("unknown_dependency", message, (task.key,)))
        tasks.append(replace(task, depends_on=tuple(dict.fromkeys(task.depends_on))))
    return replace(plan, tasks=tuple(tasks)), found


def _in_order(plan: Plan, bounds: PlanBounds) -> tuple[Plan, list[PlanFinding]]:
    """Return *plan* in which no two sub-tasks that could run at once name the same file: the later waits for the
    earlier. Only tasks without an order get one, so no cycle comes of it."""
    found: list[PlanFinding] = []
    tasks = {task.key: task for task in plan.tasks}
    targets = {task.key: _paths(task, bounds) for task in plan.tasks}
    for one, other in combinations(plan.tasks, 2):
        shared = _shared(targets[one.key], targets[other.key])
        edges = {key: task.depends_on for key, task in tasks.items()}
        if not shared or _waits(edges, one.key, other.key) or _waits(edges, other.key, one.key):
            continue
        waiting = tasks[other.key]
        tasks[other.key] = replace(waiting, depends_on=(*waiting.depends_on, one.key))
        message = f"the sub-tasks {one.key} and {other.key} both name {shared}: {other.key} waits for {one.key}"
        found.append(PlanFinding("targets_overlap", message, (one.key, other.key), fatal=False))
    return replace(plan, tasks=tuple(tasks.values())), found


def _paths(task: SubTask, bounds: PlanBounds) -> dict[tuple[str, ...], str]:
    """Return the target files by their parts, each as it was written."""
    top = bounds.base[:3] if is_windows(bounds.base) else "/"
    full = {path: resolve(path.rstrip("/") or path, base=bounds.base, root=top) for path in task.target_files}
    return {tuple(p for p in re.split(r"[/\\]", found) if p): path for path, found in full.items() if found}


def _shared(one: Mapping[tuple[str, ...], str], other: Mapping[tuple[str, ...], str]) -> str:
    """Return a file that both name, or one that lies in a folder that the other names; "" if there is none."""
    for path, written in one.items():
        for second, as_written in other.items():
            if path[: len(second)] == second or second[: len(path)] == path:
                return written if len(path) >= len(second) else as_written
    return ""


def _waits(edges: Mapping[str, tuple[str, ...]], task: str, other: str) -> bool:
    """Return whether *task* waits for *other*, be it through others."""
    seen, open_ = set[str](), [task]
    while open_:
        for after in edges.get(open_.pop(), ()):
            if after == other:
                return True
            if after not in seen:
                seen.add(after)
                open_.append(after)
    return False
