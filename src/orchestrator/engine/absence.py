"""Files that are no longer in the folder: one by one they were removed; many at once, something happened to the folder.

Nothing is remembered but what the intake knows of each name. A folder that is gone, exchanged or suddenly empty is
never read as a wish to cancel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.events import TaskUid
from orchestrator.core.ports import InboxEntry
from orchestrator.core.task import FileStamp

MASS_SHARE = 0.2
MASS_FILES = 3


@dataclass(slots=True)
class Known:
    """What the intake knows of one name in `tasks/`.

    *entry* is None until the file was seen since the start. *waiting*: its task is queued and lies there; False
    for a file that is known and not to be read again while it looks the same. *excused*: its absence means nothing.
    """

    uid: TaskUid
    stamp: FileStamp
    entry: InboxEntry | None = None
    waiting: bool = True
    excused: bool = False

    def looks_like(self, entry: InboxEntry) -> bool:
        """Return whether *entry* is unchanged; remembers its metadata when it is seen for the first time."""
        if self.entry is None and self.stamp == entry.stamp:
            self.entry = entry
        self.excused = False
        return self.entry is entry or self.entry == entry


@dataclass(slots=True)
class Absence:
    """Which known files are missing, and since when (monotonic seconds)."""

    since: dict[str, float] = field(default_factory=dict)

    def newly(self, known: Mapping[str, Known], entries: Mapping[str, InboxEntry]) -> list[str]:
        """Return the names that are missing for the first time; forgets those that came back."""
        for name in [name for name in self.since if name in entries]:
            del self.since[name]
        return [
            name for name, one in known.items() if name not in entries and name not in self.since and not one.excused
        ]

    def overdue(self, now: float, *, after_s: float) -> list[str]:
        """Return the names that have been missing for *after_s* seconds."""
        return [name for name, since in self.since.items() if now - since >= after_s]


def is_mass(gone: int, waiting: int) -> bool:
    """Return whether *gone* of *waiting* files at once is a mishap rather than a wish."""
    return gone >= MASS_FILES and gone > MASS_SHARE * waiting
