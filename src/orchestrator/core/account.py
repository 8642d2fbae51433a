"""One account for a whole lineage: the task it began with, its sub-tasks, their retries, repairs and planning.

And a breaker, which asks for a person when money goes and nothing is proven. US dollars, pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.budget import Spending, spent_by
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.proof import Proof
from orchestrator.core.split import SplitRules
from orchestrator.core.task import Task

TREE_BUDGET = "tree_budget"  # the reason of a hold, and of a task that waits for the account of its lineage
UNPROVEN_SPEND = "unproven_spend"  # the reason of a hold by the breaker
_SCOPE = "tree:"


@dataclass(frozen=True, slots=True)
class Account:
    """*limit_usd* is what the lineage may cost, infinite without a limit, *granted_usd* what a person has given it
    again after it was used up. *spending* counts what has ended, and what runs with its cap."""

    limit_usd: float
    spending: Spending
    granted_usd: float = 0.0

    @property
    def used_usd(self) -> float:
        """What has been spent since the last grant."""
        return max(0.0, self.spending.spent_usd - self.granted_usd)

    @property
    def is_used_up(self) -> bool:
        """Whether what has ended has cost all of it; what runs may still cost less than its cap."""
        return self.limit_usd < inf and self.used_usd >= self.limit_usd

    def share(self, starters: int) -> float:
        """Return what one of *starters* tasks that may start may cost; 0.0: nothing now, infinite: no limit."""
        if self.limit_usd == inf:
            return inf
        left = self.limit_usd - self.used_usd - self.spending.reserved_usd
        return max(0.0, left / max(1, starters))


def tree_scope(lineage: TaskUid) -> str:
    """Return the scope of holds of a lineage, as people type it: `tree:` and the last 8 digits of its root's uid."""
    return f"{_SCOPE}{lineage[-8:]}"


def held_trees(scopes: Iterable[str]) -> list[str]:
    """Return of the lineages among the held *scopes* the last 8 digits of their roots."""
    return [scope.removeprefix(_SCOPE) for scope in scopes if scope.startswith(_SCOPE)]


def limit_of(root: Task, rules: SplitRules) -> float:
    """Return what the lineage of *root* may cost, infinite for no limit: what its file says, else as configured."""
    wanted = root.spec.tree_budget_usd or root.spec.budget_usd or rules.tree_budget_usd
    return wanted or inf


def spending_of(records: Iterable[AttemptRecord]) -> Spending:
    """Return what *records* count for: what has ended by its cost, else its cap; what runs by its cap."""
    ended, running = list[AttemptRecord](), list[AttemptRecord]()
    for record in records:
        (ended if record.ended_ts else running).append(record)
    return Spending(spent_by(ended), sum(record.cap_usd or inf for record in running))


def is_step(record: AttemptRecord) -> bool:
    """Return whether an attempt has proven a criterion, or made its task a success."""
    if record.verdict.get("passed") is True:
        return True
    return any(row.get("verdict") == Proof.PROVEN.value for row in _rows(record.verdict.get("criteria")))


def unproven_usd(newest_first: Sequence[AttemptRecord]) -> float:
    """Return what ended attempts have cost since the last one that was a step."""
    since: list[AttemptRecord] = []
    for record in newest_first:
        if is_step(record):
            break
        if record.ended_ts:
            since.append(record)
    return spent_by(since)


def trips(unproven: float, *, limit_usd: float, granted_usd: float) -> bool:
    """Return whether the breaker opens: at *limit_usd* (0: never) beyond what a person has let pass since a step."""
    passed = granted_usd if granted_usd <= unproven else 0.0  # a step came after it
    return bool(limit_usd) and unproven - passed >= limit_usd


def _rows(value: Json) -> Sequence[dict[str, Json]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
