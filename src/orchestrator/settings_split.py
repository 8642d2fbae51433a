"""The settings of task types, and of how far a task may split into others."""

from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.core.split import SplitRules
from orchestrator.settings_types import Dollars, Door, Group, Number, Pattern


class TypeSettings(Group):
    """One task type. *words* are regular expressions, searched anywhere in the text, upper and lower case alike.
    *plans*: a task of this type is split by a plan that its agent makes."""

    tools: tuple[Annotated[str, Field(min_length=1)], ...]
    expects_changes: bool
    words: tuple[Pattern, ...] = ()
    plans: bool = False


class OrchestrateSettings(Group):
    """Bounds that the daemon holds, whatever an agent asks for; a task file may ask for less, never for more.

    *max_depth*: how many splits may lie between a request and a task; 0: nothing is split. *tree_budget_usd*: what a
    request may cost with all its sub-tasks; 0: no limit of ours. *approve*: a person approves each plan. *tool*: a
    running worker may split its own task. *commands*: a plan may name commands that check its sub-tasks.
    """

    max_depth: Annotated[int, Number, Field(ge=0, le=10)]
    min_children: Annotated[int, Number, Field(ge=2, le=20)]
    max_children: Annotated[int, Number, Field(ge=2, le=20)]
    max_tree: Annotated[int, Number, Field(ge=3, le=10_000)]
    tree_budget_usd: Dollars
    approve: bool
    tool: bool
    commands: bool

    @model_validator(mode="after")
    def _in_order(self) -> "OrchestrateSettings":
        if self.min_children > self.max_children:
            raise ValueError(f"orchestrate.min_children as at most max_children, {self.max_children}")
        return self


def split_rules(chosen: OrchestrateSettings, *, default_type: str, doors: tuple[Door, ...]) -> SplitRules:
    """Return the rules for splits. *doors* are those by which tasks may bring commands at all."""
    return SplitRules(
        max_depth=chosen.max_depth,
        min_children=chosen.min_children,
        max_children=chosen.max_children,
        max_tree=chosen.max_tree,
        tree_budget_usd=chosen.tree_budget_usd,
        approve=chosen.approve,
        tool=chosen.tool,
        commands_from=doors if chosen.commands else (),
        default_type=default_type,
    )
