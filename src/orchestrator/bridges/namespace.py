"""The PID namespace that bubblewrap makes: finding the agent in it, and how it really ended.

Seen from the supervisor there are three processes: bubblewrap itself, our child; the first process of the namespace,
at whose end the kernel ends all others; and the agent, a child of that one. bubblewrap passes no signal on, and of a
signal that ended the agent it only says 128 and its number, as a shell does.
"""

import os
import select
import sys

from orchestrator.bridges import proctable, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    try:
        import _signal as signal
    except ImportError:
        import signal

# linux/pidfd.h: how a process ended, told also to who is not its parent. Linux 6.15.
PIDFD_GET_INFO = 0xC000_0000 | 64 << 16 | 0xFF << 8 | 11
PIDFD_INFO_EXIT = 1 << 3
BAD_ENDS = (3, 4, 6, 7, 8, 9, 11, 31)  # signals that no program answers with an exit code of its own


class Namespace:
    """Of one attempt. *first* and *agent* are pids, 0 until known; *end* becomes readable as the agent ends."""

    def __init__(self) -> None:
        self.status_r, self.status_w = os.pipe()
        os.set_blocking(self.status_r, False)
        self.outer = self.first = self.agent = 0
        self.first_start = self.outer_start = 0
        self.end = -1
        self.survivors = 0
        self.ran = False  # bubblewrap has said how the agent ended: so it was started
        self._said = b""

    def started(self, outer: int) -> None:
        """Take note of bubblewrap's pid; it alone holds the pipe's other end from now on."""
        self.outer = outer
        os.close(self.status_w)

    def search(self) -> bool:
        """Return whether the agent was found, by this call."""
        if self.agent or self.end >= 0:
            return False
        self._read()
        if not self.first:
            return False
        born = proctable.read_proc(f"/proc/{self.first}/task/{self.first}/children").split()
        if not born:
            return False
        self.agent = int(born[0])
        self.end = proctable.watch_end(self.agent)
        if self.end >= 0:
            # Held still, bubblewrap cannot end before we have counted what the agent left behind.
            self.outer_start = _start(self.outer)
            tree.strike(self.outer, self.outer_start, signal.SIGSTOP)
        return True

    def wait(self) -> None:
        """Wait for the next sign of the agent's birth. A short one lives for two milliseconds."""
        select.select([] if self.first else [self.status_r], [], [], 0.0003 if self.first else 0.002)

    def agent_ended(self, *, counted: bool) -> None:
        """Count what the agent left in the namespace, then let bubblewrap end, and with it the namespace."""
        if counted:
            self.survivors = len(tree.below(self.first, tree.look()) - {self.agent})
        tree.strike(self.outer, self.outer_start, signal.SIGCONT)

    def kill(self) -> None:
        """End the namespace: all in it at once, by the kernel."""
        if self.first:
            tree.strike(self.first, self.first_start, signal.SIGKILL)
        if self.outer:
            proctable.send(self.outer, signal.SIGKILL)  # our child, and not yet collected

    def exit_code(self, told: int) -> int:
        """Return how the agent ended, negative for a signal. *told* is what bubblewrap ended with."""
        self._read()
        if self.end >= 0 and (status := _ended(self.end)) is not None:
            return os.waitstatus_to_exitcode(status)
        return 128 - told if told - 128 in BAD_ENDS else told

    def _read(self) -> None:
        try:
            while part := os.read(self.status_r, 4096):
                self._said += part
        except BlockingIOError:
            pass
        if not self.first:
            self.first = _number(self._said, b'"child-pid"')
            self.first_start = _start(self.first)
        self.ran = self.ran or b'"exit-code"' in self._said


def refusal(stderr: bytes) -> tuple[str, int]:
    """Return in words why bubblewrap started nothing, and the errno. ("", 0) when it does not say."""
    line = stderr.rstrip().rpartition(b"\n")[2].decode(errors="replace")
    what, _, why = line.partition(": ")[2].rpartition(": ")
    number = next((each for each in range(1, 134) if os.strerror(each) == why), 0)
    for said in ("bwrap: execvp ", "setpriv: failed to execute ", "unshare: failed to execute "):
        if line.startswith(said) and number:
            return f"cannot start {what.partition(' ' if said[0] == 'b' else 'execute ')[2]}: {why}", number
    return (f"the container cannot be made: {line}", number) if line.startswith("bwrap: ") else ("", 0)


def _number(text: bytes, name: bytes) -> int:
    digits = text.partition(name)[2].lstrip(b" :").split(b"\n")[0].split(b",")[0].strip(b" }")
    return int(digits) if digits.isdigit() else 0


def _start(pid: int) -> int:
    fields = proctable.stat_fields(pid) if pid else []
    return int(fields[19]) if len(fields) > 19 else 0


def _ended(pidfd: int) -> int | None:
    """Return the wait status of a process that has been collected, None where the kernel does not tell."""
    from fcntl import ioctl

    info = bytearray(64)
    info[:8] = PIDFD_INFO_EXIT.to_bytes(8, sys.byteorder)
    try:
        ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:
        return None
    if not int.from_bytes(info[:8], sys.byteorder) & PIDFD_INFO_EXIT:
        return None
    return int.from_bytes(info[60:64], sys.byteorder, signed=True)
