"""Decides what a running worker may split its task into, and takes it down as an event of its attempt.

Nothing is made here: when the attempt ends, its sub-tasks come of the event, in one transaction with the state of their
parent. Whatever is wrong is told to the worker in words that say which limit it met and what is left.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.codec import EVENT_DATA_BYTES, text
from orchestrator.core.decompose import PlanBounds, checked
from orchestrator.core.errors import IllegalEventError, StoreError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.planning import last_stage
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Store
from orchestrator.core.rights import Rights, limits_words, refusals, why_not_at_all
from orchestrator.core.split import wants_approval
from orchestrator.core.split_request import read_request
from orchestrator.core.subtask import Plan, plan_facts
from orchestrator.core.task import Task
from orchestrator.core.worker_tool import Caller, Reply
from orchestrator.engine.bounds import rights_in
from orchestrator.engine.children import inherited
from orchestrator.engine.patience import patiently

log = logging.getLogger(__name__)

OVER = Reply("refused: this attempt has ended or is being ended; nothing can be split any more.", refused=True)
LATER = Reply("refused: it could not be stored just now; ask once more in a while, or go on by yourself.", refused=True)
OURS = Reply("refused: a bug of the daemon's own; go on by yourself.", refused=True)
_MOST_TOLD = 8


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an attempt has been granted, and the answer to it."""

    facts: Mapping[str, Json]
    reply: Reply


class Granting:
    """Implements the port `WorkerDesk`. Remembers of each running attempt only what it was granted."""

    def __init__(
        self, *, store: Store, clock: Clock, policy: Callable[[], RunPolicy], redact: Callable[[Json], Json]
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._redact = redact
        self._asked: dict[Caller, _Asked] = {}
        self._alone = asyncio.Lock()

    async def offered(self, caller: Caller) -> bool:
        """Return whether the tool is of any use to *caller*: it is switched on, and its task may be split."""
        if not self._policy().splits.tool:
            return False
        return await patiently(self._clock, lambda: self._is_of_use(caller))

    async def _is_of_use(self, caller: Caller) -> bool:
        task = await self._running(caller)
        if task is None or (kind := self._policy().types.get(task.spec.type)) is None or kind.plans:
            return False  # one that plans gives its plan in another way
        return not why_not_at_all(await self._rights(task))

    def over(self, caller: Caller) -> None:
        """The attempt has ended."""
        self._asked.pop(caller, None)

    async def limits(self, caller: Caller) -> Reply:
        return await self._answered(lambda: self._limits(caller))

    async def split(self, caller: Caller, request: Mapping[str, Json]) -> Reply:
        return await self._answered(lambda: self._split(caller, request))

    async def _answered(self, answer: Callable[[], Awaitable[Reply]]) -> Reply:
        """A worker is no person: it can do nothing about an error of ours, and goes on without."""
        try:
            async with self._alone:  # of two calls at once the second has to see the first
                return await answer()
        except IllegalEventError:  # the attempt was ended at this very moment
            return OVER
        except StoreError as error:
            log.warning("a worker's request could not be stored: %s", error.message)
            return LATER
        except Exception:
            log.exception("a worker's request")
            return OURS

    async def _limits(self, caller: Caller) -> Reply:
        task = await self._running(caller)
        if task is None:
            return OVER
        depth = f"This task is at depth {task.depth}."
        if caller in self._asked:
            return Reply(f"{depth} It is split already: {self._asked[caller].reply.text}")
        return Reply(f"{depth} split_task takes: {limits_words(await self._rights(task))}")

    async def _split(self, caller: Caller, request: Mapping[str, Json]) -> Reply:
        task = await self._running(caller)
        if task is None or not self._policy().splits.tool:
            return OVER
        plan, faults = read_request(request, default_type=task.spec.type)
        rights = await self._rights(task)
        before = self._asked.get(caller)
        if before is not None and not faults:
            return self._once_more(before, plan, rights)
        if told := faults or refusals(plan, rights):
            return _refused(told, rights)
        bounds = PlanBounds(rights.cwd, rights.cwd, rights.least, rights.most, rights.room)
        result = checked(plan, bounds)
        if result.plan is None:
            return _refused([one.message for one in result.findings if one.fatal], rights)
        data = self._redact(plan_facts(result.plan))
        assert isinstance(data, Mapping)
        if (size := len(text(data))) > EVENT_DATA_BYTES:
            return _refused([f"the request has {size:,} bytes, {EVENT_DATA_BYTES:,} may be: use fewer words"], rights)
        event = Event(EventKind.SPLIT_REQUESTED, self._clock.now(), caller.uid, caller.attempt, caller.epoch, data)
        await self._store.commit([event])
        mended = [one.message for one in result.findings]
        reply = Reply(_accepted(result.plan, mended, approve=self._approved_by_a_person(task)))
        self._asked[caller] = _Asked(plan_facts(plan), reply)
        return reply

    def _once_more(self, before: _Asked, plan: Plan, rights: Rights) -> Reply:
        """The same request twice is one; another one comes too late."""
        if plan_facts(plan) == before.facts:
            return before.reply
        return _refused(["it is split already, otherwise than now asked for; end your turn now"], rights, left=False)

    async def _running(self, caller: Caller) -> Task | None:
        """Return the task of *caller*, None where that attempt is not the one that runs."""
        task = await self._store.task(caller.uid)
        current = task is not None and (task.attempt, task.epoch) == (caller.attempt, caller.epoch)
        return task if task is not None and current and task.state is State.RUNNING else None

    async def _rights(self, task: Task) -> Rights:
        """A task whose split came to nothing is not split again: its agent would ask for the same once more."""
        rights = await rights_in(self._store, self._policy(), task)
        decided = last_stage(await self._store.attempts(task.uid)) is not None
        return replace(rights, split=rights.split or decided or bool(await inherited(self._store, task)))

    def _approved_by_a_person(self, task: Task) -> bool:
        return wants_approval(task.spec.approve, self._policy().splits)


def _accepted(plan: Plan, mended: Sequence[str], *, approve: bool) -> str:
    names = ", ".join(one.title for one in plan.tasks)
    asked = " once a person has approved them" if approve else ""
    notes = "".join(f" Note: {one}." for one in mended)
    return (
        f"accepted: {len(plan.tasks)} sub-tasks ({names}).{notes} They are started{asked} when your turn has ended. "
        "End your turn now, without doing any of it yourself: you will be resumed with their results."
    )


def _refused(told: Sequence[str], rights: Rights, *, left: bool = True) -> Reply:
    more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    text = f"refused: {'; '.join(told[:_MOST_TOLD])}{more}."
    if not left:
        return Reply(text, refused=True)
    after = "Go on by yourself." if why_not_at_all(rights) else "Ask again within that, or go on by yourself."
    return Reply(f"{text} What may be asked for: {limits_words(rights)} {after}", refused=True)
