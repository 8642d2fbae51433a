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
15 ms to every attempt, which is why this file reads plainer than its neighbours.
"""

import os
import resource
import select
import sys
import time

from orchestrator.bridges import proctable
from orchestrator.bridges.proctable import MARK_NAME
from orchestrator.bridges.supervisor_files import to_json, write_file
from orchestrator.core.failpoint import hit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    Prctl = Callable[..., int]
else:
    try:
        import _signal as signal  # what `signal` wraps in enums, 4 ms cheaper
    except ImportError:
        import signal

TICK_S = 0.25  # how often output size and dead orphans are looked at
LINGER_S = 5.0  # a daemon died, but the final output is there: so long may the agent take to end by itself
ABANDONED_GRACE_S = 0.9  # per step when the daemon died: all is over within two seconds of its death
UNKILLABLE_S = 10.0  # a process that survives SIGKILL for so long is stuck in the kernel; it is reported, not awaited
MAX_FINAL_LINE = 16 << 20
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Order:
    """What to run, as the daemon packs it. Bytes stay bytes: paths and arguments need no encoding."""

    def __init__(self, packed: bytes) -> None:
        fields = packed.split(b"\0")
        self.attempt_dir, self.cwd, mark, self.digest, self.final = fields[:5]
        self.mark = mark.decode()
        self.timeout_s, self.grace_s = float(fields[5]), float(fields[6])
        self.max_output_bytes, self.durable, argc = int(fields[7]), fields[8] == b"1", int(fields[9])
        self.argv = fields[10 : 10 + argc]
        self.env = dict(pair.split(b"=", 1) for pair in fields[10 + argc :] if pair)


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
    _publish(order, record, life)
    os._exit(0)  # nothing is left to tidy, and it saves some milliseconds


_signalled: list[int] = []


def _on_signal(number: int, _frame: object) -> None:
    _signalled.append(number)


# --- one attempt ----------------------------------------------------------------------------------------------------


class Attempt:
    """One agent, from its start until nothing of it is alive."""

    def __init__(self, order: Order, control: int) -> None:
        self.order = order
        self.control = control
        self.poller = select.poll()
        self.poller.register(control, select.POLLIN)
        self.prctl = _load_prctl()
        self.subreaper = self.prctl is not None and self.prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
        self.agent = 0
        self.status: int | None = None
        self.reason, self.detail = "exited", ""
        self.step = 0  # of the ladder: 0 not begun, 1 interrupted, 2 terminated, 3 killed
        self.due = 0.0
        self.linger_until = 0.0
        self.killed: set[int] = set()

    def run(self) -> dict[str, object]:
        hit("supervisor.begun")
        started_ts, started = time.time(), time.monotonic()
        self.deadline = started + self.order.timeout_s
        problem, errno = "", 0
        if not self._is_called_off():
            self.agent, problem, errno = _spawn(self.order, self.prctl)
        if problem:
            self.reason, self.detail = "spawn_failed", problem
        elif self.agent:
            hit("supervisor.spawned")
            _write_manifest(self.order, self.agent)
            self._watch()
            hit("supervisor.reaped")
            self._end_tree()
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = None if self.status is None or problem else os.waitstatus_to_exitcode(self.status)
        return {
            "exit_code": code,
            "reason": self.reason,
            "detail": self.detail,
            "errno": errno,
            "started_ts": started_ts,
            "ended_ts": time.time(),
            "duration_s": round(time.monotonic() - started, 4),
            "survivors_killed": len(self.killed - {self.agent}),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 4),
            "max_rss_kb": usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1),
            "container": "+".join(["subreaper"] * self.subreaper + ["mark"] * proctable.has_proc()) or "process group",
        }

    def _is_called_off(self) -> bool:
        """Return whether the end was asked for before there was a beginning."""
        if not self.poller.poll(0):
            return False
        self.reason = "stopped" if os.read(self.control, 4096) else "daemon_gone"
        self.detail = "ended before the program was started"
        return True

    def _watch(self) -> None:
        """Return when the agent has ended, or cannot be ended."""
        end = proctable.watch_end(self.agent)
        if end >= 0:
            self.poller.register(end, select.POLLIN)
        tick = TICK_S if end >= 0 else 0.02
        while not self._agent_reaped():
            now = time.monotonic()
            if self.step == 3 and now >= self.due:
                self.detail += f"; process {self.agent} cannot be ended"
                break
            self._decide(now)
            wake = min(now + tick, self.due or self.deadline)
            for fd, _events in self.poller.poll(max(0, int((wake - now) * 1000) + 1)):
                if fd == self.control:
                    self._listen()
        if end >= 0:
            os.close(end)

    def _agent_reaped(self) -> bool:
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
            if pid == self.agent:
                self.status = status

    def _decide(self, now: float) -> None:
        order = self.order
        if self.step:
            if now >= self.due:
                self._climb(now)
        elif _signalled:
            self._begin(now, "stopped", f"signal {_signalled[0]} was sent to the supervisor")
        elif self.linger_until and now >= self.linger_until:
            self._begin(now, "daemon_gone", "the daemon ended, and the agent did not after its final output")
        elif now >= self.deadline:
            self._begin(now, "timeout", f"still running after {order.timeout_s:g} s")
        elif (size := max(os.fstat(1).st_size, os.fstat(2).st_size)) > order.max_output_bytes:
            self._begin(now, "output_too_large", f"{size} bytes of output, {order.max_output_bytes} allowed")

    def _begin(self, now: float, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        self._climb(now)

    def _climb(self, now: float) -> None:
        """Take the next step of the ladder. SIGINT lets an agent end its turn and still print its result; it goes to
        the agent alone, so that the servers the agent talks to are there until it is done."""
        self.step = min(self.step + 1, 3)
        grace_s = min(self.order.grace_s, ABANDONED_GRACE_S if self.reason == "daemon_gone" else 1e9)
        self.due = now + (UNKILLABLE_S if self.step == 3 else grace_s)
        if self.step == 1:
            proctable.send(-self.agent, signal.SIGCONT)
            proctable.send(self.agent, signal.SIGINT)
        elif self.step == 2:
            proctable.send(-self.agent, signal.SIGTERM)
        else:
            proctable.send(-self.agent, signal.SIGKILL)
            proctable.send(self.agent, signal.SIGKILL)

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
        if _is_final(self.order):
            self.linger_until = now + LINGER_S
        else:
            self._begin(now, "daemon_gone", "the daemon ended")

    def _end_tree(self) -> None:
        """Kill whatever the agent left behind, however it detached itself."""
        give_up = time.monotonic() + UNKILLABLE_S
        if not self.subreaper:  # else all are our children sooner or later, and are counted
            proctable.send(-self.agent, signal.SIGKILL)
        while True:
            left = self._reap()
            victims = {pid for pid in proctable.children() if not proctable.is_zombie(pid)} if left else set()
            victims |= set(proctable.marked_pids(self.order.mark)) - {os.getpid()}
            for pid in victims:
                proctable.send(pid, signal.SIGKILL)
            self.killed |= victims
            if not left and not victims:
                return
            if time.monotonic() > give_up:
                self.detail += f"; processes {sorted(victims)} cannot be ended"
                return
            proctable.wait_ends(victims)


def _is_final(order: Order) -> bool:
    """Return whether the last line of the output is complete and carries the agent's sign of being its last."""
    if not order.final:
        return False
    with open(order.attempt_dir + b"/stdout.ndjson", "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        tail = b""
        while len(tail) < min(size, MAX_FINAL_LINE) and tail.count(b"\n") < 2:
            step = min(size - len(tail), 1 << 16)
            stream.seek(size - len(tail) - step)
            tail = stream.read(step) + tail
    return tail.endswith(b"\n") and order.final in tail[:-1].rpartition(b"\n")[2]


# --- starting -------------------------------------------------------------------------------------------------------


def _spawn(order: Order, prctl: "Prctl | None") -> tuple[int, str, int]:
    """Start the agent. Return its pid, or what went wrong in words, and the errno."""
    told, tell = os.pipe()
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        stage = "start"
        try:
            stage = _become_agent(order, prctl, me)
            os.chdir(order.cwd)
            stage = f"cannot start {os.fsdecode(order.argv[0])}"
            _execute(order)
        except OSError as error:
            os.write(tell, f"{error.errno or 0} {stage}: {os.strerror(error.errno or 0)}".encode(errors="replace"))
        finally:
            os._exit(127)
    os.close(tell)
    said = b""
    while part := os.read(told, 4096):
        said += part
    os.close(told)
    if not said:
        return pid, "", 0
    os.waitpid(pid, 0)
    number, _, words = said.decode(errors="replace").partition(" ")
    return pid, words, int(number)


def _become_agent(order: Order, prctl: "Prctl | None", supervisor: int) -> str:
    os.setsid()
    if prctl is not None:
        # SIGTERM, for the agent can then end its own tools; if we end by SIGKILL nobody else would tell it.
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != supervisor:
            os._exit(127)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return f"cannot use the folder {os.fsdecode(order.cwd)}"


def _execute(order: Order) -> None:
    """Replace this process by the agent. Raises the OSError that says most about why not."""
    env = {**order.env, MARK_NAME.encode(): order.mark.encode()}
    program = order.argv[0]
    places = [b""] if b"/" in program else [d + b"/" for d in env.get(b"PATH", b"/usr/bin:/bin").split(b":")]
    missing: OSError = FileNotFoundError(2, "")
    for place in places:
        try:
            os.execve(place + program, order.argv, env)  # noqa: S606 - an argument list, as everywhere
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = missing if isinstance(missing, PermissionError) else error
        except PermissionError as error:
            missing = error
    raise missing


def _load_prctl() -> "Prctl | None":
    """Return prctl(2), None where there is none. By `_ctypes`, as importing ctypes takes 3 ms."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import _ctypes

        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None: this program itself
        return lambda *args: _ctypes.call_function(address, (*args, *[0] * (5 - len(args))))
    except (ImportError, AttributeError, OSError):
        return None


# --- records -------------------------------------------------------------------------------------------------------


def _write_manifest(order: Order, agent: int) -> None:
    """Say who runs this attempt. Not synced: after a power cut nobody does."""
    me, ticks = os.getpid(), [proctable.stat_fields(pid)[19:20] for pid in (os.getpid(), agent)]
    record = {
        "pid": me,
        "start_ticks": int(ticks[0][0]) if ticks[0] else 0,
        "agent_pid": agent,
        "agent_start_ticks": int(ticks[1][0]) if ticks[1] else 0,
        "boot_id": proctable.read_proc("/proc/sys/kernel/random/boot_id").decode().strip(),
        "mark": order.mark,
        "argv_sha256": order.digest.decode(),
    }
    try:
        write_file(order.attempt_dir, b"manifest.json", to_json(record), durable=False)
    except OSError:
        return  # it helps a person to look; nothing depends on it


def _publish(order: Order, record: dict[str, object], life: int) -> None:
    """Make the exit record durable, after the output it speaks of, and tell the daemon if it is still there."""
    try:
        hit("supervisor.ended")
        if order.durable:
            os.fsync(1)
            os.fsync(2)
        write_file(order.attempt_dir, b"exit.json", to_json(record), durable=order.durable)
        if order.durable:
            folder = os.open(order.attempt_dir, os.O_RDONLY)
            os.fsync(folder)
    except OSError as error:
        record["detail"] = f"{record['detail']}; the exit record could not be written: {error.strerror}".lstrip("; ")
    hit("supervisor.published")
    try:
        os.write(life, to_json(record))
    except OSError:
        return
