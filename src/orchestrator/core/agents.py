"""Which agent runs a task, and what it is told to keep to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.errors import ConfigError
from orchestrator.core.notes import NotesWanted


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """A configured agent. *timeout_s* seconds, *max_turns* and *budget_usd* 0 for none, *places* at once (0: all).

    One that is not *enabled* starts nothing. Beyond *headroom_percent* of its account's allowance nothing more is
    started until the reset; 100: off. *notes* of the project are passed on to it as text. One that is *spare* is there
    for tasks that ask for it: that it is off is no news to anybody else. *takes_over* are the types of tasks that it
    may take over from another agent; (): all.
    """

    name: str
    model: str = ""
    timeout_s: int = 300
    max_turns: int = 0
    budget_usd: float = 0.0
    places: int = 0
    enabled: bool = True
    headroom_percent: float = 100.0
    notes: NotesWanted = field(default_factory=NotesWanted)
    spare: bool = False
    takes_over: tuple[str, ...] = ()


def choose_agent(name: str, profiles: Mapping[str, AgentProfile], default: str) -> AgentProfile:
    """Return the profile of *name*, of the default one for "". Raises ConfigError when it is not configured."""
    name = name or default
    if (profile := profiles.get(name)) is None:
        known = ", ".join(sorted(profiles)) or "none"
        raise ConfigError(f"no agent named {name!r} is configured", hint=f"Configured: {known}.")
    return profile
