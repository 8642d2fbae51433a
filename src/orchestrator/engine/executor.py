"""One attempt, from order to verdict. Every step is stored before the next begins, so each can be redone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from orchestrator.core.attempt import (
    AgentReport,
    AttemptRecord,
    Failed,
    FailureKind,
    Finished,
    Interrupted,
    Outcome,
    WorkOrder,
    not_begun,
)
from orchestrator.core.budget import with_cost
from orchestrator.core.codec import outcome_from_json
from orchestrator.core.errors import IllegalEventError, OrchestratorError, StoreError, WorkAreaError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.failpoint import hit
from orchestrator.core.lifecycle import State
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Agent, Clock, Inbox, Store, Workspace
from orchestrator.core.remedies import Strategies, recovered
from orchestrator.core.retry import resumes, sent_back
from orchestrator.core.shortage import is_shortage
from orchestrator.core.standing import quits
from orchestrator.core.task import Task
from orchestrator.engine.asking import follows, going_on, heard
from orchestrator.engine.budget import Budget
from orchestrator.engine.examiner import Examiner
from orchestrator.engine.failing import Failing
from orchestrator.engine.holds import Holds
from orchestrator.engine.labour import Facts, Labour
from orchestrator.engine.orders import Orders, worded
from orchestrator.engine.outcomes import (
    LOOKED_BACK,
    bounded,
    ended_by_us,
    ended_then,
    in_time,
    interruptions,
    is_cancelled,
    last_sign,
    not_prepared,
    with_work,
)
from orchestrator.engine.patience import patiently, uninterrupted
from orchestrator.engine.predecessors import Predecessors
from orchestrator.engine.progress import Speaker
from orchestrator.engine.remedies import Remedies
from orchestrator.engine.splits import Splits
from orchestrator.validation.checks import Verdict, verdict_facts, with_earlier

log = logging.getLogger(__name__)
T = TypeVar("T")


class Executor:
    """Runs attempts. Holds nothing of them: what must survive is in the store and in the attempt's folder."""

    def __init__(
        self,
        *,
        store: Store,
        agents: Mapping[str, Agent],
        inbox: Inbox,
        workspace: Workspace,
        examiner: Examiner,
        clock: Clock,
        policy: Callable[[], RunPolicy],
        redact: Callable[[Json], Json],
        account_of: Callable[[str], str] = lambda _: "",
        root_tag: str = "",
        strategies: Strategies | None = None,
    ) -> None:
        """*account_of* names the account an agent would use now, "" where nobody knows; it is no credential."""
        self._store = store
        self._agents = agents
        self._inbox = inbox
        self._examiner = examiner
        self._orders = Orders(policy, root_tag)
        self._labour = Labour(workspace, lambda: policy().allowed_root, clock)
        self._clock = clock
        self._policy = policy
        self._redact = redact
        self.holds = Holds(store=store, clock=clock, policy=policy, redact=redact, account_of=account_of)
        self._budget = Budget(store=store, clock=clock, policy=policy)
        remedies = Remedies(store=store, clock=clock, policy=policy, redact=redact, strategies=strategies)
        self._failing = Failing(holds=self.holds, budget=self._budget, clock=clock, policy=policy, remedies=remedies)
        self._predecessors = Predecessors(store, clock, redact)
        self._splits = Splits(store=store, clock=clock, policy=policy, clean=self._clean)

    def agent_of(self, task: Task) -> str:
        """Return the name of the agent that *task* runs on."""
        return self._orders.agent_of(task)

    async def settle(self) -> None:
        """Before it is chosen what to start: let go of holds whose cause is gone, and close a day that is paid up."""
        await self.holds.of_another_account()
        await self._budget.settle()

    async def cap(self, task: Task, *, free_slots: int) -> float | None:
        """Return what the next attempt of *task* may cost, 0.0 for no limit; None: nothing is left for it now."""
        return await self._budget.cap(task, free_slots=free_slots)

    def starting(self, task: Task, *, cap_usd: float = 0.0) -> Event:
        """Return the event to commit before the next attempt of *task* is started."""
        resume = bool(task.session_id) and resumes(task.reason)
        session = task.session_id if resume else self._clock.new_session_id()
        data: dict[str, Json] = {"agent": self.agent_of(task), "session_id": session, "resume": resume}
        data |= {"cap_usd": cap_usd} if cap_usd else {}
        return Event(EventKind.STARTED, self._clock.now(), task.uid, task.attempt + 1, task.epoch, data)

    async def run(self, task: Task, *, resume: bool, cap_usd: float = 0.0) -> None:
        """Run the current attempt of *task*, which is RUNNING, and carry its outcome to the end.

        Cancelled from outside, the agent is ended first, then the task is cancelled or queued again, then the
        cancellation goes on.
        """
        order = self._orders.order(task, resume=resume, budget_usd=cap_usd, now=self._clock.now())
        try:
            await self._attempt(task, order)
        finally:
            self._labour.leave(order)
            self._examiner.leave(order)

    async def _attempt(self, task: Task, order: WorkOrder) -> None:
        try:
            await self._claim(task)
            hit("claim.done")
            outcome = await self._work(task, order)
        except asyncio.CancelledError:
            self._examiner.hurry(order)
            await uninterrupted(self._ended_by_us(task, order))
            raise
        except OSError as error:
            outcome = not_prepared(order, error, "the task file could not be moved")
        await uninterrupted(self._conclude(task, order, outcome), partial(self._examiner.hurry, order))

    def hurry(self, task: Task) -> None:
        """Do not wait for the checks of *task*, which is being recovered: the next start draws its verdict."""
        self._examiner.hurry(self._orders.order(task, resume=False))

    async def recover(self, task: Task, *, prove: bool = True) -> None:
        """Carry on where an earlier daemon ended: RUNNING, CHECKING or CANCELLING, without an owner.

        Nothing of its attempt is alive afterwards. Without *prove* a task whose checks are to be run, which may take
        long, is left CHECKING: this is then to be called again.
        """
        order = self._orders.order(task, resume=False)
        try:
            await self._recover(task, order, prove=prove or not self._examiner.takes_long(task.spec))
        finally:
            self._labour.leave(order)
            self._examiner.leave(order)

    async def _recover(self, task: Task, order: WorkOrder, *, prove: bool) -> None:
        if task.state is State.CHECKING:
            if not prove:
                return
            attempts = await self._patiently(lambda: self._store.attempts(task.uid))
            try:
                work = await self._labour.kept(order)
                await self._judge(task, order, outcome_from_json(attempts[-1].outcome), work)
            except IllegalEventError:
                await self._somebody_was_first(task, order)
            return
        found = await self._agent(task).collect(order)
        ended_ts = await self._ended_ts(task, found)
        if task.state is State.CANCELLING:
            await self._cancelled(task, found, await self._labour.kept(order), ended_ts)
            return
        outcome = found or Interrupted("the daemon ended before the agent did")
        await self._conclude(task, order, outcome, prove=prove, ended_ts=ended_ts)

    async def _ended_ts(self, task: Task, found: Outcome | None) -> float:
        """Return when the agent of an earlier daemon had ended; 0.0: nobody knows."""
        attempts = await self._patiently(lambda: self._store.attempts(task.uid))
        events = await self._patiently(lambda: self._store.events_of(task.uid, limit=LOOKED_BACK))
        return last_sign(task, attempts, events, found.report if found else None)

    async def _claim(self, task: Task) -> None:
        """Move the task's file out of the inbox; one edited at the last moment is kept beside and reported."""
        body = await self._patiently(lambda: self._store.body(task.uid))
        if await self._inbox.claim(task, body) == "edited":
            await self._commit(
                Event(EventKind.EDITED_AFTER_CLAIM, self._clock.now(), task.uid, task.attempt, task.epoch)
            )

    def _agent(self, task: Task) -> Agent:
        return self._agents[self._orders.profile(task).name]

    async def _work(self, task: Task, order: WorkOrder) -> Outcome:
        attempts = await self._patiently(lambda: self._store.attempts(task.uid))
        try:
            order = await self._predecessors.given(going_on(order, task, attempts), task)
            order = await self._labour.begin(order)
            notes = await self._labour.notes(order.cwd, self._orders.profile(task).notes)
            area = await self._labour.area(order)
            order = worded(order, task.spec, area, notes, heard(attempts))
            begun = await self._splits.begin(task, order, self._orders.type(task), attempts, area)
        except WorkAreaError as error:
            return Failed(FailureKind.PREPARE_FAILED, error.message, not_begun(order))
        except OSError as error:
            return not_prepared(order, error, str(error.filename or order.cwd))
        if not isinstance(begun, WorkOrder):
            return begun
        order = begun
        try:
            return await self._agent(task).run(order, self._speaker(order))
        except StoreError:
            raise
        except OrchestratorError as error:
            failure = Failed(FailureKind.AGENT_ERROR, error.message)
        except OSError as error:
            kind = FailureKind.SHORTAGE if is_shortage(error) else FailureKind.PREPARE_FAILED
            failure = Failed(kind, f"{error.filename or order.cwd}: {error.strerror or error}")
        except Exception as error:
            log.exception("attempt %s", order.mark)
            failure = Failed(FailureKind.AGENT_ERROR, f"a bug of ours, please report it: {type(error).__name__}")
        # The error is ours, and the agent is gone: what it left behind may still be its whole result.
        found = await self._agent(task).collect(order)
        return found if isinstance(found, Finished) else failure

    def _speaker(self, order: WorkOrder) -> Speaker:
        async def commit(data: Mapping[str, Json]) -> None:
            await self._commit(self._event(EventKind.PROGRESS, order, data))

        return Speaker(order, clock=self._clock, holds=self.holds, commit=commit)

    async def _conclude(
        self, task: Task, order: WorkOrder, outcome: Outcome, *, prove: bool = True, ended_ts: float = 0.0
    ) -> None:
        """Carry an end of the agent to an end of the attempt. First of all what it has done is kept. *ended_ts* is when
        it ended where that is known and was not just now."""
        work = await self._labour.kept(order)
        try:
            if isinstance(outcome, Interrupted):
                await self._interrupted(task, order, outcome, work, ended_ts)
                return
            outcome = in_time(bounded(outcome), task, self._clock.now())
            hit("finish.outcome")
            usage = outcome.report.usage
            data = {
                "agent": order.agent,
                "outcome": with_work(outcome, work),
                "session_cost_usd": usage.session_cost_usd,
                "exit_code": outcome.report.exit_code,
                "turns": usage.turns,
                "cost_usd": usage.cost_usd,
                "duration_s": outcome.report.duration_s,
                **ended_then(ended_ts),
            }
            after = await self._commit(self._event(EventKind.FINISHED, order, data))
            hit("finish.committed")
            if after.state is State.CANCELLING:
                await self._cancelled(after, outcome, work)
                return
            if prove:
                await self._judge(after, order, outcome, work)
        except IllegalEventError:
            await self._somebody_was_first(task, order)

    async def _judge(self, task: Task, order: WorkOrder, outcome: Outcome, work: Facts) -> None:
        if isinstance(outcome, Interrupted):
            raise TypeError("an interrupted attempt is never judged")  # our bug: the caller sorts these out
        changes = await self._labour.changes(order)
        hit("finish.changes")
        attempts = await self._patiently(lambda: self._store.attempts(task.uid))
        whole = with_earlier(outcome, attempts)
        area, head = await self._labour.area(order), str(work.get("head") or "")
        part = await self._splits.part(task, self._orders.type(task), attempts)
        about = (part.judged(task.spec), part.kind, order, whole, changes)
        spare = partial(self._budget.cap, task, free_slots=1)
        verdict = await self._examiner.verdict(*about, area=area, head=head, spare=spare)
        if verdict is None:
            await self._put_off(task, order, whole, work)
            return
        verdict = await self._splits.verdict(task, part, verdict, attempts)
        case, last = (task, order, part, whole, verdict), partial(self._failing.is_last_word, task)
        if await self._splits.follow(*case, attempts=attempts, work=work, area=area, gives_up=last):
            return
        failure = verdict.failure
        if failure is None:
            work, failure = await self._labour.deliver(task, order, whole)
        hit("finish.delivered")
        data = verdict_facts(verdict, passed=failure is None) | {"work": work}
        validated = self._event(EventKind.VALIDATED, order, data)
        if failure is None:
            take: dict[str, Json] = {"take": list(self._policy().take)} if work.get("delivered") is True else {}
            await self._commit(validated, self._event(EventKind.SUCCEEDED, order, take))
            hit("finish.judged")
            if not whole.report.no_agent:
                await self.holds.over(order.agent)
            return
        if asked := await self._asked(task, order, verdict, attempts):
            await self._commit(validated, *asked)
            hit("finish.judged")
            return
        kind, data = await self._failing.follows(task, order, failure, sent_back(attempts))
        followed = self._event(kind, order, data)
        await self._commit(recovered(validated, followed.data), followed)
        hit("finish.judged")

    async def _asked(
        self, task: Task, order: WorkOrder, verdict: Verdict, attempts: Sequence[AttemptRecord]
    ) -> Sequence[Event]:
        """Return the events by which *task* waits for an answer; without budget it could not go on with one."""
        told = follows(task, verdict, self._policy().questions, attempts, now=self._clock.now())
        if not told or await self._budget.used_up(task):
            return ()
        return [self._event(kind, order, data) for kind, data in told]

    async def _put_off(self, task: Task, order: WorkOrder, outcome: Finished | Failed, work: Facts) -> None:
        """Its checks were not run to the end: the next start draws the verdict, unless a person has cancelled."""
        current = await self._patiently(lambda: self._store.task(task.uid))
        if is_cancelled(current, order):
            await self._cancelled(current, outcome, work)

    async def _ended_by_us(self, task: Task, order: WorkOrder) -> None:
        """The agent is gone already; what it left behind may still be its whole result."""
        rest = quits(self._policy().hours, self._clock.now())
        await self._conclude(task, order, ended_by_us(await self._agent(task).collect(order), rest))

    async def _interrupted(
        self, task: Task, order: WorkOrder, outcome: Interrupted, work: Facts, ended_ts: float
    ) -> None:
        current = await self._patiently(lambda: self._store.task(task.uid))
        if is_cancelled(current, order):
            await self._cancelled(current, outcome, work, ended_ts)
            return
        before = await self._patiently(lambda: self._store.attempts(task.uid))
        times = interruptions(before)
        if times >= self._policy().max_interruptions:
            often = Failed(FailureKind.INTERRUPTED_TOO_OFTEN, f"interrupted {times} times before")
            await self._conclude(task, order, often, ended_ts=ended_ts)
            return
        if spent := await self._budget.used_up(task, outcome):
            broke = Failed(FailureKind.BUDGET, f"{spent}; interrupted", outcome.report)
            await self._conclude(task, order, broke, ended_ts=ended_ts)
            return
        data: dict[str, Json] = {
            "reason": self._splits.reason_again(self._orders.type(task), before) or "interrupted",
            "detail": outcome.reason,
            "outcome": with_work(outcome, work),
            "agent": order.agent,
            **ended_then(ended_ts),
        }
        await self._commit(self._event(EventKind.INTERRUPTED, order, data))
        hit("finish.interrupted")

    async def _cancelled(self, task: Task, outcome: Outcome | None, work: Facts, ended_ts: float = 0.0) -> None:
        """The attempt's record keeps what is known of it; what had ended by itself is told as it ended."""
        unpaid_usd = await self._examiner.unpaid(self._orders.order(task, resume=False))
        if not isinstance(outcome, (Finished, Failed)):
            report = outcome.report if outcome else AgentReport(session_id=task.session_id)
            outcome = Interrupted("cancelled", report)
        data = {
            "reason": "cancelled",
            "detail": "cancelled while it ran",
            "outcome": with_cost(with_work(bounded(outcome), work), unpaid_usd),
            **ended_then(ended_ts),
        }
        ended = Event(EventKind.CANCELLED, self._clock.now(), task.uid, task.attempt, task.epoch, self._clean(data))
        await self._commit(ended)
        hit("finish.cancelled")

    async def _somebody_was_first(self, task: Task, order: WorkOrder) -> None:
        current = await self._patiently(lambda: self._store.task(task.uid))
        if is_cancelled(current, order):
            await self._cancelled(current, None, {})
            return
        log.warning("the outcome of %s is discarded: somebody else moved the task on", order.mark)

    def _event(self, kind: EventKind, order: WorkOrder, data: Mapping[str, Json]) -> Event:
        return Event(kind, self._clock.now(), order.uid, order.attempt, order.epoch, self._clean(data))

    def _clean(self, data: Mapping[str, Json]) -> Mapping[str, Json]:
        clean = self._redact(data)
        return clean if isinstance(clean, Mapping) else {}

    async def _commit(self, *events: Event) -> Task:
        return (await self._patiently(lambda: self._store.commit(events)))[-1]

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        return await patiently(self._clock, act)
