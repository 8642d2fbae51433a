"""What holds an agent: the levels of confinement, what is in force, and why a run under it is refused. Pure.

The table of what each level holds, all of it measured, is docs/confinement.md.
"""

from enum import StrEnum


class Level(StrEnum):
    """The setting agents.claude.confinement."""

    AUTO = "auto"  # the strongest there is of the three below
    PROCESS = "process"  # L2: bubblewrap around the whole CLI, its own sandbox around the shell inside
    SHELL = "shell"  # L1: the CLI's own sandbox around the shell only
    RULES = "rules"  # L0: permission rules, no shell
    CONTAINER = "container"  # L3: the whole machine is one that may be lost; only a person can know that


NO_NETWORK = ", shell without network"
_WORDS = {
    Level.PROCESS: f"whole process confined{NO_NETWORK}",
    Level.SHELL: "only the shell confined",
    Level.RULES: "file edits only, no shell",
    Level.CONTAINER: "container or virtual machine, as configured",
}
UNCONFINED = "UNCONFINED (CLAUDE_SKIP_PERMISSIONS, ORCHESTRATOR_ALLOW_UNCONFINED)"
SKIPPED = ", permissions skipped"


def programs(*, as_root: bool) -> tuple[str, ...]:
    """Return the programs that a confined run needs. Root takes two more, to mount a /proc that is whole."""
    return ("bwrap", "socat", *(("unshare", "setpriv") if as_root else ()))


def in_force(wanted: Level, *, available: bool) -> Level:
    """Return what *wanted* comes to. *available*: the `programs` are installed, and bubblewrap was tried and works."""
    if wanted is Level.AUTO:
        return Level.PROCESS if available else Level.RULES
    return wanted


def words(level: Level, *, skip_permissions: bool) -> str:
    """Return for people what holds the agent."""
    if not skip_permissions:
        return _WORDS[level]
    return _WORDS[level] + SKIPPED if level in (Level.PROCESS, Level.CONTAINER) else UNCONFINED


def with_project_settings(words: str, level: Level) -> str:
    """Return *words* where what the project sets is loaded. Its hooks and servers are started by the CLI itself, with
    the network and the credential that the shell has not, and held only by what holds the whole CLI."""
    opened = words.replace(NO_NETWORK, "")
    held = level in (Level.PROCESS, Level.CONTAINER)
    return f"{opened}, project settings loaded{'' if held else ': hooks and servers UNCONFINED'}"


def refusal(level: Level, *, available: bool, skip_permissions: bool, allow_unconfined: bool) -> str:
    """Return why nothing may be started like this and what to do, "" if it may."""
    if level in (Level.PROCESS, Level.SHELL) and not available:
        return (
            f"agents.claude.confinement is {level}, and bubblewrap or socat is missing here or does not work; "
            "do what doctor says of it, or set it to auto"
        )
    if skip_permissions and level in (Level.SHELL, Level.RULES) and not allow_unconfined:
        return (
            f"CLAUDE_SKIP_PERMISSIONS is set and nothing would hold the agent (agents.claude.confinement: {level}); "
            "unset it, install bubblewrap and socat, or in a container of its own set agents.claude.confinement: "
            "container; ORCHESTRATOR_ALLOW_UNCONFINED=1 runs it nevertheless"
        )
    return ""
