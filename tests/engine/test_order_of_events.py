"""No order of events starts a task of a tree too early, twice, or beyond depth, number, places and budget.

Planning, splitting, unblocking, accounts, pool and recovery are the real ones; daemons die at any call of a port.
"""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.agents import DONE
from tests.engine.world import POLICY, TYPES, Generation, Life, Mortal, Part, Process, World

from orchestrator.core.account import spending_of, tree_scope
from orchestrator.core.attempt import Failed, FailureKind, Outcome, Usage
from orchestrator.core.dependencies import NeedKind
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import EventKind, Json
from orchestrator.core.lifecycle import ACTIVE, TERMINAL, State
from orchestrator.core.orchestration import Orchestration
from orchestrator.core.split import SplitRules
from orchestrator.core.task import Task, TaskType
from orchestrator.core.worker_tool import Caller
from orchestrator.engine.bell import Bell
from orchestrator.engine.granting import Granting
from orchestrator.engine.service import Orchestrator
from orchestrator.engine.unblocking import Unblocking

MAX_DEPTH, MAX_CHILDREN, MAX_TREE, BUDGET_USD = 2, 3, 5, 8.0
RULES = SplitRules(max_depth=MAX_DEPTH, max_children=MAX_CHILDREN, max_tree=MAX_TREE, tool=True, default_type="analyze")
PLANS = TaskType("orchestrate", ("Read",), expects_changes=False, plans=True)
TREES = replace(POLICY, slots=3, types={**TYPES, "orchestrate": PLANS}, splits=RULES)
picks = st.integers(0, 30)
shapes = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=5)
shares = st.sampled_from([0.01, 0.5, 1.0])  # of what an attempt may cost


class Trees(World):
    """A world whose daemons also unblock, and whose workers may ask for sub-tasks."""

    def parts_beside(self, life: Life, service: Orchestrator, bell: Bell) -> Sequence[Part]:
        store: Any = Mortal(self.store, life)
        given: dict[str, Any] = {"store": store, "clock": self.clock, "policy": lambda: self.policy}
        return (Unblocking(**given, bell=bell, cancel=service.cancel).run,)

    def granting(self) -> Granting:
        return Granting(store=self.store, clock=self.clock, policy=lambda: self.policy, redact=lambda value: value)


def costs(process: Process, share: float, outcome: Outcome) -> Outcome:
    """Return *outcome* at a *share* of what the attempt may cost."""
    usd = share * (process.order.budget_usd or 1.0)
    usage = replace(outcome.report.usage, cost_usd=usd, session_cost_usd=usd)
    return replace(outcome, report=replace(outcome.report, usage=usage))


def plan_of(shape: Sequence[tuple[bool, int]]) -> dict[str, Json]:
    """Return a plan: each sub-task is planned again or not, and waits for an earlier one or for none."""
    tasks: list[Json] = [
        {
            "id": f"p{number}",
            "title": f"Part {number}",
            "prompt": f"Do part {number}.",
            "type": "orchestrate" if deeper else "analyze",
            "depends_on": [f"p{after - 1}"] if 0 < after <= number else [],
        }
        for number, (deeper, after) in enumerate(shape)
    ]
    return {"summary": "In parts.", "tasks": tasks}


def wish_of(shape: Sequence[tuple[bool, int]]) -> dict[str, Json]:
    """Return the same as a worker says it."""
    plan = plan_of(shape)
    assert isinstance(plan["tasks"], list)
    rows = [{key: row[key] for key in ("title", "prompt")} for row in plan["tasks"] if isinstance(row, dict)]
    return {"why": "They are parts.", "tasks": list(rows)}


class Orders(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = Trees(self.starts, policy=TREES)
        self.now: Generation | None = None
        self.requests = 0
        self.granted: Counter[str] = Counter()  # how often a person gave a lineage as much again

    def teardown(self) -> None:
        try:
            self.comes_to_its_end()
        finally:
            self.world.close()

    # What is seen when an agent starts

    def starts(self, process: Process) -> None:
        held = self.world.store._held
        task = held.tasks[process.order.uid]
        assert process.order.mark not in self.world.processes, "an attempt is started once"
        others = [held.tasks[one.order.uid] for one in self.world.alive()]
        assert len(others) < TREES.slots
        assert task.id_key not in {one.id_key for one in others}, "no overlap"
        most = held.jobs[task.job].max_workers
        assert not most or sum(one.job == task.job for one in others) < most, "max_workers"
        for need in held.needs:
            if need.uid == task.uid:
                on = held.tasks[need.on_uid]
                assert need.met
                assert on.state in (TERMINAL if need.kind is NeedKind.CHILD else {State.SUCCEEDED}), (
                    f"{task.spec.id} came before {on.spec.id}"
                )
        self.account_holds(task)

    def account_holds(self, task: Task) -> None:
        """What is spent and reserved is never more than the lineage may cost, with what a person gave again."""
        held = self.world.store._held
        of_tree = [record for (uid, _), record in held.attempts.items() if held.tasks[uid].lineage == task.lineage]
        spending = spending_of(of_tree)
        limit = held.tasks[task.lineage].spec.tree_budget_usd or inf
        most = limit * (1 + self.granted[tree_scope(task.lineage)])
        assert spending.spent_usd + spending.reserved_usd <= most + 0.01, "the account of the lineage"

    # Rules

    @initialize(workers=st.integers(0, 2), budget=st.booleans())
    def begin(self, workers: int, budget: bool) -> None:
        self.request(workers, MAX_DEPTH, budget)

    @precondition(lambda self: self.requests < 3)
    @rule(workers=st.integers(0, 2), depth=st.integers(1, 3), budget=st.booleans())
    def request(self, workers: int, depth: int, budget: bool) -> None:
        self.requests += 1
        usd = BUDGET_USD if budget else 0.0
        asked = Orchestration(f"Build house {self.requests}", max_workers=workers, max_depth=depth, budget_usd=usd)
        self.world.loop.done(self.world.door().orchestrate(asked, door="cli"))
        if self.now is None:
            self.restart()
        self.time_passes(12.0)

    @precondition(lambda self: self.world.alive())
    @rule(pick=picks, shape=shapes, share=shares)
    def agent_ends_well(self, pick: int, shape: list[tuple[bool, int]], share: float) -> None:
        process = self.picked(pick)
        plan = json.dumps(plan_of(shape)) if process.order.schema else ""
        self.ends(process, costs(process, share, replace(DONE, report=replace(DONE.report, structured=plan))))

    @precondition(lambda self: self.world.alive())
    @rule(pick=picks, shape=shapes, share=shares)
    def worker_splits(self, pick: int, shape: list[tuple[bool, int]], share: float) -> None:
        """A worker asks for sub-tasks by its tool, twice, and ends its turn; one that plans gives a plan."""
        process = self.picked(pick)
        if process.order.schema:
            self.agent_ends_well(pick, shape, share)
            return
        desk, order = self.world.granting(), process.order
        for _ in range(2):
            self.world.loop.done(desk.split(Caller(order.uid, order.attempt, order.epoch), wish_of(shape)))
        self.ends(process, costs(process, share, DONE))

    @precondition(lambda self: self.world.alive())
    @rule(pick=picks, kind=st.sampled_from([FailureKind.GAVE_UP, FailureKind.TRANSIENT, FailureKind.BUDGET]))
    def agent_fails(self, pick: int, kind: FailureKind) -> None:
        process = self.picked(pick)
        self.ends(process, costs(process, 1.0, Failed(kind, "it did not work")))

    @precondition(lambda self: self.now is not None)
    @rule(left=st.sampled_from([None, DONE]))
    def crash(self, left: Outcome | None) -> None:
        assert self.now is not None
        self.world.dies(self.now, left)
        self.now = None

    @precondition(lambda self: self.now is not None)
    @rule(calls=st.integers(1, 80))
    def crash_soon(self, calls: int) -> None:
        """Die at a call of a port, whichever it will be."""
        assert self.now is not None
        self.now.life.dies_in = calls

    @precondition(lambda self: self.now is None)
    @rule()
    def restart(self) -> None:
        self.now = self.world.born()
        self.buried()

    @rule(seconds=st.sampled_from([1.0, 6.0, 12.0, 100.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.loop.advance(seconds)
        self.buried()

    @rule(act=st.sampled_from(["cancel", "hold", "resume", "resume", "retry"]), pick=picks)
    def a_person_asks(self, act: str, pick: int) -> None:
        tasks = self.tasks()
        self.ask(act, tasks[pick % len(tasks)].uid)

    @rule(act=st.sampled_from(["pause", "resume"]))
    def a_person_asks_for_all(self, act: str) -> None:
        self.ask(act, "*")

    @rule()
    def a_person_gives_as_much_again(self) -> None:
        for scope in [scope for scope in self.world.store._held.pauses if scope.startswith("tree:")]:
            self.granted[scope] += 1
            self.ask("resume", scope)

    def ask(self, act: str, key: str) -> None:
        with suppress(OrchestratorError):  # not possible now, and said so
            self.world.loop.done(getattr(self.world.door(), act)(key))
        self.buried()

    def picked(self, pick: int) -> Process:
        alive = self.world.alive()
        return alive[pick % len(alive)]

    def ends(self, process: Process, outcome: Outcome) -> None:
        process.ends(outcome)
        self.world.loop.settle()
        self.buried()

    def buried(self) -> None:
        """Bury a daemon that died on the way."""
        if self.now is not None and self.now.life.dead:
            self.world.dies(self.now, None)
            self.now = None

    def tasks(self) -> list[Task]:
        return list(self.world.store._held.tasks.values())

    # What holds after each step

    @invariant()
    def no_tree_grows_beyond_its_bounds(self) -> None:
        assert not self.world.breaches, self.world.breaches
        held, tasks = self.world.store._held, self.tasks()
        active = [task.id_key for task in tasks if task.state in ACTIVE]
        assert len(active) == len(set(active)), "one active task of an id"
        splits = [event for event in held.events if event.kind is EventKind.SPLIT]
        assert len({event.uid for event in splits}) == len(splits), "a task splits once"
        for event in splits:
            children = event.data["children"]
            assert isinstance(children, list)
            assert 2 <= len(children) <= MAX_CHILDREN
            assert {one["uid"] for one in children if isinstance(one, dict)} <= set(held.tasks), "all of them or none"
        for root in (task for task in tasks if not task.parent):
            tree = [task for task in tasks if task.lineage == root.uid]
            again = sum(bool(task.rerun_of) for task in tree)
            assert len(tree) - again <= MAX_TREE
            assert max(task.depth for task in tree) <= min(MAX_DEPTH, root.spec.max_depth or 0)

    # The end: let alone, everything that can go on does

    def comes_to_its_end(self) -> None:
        if self.now is not None:
            self.world.dies(self.now, None)
        self.world.at_once = replace(DONE, report=replace(DONE.report, usage=Usage(cost_usd=0.0)))
        self.now = self.world.born()
        for _ in range(6):
            self.ask("resume", "*")
            self.a_person_gives_as_much_again()
            for task in self.tasks():
                if task.state is State.HELD:
                    self.ask("resume", task.uid)
            self.world.loop.advance(2 * 86_400.0, steps=8)
        self.no_tree_grows_beyond_its_bounds()
        held = self.world.store._held
        for task in (one for one in self.tasks() if one.state not in TERMINAL):
            unmet = [held.tasks[need.on_uid].state for need in held.needs if need.uid == task.uid and not need.met]
            assert task.state in (State.BLOCKED, State.SPLIT), (task.spec.id, task.state, task.reason)
            assert set(unmet) - {State.SUCCEEDED}, f"{task.spec.id} waits for nothing"


Orders.TestCase.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)


@pytest.mark.timeout(300)  # to shrink what is found takes its time
class TestOrders(Orders.TestCase):  # type: ignore[misc, valid-type]  # made by hypothesis
    """Run by pytest."""
