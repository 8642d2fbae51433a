"""A root's daemon as a service of the machine: kept running by systemd or launchd. What is known of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceOrder:
    """What to keep running. All paths are absolute.

    *name* is one for each root. *command* is the program with its arguments. *path* is the PATH it gets, *drain_s* the
    seconds that its tasks may go on after it was asked to stop.
    """

    name: str
    root: str
    command: tuple[str, ...]
    path: str
    drain_s: float


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How a service stands.

    *manager* is systemd or launchd, *file* what tells it what to run, *text* what the file says, "" when it is not
    installed. *current*: the file says what an installation would write now. *state* is a word of the manager (active,
    failed, …), *pid* 0 when nothing runs. *commands* were run, or would be. *notes* is what a person should know.
    """

    name: str
    manager: str
    file: str
    text: str = ""
    current: bool = False
    enabled: bool = False
    state: str = ""
    pid: int = 0
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether the manager's file is there."""
        return bool(self.text)
