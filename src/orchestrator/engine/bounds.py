"""How far a task may split: what the configuration, the task itself, its tree and its budget leave room for."""

from collections.abc import Callable, Sequence

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import spent_by
from orchestrator.core.decompose import PlanBounds
from orchestrator.core.events import EventKind, TaskUid
from orchestrator.core.offspring import Rights as ChildRights
from orchestrator.core.policy import RunPolicy, budget_of
from orchestrator.core.ports import Clock, Store
from orchestrator.core.rights import Rights, left_usd, rights_of
from orchestrator.core.task import Task, TaskType
from orchestrator.engine.children import DOOR
from orchestrator.engine.patience import patiently

_EVENTS = 10_000  # of one task: its first tells by which door it came
_FARTHEST = 100  # runs anew, and splits, that lie between a task and the request it comes from
_DOORS = {"": "folder", "run": "cli"}


async def rights_in(store: Store, policy: RunPolicy, task: Task) -> Rights:
    """Return what *task* may split into, by all that its tree is and has cost."""
    tree = await store.tree(task.lineage)
    attempts = await store.tree_attempts(task.lineage)
    profile = policy.agents.get(task.spec.agent or policy.default_agent)
    configured = profile.budget_usd if profile else 0.0
    own_usd = configured if task.spec.budget_usd is None else task.spec.budget_usd
    root = next((one for one in tree if one.uid == task.lineage), task)
    return rights_of(
        task,
        tree,
        rules=policy.splits,
        types=policy.types,
        cwd=task.spec.cwd or policy.base_cwd,
        left_usd=left_usd(task, root, attempts, rules=policy.splits, own_usd=own_usd),
    )


class Bounds:
    """Asks the store and the configuration in force each time."""

    def __init__(self, store: Store, clock: Clock, policy: Callable[[], RunPolicy]) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy

    async def rights(self, task: Task) -> Rights:
        """Return what *task* may split into."""
        return await patiently(self._clock, lambda: rights_in(self._store, self._policy(), task))

    def of_plan(self, rights: Rights) -> PlanBounds:
        """Return what a plan under *rights* may be."""
        root = self._policy().allowed_root
        return PlanBounds(rights.cwd, root, rights.least, rights.most, rights.room)

    async def of_children(
        self, task: Task, kind: TaskType, rights: Rights, attempts: Sequence[AttemptRecord], *, planned: bool
    ) -> ChildRights:
        """Return what sub-tasks of *task* may be given. *planned*: a person asked for the split, by the type.

        The last of *attempts* has ended: of what it has cost nothing is left. Only the task's own budget is shared out:
        the lineage has one account for all, which no sub-task can use up alone, be its cost unknown.
        """
        policy, splits = self._policy(), self._policy().splits
        own_usd = budget_of(task, policy)
        return ChildRights(
            types=policy.types,
            default_type=splits.default_type,
            tools=None if planned else frozenset(kind.tools),
            may_plan=rights.levels > 1,
            commands=bool(splits.commands_from) and await self._door(task.lineage) in splits.commands_from,
            budget_usd=own_usd - spent_by(attempts) if own_usd else None,
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
