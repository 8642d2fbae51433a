"""What `doctor --repair` found and did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RepairReport:
    """*problems*: what is wrong with the database, in sentences; none: nothing was changed.

    *kept_in* is the folder, relative to the root, that holds the damaged files; "" where there were none to keep.
    *salvaged* are numbers of tasks, attempts, events and pauses read from them, *from_log* of events that only the
    event log had, *lost* of those nobody has. *bodies_lost* are tasks whose text was damaged. *requeued* are task
    files that went back to `tasks/` because no row knows them any more, relative to the root.
    """

    problems: Sequence[str] = ()
    kept_in: str = ""
    salvaged: Mapping[str, int] = field(default_factory=dict)
    from_log: int = 0
    lost: int = 0
    bodies_lost: int = 0
    requeued: Sequence[str] = ()
