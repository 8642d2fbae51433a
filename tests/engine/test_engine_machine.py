"""Random lives of a root: files come and go, agents end, daemons die at any call, clocks jump; the guarantees hold.

    python -m tests.engine.long_lives --steps 20000

is the long run. What was found is kept as a test of its own in test_engine_stories.py.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.agents import DONE
from tests.engine.world import Generation, Process, World, started_before

from orchestrator.core.attempt import Failed, FailureKind, Interrupted, Outcome
from orchestrator.core.errors import IllegalEventError, OrchestratorError, StoreError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import ACTIVE, TERMINAL, State
from orchestrator.core.task import ATTEMPT_BOUND, Task, id_key
from orchestrator.validation.schema import result_problems

DAY_S = 86_400.0
names = st.sampled_from(["a", "b", "c", "d"])
ids = st.sampled_from(["one", "ONE", "two", "three"])
picks = st.integers(0, 30)
records = st.sampled_from([None, DONE, Failed(FailureKind.TRANSIENT, "overloaded")])
ends = st.sampled_from(
    [
        DONE,
        Failed(FailureKind.TRANSIENT, "overloaded"),
        Failed(FailureKind.CRASH, "segmentation fault"),
        Failed(FailureKind.GAVE_UP, "I could not"),
        Failed(FailureKind.START_REFUSED, "no such flag"),
        Interrupted("lost"),
    ]
)
limits = st.sampled_from([FailureKind.USAGE_LIMIT, FailureKind.RATE_LIMITED, FailureKind.AUTH])


def text(task_id: str, words: str, agent: str) -> bytes:
    return (f"---\nid: {task_id}\ntype: analyze\nagent: {agent}\n---\n\n# A task\n\n**Prompt:**\n{words}\n").encode()


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.starts)
        self.now: Generation | None = None
        self.zombie: Generation | None = None
        self.wanted: dict[str, bytes] = {}  # what a person has dropped, and has not taken back
        self.kept: set[bytes] = set()  # bodies that must lie somewhere for ever
        self.terminal: dict[str, Task] = {}
        self.started: list[Event] = []
        self.number = 0

    def teardown(self) -> None:
        try:
            self.comes_to_its_end()
        finally:
            self.world.close()

    # What is seen when an agent starts

    def starts(self, process: Process) -> None:
        order, events = process.order, self.events()
        assert started_before(process, events), "G3: recorded before the start"
        assert order.mark not in self.world.processes, "G4: an attempt is started once"
        others = self.world.alive()
        assert id_key(order.task_id) not in {id_key(one.order.task_id) for one in others}, "G4: no overlap"
        mine = [one for one in self.world.processes.values() if one.order.uid == order.uid]
        assert not any(one.left == DONE for one in mine), "G5: finished work is not done again"
        for pause in self.world.store._held.pauses.values():
            put = [event for event in events if event.kind is EventKind.AGENT_HELD]
            if pause.scope not in ("*", order.agent) or put[-1].ts >= self.world.clock.now():
                continue
            assert 0 < pause.until <= self.world.clock.now(), f"{pause.scope} is held and started {order.task_id}"
            probing = [one for one in others if one.order.agent == order.agent]
            assert pause.scope == "*" or not probing, "exactly one probe"

    # Rules: files

    @initialize(tasks=st.lists(ids, max_size=3))
    def begin(self, tasks: list[str]) -> None:
        self.now = self.world.born()
        self.work_comes(tasks)

    @rule(tasks=st.lists(ids, min_size=1, max_size=3))
    def work_comes(self, tasks: list[str]) -> None:
        """Drop good files, and wait until a daemon has looked: most of what can happen needs some work to happen to."""
        for task_id in tasks:
            self.drop(f"w{self.number}", task_id, "claude", good=True)
        if self.now is None:
            self.restart()
        self.time_passes(12.0)

    @rule(name=names, task_id=ids, agent=st.sampled_from(["claude", "other"]), good=st.booleans())
    def drop(self, name: str, task_id: str, agent: str, good: bool) -> None:
        """Drop a file, or edit one that lies there still."""
        self.number += 1
        path = f"{name}.task.md"
        if path in self.wanted and path in self.world.folder.files:
            self.kept.discard(self.wanted[path])  # its author takes it back
        body = text(task_id, f"Do it {self.number}.", agent) if good else b"---\nid: [\n---\n%d\n" % self.number
        self.world.folder.write(path, body)
        self.wanted[path] = body
        self.kept.add(body)

    @rule(name=names)
    def delete(self, name: str) -> None:
        path = f"{name}.task.md"
        if path in self.world.folder.files:
            self.kept.discard(self.wanted.pop(path))
            self.world.folder.remove(path)

    # Rules: agents

    @precondition(lambda self: self.world.alive())
    @rule(pick=picks, outcome=ends)
    def agent_ends(self, pick: int, outcome: Outcome) -> None:
        self._end(pick, outcome)

    @precondition(lambda self: self.world.alive())
    @rule(pick=picks, kind=limits, reset_s=st.sampled_from([0.0, -5.0, 90.0, 7200.0]))
    def agent_hits_a_limit(self, pick: int, kind: FailureKind, reset_s: float) -> None:
        self._end(pick, Failed(kind, "limit", resets_at=self.world.clock.now() + reset_s if reset_s else 0.0))

    def _end(self, pick: int, outcome: Outcome) -> None:
        alive = self.world.alive()
        alive[pick % len(alive)].ends(outcome)
        self.world.loop.settle()
        self._buried()

    # Rules: daemons

    @precondition(lambda self: self.now is not None)
    @rule(left=records)
    def crash(self, left: Outcome | None) -> None:
        assert self.now is not None
        self.world.dies(self.now, left)
        self.now = None

    @precondition(lambda self: self.now is not None)
    @rule(calls=st.integers(1, 60))
    def crash_soon(self, calls: int) -> None:
        """Die at a call of a port, whichever it will be."""
        assert self.now is not None
        self.now.life.dies_in = calls

    @precondition(lambda self: self.now is None)
    @rule()
    def restart(self) -> None:
        self.now = self.world.born()
        self._buried()

    @precondition(lambda self: self.now is not None)
    @rule()
    def stop(self) -> None:
        """A signal: the first one drains, the second ends."""
        assert self.now is not None
        self.now.signals.stop()
        self.world.loop.settle()
        self._buried()

    @precondition(lambda self: self.now is not None and self.zombie is None)
    @rule()
    def freeze_and_take_over(self) -> None:
        """The daemon stands still at its next call; another one takes the root, and what the first one ran."""
        assert self.now is not None
        self.now.life.thawed.clear()
        self.world.loop.settle()
        self.zombie, self.now = self.now, None
        self.now = self.world.born()
        self._buried()

    @precondition(lambda self: self.zombie is not None)
    @rule()
    def thaw(self) -> None:
        """It wakes up, believes what it knew, and then notices that the root is another's.

        It takes no more files and starts no more agents: these have no fence, which is why a root has a lock. What it
        says of attempts must not be believed any more.
        """
        assert self.zombie is not None
        self.zombie.door.dead, self.zombie.life.may_start = True, False
        before = self.snapshot()
        self.zombie.owner = False
        self.zombie.signals.stop()
        self.zombie.signals.stop()
        self.zombie.life.thawed.set()
        self.world.loop.settle()
        for uid, task in before.items():
            after = self.snapshot()[uid]
            assert after.epoch >= task.epoch
            if task.state is State.RUNNING and self.now is not None and self._runs(task):
                assert after == task, "a stale writer moved what another one runs"
        self.world.dies(self.zombie, None)
        if not self.zombie.work.cancelled() and (error := self.zombie.work.exception()) is not None:
            assert isinstance(error, StoreError), "it has lost the root, and says nothing else"
        self.zombie = None

    def _runs(self, task: Task) -> bool:
        process = self.world.processes.get(f"{task.uid}.{task.attempt}")
        return process is not None and process.alive and self.now is not None and process.life is self.now.life

    def _buried(self) -> None:
        """Bury a daemon that died on the way; an end of its own must be one that was asked for."""
        if self.now is None:
            return
        if self.now.life.dead:
            self.world.dies(self.now, None)
            self.now = None
        elif self.now.work.done():
            self.now.work.result()
            assert self.now.signals.stopping.is_set()
            assert not [one for one in self.world.alive() if one.life is self.now.life], "G6"
            self.now = None

    # Rules: people, time, stale writers

    @rule(act=st.sampled_from(["cancel", "hold", "pause", "resume", "retry"]), pick=picks)
    def ask(self, act: str, pick: int) -> None:
        """Ask for something from another process: with a service of its own, whether or not a daemon runs."""
        tasks = list(self.snapshot().values())
        if tasks:
            self._ask(act, tasks[pick % len(tasks)].uid)

    @rule(act=st.sampled_from(["pause", "resume"]), scope=st.sampled_from(["*", "claude", "other"]))
    def ask_for_all(self, act: str, scope: str) -> None:
        self._ask(act, scope)

    def _ask(self, act: str, key: str) -> None:
        with suppress(OrchestratorError):  # not possible now, and said so
            self.world.loop.done(getattr(self.world.door(), act)(key))
        self._buried()

    @rule(seconds=st.sampled_from([0.3, 1.0, 6.0, 12.0, 40.0, 100.0, 900.0, 8000.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.loop.advance(seconds)
        self._buried()

    @rule(days=st.sampled_from([-1.0, 1.0]))
    def clock_jumps(self, days: float) -> None:
        self.world.clock.wall += days * DAY_S

    @precondition(lambda self: self.started)
    @rule(pick=picks, kind=st.sampled_from(sorted(ATTEMPT_BOUND)))
    def stale_writer(self, pick: int, kind: EventKind) -> None:
        """Nothing that an earlier attempt says is believed."""
        old = self.started[pick % len(self.started)]
        task = self.snapshot()[old.uid]
        epoch = old.epoch + 1
        if (task.attempt, task.epoch) == (old.attempt, epoch):
            return
        try:
            self.world.commit(Event(kind, self.world.clock.now(), old.uid, old.attempt, epoch))
        except IllegalEventError:
            assert self.snapshot()[old.uid] == task
        else:
            raise AssertionError(f"{kind} of {old.attempt}.{epoch} was believed at {task.attempt}.{task.epoch}")

    # What holds after each step

    def snapshot(self) -> dict[str, Task]:
        return {str(uid): task for uid, task in self.world.store._held.tasks.items()}

    def events(self) -> list[Event]:
        return self.world.store._held.events

    @invariant()
    def guarantees_hold(self) -> None:
        events, tasks = self.events(), self.snapshot()
        assert not self.world.breaches, self.world.breaches
        assert [event.seq for event in events] == list(range(1, len(events) + 1)), "G12"
        self.started = [event for event in events if event.kind is EventKind.STARTED]
        active = [task.id_key for task in tasks.values() if task.state in ACTIVE]
        assert len(active) == len(set(active)), "G4: one active task of an id"
        running = [id_key(process.order.task_id) for process in self.world.alive()]
        assert len(running) == len(set(running)), "G4: no overlap"
        for uid, task in tasks.items():
            self._task_holds(task, [event for event in events if event.uid == uid])
        self._files_hold(tasks)

    def _task_holds(self, task: Task, events: Sequence[Event]) -> None:
        count = {kind: sum(event.kind is kind for event in events) for kind in EventKind}
        free = count[EventKind.INTERRUPTED] + count[EventKind.LIMITED]
        assert task.attempt == count[EventKind.STARTED]
        assert task.tries == task.attempt - free, "no interruption and no limit is charged"
        ends = sum(event.kind in (EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED) for event in events)
        assert ends == (task.state in TERMINAL and task.state is not State.REJECTED), "G2: one end"
        if (before := self.terminal.get(task.uid)) is not None:
            same = (before.state, before.attempt, before.reason, before.sha256)
            assert (task.state, task.attempt, task.reason, task.sha256) == same, "G2: an end is the end"
        elif task.state in TERMINAL:
            self.terminal[task.uid] = task

    def _files_hold(self, tasks: dict[str, Task]) -> None:
        lying = list(self.world.folder.files.values())
        for body in self.kept:
            assert body in lying, "G1: a file that was dropped is in one of the folders"
        for uid in tasks:
            assert self.world.store._held.bodies[uid] is not None  # type: ignore[index]

    # The end: whatever happened, all is brought to its end

    def comes_to_its_end(self) -> None:
        if self.zombie is not None:
            self.thaw()
        if self.now is not None:
            self.world.dies(self.now, None)
        self.world.at_once = DONE
        self.now = self.world.born()
        for _ in range(5):
            for scope in ("*", "claude", "other"):
                self._ask("resume", scope)
            for task in self.snapshot().values():
                if task.state is State.HELD:
                    self._ask("resume", task.uid)
            self.world.loop.advance(2 * DAY_S, steps=12)
        tasks = self.snapshot().values()
        stuck = [(task.name, task.state, task.reason, task.detail) for task in tasks if task.state not in TERMINAL]
        assert stuck == [], "everything comes to its end"
        self.guarantees_hold()
        self._projected([task for task in tasks if task.state is not State.REJECTED])
        self.now.signals.stop()
        self.world.loop.advance(40.0)
        self.now.work.result()
        assert [seq for seq, _ in self.world.log.lines] == [event.seq for event in self.events()], "G12"

    def _projected(self, ended: Sequence[Task]) -> None:
        files = self.world.artifacts.files
        found = {path: json.loads(data) for path, data in files.items() if path.startswith("results/")}
        assert sorted(found) == sorted(f"results/{task.name}_result.json" for task in ended), "G2: one result each"
        for task in ended:
            result: dict[str, Any] = found[f"results/{task.name}_result.json"]
            assert (result["task"]["uid"], result["status"]) == (task.uid, task.state.value)
            assert result_problems(result) == []
        left = [path for path in self.world.folder.files if "/" not in path or path.startswith("running/")]
        assert left == [], "every file lies where it stays"


Lives.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


@pytest.mark.timeout(900)  # to shrink what is found takes its time
class TestLives(Lives.TestCase):  # type: ignore[misc, valid-type]  # made by hypothesis
    """Run by pytest."""
