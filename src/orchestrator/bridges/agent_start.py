"""How the supervisor starts the agent: a child of its own, in its control groups, behind the words of its container."""

import os
import resource
import sys

from orchestrator.bridges.order import Order
from orchestrator.bridges.proctable import MARK_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    Prctl = Callable[..., int]
else:
    try:
        import _signal as signal
    except ImportError:
        import signal

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Started:
    """What came of a start: the *pid*, or what went wrong in words, with the *errno*. *joined*: the control groups."""

    def __init__(self, pid: int, said: bytes) -> None:
        notes = said.decode(errors="replace").split("\n")
        self.pid = pid
        self.joined = "~" not in notes
        number, _, self.problem = next((note for note in notes if note not in ("~", "")), "0 ").partition(" ")
        self.errno = int(number)


def spawn(order: Order, prctl: "Prctl | None", *, joins: list[str], status_fd: int = -1) -> Started:
    """Start the agent. *joins* are the files that take its pid into control groups.

    *status_fd* is where bubblewrap tells of itself; it is given to it alone.
    """
    told, tell = os.pipe()
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        stage = "start"
        try:
            stage = _become_agent(order, prctl, me)
            if not all(map(_join, joins)):
                os.write(tell, b"~\n")
            os.chdir(order.cwd)
            stage = f"cannot start {os.fsdecode((order.container or order.argv)[0])}"
            _execute(order, status_fd)
        except OSError as error:
            os.write(tell, f"{error.errno or 0} {stage}: {os.strerror(error.errno or 0)}".encode(errors="replace"))
        finally:
            os._exit(127)
    os.close(tell)
    said = b""
    while part := os.read(told, 4096):
        said += part
    os.close(told)
    started = Started(pid, said)
    if started.problem:
        os.waitpid(pid, 0)
    return started


def _join(path: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.write(fd, b"0") == 1
    except OSError:
        return False
    finally:
        os.close(fd)


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


def _execute(order: Order, status_fd: int) -> None:
    """Replace this process by the agent. Raises the OSError that says most about why not."""
    env = {**order.env, MARK_NAME.encode(): order.mark.encode()}
    argv = [*order.container, *order.argv]
    if status_fd >= 0:
        os.set_inheritable(status_fd, True)
        argv[1:1] = [b"--json-status-fd", b"%d" % status_fd]
    program = argv[0]
    places = [b""] if b"/" in program else [d + b"/" for d in env.get(b"PATH", b"/usr/bin:/bin").split(b":")]
    missing: OSError = FileNotFoundError(2, "")
    for place in places:
        try:
            os.execve(place + program, argv, env)  # noqa: S606 - an argument list, as everywhere
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = missing if isinstance(missing, PermissionError) else error
        except PermissionError as error:
            missing = error
    raise missing


def load_prctl() -> "Prctl | None":
    """Return prctl(2), None where there is none. By `_ctypes`, as importing ctypes takes 3 ms."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import _ctypes

        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None: this program itself
        return lambda *args: _ctypes.call_function(address, (*args, *[0] * (5 - len(args))))
    except (ImportError, AttributeError, OSError):
        return None
