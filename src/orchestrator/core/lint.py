"""Lint before bed: what is wrong with a task before anybody pays for it. Pure: facts in, remarks out.

FAIL: as it stands it will be refused, or will not run tonight. WARN: it runs, and the morning may disappoint. NOTE: how
it will go, where that may not be what its author has in mind. core/lint_batch.py looks at tasks side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.criteria import check_text
from orchestrator.core.events import Json
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec
from orchestrator.core.task import Criterion, TaskSpec
from orchestrator.core.text import printable

HOW_TO_CHECK = 'Name one to be run: a line such as "- [ ] tests pass: `pytest -q`" (docs/task-files.md)'
_SHOWN = 100
_QUIET_NOTICES = frozenset({"front_matter_missing", "prompt_label_missing"})  # how it was read, nothing to correct


class Weight(StrEnum):
    """How bad it is. The order is that of the report."""

    FAIL = "fail"
    WARN = "warn"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return ("fail", "warn", "note").index(self.value)


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that was noticed. *file* is the task file it is about, "" for all of them together; *line* in it, 0 for
    none. *fix* is what to do or to type, "" where nothing has to be done."""

    weight: Weight
    code: str
    message: str
    fix: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class LintTask:
    """One task as it would be accepted. *file* is what people call it by. *cwd* and *targets* are absolute paths."""

    file: str
    spec: TaskSpec
    cwd: str
    targets: tuple[str, ...] = ()
    expects_changes: bool = True
    sha256: str = ""  # of the file, "" where it is one of many in it
    group: str = ""  # the job it belongs to, "" for none: an id means a sibling first
    policy: str = ""  # one of DependencyPolicy: what follows where one that it waits for is no success

    @property
    def is_one_of_many(self) -> bool:
        """Whether its file holds a whole job, and is taken whole or not at all."""
        return bool(self.group) and self.file.startswith(f"{self.group}: ")

    @property
    def depends_on(self) -> tuple[str, ...]:
        return self.spec.depends_on


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that would be refused, with the remark that says why."""

    file: str
    why: Remark


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of the checks of one task: *runs* as they ran on *commit* of the base, *why_not* where none did."""

    file: str
    commit: str = ""
    runs: Mapping[CheckSpec, CheckRun] | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class LintReport:
    """Everything that was found, the worst first. *run* and *not_run* count checks; *seconds* the time they took.

    *forecast* is what the batch may cost and take, as the command `forecast` has it, None where nobody was asked.
    """

    tasks: tuple[LintTask, ...]
    refused: tuple[Refused, ...]
    remarks: tuple[Remark, ...]
    run: int = 0
    not_run: int = 0
    seconds: float = 0.0
    forecast: Mapping[str, Json] | None = None

    def count(self, weight: Weight) -> int:
        return sum(one.weight is weight for one in self.remarks)


def sorted_remarks(remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    """Return *remarks* grouped by file, the file with the worst first, and in it the worst first."""
    worst: dict[str, int] = {}
    for one in remarks:
        worst[one.file] = min(one.weight.rank, worst.get(one.file, one.weight.rank))
    return tuple(sorted(remarks, key=lambda one: (worst[one.file], one.file, one.weight.rank, one.line, one.code)))


def task_remarks(task: LintTask) -> list[Remark]:
    """Return what the text of *task* alone gives cause to say."""
    return [*_criteria(task), *_notices(task)]


def _criteria(task: LintTask) -> list[Remark]:
    criteria = task.spec.criteria
    grave = Weight.WARN if task.expects_changes else Weight.NOTE
    if not criteria:
        words = "it names no success criteria: nobody can tell whether it is done"
        return [Remark(grave, "criteria_missing", words, HOW_TO_CHECK, task.file)]
    if not any(one.runs for one in criteria):
        human = sum(one.check is not None for one in criteria)
        who = "a person has to look at them" if human == len(criteria) else "nothing can run them"
        who = who.replace("them", "it") if len(criteria) == 1 else who
        none = (
            "its only criterion has no check"
            if len(criteria) == 1
            else f"none of its {len(criteria)} criteria has a check"
        )
        words = f"{none}: {who}, and the result will be unproven"
        return [Remark(grave, "criteria_not_executable", words, HOW_TO_CHECK, task.file, criteria[0].line)]
    return [_in_words(task, one) for one in criteria if one.mandatory and not one.runs]


def _in_words(task: LintTask, criterion: Criterion) -> Remark:
    how = "is in words only" if criterion.check is None else "waits for a person"
    message = f"a criterion {how} and will be open: {_short(criterion.text)}"
    return Remark(Weight.NOTE, "criterion_not_executable", message, "", task.file, criterion.line)


def _notices(task: LintTask) -> list[Remark]:
    found = []
    for notice in task.spec.notices:
        if notice.code not in _QUIET_NOTICES:
            weight = Weight.WARN if notice.code == "criterion_in_words" else Weight.NOTE
            found.append(Remark(weight, notice.code, _short(notice.message), "", task.file, notice.line))
    return found


def check_remarks(task: LintTask, checked: Checked) -> list[Remark]:
    """Return what the runs on the base say: a check that passes already proves nothing when it passes at the end."""
    asked = [one for one in task.spec.criteria if one.runs and one.check is not None]
    if not asked:
        return []
    if checked.runs is None:
        words = f"its {_count(len(asked), 'check')} {_verb(len(asked))} not run: {checked.why_not}"
        return [Remark(Weight.NOTE, "checks_not_run", words, "", task.file)]
    found, passing = [], []
    for criterion in asked:
        assert criterion.check is not None
        run = checked.runs.get(criterion.check)
        if run is None or run.passed is None:
            found.append(_no_answer(task, criterion, run))
        elif run.passed:
            passing.append(criterion)
    return [*found, *_passing(task, passing, every=len(passing) == len(asked))]


def _passing(task: LintTask, passing: Sequence[Criterion], *, every: bool) -> list[Remark]:
    """A guard beside a check that fails is no fault; where nothing fails the task has nothing to prove."""
    fix = "Name a check that fails now and passes when the work is done."
    if every and passing and task.expects_changes:
        what = "its only check passes" if len(passing) == 1 else f"all its {len(passing)} checks pass"
        words = f"{what} already: it can end as done without any work"
        return [Remark(Weight.WARN, "nothing_to_prove", words, fix, task.file, passing[0].line)]
    weight = Weight.NOTE
    words = "passes already on the base: it guards, and proves nothing new"
    return [Remark(weight, "check_passes_already", f"{_named(c)} {words}", "", task.file, c.line) for c in passing]


def _no_answer(task: LintTask, criterion: Criterion, run: CheckRun | None) -> Remark:
    detail = run.detail if run is not None and run.detail else "nobody knows why"
    if run is None or detail.startswith(NOT_RUN):
        why = detail.removeprefix(NOT_RUN).lstrip(": ") if run is not None else "it was not asked"
        message = f"{_named(criterion)} was not run: {_short(why)}"
        return Remark(Weight.NOTE, "check_not_run", message, "", task.file, criterion.line)
    message = f"{_named(criterion)} gives no answer on the base: {_short(detail)}"
    fix = "Make it run in a clean checkout, without network: docs/proof.md"
    return Remark(Weight.WARN, "check_gives_no_answer", message, fix, task.file, criterion.line)


NOT_RUN = "not run"  # so begins what stands for a run that did not take place


def never_run(reason: str, commit: str = "") -> CheckRun:
    """Return what stands for a check that was not run for *reason*."""
    return CheckRun(passed=None, commit=commit, detail=f"{NOT_RUN}: {reason}")


def counted(checked: Sequence[Checked]) -> tuple[int, int]:
    """Return how many checks were run, and how many were not."""
    run = skipped = 0
    for one in checked:
        for result in (one.runs or {}).values():
            not_run = result.passed is None and result.detail.startswith(NOT_RUN)
            skipped += not_run
            run += not not_run
    return run, skipped


def _named(criterion: Criterion) -> str:
    assert criterion.check is not None
    text = _short(check_text(criterion.check))
    return f"the check {text}" if criterion.check.kind is CheckKind.COMMAND else text


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _verb(number: int) -> str:
    return "was" if number == 1 else "were"


def _short(text: str) -> str:
    shown = " ".join(printable(text).split())
    return shown if len(shown) <= _SHOWN * 2 else f"{shown[: _SHOWN * 2 - 1]}…"
