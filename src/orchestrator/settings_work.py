"""The settings on the work of tasks: where it is done, how it is proven and taken, what a question waits for."""

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.settings_types import (
    MAX_TIMEOUT_S,
    BranchPattern,
    Commands,
    Door,
    Duration,
    Group,
    Number,
    PathWithin,
    UnansweredRule,
)


class ProofSettings(Group):
    """How criteria are proven. *rounds*: how often a failed check goes back to the agent's session. *opinion*: who says
    what it thinks of criteria in words; its other keys bound that. *allow_commands_from*: the doors whose tasks may
    name commands to run. *setup* are commands, lists of words, run in each checkout before the commands of checks."""

    rounds: Annotated[int, Number, Field(ge=0, le=20)]
    timeout_s: Annotated[float, Number, Field(ge=1, le=MAX_TIMEOUT_S, allow_inf_nan=False)]
    opinion: Literal["none", "agent", "ollama"]
    opinion_model: str
    opinion_timeout_s: Annotated[float, Number, Field(ge=1, le=3600, allow_inf_nan=False)]
    opinion_budget_usd: Annotated[float, Number, Field(ge=0.001, le=1000, allow_inf_nan=False)]
    allow_commands_from: tuple[Door, ...]
    setup: Commands


class IsolationSettings(Group):
    """Where tasks work. *setup* are commands, lists of words, run in each new clone; *copy* paths of the checkout."""

    mode: Literal["auto", "clone", "copy", "in_place"]
    branch: BranchPattern
    author: Annotated[str, Field(pattern=r"^[^<>\n]+ <[^<>\s]+>$")]
    setup: Commands
    copy_: Annotated[tuple[PathWithin, ...], Field(alias="copy")]
    keep_days: Annotated[int, Number, Field(ge=0, le=36_500)]


class TakingSettings(Group):
    """What is done by itself with a result whose criteria are all proven, and the remote that it goes to."""

    when_proven: tuple[Literal["merge", "push", "pr"], ...]
    remote: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]


class QuestionSettings(Group):
    """What follows when an agent asks and nobody answers, where the task itself says nothing: see docs/questions.md."""

    if_unanswered: UnansweredRule
    answer_within: Duration
