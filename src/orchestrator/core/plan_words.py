"""What an agent is told that plans a request, and what people are told of a plan and of what came of it.

The request itself is passed on word for word, as in every prompt: docs/adr/0009-prompt-policy.md. Here the daemon asks
for something of its own, a plan, and so has to say what a plan is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.handover import ALL_CHARS, DATA, SUMMARY_CHARS, conflict_words, merged_words, quoted
from orchestrator.core.lifecycle import State
from orchestrator.core.subtask import USUAL_CHILDREN, Plan
from orchestrator.core.task import TaskType
from orchestrator.core.text import printable

_MOST_NAMED = 40
DONE_BY_OTHERS = (
    "The sub-tasks of this task have done it, and their results are in your work area. Do nothing but what is missing "
    "to make one whole of them."
)
FINISH_IT = (
    "Look at what they have left, bring it together where that is needed, and finish the task; do yourself what is "
    "missing."
)
APPROVE, REJECT = "approve", "reject"  # the two options of the question whether a plan may run


@dataclass(frozen=True, slots=True)
class PlanningLimits:
    """What a plan may be, for the prompt. *levels* of sub-tasks may lie below the task that is planned."""

    levels: int
    max_children: int
    types: Mapping[str, TaskType]
    commands: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A sub-task that has ended. *said* is what its agent answered, *why* the reason where it is no success; *merged*:
    its changes are in the work area of its parent."""

    uid: str
    task_id: str
    title: str
    state: State
    why: str = ""
    said: str = ""
    branch: str = ""
    merged: bool = False


def planning_prompt(asked: str, limits: PlanningLimits) -> str:
    """Return the prompt of a planning attempt. *asked* is the prompt that the task would have if it were done."""
    return f"{asked}\n\n---\n\n{_instructions(limits)}"


def _instructions(limits: PlanningLimits) -> str:
    least = min(USUAL_CHILDREN, limits.max_children)
    many = str(least) if least == limits.max_children else f"{least} to {limits.max_children}"
    lines = [
        f"Do not do this yourself. Look at what is there as far as you need to, then split it into {many} sub-tasks "
        "that other agents do, and give the plan as your structured output.",
        "",
        "- Each agent sees only the prompt of its own sub-task and the files, not this request and not the other "
        "sub-tasks: write each prompt so that it can be done alone, with every name and path that it needs.",
        "- Sub-tasks run at the same time, each in a copy of its own; their changes are merged afterwards. Two that "
        "change the same file must not be independent: let one wait for the other with `depends_on`, or give the file "
        "to one of them. One that waits begins with the merged work of those it waits for.",
        "- `target_files` are the files that a sub-task creates or changes, relative to the folder you are in.",
        f"- `criteria` say how it is seen that a sub-task is done. {_checks(commands=limits.commands)}",
        "- `complexity` and `estimated_minutes` are your own guess.",
        f"- `type` is one of: {'; '.join(_type_words(limits))}.",
        "",
        "If it is one piece of work that gains nothing by a split, leave `tasks` out and say why in `one_piece`.",
    ]
    return "\n".join(lines)


def _checks(*, commands: bool) -> str:
    forms = "exists: `path`, contains: `path` `text`, json: `path` `/pointer` equals `value`"
    run = ", or words, a colon and a command in backticks, such as: the tests pass: `pytest -q tests/test_a.py`"
    return f"These forms are checked by a program: {forms}{run if commands else ''}. Anything else is words for people."


def _type_words(limits: PlanningLimits) -> Iterable[str]:
    deeper = limits.levels > 1
    for name, kind in limits.types.items():
        if kind.plans and deeper:
            yield f"{name} (too large for one agent: it is planned and split again)"
        elif not kind.plans:
            yield f"{name} ({'changes files' if kind.expects_changes else 'only reads'})"


def types_for(limits: PlanningLimits) -> tuple[str, ...]:
    """Return the types that a plan under *limits* may name."""
    deeper = limits.levels > 1
    return tuple(name for name, kind in limits.types.items() if deeper or not kind.plans)


def planned_again(answer: str) -> str:
    """Return what a planner is told whose plan a person wants changed, in *answer*'s words."""
    return f"{answer}\n\nGive the whole plan again, changed so, as your structured output."


def refused_words(why: str) -> str:
    """Return what a worker is told whose sub-tasks were not made."""
    return f"The sub-tasks you asked for were not made: {why}. Do the whole task yourself."


def plan_lines(plan: Plan, told: Sequence[str] = ()) -> list[str]:
    """Return *plan* for people: one line for each sub-task, what it waits for and changes; then what was mended."""
    lines = [plan.summary] if plan.summary else []
    for number, task in enumerate(plan.tasks, 1):
        after = f", after {', '.join(task.depends_on)}" if task.depends_on else ""
        head = f"{number}. {task.key}: {task.title or task.prompt.splitlines()[0][:100]}"
        lines.append(f"{head} ({task.type or 'type by its words'}, {task.complexity}, {task.minutes:g} min{after})")
        lines += [f"   changes {', '.join(task.target_files[:8])}"] if task.target_files else []
        lines += [f"   done when {'; '.join(task.criteria[:5])}"] if task.criteria else []
    return [*lines, *(f"Note: {one}" for one in told)]


def approval_question(plan: Plan, told: Sequence[str] = ()) -> str:
    """Return what a person is asked before *plan* runs."""
    return "\n".join(
        [
            f"May this plan of {len(plan.tasks)} sub-tasks run?",
            *plan_lines(plan, told),
            f"Answer {APPROVE} or {REJECT}; any other words are taken as wishes, and it is planned again with them.",
        ]
    )


def joined_summary(title: str, children: Sequence[Ended]) -> str:
    """Return the answer of a task that was done by its sub-tasks: what became of each, in the order of the plan."""
    good = sum(child.state is State.SUCCEEDED for child in children)
    head = f"{good} of {len(children)} sub-tasks of {title!r} succeeded."
    return "\n".join([head, *(_line(child) for child in children)])


def _line(child: Ended) -> str:
    merged = ", merged" if child.merged else ""
    why = f": {' '.join(child.why.split())[:300]}" if child.why and child.state is not State.SUCCEEDED else ""
    said = f"\n  {' '.join(child.said.split())[:300]}" if child.said and child.state is State.SUCCEEDED else ""
    return f"- {child.task_id} ({child.title}): {child.state}{merged}{why}{said}"


def missing(children: Sequence[Ended]) -> str:
    """Return which sub-tasks are no success, in a sentence; "" when all are."""
    bad = [child for child in children if child.state is not State.SUCCEEDED]
    if not bad:
        return ""
    named = ", ".join(f"{child.task_id} {child.state}" for child in bad[:_MOST_NAMED])
    return f"{len(bad)} of {len(children)} sub-tasks did not succeed: {named}"


def join_words(title: str, children: Sequence[Ended], conflicts: Sequence[str], *, planned: bool) -> str:
    """Return what an agent is told when the sub-tasks of its task have ended. Its session knows the task.

    What other agents said is quoted as data. *planned*: the task was never its own work, only the whole of it.
    """
    each = min(SUMMARY_CHARS, ALL_CHARS // max(1, len(children)))
    parts = [f"The sub-tasks of {title!r} have ended."]
    for lead, wanted in (("Done:", True), ("Not done:", False)):
        found = [child for child in children if (child.state is State.SUCCEEDED) is wanted]
        parts += [lead + "".join(f"\n{_told(child, each)}" for child in found[:_MOST_NAMED])] if found else []
    parts.append(DATA)
    if merged := [child.task_id for child in children if child.merged]:
        parts.append(merged_words(merged))
    parts += [words] if (words := conflict_words(conflicts)) else []
    return "\n\n".join([*parts, DONE_BY_OTHERS if planned else FINISH_IT])


def _told(child: Ended, chars: int) -> str:
    said = child.said if child.state is State.SUCCEEDED else child.why
    branch = f", branch {child.branch}" if child.branch else ""
    head = f"- {child.task_id} ({child.state}{branch}): {printable(child.title)}"
    return f"{head}\n{quoted(said, chars)}" if said.strip() else head
