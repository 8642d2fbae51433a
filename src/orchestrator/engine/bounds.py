"""How far a task may split: what the configuration, the task itself and its tree leave room for."""

from collections.abc import Callable, Sequence
from math import inf

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import spent_by
from orchestrator.core.decompose import PlanBounds
from orchestrator.core.events import EventKind, TaskUid
from orchestrator.core.offspring import Rights
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, Store
from orchestrator.core.task import Task, TaskType
from orchestrator.engine.children import DOOR, left_of_tree
from orchestrator.engine.patience import patiently

_EVENTS = 10_000  # of one task: its first tells by which door it came
_FARTHEST = 100  # runs anew, and splits, that lie between a task and the request it comes from
_DOORS = {"": "folder", "run": "cli"}


class Bounds:
    """Asks the store and the configuration in force each time."""

    def __init__(self, store: Store, clock: Clock, policy: Callable[[], RunPolicy]) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy

    def max_depth(self, task: Task) -> int:
        """Return the deepest that a task of the tree of *task* may be; a task may ask for less than is configured."""
        configured, own = self._policy().splits.max_depth, task.spec.max_depth
        return configured if own is None else min(configured, own)

    def max_children(self, task: Task) -> int:
        """Return how many sub-tasks *task* may have at once."""
        configured, own = self._policy().splits.max_children, task.spec.max_children
        return configured if own is None else min(configured, own)

    async def of_plan(self, task: Task) -> PlanBounds:
        """Return what a plan of *task* may be."""
        policy, splits = self._policy(), self._policy().splits
        tree = await patiently(self._clock, lambda: self._store.tree(task.lineage))
        most = self.max_children(task)
        return PlanBounds(
            base=task.spec.cwd or policy.base_cwd,
            root=policy.allowed_root,
            min_children=min(splits.min_children, most),
            max_children=most,
            room=splits.max_tree - len(tree),
        )

    async def refusal(self, task: Task, attempts: Sequence[AttemptRecord]) -> str:
        """Return why *task* may not split at all, "" when it may."""
        if task.depth >= self.max_depth(task):
            return f"it is {task.depth} splits deep, and max_depth is {self.max_depth(task)}"
        left = await self.left_usd(task, attempts)
        return "nothing is left of its budget" if left is not None and left <= 0 else ""

    async def left_usd(self, task: Task, attempts: Sequence[AttemptRecord]) -> float | None:
        """Return what sub-tasks of *task* may cost together, None where nothing bounds it."""
        splits, own, left = self._policy().splits, task.spec.budget_usd, inf
        if own is not None:
            left = own - spent_by([record for record in attempts if record.ended_ts])
        tree_usd = splits.tree_budget_usd if task.spec.tree_budget_usd is None else task.spec.tree_budget_usd
        if tree_usd:
            left = min(left, await patiently(self._clock, lambda: left_of_tree(self._store, task, tree_usd)))
        return None if left == inf else left

    async def rights(self, task: Task, kind: TaskType, attempts: Sequence[AttemptRecord], *, planned: bool) -> Rights:
        """Return what sub-tasks of *task* may be given. *planned*: a person asked for the split, by the type."""
        policy, splits = self._policy(), self._policy().splits
        return Rights(
            types=policy.types,
            default_type=splits.default_type,
            tools=None if planned else frozenset(kind.tools),
            may_plan=task.depth + 1 < self.max_depth(task),
            commands=bool(splits.commands_from) and await self._door(task.lineage) in splits.commands_from,
            budget_usd=await self.left_usd(task, attempts),
        )

    async def _door(self, uid: TaskUid) -> str:
        """Return by which door the request came that a task goes back to, "" where nobody can tell."""
        for _ in range(_FARTHEST):
            events = await self._store.events_of(uid, limit=_EVENTS)
            received = next((event for event in events if event.kind is EventKind.RECEIVED), None)
            if received is None:
                return ""
            door = str(received.data.get("door", ""))
            before = received.data.get("parent" if door == DOOR else "rerun_of")
            if door not in (DOOR, "retry") or not isinstance(before, str):
                return _DOORS.get(door, door)
            uid = TaskUid(before)
        return ""
