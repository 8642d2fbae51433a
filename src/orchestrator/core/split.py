"""How far a task may split into sub-tasks: bounds that the daemon holds, whatever an agent asks for."""

from dataclasses import dataclass

APPROVE_PLAN = "plan"  # what `approve` of a task says where a person is to approve its plan
APPROVED = "given"  # and where a person has said yes beforehand; no task file can say so


@dataclass(frozen=True, slots=True)
class SplitRules:
    """*max_depth* splits may lie between the root and a task; 0: no task splits. A split has *min_children* to
    *max_children* sub-tasks, a whole tree at most *max_tree* tasks. *tree_budget_usd* is what a tree may cost where its
    root says nothing; 0: no limit of ours. *approve*: a person approves each plan before it runs. *tool*: a running
    worker may split its own task. *commands_from* are the doors by which a request may come whose plan names commands
    as checks. *default_type* is what a sub-task is taken for that says nothing of it."""

    max_depth: int = 3
    min_children: int = 2
    max_children: int = 7
    max_tree: int = 40
    tree_budget_usd: float = 0.0
    approve: bool = False
    tool: bool = False
    commands_from: tuple[str, ...] = ()
    default_type: str = ""


def wants_approval(approve: str, rules: SplitRules) -> bool:
    """Return whether a person has to approve how a task is split whose `approve` is this."""
    return approve == APPROVE_PLAN or (rules.approve and approve != APPROVED)
