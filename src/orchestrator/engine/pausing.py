"""Pause, hold and resume: a part of the application service."""

import contextlib
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from orchestrator.core.budget import BUDGET_SCOPE, NIGHT_SCOPE
from orchestrator.core.errors import ConflictError, IllegalEventError, NotFoundError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import ACTIVE, TERMINAL, State
from orchestrator.core.plan import EVERYTHING, in_force, usual
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Pause, Store
from orchestrator.core.retry import Remedy
from orchestrator.core.standing import standing
from orchestrator.core.task import Task
from orchestrator.engine.bell import Bell
from orchestrator.engine.control import Control
from orchestrator.engine.times import released

PAUSED = "paused"  # the reason of a pause that a person has put


class Pausing:
    """What starts nothing more, and what lets it go. The service is the rest of it."""

    _store: Store
    _clock: Clock
    _bell: Bell
    _policy: Callable[[], RunPolicy]

    @abstractmethod
    async def going_on(self, key: str) -> Task:
        """Return the newest task that is called *key*; of a run, its template while that makes further ones."""

    async def pause(self, scope: str = EVERYTHING) -> Control:
        """Start nothing more in *scope* until `resume`: "*" is the whole queue, else an agent or any name of a task.

        What runs goes on. An agent that is held for a time already is then held until it is resumed.
        Raises NotFoundError, AmbiguousError; ConflictError for a task that runs or has ended.
        """
        pauses = await self._store.pauses()
        if not self._is_scope(scope, pauses):
            return await self._of_task(scope, self.hold)
        known = next((pause for pause in pauses if pause.scope == scope), None)
        if known is not None and known.until == 0:
            return Control(scope, changed=False, pause=known)
        pause = Pause(scope, 0.0, PAUSED, "paused by request")
        data: dict[str, Json] = {"agent": scope, "until": 0, "reason": pause.reason, "detail": pause.detail}
        await self._store.pause(pause, Event(EventKind.AGENT_HELD, self._clock.now(), data=data))
        self._bell.ring()
        return Control(scope, changed=True, pause=pause)

    async def hold_everything(self, reason: str, detail: str) -> None:
        """Start nothing more until a person resumes the queue: the daemon's own wish. A pause that is there stays."""
        data: dict[str, Json] = {"agent": EVERYTHING, "until": 0, "reason": reason, "detail": detail}
        held = Event(EventKind.AGENT_HELD, self._clock.now(), data=data)
        await self._store.pause(Pause(EVERYTHING, 0.0, reason, detail), held)
        self._bell.ring()

    async def hold(self, key: str) -> Control:
        """Do not start the task *key* until it is resumed. Raises as `pause` does."""
        for _ in range(5):
            task = await self.going_on(key)
            if task.state is State.HELD:
                return Control("", changed=False, task=task)
            if task.state in TERMINAL:
                raise ConflictError(f"{task.spec.id} has already ended: {task.state}")
            if task.state is State.NEEDS_INPUT:
                hint = f"It goes on when it is answered: `python main.py answer {task.uid[-8:]} TEXT`."
                raise ConflictError(f"{task.spec.id} waits for an answer, and is not started before", hint=hint)
            if task.state is State.SPLIT:
                hint = "Hold its sub-tasks: `python main.py show` lists them."
                raise ConflictError(f"{task.spec.id} waits for its sub-tasks, and is not started before", hint=hint)
            if task.state in ACTIVE:
                hint = f"What runs is not held. `python main.py cancel {task.uid[-8:]}` ends it."
                raise ConflictError(f"{task.spec.id} cannot be held: it is {task.state}", hint=hint)
            try:
                return Control("", changed=True, task=await self._moved(task, EventKind.HELD, "held by request"))
            except IllegalEventError:
                continue  # it moved on this very moment: look again
        raise ConflictError(f"{key} keeps moving on; try again")

    async def resume(self, scope: str = EVERYTHING) -> Control:
        """Undo `pause`; for an agent, end its hold early, whatever it is held for; "budget" lets a day begin anew.

        Tasks that wait for their own time only because their agent was held may then start at once, and so may a
        single task that is resumed. Raises NotFoundError, AmbiguousError; ConflictError for a task that has ended.
        """
        pauses = await self._store.pauses()
        if not self._is_scope(scope, pauses):
            try:
                return await self._of_task(scope, self._resume_task)
            except NotFoundError as error:
                if scope not in (BUDGET_SCOPE, NIGHT_SCOPE):
                    raise
                hint = f"`python main.py status` shows what is held. {error.hint}"
                raise NotFoundError(f"nothing is held for the {scope}, and no task is called so", hint=hint) from None
        freed = await self._free_tasks_of(scope)  # first: a crash between the two leaves the agent held, not the tasks
        known = next((pause for pause in pauses if pause.scope == scope), None)
        if known is not None:
            data: dict[str, Json] = {"agent": scope, "reason": known.reason, "by": "request", "freed": freed}
            released = Event(EventKind.AGENT_RELEASED, self._clock.now(), data=data)
            await (self._store.forgive if scope == BUDGET_SCOPE else self._store.release)(scope, released)
            self._bell.ring()
        within = usual(self._policy().agents) if scope == EVERYTHING else [scope]
        still = await self.holding(EVERYTHING, *within)  # also what a setting holds: nobody ends that by a command
        return Control(scope, changed=known is not None or freed > 0, pause=known, freed=freed, still=still)

    async def holding(self, *scopes: str) -> Sequence[Pause]:
        """Return what keeps anything in *scopes* ("*", names of agents) from being started now."""
        return in_force(await self._pauses(), self._clock.now(), *scopes)

    def agent_of(self, task: Task) -> str:
        """Return the name of the agent that *task* runs on."""
        return task.agent or self._policy().default_agent

    async def _pauses(self) -> Sequence[Pause]:
        return [*await self._store.pauses(), *standing(self._policy(), self._clock.now())]

    def _is_scope(self, scope: str, pauses: Sequence[Pause]) -> bool:
        return scope == EVERYTHING or scope in self._policy().agents or any(pause.scope == scope for pause in pauses)

    async def _of_task(self, key: str, act: Callable[[str], Awaitable[Control]]) -> Control:
        try:
            return await act(key)
        except NotFoundError as error:
            agents = ", ".join(sorted(self._policy().agents))
            raise NotFoundError(
                f"no agent and no task is called {key!r}", hint=f"Agents: {agents}. {error.hint}"
            ) from None

    async def _resume_task(self, key: str) -> Control:
        for _ in range(5):
            task = await self.going_on(key)
            if task.state in TERMINAL:
                hint = f"`python main.py retry {task.uid[-8:]}` runs it again."
                raise ConflictError(f"{task.spec.id} has already ended: {task.state}", hint=hint)
            still = await self.holding(EVERYTHING, self.agent_of(task))
            if task.state not in (State.HELD, State.RETRY_WAIT):
                return Control("", changed=False, task=task, still=still)
            try:
                after = await self._moved(task, EventKind.RELEASED, "released by request")
            except IllegalEventError:
                continue
            return Control("", changed=True, task=after, still=still)
        raise ConflictError(f"{key} keeps moving on; try again")

    async def _free_tasks_of(self, agent: str) -> int:
        """Let the tasks go that wait for nothing but the end of a hold of *agent*. Returns how many."""
        now, freed, retries = self._clock.now(), 0, self._policy().retries
        holds = {kind.value for kind, policy in retries.items() if policy.remedy is Remedy.HOLD_AGENT}
        for task in await self._store.tasks([State.RETRY_WAIT], limit=1_000_000):
            if self.agent_of(task) == agent and task.reason in holds and task.not_before > now:
                with contextlib.suppress(IllegalEventError):  # it was cancelled this very moment
                    await self._moved(task, EventKind.RELEASED, f"{agent} was released by request")
                    freed += 1
        return freed

    async def _moved(self, task: Task, kind: EventKind, why: str) -> Task:
        """A task that is released waits again for what it waited for before it was held."""
        now = self._clock.now()
        events = [Event(kind, now, task.uid, task.attempt, task.epoch, {"detail": why})]
        if kind is EventKind.RELEASED and task.state is State.HELD:
            needs = (await self._store.needs([task.uid])).get(task.uid, ())
            events = [*released(task, now, why, [need.on_key for need in needs if not need.met])]
        after = (await self._store.commit(events))[-1]
        self._bell.ring()
        return after
