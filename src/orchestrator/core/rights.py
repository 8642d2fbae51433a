"""What a running worker may split its own task into: never more than it has itself, and never more than is left.

A worker is an agent, and what it asks for may have been put into its mouth. So a request has no place for an agent, a
model, a folder, a limit or a budget: all of these are its parent's. What it can choose is judged here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import dollars, spent_by
from orchestrator.core.criteria import placeless, read_check
from orchestrator.core.errors import TaskFileError
from orchestrator.core.split import SplitRules
from orchestrator.core.subtask import Plan, SubTask
from orchestrator.core.task import Task, TaskType
from orchestrator.core.text import printable

_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Rights:
    """What one task may split into.

    *levels* of sub-tasks may lie below it, *least* to *most* of them in one split, and its tree takes in *room* more
    tasks. *left_usd* is what they may cost together; infinite where nothing bounds it. *types* are those they may be
    of, *tools* what any of these gets at most, *commands* the only ones that their criteria may have run. They work
    under *cwd*. *split*: it has split already.
    """

    levels: int
    least: int
    most: int
    room: int
    left_usd: float
    types: frozenset[str]
    tools: frozenset[str]
    commands: frozenset[tuple[str, ...]]
    cwd: str
    split: bool = False


def rights_of(
    task: Task,
    tree: Sequence[Task],
    *,
    rules: SplitRules,
    types: Mapping[str, TaskType],
    cwd: str,
    left_usd: float = inf,
) -> Rights:
    """Return the rights of *task* in its *tree*, which holds all tasks of its lineage. *cwd* is where it works."""
    line = lineage(task, tree)
    depths = [rules.max_depth, *(one.spec.max_depth for one in line if one.spec.max_depth is not None)]
    counts = [rules.max_children, *(one.spec.max_children for one in line if one.spec.max_children is not None)]
    own = types.get(task.spec.type)
    tools = frozenset(own.tools) if own else frozenset()
    return Rights(
        levels=max(0, min(depths) - task.depth),
        least=rules.min_children,
        most=max(0, min(counts)),
        room=max(0, rules.max_tree - len(tree)),
        left_usd=max(0.0, left_usd),
        types=frozenset(name for name, kind in types.items() if tools.issuperset(kind.tools) and not kind.plans),
        tools=tools,
        commands=frozenset(one.check.argv for one in task.spec.criteria if one.check is not None and one.check.argv),
        cwd=cwd,
        split=any(one.parent == task.uid for one in tree),
    )


def lineage(task: Task, tree: Sequence[Task]) -> list[Task]:
    """Return *task* and those above it, up to its root."""
    known, line = {one.uid: one for one in tree}, [task]
    while (above := known.get(line[-1].parent)) is not None and above not in line:
        line.append(above)
    return line


def left_usd(task: Task, root: Task, attempts: Sequence[AttemptRecord], *, rules: SplitRules, own_usd: float) -> float:
    """Return what sub-tasks of *task* may cost at most, by the *attempts* of its whole tree; infinite without a bound.

    *own_usd* is the budget of the task itself, 0 for none. What the running attempt costs is not known before its end,
    and is not taken off; that its sub-tasks are held to the account is decided again when they start.
    """
    others = [record for record in attempts if (record.uid, record.number) != (task.uid, task.attempt)]
    tree_usd = rules.tree_budget_usd if root.spec.tree_budget_usd is None else root.spec.tree_budget_usd
    of_tree = tree_usd - spent_by(others) if tree_usd else inf
    of_task = own_usd - spent_by([record for record in others if record.uid == task.uid]) if own_usd else inf
    return max(0.0, min(of_tree, of_task))


def within(one: Rights, other: Rights) -> bool:
    """Return whether *one* is in nothing above *other*."""
    counted = one.levels <= other.levels and one.most <= other.most and one.room <= other.room
    chosen = one.types <= other.types and one.tools <= other.tools and one.commands <= other.commands
    return counted and chosen and one.left_usd <= other.left_usd and one.cwd == other.cwd


def why_not_at_all(rights: Rights) -> str:
    """Return why nothing may be split, whatever is asked for; "" when something may."""
    if rights.split:
        return "whether this task is split has been decided before, and that is done once"
    if rights.levels < 1:
        return "a task at this depth is not split any more"
    if rights.most < rights.least:
        return f"it may have {rights.most} sub-tasks, and a split has {rights.least} at least"
    if rights.room < rights.least:
        return f"its whole tree takes in {rights.room} more tasks, and a split has {rights.least} at least"
    if rights.left_usd <= 0:
        return "nothing is left of its budget"
    return ""


def refusals(plan: Plan, rights: Rights) -> tuple[str, ...]:
    """Return in words each thing that *plan*, whose tasks name their type, asks for above *rights*."""
    found = [why] if (why := why_not_at_all(rights)) else []
    count = len(plan.tasks)
    if count > rights.most:
        found.append(f"{count} sub-tasks are asked for, {rights.most} may be")
    elif count > rights.room:
        found.append(f"{count} sub-tasks are asked for, and the whole tree takes in {rights.room} more")
    for task in plan.tasks:
        if task.type not in rights.types:
            known = ", ".join(sorted(rights.types)) or "none"
            found.append(f"{_called(task)} is of type {printable(task.type[:_SHOWN])}; it may be one of: {known}")
        found += [f"{_called(task)}: {why}" for text in task.criteria if (why := _command_refused(text, rights))]
    return tuple(found)


def _command_refused(criterion: str, rights: Rights) -> str:
    """The daemon runs the commands of criteria. One that a person wrote may be passed on, a new one never."""
    try:
        check = read_check(criterion, placeless).check
    except TaskFileError as error:
        return f"a criterion cannot be read: {error.message}"
    if check is None or not check.argv or check.argv in rights.commands:
        return ""
    shown = printable(criterion[:_SHOWN])
    return f"the criterion {shown!r} names a command that is none of your own task's; say it in words, or by exists:"


def _called(task: SubTask) -> str:
    return f"{printable(task.title or task.key)!r}"


def limits_words(rights: Rights) -> str:
    """Return *rights* for a worker, in one line."""
    if why := why_not_at_all(rights):
        return f"Nothing more: {why}."
    most = min(rights.most, rights.room)
    many = f"{rights.least} to {most}" if most > rights.least else f"{most}"
    money = "no limit" if rights.left_usd == inf else dollars(rights.left_usd)
    deeper = "may split once more themselves" if rights.levels == 2 else "may not split themselves"
    deeper = f"may split themselves, {rights.levels - 1} levels deep" if rights.levels > 2 else deeper
    kinds = ", ".join(sorted(rights.types)) or "none"
    return f"{many} sub-tasks of the types: {kinds}. They {deeper}. Budget left for all of them together: {money}."
