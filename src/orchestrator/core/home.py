"""Where a root lies, and what it means when it lies elsewhere than before: moved, put back, or a copy of another."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Home:
    """*path* is the real path of the root, *inode* that of its state folder, *host* the name of the machine."""

    path: str
    inode: int
    host: str


class Arrival(StrEnum):
    """How a root has come to be where it is."""

    SAME = "same"  # it was here before
    MOVED = "moved"  # there is nothing any more where it was
    RESTORED = "restored"  # here, but in another folder: put back from a backup, or brought here again
    COPIED = "copied"  # the one it was copied from may be alive


def arrival(before: Home | None, here: Home, *, original_there: bool) -> Arrival:
    """Judge how a root came here that was last at *before*; None: it has never been asked.

    *original_there*: at the old place, on this machine, there is another root of the same origin. Whether another
    machine still has it cannot be known: then it may. The same folder under the same path is the same root whatever
    the machine calls itself, as containers change their names.
    """
    if before is None:
        return Arrival.SAME
    at_home = before.path == here.path
    if at_home and before.inode == here.inode:
        return Arrival.SAME
    if original_there or before.host != here.host:
        return Arrival.COPIED
    return Arrival.RESTORED if at_home else Arrival.MOVED
