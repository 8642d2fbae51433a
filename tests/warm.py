"""Starts the orchestrator as a fresh process that need not load its modules again: most of what a start costs.

One process for each test session loads them and then forks at every request, before it has a thread, an event loop or
anything of a root. What is forked is a process like any other, with environment, folder and streams of its own, and can
be killed like any other. What needs the interpreter to start anew (another locale, a preloaded library) gets that.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Protocol

SOURCE = Path(__file__).resolve().parent.parent / "src"
LOADED = (
    "orchestrator.assembly",
    "orchestrator.diagnosis",
    "watchfiles",
    "jsonschema",
    "rfc3339_validator",
    "encodings.idna",
)
_OF_THE_INTERPRETER = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "MALLOC", "GLIBC")
_USUAL = {"PYTHONPATH": str(SOURCE), "LANG": "C.UTF-8"}


class Process(Protocol):
    """What tests use of `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...
    def terminate(self) -> None: ...
    def send_signal(self, sig: int) -> None: ...


def start(words: Sequence[str], env: Mapping[str, str], out: IO[bytes] | int, err: IO[bytes] | int) -> Process:
    """Start `python -m orchestrator` with *words*; anew where no pytest runs: the long harnesses measure starts."""
    special = {name: value for name, value in env.items() if name.startswith(_OF_THE_INTERPRETER)}
    if special != _USUAL or sys.platform != "linux" or "PYTEST_VERSION" not in os.environ:
        argv = [sys.executable, "-m", "orchestrator", *words]
        return subprocess.Popen(argv, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    return Forked(words, env, out, err)


def run(words: Sequence[str], env: Mapping[str, str], timeout_s: float) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end and return what it said."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(words, env, out, err)
        try:
            code = process.wait(timeout_s)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        said = [os.pread(stream.fileno(), 1 << 30, 0).decode().replace("\r\n", "\n") for stream in (out, err)]
    return subprocess.CompletedProcess(list(words), code, *said)


class Forked:
    """A process that the warm one has forked."""

    def __init__(
        self, words: Sequence[str], env: Mapping[str, str], out: IO[bytes] | int, err: IO[bytes] | int
    ) -> None:
        self.returncode: int | None = None
        self.args = list(words)
        told, tell = os.pipe()
        with open(os.devnull, "rb") as nothing, open(os.devnull, "wb") as nowhere:
            fds = [nothing.fileno(), *(_fd(stream, nowhere) for stream in (out, err)), tell]
            request = json.dumps([self.args, dict(env), str(Path.cwd())]).encode()
            socket.send_fds(_warm(), [request], fds)
        os.close(tell)
        self._told = open(told, "rb", buffering=0)  # noqa: SIM115 - closed when it has ended
        self.pid = int(self._line())

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        if (code := self._ended(timeout)) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], seconds)[0]:
            self.returncode = int(self._line())
            self._told.close()
        return self.returncode

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            if not (part := self._told.read(1)):
                raise RuntimeError("the warm process is gone")
            line += part
        return line


def _fd(stream: IO[bytes] | int, nowhere: IO[bytes]) -> int:
    if isinstance(stream, int):
        assert stream == subprocess.DEVNULL
        return nowhere.fileno()
    return stream.fileno()


@cache
def _warm() -> socket.socket:
    """Return the way to the warm process of this session, started at the first use. It ends when we do."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        program = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env={"PATH": os.defpath, **_USUAL},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def leave() -> None:
        ours.close()
        program.wait()

    atexit.register(leave)
    return ours


# --- the warm process -------------------------------------------------------------------------------------------------


def serve(requests: socket.socket) -> None:
    """Fork at each request, tell of each end. Returns in a forked process, and when nobody can ask any more."""
    woken, wake = os.pipe()
    for fd in (woken, wake):
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    running: dict[int, int] = {}
    while True:
        ready = select.select([requests.fileno(), woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _tell_ends(running)
        if requests.fileno() not in ready:
            continue
        request, fds, _, _ = socket.recv_fds(requests, 1 << 20, 4)
        if not request:
            os._exit(0)
        *streams, tell = fds
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in (requests.detach(), woken, wake, tell, *running.values()):
                os.close(fd)
            _become(streams, *json.loads(request))
            return
        for fd in streams:
            os.close(fd)
        os.write(tell, b"%d\n" % pid)
        running[pid] = tell


def _tell_ends(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        tell = running.pop(pid)
        with suppress(BrokenPipeError):  # nobody waits for it
            os.write(tell, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(tell)


def _become(streams: Sequence[int], words: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
    for to, fd in enumerate(streams):
        os.dup2(fd, to)
        os.close(fd)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    tempfile.tempdir = None  # TMPDIR may be another
    sys.argv = [str(SOURCE / "orchestrator" / "__main__.py"), *words]
    sys.path[0] = cwd


if __name__ == "__main__":
    for name in LOADED:
        importlib.import_module(name)
    from orchestrator.app import main

    gc.collect()
    gc.freeze()
    time.tzset()
    serve(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(main())
