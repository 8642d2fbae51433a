"""What follows when an attempt has ended with a question, and what a later attempt is told of it."""

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.core.attempt import AttemptRecord, WorkOrder
from orchestrator.core.events import EventKind, Json
from orchestrator.core.prompt import sent_back_prompt_of
from orchestrator.core.question import (
    BY_DEFAULT,
    MAX_DEFAULTS,
    SKIP,
    Exchange,
    QuestionRules,
    by_default,
    exchange_in,
)
from orchestrator.core.task import Task, TaskSpec
from orchestrator.validation.checks import Verdict

Told = tuple[EventKind, dict[str, Json]]


def rules_for(spec: TaskSpec, configured: QuestionRules, attempts: Sequence[AttemptRecord] = ()) -> QuestionRules:
    """Return what holds for the next question of a task: what it says itself, else as configured.

    After MAX_DEFAULTS answers that nobody gave, a default counts as `skip`.
    """
    within_s = configured.answer_within_s if spec.answer_within_s is None else spec.answer_within_s
    rules = QuestionRules(spec.if_unanswered or configured.if_unanswered, within_s)
    worn_out = sum(by_default(record.verdict) for record in attempts) >= MAX_DEFAULTS
    return replace(rules, if_unanswered=SKIP) if rules.default and worn_out else rules


def follows(
    task: Task, verdict: Verdict, configured: QuestionRules, attempts: Sequence[AttemptRecord], *, now: float
) -> Sequence[Told]:
    """Return kinds and data of the events that let *task* wait for an answer, or go on with the default at once.

    Empty where it asked nothing, or is not to wait: then its failure stands.
    """
    question, failure = verdict.question, verdict.failure
    rules = rules_for(task.spec, configured, attempts)
    if question is None or failure is None or not (rules.waits or rules.default):
        return ()
    asked: dict[str, Json] = {
        "question": question.text,
        "options": list(question.options),
        "source": question.source.value,
        "deadline": rules.deadline(now) if rules.waits else 0.0,
        "if_unanswered": rules.if_unanswered,
        "reason": failure.kind.value,
        "detail": failure.detail,
    }
    if rules.waits:
        return ((EventKind.QUESTION_ASKED, asked),)
    answered: dict[str, Json] = {"answer": rules.default, "by": BY_DEFAULT, "door": ""}
    return (EventKind.QUESTION_ASKED, asked), (EventKind.ANSWERED, answered)


def heard(attempts: Sequence[AttemptRecord]) -> tuple[Exchange, ...]:
    """Return what the attempts of a task have asked and were answered, oldest first."""
    return tuple(one for record in attempts if (one := exchange_in(record.verdict)) is not None)


def going_on(order: WorkOrder, attempts: Sequence[AttemptRecord]) -> WorkOrder:
    """Return *order* with what a session that goes on is told; *attempts* end with the one that begins now.

    After a question that is the answer, word for word. After failed checks it is what they printed. After anything
    else it stays the task again, to which `worded` adds every answer so far: the one before may have been cut off.
    """
    if not order.resume or len(attempts) < 2:
        return order
    before = attempts[-2].verdict
    if (answered := exchange_in(before)) is not None:
        return replace(order, continue_prompt=answered.answer)
    if told := sent_back_prompt_of(before):
        return replace(order, continue_prompt=told)
    return order
