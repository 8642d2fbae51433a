"""A plan as an agent gives it: the JSON schema that it is asked for, and the strict reading of what came.

The schema is what the agent's program holds it to; the reading here trusts nothing, for a plan may come from another
program, an older one, or a file. What is not as agreed is a finding in words, never a guess.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeGuard

from orchestrator.core.events import Json
from orchestrator.core.text import printable

USUAL_CHILDREN = 3  # a plan of fewer is seldom worth a split: the schema asks for as many
MAX_MINUTES = 7 * 24 * 60.0
KEY_CHARS, TITLE_CHARS, SUMMARY_CHARS = 24, 200, 2000
MAX_ITEMS = 40  # target files, criteria or dependencies of one sub-task
MAX_PROMPT_CHARS = 40_000
_SHOWN = 60


class Complexity(StrEnum):
    """How hard a sub-task looks to who planned it. Only shown, and used to weigh its share where no time is given."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def minutes(self) -> float:
        """What is assumed where the plan gives no time."""
        return {"low": 5.0, "medium": 15.0, "high": 40.0}[self.value]


@dataclass(frozen=True, slots=True)
class SubTask:
    """One part of a plan. *key* is its name within the plan, *depends_on* are keys of others; *criteria* are lines as a
    task file has them; *type* "" leaves the choice to the reader. *minutes* is an estimate, never 0."""

    key: str
    title: str
    prompt: str
    type: str = ""
    target_files: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    complexity: Complexity = Complexity.MEDIUM
    minutes: float = Complexity.MEDIUM.minutes


@dataclass(frozen=True, slots=True)
class Plan:
    """A request in parts. *summary* says in a sentence how it was split; *one_piece* why it should not be."""

    tasks: tuple[SubTask, ...]
    summary: str = ""
    one_piece: str = ""

    @property
    def edges(self) -> Mapping[str, tuple[str, ...]]:
        """Each key with those that it waits for."""
        return {task.key: task.depends_on for task in self.tasks}


@dataclass(frozen=True, slots=True)
class PlanFinding:
    """One thing about a plan. *fatal*: the plan cannot be used; else it was mended, or is only worth knowing. *keys*
    are the sub-tasks concerned."""

    code: str
    message: str
    keys: tuple[str, ...] = ()
    fatal: bool = True


def plan_schema(types: Sequence[str], *, max_children: int) -> Mapping[str, Json]:
    """Return the JSON schema of a plan with 3 to *max_children* sub-tasks of these *types*.

    A request that is one piece of work has no sub-tasks and says why in `one_piece`.
    """
    words: Json = {"type": "array", "items": {"type": "string"}, "maxItems": MAX_ITEMS}
    task: Json = {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "title", "prompt", "type", "target_files", "criteria", "depends_on", "complexity"],
        "properties": {
            "id": {"type": "string", "pattern": f"^[a-z0-9][a-z0-9_-]{{0,{KEY_CHARS - 1}}}$"},
            "title": {"type": "string", "minLength": 1, "maxLength": TITLE_CHARS},
            "prompt": {"type": "string", "minLength": 1, "maxLength": MAX_PROMPT_CHARS},
            "type": {"type": "string", "enum": list(types)},
            "target_files": words,
            "criteria": words,
            "depends_on": words,
            "complexity": {"type": "string", "enum": [one.value for one in Complexity]},
            "estimated_minutes": {"type": "number", "minimum": 0, "maximum": MAX_MINUTES},
        },
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["summary"],
        "properties": {
            "summary": {"type": "string", "maxLength": SUMMARY_CHARS},
            "one_piece": {"type": "string", "maxLength": SUMMARY_CHARS},
            "tasks": {
                "type": "array",
                "minItems": min(USUAL_CHILDREN, max_children),
                "maxItems": max_children,
                "items": task,
            },
        },
    }


def read_plan(value: Json) -> tuple[Plan, tuple[PlanFinding, ...]]:
    """Return the plan that *value* is, and each place where it is not as agreed. With a fatal finding the plan holds
    what could be read, only to be told of. Nothing is raised, whatever *value* is."""
    reading = _Reading()
    if not isinstance(value, Mapping):
        reading.fault("plan_shape", f"the plan is no object but {_shown(value)}")
        return Plan(()), tuple(reading.findings)
    reading.known(value, ("summary", "one_piece", "tasks"), "the plan")
    summary = reading.text(value, "summary", "the plan", SUMMARY_CHARS)
    one_piece = reading.text(value, "one_piece", "the plan", SUMMARY_CHARS)
    given = value.get("tasks", [])
    rows = given if _is_list(given) else ()
    if not _is_list(given):
        reading.fault("plan_shape", f"`tasks` is no list but {_shown(given)}")
    tasks = [task for number, row in enumerate(rows, 1) if (task := reading.sub_task(row, number)) is not None]
    return Plan(tuple(tasks), summary.strip(), one_piece.strip()), tuple(reading.findings)


def plan_facts(plan: Plan) -> dict[str, Json]:
    """Return *plan* as the JSON that `read_plan` reads back."""
    tasks: list[Json] = [
        {
            "id": one.key,
            "title": one.title,
            "prompt": one.prompt,
            "type": one.type,
            "target_files": list(one.target_files),
            "criteria": list(one.criteria),
            "depends_on": list(one.depends_on),
            "complexity": one.complexity.value,
            "estimated_minutes": one.minutes,
        }
        for one in plan.tasks
    ]
    facts: dict[str, Json] = {"summary": plan.summary, "tasks": tasks}
    return facts | ({"one_piece": plan.one_piece} if plan.one_piece else {})


class _Reading:
    """Reads one plan and remembers what was wrong."""

    def __init__(self) -> None:
        self.findings: list[PlanFinding] = []

    def fault(self, code: str, message: str, *keys: str) -> None:
        self.findings.append(PlanFinding(code, message, keys))

    def known(self, row: Mapping[str, Json], names: Sequence[str], where: str) -> None:
        for strange in sorted(row.keys() - set(names)):
            self.fault("plan_shape", f"{where} has a key `{printable(strange[:_SHOWN])}` that means nothing")

    def text(self, row: Mapping[str, Json], key: str, where: str, most: int) -> str:
        value = row.get(key, "")
        if not isinstance(value, str):
            self.fault("plan_shape", f"`{key}` of {where} is no text but {_shown(value)}")
            return ""
        if len(value) > most:
            self.fault("plan_too_large", f"`{key}` of {where} has {len(value):,} characters, {most:,} may be")
        return value.replace("\0", "")

    def texts(self, row: Mapping[str, Json], key: str, where: str) -> tuple[str, ...]:
        value = row.get(key, [])
        texts = [one for one in value if isinstance(one, str)] if _is_list(value) else []
        if not _is_list(value) or len(texts) < len(value):
            self.fault("plan_shape", f"`{key}` of {where} is no list of texts but {_shown(value)}")
            return ()
        if len(texts) > MAX_ITEMS:
            self.fault("plan_too_large", f"`{key}` of {where} has {len(texts)} entries, {MAX_ITEMS} may be")
        plain = (one.replace("\0", "").strip() for one in texts[:MAX_ITEMS])
        return tuple(dict.fromkeys(one for one in plain if one))

    def sub_task(self, row: Json, number: int) -> SubTask | None:
        if not isinstance(row, Mapping):
            self.fault("plan_shape", f"sub-task {number} is no object but {_shown(row)}")
            return None
        self.known(row, _KEYS, f"sub-task {number}")
        key = self.text(row, "id", f"sub-task {number}", 4 * KEY_CHARS).strip()
        where = f"the sub-task {printable(key)}" if key else f"sub-task {number}"
        complexity = self._complexity(row, where)
        return SubTask(
            key=key,
            title=" ".join(self.text(row, "title", where, TITLE_CHARS).split()),
            prompt=self.text(row, "prompt", where, MAX_PROMPT_CHARS).strip(),
            type=self.text(row, "type", where, KEY_CHARS * 4).strip(),
            target_files=self.texts(row, "target_files", where),
            criteria=tuple(" ".join(one.split()) for one in self.texts(row, "criteria", where)),
            depends_on=self.texts(row, "depends_on", where),
            complexity=complexity,
            minutes=self._minutes(row, where) or complexity.minutes,
        )

    def _complexity(self, row: Mapping[str, Json], where: str) -> Complexity:
        value = row.get("complexity", Complexity.MEDIUM.value)
        if isinstance(value, str) and value in list(Complexity):
            return Complexity(value)
        self.fault("plan_shape", f"`complexity` of {where} is {_shown(value)}, not one of low, medium, high")
        return Complexity.MEDIUM

    def _minutes(self, row: Mapping[str, Json], where: str) -> float:
        value = row.get("estimated_minutes", 0)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MAX_MINUTES:
            return float(value)
        self.fault("plan_shape", f"`estimated_minutes` of {where} is {_shown(value)}, not 0 to {MAX_MINUTES:g}")
        return 0.0


_KEYS = (
    *("id", "title", "prompt", "type", "target_files", "criteria", "depends_on", "complexity", "estimated_minutes"),
)


def _is_list(value: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _shown(value: Json) -> str:
    text = printable(repr(value)[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
