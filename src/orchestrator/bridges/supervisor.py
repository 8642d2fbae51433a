"""The small program between the daemon and one agent: it starts the agent, bounds it, and ends its whole tree.

Run by itself, as `main` with the arguments SPEC CONTROL LOCK LIFE, four inherited file descriptors:

- SPEC: the order, NUL-separated (see `Order`); in no file with a name and no argument list, for it holds secrets.
- CONTROL: a pipe whose write end only the daemon has. `stop` and `kill` lines ask for the end; end of file says
  that the daemon died.
- LOCK: an open file locked with flock before this program started. It is held for life, so "is that attempt still
  running?" is answered by the kernel, without process ids.
- LIFE: a pipe read by the daemon. The exit record is written to it, and its end of file says that all is over.

Standard input, output and error are the agent's own (files); this program writes to none of them.
Only the standard library, and little of it: json, signal, ctypes, subprocess or dataclasses would each add 3 to
15 ms to every attempt, which is why this file reads plainer than its neighbours. What only some attempts need (a
container, a limit, a ladder) is imported when they do.
"""

import os
import resource
import select
import sys
import time

from orchestrator.bridges import proctable
from orchestrator.bridges.agent_start import PR_SET_CHILD_SUBREAPER, load_prctl, spawn
from orchestrator.bridges.exit_file import is_final, publish, write_manifest
from orchestrator.bridges.order import Order
from orchestrator.core.failpoint import hit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from orchestrator.bridges.gauge import Gauge
    from orchestrator.bridges.leaf import Leaf
    from orchestrator.bridges.namespace import Namespace
else:
    try:
        import _signal as signal  # what `signal` wraps in enums, 4 ms cheaper
    except ImportError:
        import signal

TICK_S = 0.25  # how often output size, limits and dead orphans are looked at
SOON_S = 0.002  # how often what is about to happen is looked for
SEARCH_S = 5.0  # so long the first process of a container is looked for without delay
LINGER_S = 5.0  # a daemon died, but the final output is there: so long may the agent take to end by itself
ABANDONED_GRACE_S = 0.9  # per step when the daemon died: all is over within two seconds of its death
UNKILLABLE_S = 10.0  # a process that survives SIGKILL for so long is stuck in the kernel; it is reported, not awaited
WITHOUT_GRACE = ("output_too_large", "too_many_processes", "too_much_memory")  # every second makes these worse


def main() -> None:
    fds = [int(arg) for arg in sys.argv[1:5]]
    for fd in fds:
        os.set_inheritable(fd, False)
    spec, control, _lock, life = fds
    with open(spec, "rb") as stream:
        order = Order(stream.read())
    for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(asked, _on_signal)
    record = Attempt(order, control).run()
    publish(order, record, life)
    os._exit(0)  # nothing is left to tidy, and it saves some milliseconds


_signalled: list[int] = []


def _on_signal(number: int, _frame: object) -> None:
    _signalled.append(number)


class Attempt:
    """One agent, from its start until nothing of it is alive."""

    def __init__(self, order: Order, control: int) -> None:
        self.order = order
        self.control = control
        self.poller = select.poll()
        self.poller.register(control, select.POLLIN)
        self.prctl = load_prctl()
        self.subreaper = self.prctl is not None and self.prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
        self.child = 0  # the agent, or bubblewrap around it
        self.status: int | None = None
        self.reason, self.detail, self.errno = "exited", "", 0
        self.step = 0  # of the ladder: 0 not begun, 1 interrupted, 2 terminated, 3 killed
        self.due = self.linger_until = 0.0
        self.killed: set[int] = set()
        self.size, self.tick_s = 0, 5 * SOON_S
        self.leaf: Leaf | None = None
        self.namespace: Namespace | None = None
        self.gauge: Gauge | None = None

    def run(self) -> dict[str, object]:
        hit("supervisor.begun")
        started_ts, self.started = time.time(), time.monotonic()
        self.deadline = self.started + self.order.timeout_s
        if not self._is_called_off() and self._start():
            hit("supervisor.spawned")
            write_manifest(self.order, self.namespace.agent if self.namespace else self.child)
            self._watch()
            hit("supervisor.reaped")
            self._end_tree()
        code = self._exit_code()
        if self.reason == "output_too_large":
            for fd in (1, 2):  # a full disk helps nobody
                os.truncate(fd, min(os.fstat(fd).st_size, self.order.max_output_bytes))
        if self.leaf is not None:
            self.leaf.remove()
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "exit_code": code,
            "reason": self.reason,
            "detail": self.detail,
            "errno": self.errno,
            "started_ts": started_ts,
            "ended_ts": time.time(),
            "duration_s": round(time.monotonic() - self.started, 4),
            "survivors_killed": self._survivors(),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 4),
            "max_rss_kb": usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1),
            "container": self._in_force(),
        }

    def _survivors(self) -> int:
        inside = self.namespace
        if inside is not None and inside.end >= 0:
            return inside.survivors
        return len(self.killed - {self.child, inside.first if inside else 0})

    def _in_force(self) -> str:
        kinds = ["pid namespace"] if self.namespace and self.namespace.first else []
        kinds += [self.leaf.words] if self.leaf and self.leaf.words else []
        return "+".join(kinds + ["subreaper"] * self.subreaper + ["mark"] * proctable.has_proc()) or "process group"

    def _is_called_off(self) -> bool:
        """Return whether the end was asked for before there was a beginning."""
        if not self.poller.poll(0):
            return False
        self.reason = "stopped" if os.read(self.control, 4096) else "daemon_gone"
        self.detail = "ended before the program was started"
        return True

    def _start(self) -> bool:
        order = self.order
        if order.cgroups:
            from orchestrator.bridges.leaf import make

            write_manifest(order, 0)  # the groups can be found from now on, whatever happens to us
            self.leaf = make(order.cgroups)
            self.leaf.limit(max_processes=order.max_processes, memory_bytes=order.memory_bytes)
        if order.container:
            from orchestrator.bridges.namespace import Namespace

            self.namespace = Namespace()
        joins = self.leaf.joins if self.leaf else []
        started = spawn(order, self.prctl, joins=joins, status_fd=self.namespace.status_w if self.namespace else -1)
        if not started.joined and self.leaf is not None:
            self.leaf.remove()
            self.leaf = None
        if started.problem:
            self.reason, self.detail, self.errno = "spawn_failed", started.problem, started.errno
            return False
        self.child = started.pid
        if self.namespace:
            self.namespace.started(self.child)
        return True

    def _exit_code(self) -> int | None:
        """Return how the agent ended, None where there was none. Says so where its container was the one that ended."""
        if self.status is None:
            return None
        code = os.waitstatus_to_exitcode(self.status)
        if self.namespace is not None and code >= 0:
            code = self.namespace.exit_code(code)
            if self.reason == "exited" and (code in (126, 127) or (code == 1 and not self.namespace.ran)):
                from orchestrator.bridges.namespace import refusal

                with open(self.order.attempt_dir + b"/stderr.log", "rb") as stream:
                    why, self.errno = refusal(stream.read(65536))
                if why:
                    self.reason, self.detail = "spawn_failed", why
                    return None
        if self.leaf is not None and self.reason == "exited" and code:
            if code in (-signal.SIGKILL, 137) and self.leaf.out_of_memory():
                self.reason, self.detail = "too_much_memory", f"memory limit of {self.order.memory_bytes} bytes"
            elif self.leaf.refused():
                self.reason, self.detail = "too_many_processes", f"{self.order.max_processes} processes allowed"
        return code

    # --- while it runs ----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Return when the agent has ended, or cannot be ended."""
        end = proctable.watch_end(self.child)
        if end >= 0:
            self.poller.register(end, select.POLLIN)
        while not self._reap_child():
            now = time.monotonic()
            if self.step == 3 and now >= self.due:
                self.detail += f"; process {self.child} cannot be ended"
                break
            self._decide(now)
            self._wait(now, self.tick_s if end >= 0 else 0.02)
        if end >= 0:
            os.close(end)

    def _wait(self, now: float, tick: float) -> None:
        """Wait for word of the daemon or an end, until it is time to look again."""
        inside = self.namespace
        if self.step == 3:
            tick = 0.01
        elif inside is not None and inside.end < 0:
            if inside.search():
                self.poller.register(inside.end, select.POLLIN)
                write_manifest(self.order, inside.agent)
            elif now < self.started + SEARCH_S:
                inside.wait()
                tick = 0.0
        wake = min(now + tick, self.due or self.deadline)
        for fd, _events in self.poller.poll(max(0, int((wake - now) * 1000) + (tick > 0))):
            if fd == self.control:
                self._listen()
            elif inside is not None and fd == inside.end:
                self.poller.unregister(fd)
                inside.agent_ended(counted=self.step < 3)

    def _reap_child(self) -> bool:
        self._reap()
        return self.status is not None

    def _reap(self) -> bool:
        """Collect every child that has ended, orphans too. Return whether a child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.child:
                self.status = status

    def _decide(self, now: float) -> None:
        if self.step:
            if self.step == 3:
                self._kill()
            elif now >= self.due:
                self._climb(now)
        elif _signalled:
            self._begin(now, "stopped", f"signal {_signalled[0]} was sent to the supervisor")
        elif self.linger_until and now >= self.linger_until:
            self._begin(now, "lingered", "the daemon ended, and the agent did not after its final output")
        elif now >= self.deadline:
            self._begin(now, "timeout", f"still running after {self.order.timeout_s:g} s")
        elif found := self._breach(now):
            self._begin(now, *found)

    def _breach(self, now: float) -> tuple[str, str] | None:
        """Return (reason, detail) where a limit is passed or nothing moves any more."""
        order = self.order
        before, self.size = self.size, max(os.fstat(1).st_size, os.fstat(2).st_size)
        if self.size > order.max_output_bytes:
            return "output_too_large", f"{self.size} bytes of output, {order.max_output_bytes} allowed"
        # Look again before half of what is left can have been written.
        calm = (order.max_output_bytes - self.size) / max(1, self.size - before) / 2
        self.tick_s = min(TICK_S, max(SOON_S, self.tick_s * min(2.0, calm)))
        if now < self.started + TICK_S:
            return None
        if self.gauge is None:
            from orchestrator.bridges.gauge import Gauge

            self.gauge = Gauge(order, self.leaf, now)
        return self.gauge.breach(now)

    def _listen(self) -> None:
        now, said = time.monotonic(), os.read(self.control, 4096)
        if not said:
            self.poller.unregister(self.control)
            if not self.step:
                self._outlive_daemon(now)
            return
        if not self.step:
            self._begin(now, "stopped", "asked to end")
        if b"kill" in said:
            self.step = 2
            self._climb(now)

    def _outlive_daemon(self, now: float) -> None:
        """Nobody is there to read on. A run that was paid for and only has to end may still do so."""
        if is_final(self.order):
            self.linger_until = now + LINGER_S
        else:
            self._begin(now, "daemon_gone", "the daemon ended")

    # --- the ladder -------------------------------------------------------------------------------------------------

    def _begin(self, now: float, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        if reason in WITHOUT_GRACE:
            self.step = 2
        self._climb(now)

    def _climb(self, now: float) -> None:
        """Take the next step of the ladder. SIGINT lets an agent end its turn and still print its result; it goes to
        the agent alone, so that the servers the agent talks to are there until it is done."""
        self.step = min(self.step + 1, 3)
        grace_s = min(self.order.grace_s, ABANDONED_GRACE_S if self.linger_until or self._is_abandoned() else 1e9)
        self.due = now + (UNKILLABLE_S if self.step == 3 else grace_s)
        if self.step == 3:
            self._kill()
        else:
            self._signal(signal.SIGINT if self.step == 1 else signal.SIGTERM)

    def _is_abandoned(self) -> bool:
        return self.reason == "daemon_gone"

    def _signal(self, number: int) -> None:
        """Wake everybody that was stopped, then ask the agent, or at SIGTERM everybody, to end."""
        from orchestrator.bridges import tree

        inside = self.namespace
        if inside is not None:
            inside.search()
            if not inside.agent:
                proctable.send(self.child, signal.SIGKILL)  # there is nobody yet who could be asked
                return
        seen = tree.look()
        own = {inside.outer, inside.first} if inside else set()
        everybody = tree.members(self.order.mark, seen, self.leaf.members() if self.leaf else set()) - own
        for pid in everybody:
            tree.strike(pid, seen[pid].start, signal.SIGCONT)
        if not seen:
            proctable.send(-self.child, signal.SIGCONT)
            proctable.send(self.child if number == signal.SIGINT else -self.child, number)
            return
        agent = inside.agent if inside else self.child
        for pid in everybody & ({agent} if number == signal.SIGINT else everybody):
            tree.strike(pid, seen[pid].start, number)

    def _kill(self) -> set[int]:
        """Kill all there is. Return whom."""
        from orchestrator.bridges import tree

        seen = tree.look()
        victims = tree.members(self.order.mark, seen, self.leaf.members() if self.leaf else set())
        if self.status is None:
            proctable.send(-self.child, signal.SIGKILL)
            proctable.send(self.child, signal.SIGKILL)
        if self.leaf is not None:
            self.leaf.kill()
        if self.namespace is not None and self.status is None:
            self.namespace.kill()
        tree.kill(victims, seen, tree.below(os.getpid(), seen))
        return victims

    def _end_tree(self) -> None:
        """Kill whatever the agent left behind, however it detached itself."""
        give_up = time.monotonic() + UNKILLABLE_S
        if not self.subreaper:  # else all are our children sooner or later, and are counted
            proctable.send(-self.child, signal.SIGKILL)
        while True:
            left = self._reap()
            if not left and not (self.leaf and self.leaf.members()) and not self._marked():
                return
            victims = self._kill()
            self.killed |= victims
            if time.monotonic() > give_up:
                self.detail += f"; processes {sorted(victims)} cannot be ended"
                return
            proctable.wait_ends(victims)

    def _marked(self) -> set[int]:
        return set(proctable.marked_pids(self.order.mark)) - {os.getpid()}
