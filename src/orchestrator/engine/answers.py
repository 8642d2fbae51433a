"""Answers to questions, from whatever door: one event, and the first one counts."""

from collections.abc import Callable

from orchestrator.core.errors import ConflictError, IllegalEventError, UsageError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.failpoint import hit
from orchestrator.core.lifecycle import TERMINAL, State
from orchestrator.core.ports import Clock, Store
from orchestrator.core.question import ANSWER_CHARS, PERSON, Question, chosen, exchange_in, question_in
from orchestrator.core.task import Task


class Answers:
    """Remembers nothing: what was asked and what was answered is in the store."""

    def __init__(self, *, store: Store, clock: Clock, redact: Callable[[Json], Json]) -> None:
        self._store = store
        self._clock = clock
        self._redact = redact

    async def question(self, task: Task) -> Question | None:
        """Return what *task* waits to be told; None when it waits for no answer."""
        if task.state is not State.NEEDS_INPUT:
            return None
        attempts = await self._store.attempts(task.uid)
        return question_in(attempts[-1].verdict) if attempts else None

    async def give(self, task: Task, text: str, *, door: str, by: str = PERSON) -> Task:
        """Answer *task*, which is queued again by it. Raises UsageError, ConflictError; see the service."""
        question = await self.question(task)
        answer = chosen(text.replace("\0", ""), question.options if question else ())
        if not any(character.isalnum() for character in answer):
            raise UsageError("the answer has no word in it", hint="Write the answer behind the name of the task.")
        if len(answer) > ANSWER_CHARS:
            hint = "Put what is long into a file and name that."
            raise UsageError(f"the answer has {len(answer)} characters, {ANSWER_CHARS} may be", hint=hint)
        if question is None:
            raise await self._not_asked(task)
        clean = self._redact({"answer": answer, "by": by, "door": door})
        data = clean if isinstance(clean, dict) else {}
        event = Event(EventKind.ANSWERED, self._clock.now(), task.uid, task.attempt, task.epoch, data)
        try:
            (after,) = await self._store.commit([event])
        except IllegalEventError:
            raise await self._not_asked(await self._store.task(task.uid) or task) from None
        hit("answer.committed")
        return after

    async def _not_asked(self, task: Task) -> ConflictError:
        """Return why *task* takes no answer: most often somebody was first."""
        given = [one for record in await self._store.attempts(task.uid) if (one := exchange_in(record.verdict))]
        before = f"; it was answered before: {' '.join(given[-1].answer.split())[:200]}" if given else ""
        over = task.state in TERMINAL
        hint = f"`python main.py {'retry' if over else 'show'} {task.uid[-8:]}`"
        hint = f"{hint} runs it again." if over else f"{hint} tells what it does."
        return ConflictError(f"{task.spec.id} waits for no answer: it is {task.state}{before}", hint=hint)
