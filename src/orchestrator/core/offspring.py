"""From a plan to the tasks it becomes. A sub-task never has more rights than the task that is split.

The rules, in one place: it works in the same folder, with the same agent, model and limits; its budget is an equal part
of what is left of its parent's, one part of which stays with the parent. Its type is the plan's choice among the
configured ones: any of them where a person asked for the split (a planned task), else only one whose tools its parent
has too. It plans again only where its depth leaves room. A command in one of its criteria is run only where its parent
names the same command, or where plans may bring commands; else it stays as words.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.core.criteria import placeless, read_check
from orchestrator.core.errors import TaskFileError
from orchestrator.core.fields import clean_title
from orchestrator.core.proof import CheckKind
from orchestrator.core.reader import Guess, infer_title, infer_type
from orchestrator.core.requirement_acts import verb_of
from orchestrator.core.requirement_words import LOOKING
from orchestrator.core.requirements import type_of
from orchestrator.core.subtask import Plan, SubTask
from orchestrator.core.task import Criterion, Inference, Notice, TaskRules, TaskSpec, TaskType
from orchestrator.core.taskfile import render_task_file
from orchestrator.core.text import NAME_CHARS, printable

_BOXES = ("- [ ] ", "- [x] ", "[ ] ", "[x] ", "- ", "* ")
_OPTIONAL = "(optional) "


@dataclass(frozen=True, slots=True)
class Rights:
    """What the sub-tasks of one task may be given.

    *types* are the configured ones, *default_type* what the reader takes where no word tells. *tools* bounds their
    types: None where any may be asked for. *may_plan*: they may be split again. *commands*: their criteria may name
    commands that their parent does not name. *budget_usd* is what all of them together may cost; None: no bound.
    """

    types: Mapping[str, TaskType]
    default_type: str = ""
    tools: frozenset[str] | None = None
    may_plan: bool = False
    commands: bool = False
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Offspring:
    """A task to be: *spec* and the *body* of a task file that says the same. *minutes* is the plan's estimate."""

    key: str
    spec: TaskSpec
    body: bytes
    minutes: float
    notices: tuple[Notice, ...] = field(default=())


def offspring(plan: Plan, parent: TaskSpec, rights: Rights) -> tuple[Offspring, ...]:
    """Return the tasks that *plan*, which was checked, becomes below *parent*, in the order of the plan."""
    share = None if rights.budget_usd is None else max(rights.budget_usd, 0.0) / (len(plan.tasks) + 1)
    return tuple(_child(task, plan, parent, rights, share) for task in plan.tasks)


def child_id(parent_id: str, key: str) -> str:
    """Return the id of the sub-task *key*: `<parent>.<key>`, of at most 64 characters; a parent's that is too long is
    cut, with a mark of the whole of it."""
    if len(parent_id) + 1 + len(key) <= NAME_CHARS:
        return f"{parent_id}.{key}"
    mark = hashlib.sha256(parent_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    room = NAME_CHARS - len(key) - len(mark) - 2
    return f"{parent_id[:room].rstrip('-._') or 'task'}-{mark}.{key}"


def ordinary_type(words: str, types: Mapping[str, TaskType], default: str = "") -> Guess:
    """Return the type that *words* say, never one that plans. Who wants something split wants something made: where
    they say none, and do not only ask to look, it is one that changes files."""
    plain = {name: kind for name, kind in types.items() if not kind.plans}
    if not plain:
        return Guess(next(iter(types), ""), "no other type is configured")
    rules = TaskRules(plain, (), "", "", default_type=default)
    guess, name = infer_type(words, rules), type_of(words, rules)
    looks = any(verb_of(line) in LOOKING for line in words.splitlines()[:2])  # the title, and how the prompt begins
    if looks or name == guess.value:
        return guess
    return Guess(name, "no word of a type was found, and what is split changes files unless its words say otherwise")


def _child(task: SubTask, plan: Plan, parent: TaskSpec, rights: Rights, share: float | None) -> Offspring:
    kind, inferred, said = _type(task, parent, rights)
    title, about = _title(task)
    criteria, dropped = _criteria(task, parent, commands=rights.commands)
    notices = (*said, *about, *dropped)
    spec = TaskSpec(
        id=child_id(parent.id, task.key),
        type=kind,
        priority=parent.priority,
        title=title,
        prompt=task.prompt,
        target_files=task.target_files,
        criteria=criteria,
        context=_context(task, plan, parent),
        agent=parent.agent,
        model=parent.model,
        cwd=parent.cwd,
        timeout_s=parent.timeout_s,
        max_turns=parent.max_turns,
        budget_usd=_share(share, parent.budget_usd),
        retries=parent.retries,
        tags=parent.tags,
        if_unanswered=parent.if_unanswered,
        answer_within_s=parent.answer_within_s,
        depends_on=tuple(child_id(parent.id, key) for key in task.depends_on),
        on_dependency=parent.on_dependency,
        job=parent.job,
        max_depth=parent.max_depth,
        max_children=parent.max_children,
        tree_budget_usd=parent.tree_budget_usd,
        approve=parent.approve,
        inferred=inferred,
        notices=notices,
    )
    return Offspring(task.key, spec, _body(spec), task.minutes, notices)


def _share(share: float | None, most: float | None) -> float | None:
    """A cent at least: 0 would mean no bound at all."""
    if share is None:
        return most
    part = max(round(share, 4), 0.01)
    return part if most is None else min(part, most)


def _type(task: SubTask, parent: TaskSpec, rights: Rights) -> tuple[str, tuple[Inference, ...], tuple[Notice, ...]]:
    names = {name.lower().replace("-", "_"): name for name in rights.types}
    wanted = names.get(task.type.lower().replace("-", "_"), "")
    notices: list[Notice] = []
    changed = ""
    if wanted and rights.types[wanted].plans and not rights.may_plan:
        changed = f"the plan asks for the type {wanted}, and no task of this depth is split again"
        wanted = ""
    elif task.type and not wanted:
        changed = f"the plan asks for the type {printable(task.type)}, which is not configured"
    inferred: tuple[Inference, ...] = ()
    if not wanted:
        guess = ordinary_type(f"{task.title}\n{task.prompt}", rights.types, rights.default_type)
        wanted, inferred = guess.value, (Inference("type", guess.value, guess.why),)
    if changed:
        notices.append(Notice("plan_type_changed", f"{changed}; it is done as {wanted}", field="type"))
    if not _within(wanted, rights):
        message = f"the type {wanted} has tools that {parent.id} has not; it gets the type of that"
        notices.append(Notice("plan_type_changed", message, field="type"))
        wanted, inferred = parent.type, ()
    return wanted, inferred, tuple(notices)


def _within(name: str, rights: Rights) -> bool:
    if rights.tools is None:
        return True
    # what one that plans may ask for is not bounded by its own tools
    return not rights.types[name].plans and rights.tools.issuperset(rights.types[name].tools)


def _title(task: SubTask) -> tuple[str, tuple[Notice, ...]]:
    title, notices = clean_title(task.title, 0)
    return title or infer_title(task.prompt).value, notices


def _criteria(task: SubTask, parent: TaskSpec, *, commands: bool) -> tuple[tuple[Criterion, ...], tuple[Notice, ...]]:
    known = {criterion.check.argv for criterion in parent.criteria if criterion.check is not None}
    found: list[Criterion] = []
    notices: list[Notice] = []
    for written in task.criteria:
        text = written
        for box in _BOXES:
            text = text.removeprefix(box)
        try:
            reading = read_check(text, placeless)
        except TaskFileError as error:
            found.append(_in_words(text))
            notices.append(
                Notice("plan_check_not_run", f"{error.message}; it stays as words", field="Success Criteria")
            )
            continue
        check = reading.check
        refused = check is not None and check.argv and not commands and check.argv not in known
        if refused or (check is not None and check.kind is CheckKind.HUMAN):
            why = "no person wrote this command" if refused else "a plan does not call a person"
            message = f"{printable(text[:120])}: it stays as words, for {why}"
            notices.append(Notice("plan_check_not_run", message, field="Success Criteria"))
            found.append(_in_words(text))
        else:
            found.append(Criterion(text, check=check, mandatory=reading.mandatory))
    return tuple(found), tuple(notices)


def _in_words(text: str) -> Criterion:
    """Return a criterion that says *text* and that no reader takes for a check."""
    mandatory = not text.lower().startswith(_OPTIONAL)
    bare = text if mandatory else text[len(_OPTIONAL) :]
    words = f"{'' if mandatory else _OPTIONAL}in words: {bare} (not run)"
    return Criterion(words, mandatory=mandatory)


def _context(task: SubTask, plan: Plan, parent: TaskSpec) -> str:
    """Return the parent's context, and where this part belongs; it is no part of what is asked."""
    others = [f"- {one.title or one.key}" for one in plan.tasks if one.key != task.key]
    words = f'This task is one part of "{parent.title}". Other tasks do the rest:\n' + "\n".join(others)
    return f"{parent.context}\n\n{words}" if parent.context.strip() else words


def _body(spec: TaskSpec) -> bytes:
    """Return *spec* as a task file; where no file can say it, what it asks for."""
    try:
        text = render_task_file(spec)
    except ValueError:
        text = spec.prompt
    return text.encode("utf-8", "backslashreplace")


def summed_up(kept: Sequence[Offspring]) -> tuple[Notice, ...]:
    """Return all that was changed of a plan on the way, each with the id of the task concerned."""
    return tuple(replace(notice, message=f"{one.spec.id}: {notice.message}") for one in kept for notice in one.notices)
