"""Random histories, legal and illegal: the store on disk and the one in memory agree, and the laws hold."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.fakes import MemoryStore
from tests.ports.sample_tasks import event, new

from orchestrator.bridges.sqlite import open_store
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import Event, EventKind, TaskUid
from orchestrator.core.lifecycle import ACTIVE, AHEAD, NEXT, TERMINAL, State
from orchestrator.core.ports import Pause, Store
from orchestrator.core.task import Priority, Task

T = TypeVar("T")
ids = st.sampled_from(["one", "ONE", "two", "three"])
kinds = st.sampled_from(EventKind)
picks = st.integers(0, 99)
times = st.sampled_from([0.0, 10.0, 20.0])
agents = st.sampled_from(["", "claude"])


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        opened = open_store(Path(self.folder) / "store.db")
        self.disk: Store = self.runner.run(self.stack.enter_async_context(opened))
        self.memory = MemoryStore()
        self.uids: list[TaskUid] = []
        self.ended: dict[TaskUid, Task] = {}

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    def both(self, act: Callable[[Store], Coroutine[Any, Any, T]]) -> T | type[OrchestratorError]:
        """Do the same with both stores; they agree on the answer, or on the refusal."""
        answers = [self._answer(act, store) for store in (self.disk, self.memory)]
        assert answers[0] == answers[1]
        return answers[0]

    def _answer(self, act: Callable[[Store], Coroutine[Any, Any, T]], store: Store) -> T | type[OrchestratorError]:
        try:
            return self.runner.run(act(store))
        except OrchestratorError as error:
            return type(error)

    def pick(self, n: int) -> Task:
        task = self.runner.run(self.memory.task(self.uids[n % len(self.uids)]))
        assert task is not None
        return task

    @rule(task_id=ids, priority=st.sampled_from(Priority), agent=agents, rejected=st.booleans(), wake=times)
    def accept(self, task_id: str, priority: Priority, agent: str, rejected: bool, wake: float) -> None:
        item = new(
            len(self.uids),
            task_id=task_id,
            name=task_id,
            priority=priority,
            agent=agent,
            rejected=rejected,
            not_before=wake,
        )
        self.uids.append(item.task.uid)
        self.both(lambda store: store.accept([item]))

    @precondition(lambda self: self.uids)
    @rule(n=picks, choice=picks, wake=times)
    def legal(self, n: int, choice: int, wake: float) -> None:
        task = self.pick(n)
        kind = sorted(NEXT[task.state])[choice % len(NEXT[task.state])]
        told = event(kind, task, not_before=wake, outcome={"kind": "failed"}, session_id="s")
        self.both(lambda store: store.commit([told]))

    @precondition(lambda self: self.uids)
    @rule(events=st.lists(st.tuples(picks, kinds, st.integers(0, 3), st.integers(0, 3)), max_size=3))
    def anything(self, events: list[tuple[int, EventKind, int, int]]) -> None:
        told = [Event(kind, 3.0, self.pick(n).uid, attempt, epoch) for n, kind, attempt, epoch in events]
        self.both(lambda store: store.commit(told))

    @precondition(lambda self: self.uids)
    @rule(n=picks, task_id=ids, agent=agents)
    def revise(self, n: int, task_id: str, agent: str) -> None:
        task = self.pick(n)
        asked = replace(task, spec=replace(task.spec, id=task_id, agent=agent), sha256="f" * 64)
        self.both(lambda store: store.revise(asked, b"revised", event(EventKind.UPDATED, task)))

    @rule(scope=agents, hold=st.booleans())
    def pauses(self, scope: str, hold: bool) -> None:
        if hold:
            self.both(lambda store: store.pause(Pause(scope, 5.0, "r", ""), Event(EventKind.AGENT_HELD, 1.0)))
        else:
            self.both(lambda store: store.release(scope, Event(EventKind.AGENT_RELEASED, 1.0)))
        self.both(lambda store: store.pauses())

    @rule(since=times, forget=st.booleans())
    def money(self, since: float, forget: bool) -> None:
        if forget:
            self.both(lambda store: store.forgive("", Event(EventKind.AGENT_RELEASED, 1.0)))
        self.both(lambda store: store.spending(since))

    @rule(now=times, limit=st.integers(0, 4), held=st.lists(agents, max_size=2))
    def read(self, now: float, limit: int, held: list[str]) -> None:
        self.both(lambda store: store.ready(now, limit=limit, agents=held))
        self.both(lambda store: store.next_wake(now))
        self.both(self._files)
        self.both(lambda store: store.unprojected(limit=limit))
        self.both(lambda store: store.ended(after=limit, before_ts=max(now, 2.5), limit=limit))
        self.both(lambda store: store.tasks(sorted(ACTIVE | TERMINAL), limit=limit, newest_first=True))
        for key in ("one", "one.00000001", "0000"):
            self.both(lambda store, key=key: store.find(key))  # type: ignore[misc]
        for uid in self.uids:
            self.both(lambda store, uid=uid: store.attempts(uid))  # type: ignore[misc]
            self.both(lambda store, uid=uid: store.body(uid))  # type: ignore[misc]

    async def _files(self, store: Store) -> object:
        return sorted(await store.waiting_files())

    @invariant()
    def laws_hold(self) -> None:
        everything = self.both(lambda store: store.tasks(list(State), limit=999))
        events = self.both(lambda store: store.events_after(0, limit=9999))
        assert not isinstance(everything, type)
        assert not isinstance(events, type)
        assert [each.seq for each in events] == list(range(1, len(events) + 1))
        active = [task.id_key for task in everything if task.state in ACTIVE]
        assert len(active) == len(set(active)), "at most one active task per id"
        names = [task.name.casefold() for task in everything if task.name]
        assert len(names) == len(set(names)), "no name twice"
        ready = self.both(lambda store: store.ready(1e9, limit=999))
        assert not isinstance(ready, type)
        for task in ready:
            ahead = [one for one in everything if one.id_key == task.id_key and one.order < task.order]
            assert task.state is not State.HELD
            assert not any(one.state in ACTIVE | AHEAD for one in ahead), "namesakes keep their order, held or not"
        for task in everything:
            self._counts_hold(task, events)

    def _counts_hold(self, task: Task, events: Any) -> None:
        starts = sum(each.uid == task.uid and each.kind is EventKind.STARTED for each in events)
        assert 0 <= task.tries <= task.attempt == starts
        before = self.ended.get(task.uid)
        accepted = any(each.uid == task.uid and each.kind is EventKind.ACCEPTED for each in events)
        if before is not None:
            before = replace(before, state=State.SUCCEEDED) if accepted else before
            assert (task.state, task.attempt, task.tries) == (before.state, before.attempt, before.tries)
        elif task.state in TERMINAL:
            self.ended[task.uid] = task


Histories.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
