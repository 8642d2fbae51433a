"""What waits for an answer, in the words of every door: a row, the whole question, the command to type. Pure."""

from collections.abc import Mapping, Sequence

from orchestrator.api.render import Table, call_name, duration, moment, short
from orchestrator.core.events import Json
from orchestrator.core.question import Question
from orchestrator.core.task import Task
from orchestrator.core.text import printable
from orchestrator.core.waiting import SUFFIX


def answer_command(task: Task, command: str) -> str:
    """Return what a person types to answer."""
    return f"{command} answer {task.uid[-8:]} TEXT"


def asking_rows(tasks: Sequence[Task], questions: Mapping[str, Question | None], now: float) -> Table:
    """Return the table of what waits for an answer, and what for. *questions* by uid."""
    rows = []
    for task in tasks:
        question = questions.get(task.uid)
        left = f"answer within {duration(task.not_before - now)}" if task.not_before else "waits"
        asked = short(question.text if question else task.detail, 80)
        rows.append((task.state.value, call_name(task), task.uid[-8:], left, asked))
    return Table(("STATE", "TASK", "UID", "TIME", "QUESTION"), tuple(rows))


def question_lines(task: Task, question: Question, command: str, now: float) -> Sequence[str]:
    """Return the whole question, until when, and every way to answer it."""
    lines = ["it asks:", *(f"  {printable(line)}" for line in question.text.splitlines())]
    lines += [f"  {number}. {printable(one)}" for number, one in enumerate(question.options, start=1)]
    if task.not_before:
        lines.append(f"answer until {moment(task.not_before, now)}")
    lines.append(f"answer: {answer_command(task, command)}")
    lines.append(f"    or: write below `## Answer` in tasks/waiting/{task.name}{SUFFIX}")
    return lines


def question_json(task: Task, question: Question | None) -> dict[str, Json]:
    """Return a question as `status --json` and `show --json` have it."""
    if question is None:
        return {}
    return {
        "text": question.text,
        "options": list(question.options),
        "source": question.source.value,
        "deadline": task.not_before,
        "file": f"tasks/waiting/{task.name}{SUFFIX}",
    }
