"""What was seen in the folder `tasks/`: the facts that the port `Inbox` speaks in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.task import FileStamp


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """A candidate in `tasks/`: its name (undecodable bytes as surrogates), its stamp, and when its metadata changed."""

    file_name: str
    stamp: FileStamp
    changed_ns: int = 0


@dataclass(frozen=True, slots=True)
class InboxScan:
    """What lay in `tasks/` at one look.

    *ignored* maps names that look like task files and can never be one to the reason (directory, fifo, socket,
    device, suffix_case, conflict_copy). *identity* is (device, inode) of the folder. *trouble* is "" or why nothing
    could be seen (missing, unreadable, no_descriptors); then the other fields say nothing.
    """

    entries: Mapping[str, InboxEntry] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    identity: tuple[int, int] = (0, 0)
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class FileBytes:
    """A complete file at one instant. *recent*: changed so lately that another change could carry the same stamp."""

    body: bytes
    entry: InboxEntry
    links: int = 1
    mode: int = 0o600
    recent: bool = False


@dataclass(frozen=True, slots=True)
class NotReady:
    """Not to be read yet; look again in *retry_after_s*.

    *reason*: open_writer, settling, changing, gone, no_descriptors or disk_error.
    """

    reason: str
    retry_after_s: float
