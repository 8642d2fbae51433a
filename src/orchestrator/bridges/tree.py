"""Everything that an attempt has started: who belongs to it, what all of it uses, and reaching every one of them.

Of the standard library only; the supervisor imports it when it first has to look, not at every start.
"""

import os

from orchestrator.bridges import proctable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    try:
        import _signal as signal
    except ImportError:
        import signal


class Seen:
    """One process at one look. *start* and *cpu* in clock ticks, *rss* in pages."""

    __slots__ = ("alive", "cpu", "group", "parent", "rss", "session", "start")

    def __init__(self, fields: list[bytes]) -> None:
        self.alive = fields[0] not in (b"Z", b"X")
        self.parent, self.group, self.session = int(fields[1]), int(fields[2]), int(fields[3])
        self.cpu = sum(map(int, fields[11:15]))  # its own and that of the children it has collected
        self.start, self.rss = int(fields[19]), int(fields[21])


Look = dict[int, Seen]


def look() -> Look:
    """Return every process there is. Empty where there is no /proc."""
    found = {}
    for pid in proctable.all_pids():
        fields = proctable.stat_fields(pid)
        if len(fields) > 21:
            found[pid] = Seen(fields)
    return found


def below(ancestor: int, seen: Look) -> set[int]:
    """Return the living descendants of *ancestor*. A subreaper's are complete: whoever loses its parent gets it."""
    children: dict[int, list[int]] = {}
    for pid, process in seen.items():
        children.setdefault(process.parent, []).append(pid)
    found: set[int] = set()
    left = [ancestor]
    while left:
        new = [pid for pid in children.get(left.pop(), []) if pid not in found]
        found.update(new)
        left += new
    return {pid for pid in found if seen[pid].alive}


def members(mark: str, seen: Look, more: set[int]) -> set[int]:
    """Return the living processes of the attempt but for its supervisor, which is the one that asks.

    They are its descendants, *more* (of its control groups), and whoever carries the mark.
    """
    me = os.getpid()
    own = below(me, seen) | {pid for pid in more if pid in seen and seen[pid].alive}
    return (own | {pid for pid in seen if pid not in own and seen[pid].alive and proctable.has_mark(pid, mark)}) - {me}


def strike(pid: int, start: int, number: int) -> None:
    """Send a signal to the process that was seen as *pid*, started at *start*: never to one that got its number."""
    held = proctable.watch_end(pid)
    if proctable.stat_fields(pid)[19:20] != [b"%d" % start]:
        number = 0
    try:
        if number and held >= 0:
            signal.pidfd_send_signal(held, number)
        elif number:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        if held >= 0:
            os.close(held)


def kill(pids: set[int], seen: Look, own: set[int]) -> None:
    """Kill *pids*. Of those in *own*, whole process groups at once: no fork escapes between a look and a signal.

    A descendant's session is one that it or an ancestor of it has made; nobody else's process can be in its group.
    """
    groups = {seen[pid].group for pid in own & pids if seen[pid].session != os.getsid(0)}
    for group in groups - {os.getpgrp(), 0, 1}:
        proctable.send(-group, signal.SIGKILL)
    for pid in pids:
        strike(pid, seen[pid].start, signal.SIGKILL)
