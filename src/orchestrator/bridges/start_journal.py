"""When daemons of a root started, and whether the last one ended well: written before the database is opened.

It lies beside the database, not in it, so that a daemon which falls over its database is counted too. Only the owner of
the root writes it. The moment of a clean stop is after the last file was written, and not the event `daemon_stopped`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges import proctable
from orchestrator.bridges.files import atomic_write, open_folder, opened

JOURNAL = "starts.json"
_KEPT = 100  # starts: more than anybody sets as the limit


@dataclass(frozen=True, slots=True)
class Start:
    """What is known of the past at a start.

    *clean*: whoever owned the root before ended well, all its files written. *verified_seq*: up to this event every
    file was seen to be whole. *rebooted*: the machine has started anew since. *recent*: how many starts there were
    within the window without a clean stop, this one included.
    """

    clean: bool
    verified_seq: int
    rebooted: bool
    recent: int


class StartJournal:
    """The journal in the folder *state*; used while the root is ours."""

    def __init__(self, state: Path, *, boot_id: str | None = None) -> None:
        self._state = state
        self._boot = proctable.boot_id() if boot_id is None else boot_id
        self._seq = 0
        self._starts: list[float] = []

    def begin(self, now: float, *, window_s: float, counts: bool = True) -> Start:
        """Note down a start at *now* (seconds since the epoch); *counts* is False for who does not stay.

        Raises OSError.
        """
        said = _read(self._state / JOURNAL)
        clean, boot = said.get("clean") is True, said.get("boot")
        self._seq = seq if isinstance(seq := said.get("verified_seq"), int) else 0
        before = said.get("starts") if not clean else []
        times = [ts for ts in before if isinstance(ts, float)] if isinstance(before, list) else []
        self._starts = [ts for ts in times if now - window_s < ts <= now][-_KEPT:] + ([now] if counts else [])
        self._write(clean=False)
        rebooted = bool(said) and isinstance(boot, str) and boot != self._boot
        return Start(clean, self._seq, rebooted, len(self._starts))

    def verified(self, seq: int) -> None:
        """Every file of every event up to *seq* is whole."""
        self._seq = seq
        self._write(clean=False)

    def stopped(self, seq: int) -> None:
        """All that was to be written up to *seq* is written, and we go."""
        self._seq = seq
        self._write(clean=True)

    def _write(self, *, clean: bool) -> None:
        said = {"clean": clean, "verified_seq": self._seq, "boot": self._boot, "starts": self._starts}
        with opened(open_folder(self._state)) as folder:
            atomic_write(folder, JOURNAL, json.dumps(said).encode())


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
