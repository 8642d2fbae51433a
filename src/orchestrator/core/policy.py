"""What the running program needs of the configuration, as one value that can be swapped while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.agents import AgentProfile
from orchestrator.core.attempt import FailureKind
from orchestrator.core.dependencies import DependencyPolicy
from orchestrator.core.hours import Hours, Span
from orchestrator.core.question import QuestionRules
from orchestrator.core.remedies import RecoveryRules
from orchestrator.core.retry import POLICIES, RetryPolicy
from orchestrator.core.schedule import ScheduleRules
from orchestrator.core.split import SplitRules
from orchestrator.core.task import Task, TaskType


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """*slots* attempts at once. *drain_s*: how long a stop waits for running attempts. *attempts_dir* and the cwds
    are absolute paths. *max_interruptions* ends a task that never survives a run of the daemon. *day_budget_usd* is
    what all tasks together may cost on one local day, *night_budget_usd* in one *night*; *unproven_usd* what a lineage,
    *unproven_total_usd* what all may cost without anything being proven; 0: no limit of ours. *keep_days* is how long
    the work area of an ended task stays before a clean-up takes it. *take* is what is done by itself with a proven
    result: merge, push, pr; *remote* where to. *splits* bounds trees of sub-tasks, *on_dependency* is the policy of who
    says nothing of it. *max_budget_usd* and *max_timeout_s* are the most that one task may ask for."""

    slots: int
    agents: Mapping[str, AgentProfile]
    default_agent: str
    types: Mapping[str, TaskType]
    base_cwd: str
    allowed_root: str
    attempts_dir: str
    drain_s: float = 60.0
    day_budget_usd: float = 0.0
    night_budget_usd: float = 0.0
    night: tuple[Span, ...] = ()
    unproven_usd: float = 0.0
    unproven_total_usd: float = 0.0
    max_interruptions: int = 10
    keep_days: int = 14
    take: tuple[str, ...] = ()
    remote: str = "origin"
    questions: QuestionRules = field(default_factory=QuestionRules)
    schedules: ScheduleRules = field(default_factory=ScheduleRules)
    hours: Hours = field(default_factory=Hours)
    splits: SplitRules = field(default_factory=SplitRules)
    on_dependency: DependencyPolicy = DependencyPolicy.BLOCK
    recovery: RecoveryRules = field(default_factory=RecoveryRules)
    retries: Mapping[FailureKind, RetryPolicy] = field(default_factory=lambda: POLICIES)
    max_budget_usd: float = 1000.0
    max_timeout_s: int = 86_400


def budget_of(task: Task, policy: RunPolicy) -> float:
    """Return what all attempts of *task* may cost, 0.0 for no limit. Who takes it over does not make that larger."""
    if task.spec.budget_usd is not None:
        return task.spec.budget_usd
    profiles = [policy.agents.get(name or policy.default_agent) for name in (task.spec.agent, task.agent)]
    return min((one.budget_usd for one in profiles if one and one.budget_usd), default=0.0)
