"""Starts git and other trusted programs without a supervisor of their own: they are tied to this process by the kernel.

A supervisor is a Python interpreter, some 20 ms for each of the dozens of times that a task needs git. What it is there
for is had more cheaply for a program that starts nothing which outlives it: when this process dies, the kernel ends the
program (`setpriv --pdeathsig`); it has a process group of its own, which is killed at its end, and all waiting is
bounded. Where the system cannot do that, the program gets a supervisor as every other.
"""

import asyncio
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import IO

from orchestrator.bridges.process import Completed, run_quick
from orchestrator.bridges.proctable import MARK_NAME
from orchestrator.core.shortage import is_shortage

GRACE_S = 0.5
LOOK_S = 0.25  # how often the size of what is printed is looked at


async def run_tied(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: str, timeout_s: float, stdin: bytes, max_output_bytes: int
) -> Completed:
    """Run *argv*, whose first word is an absolute path, as `run_quick` does; nothing of it is alive afterwards.

    Must be called in the main thread: it is that one's death that the kernel goes by.
    """
    if not (tie := _tie()):
        given = {"env": env, "cwd": cwd, "timeout_s": timeout_s, "stdin": stdin}
        return await run_quick(argv, max_output_bytes=max_output_bytes, **given)  # type: ignore[arg-type]
    try:
        # Never on the disk by a name; as large as it may get, which a pipe and our memory are not.
        with tempfile.TemporaryFile() as given_in, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given_in.write(stdin)
            given_in.seek(0)
            child = _start((*tie, *argv), cwd, env, (given_in, out, err))
            reason, detail = await _end_of(child, (out, err), timeout_s, max_output_bytes)
            outputs = [os.pread(stream.fileno(), max_output_bytes, 0) for stream in (out, err)]
    except (OSError, ValueError) as error:
        reason = "shortage" if is_shortage(error) else "spawn_failed"
        return Completed(None, reason, f"cannot start {argv[0]}: {error}", b"", b"")
    return Completed(child.returncode, reason, detail, *outputs)


@cache
def _tie() -> tuple[str, ...]:
    """Return the words that tie a program to this process, none where that cannot be had."""
    program = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
    if sys.platform != "linux" or not program or not hasattr(os, "pidfd_open"):
        return ()
    words = (program, "--pdeathsig", "TERM", "--")  # git takes its locks away when it is asked to end
    try:
        os.close(os.pidfd_open(os.getpid()))
        told = subprocess.run([*words, program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ()
    return words if told.returncode == 0 else ()


def _start(
    argv: Sequence[str], cwd: str, env: Mapping[str, str], streams: tuple[IO[bytes], IO[bytes], IO[bytes]]
) -> subprocess.Popen[bytes]:
    given_in, out, err = streams
    marked = {**env, MARK_NAME: f"tied.{os.getpid()}"}
    return subprocess.Popen(argv, cwd=cwd, env=marked, stdin=given_in, stdout=out, stderr=err, start_new_session=True)


async def _end_of(
    child: subprocess.Popen[bytes], outputs: Sequence[IO[bytes]], timeout_s: float, max_output_bytes: int
) -> tuple[str, str]:
    """Wait for the end of *child*, or bring it about. Returns reason and detail; its exit code is known then."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(child.pid)
    loop.add_reader(pidfd, ended.set)
    deadline = loop.time() + timeout_s
    try:
        while not ended.is_set():
            if (left := deadline - loop.time()) <= 0:
                return "timeout", f"it took longer than {timeout_s:g} s"
            if any(os.fstat(stream.fileno()).st_size > max_output_bytes for stream in outputs):
                return "output_too_large", f"it printed more than {max_output_bytes} bytes"
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), min(LOOK_S, left))
    finally:
        loop.remove_reader(pidfd)
        try:
            _nothing_left(child, pidfd)
        finally:
            os.close(pidfd)
    return "exited", ""


def _nothing_left(child: subprocess.Popen[bytes], pidfd: int) -> None:
    """End the whole group; it is ours for as long as its leader has not been waited for."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _has_ended(child.pid):
            break
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        # A cancellation has brought us here, or may come now: so short a wait is not worth an await that it could end.
        _wait_for(pidfd, GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _wait_for(pidfd: int, seconds: float) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll(seconds * 1000)
