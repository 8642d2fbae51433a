"""The settings of what people add of their own: recovery strategies, and hooks before and after tasks."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from orchestrator.settings_types import (
    Commands,
    Count,
    Duration,
    Group,
    Number,
    PluginName,
    RecoveryKey,
    VariableName,
    named_strategy,
)


class StrategySettings(Group):
    """A recovery strategy: the name of a built-in one or of an entry point of the group orchestrator.recovery."""

    use: PluginName
    to: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    times: Annotated[int, Number, Field(ge=0, le=100)] = 0
    up_to: Duration = 3600.0


class RecoverySettings(Group):
    """What is asked before the built-in policy, by kind of failure or class of error, and what bounds it."""

    strategies: dict[RecoveryKey, tuple[Annotated[StrategySettings, BeforeValidator(named_strategy)], ...]]
    timeout_s: Annotated[float, Number, Field(ge=0.1, le=60, allow_inf_nan=False)]
    free_memory_bytes: Count


class HookSettings(Group):
    """What is run before and after each task: commands, each a list of words, then *plugins*, the names of entry points
    of the group orchestrator.hooks. *timeout_s* is for each; *env*: further variables they see."""

    before_task: Commands
    after_task: Commands
    plugins: tuple[PluginName, ...]
    timeout_s: Annotated[float, Number, Field(ge=0.1, le=3600, allow_inf_nan=False)]
    env: tuple[VariableName, ...]
