"""The only starter of programs.

Every agent runs under a small supervisor of its own (supervisor.py), which bounds it and ends its whole tree: when it
is asked to, when the time is over, when there is too much output, when this process dies, and after a normal end too,
for what an agent left in the background outlives it otherwise. Input and output are files of the attempt's folder:

    prompt  stdout.ndjson  stderr.log  lock  manifest.json  exit.json

so a crash of ours loses no output, a slow reader never holds the agent up, and a background process that keeps its
output open never keeps us waiting.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

from orchestrator.bridges import proctable, supervisor
from orchestrator.bridges.files import write_all
from orchestrator.bridges.follow import LineSplitter, follow, head, tail
from orchestrator.bridges.proctable import MARK_NAME
from orchestrator.bridges.strays import STDERR, STDOUT, began_since_boot, end_strays, last_output, lock_is_free
from orchestrator.core import failpoint
from orchestrator.core.shortage import is_shortage

PROMPT, LOCK, EXIT = "prompt", "lock", "exit.json"
OVERDUE_S = 20.0  # beyond timeout and ladder: a supervisor that is still there by then does not answer


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to run once, in *attempt_dir*, which belongs to this attempt alone.

    *env* is the whole environment; ORCHESTRATOR_ATTEMPT=*mark* is added. Each of the two steps before SIGKILL gets
    *grace_s* seconds. *final* is what the last line of a complete output contains: if this process dies when that
    line is there, the program gets some seconds to end by itself. *container* are the words before *argv* that put the
    program into a container: a whole bubblewrap command line up to and including `--` (bubblewrap.py), or nothing.
    *cgroups* are existing folders of control groups, in each of which the attempt gets a group of its own.

    *stall_s* without output and without work in any of its processes ends the program. Of the limits 0 is none.
    """

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    stdin: bytes
    attempt_dir: Path
    mark: str
    timeout_s: float
    grace_s: float = 5.0
    max_output_bytes: int = 1 << 30
    final: bytes = b'"type":"result"'
    durable: bool = True  # sync output and exit record to disk
    container: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    stall_s: float = 0.0
    max_processes: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """How a program ended; nothing it started is alive any more.

    *exit_code* is negative for a signal, None if the program never ran or nobody knows. *reason* is one of exited,
    stopped, timeout, stalled, output_too_large, too_many_processes, too_much_memory, daemon_gone, lingered (the same,
    but its final output was there), spawn_failed, shortage, supervisor_killed. *container* says what held it together,
    such as "pid namespace+cgroup[memory,pids]+subreaper+mark", or "process group" where the system has none of it.
    """

    exit_code: int | None
    reason: str
    detail: str
    started_ts: float
    ended_ts: float
    duration_s: float
    survivors_killed: int
    cpu_s: float
    max_rss_kb: int
    container: str


@dataclass(frozen=True, slots=True)
class Completed:
    """How a short program ended. *reason* as in ExitRecord; a missing program is `spawn_failed`, not an exception."""

    exit_code: int | None
    reason: str
    detail: str
    stdout: bytes
    stderr: bytes


class Supervised:
    """A program that runs, or has run, under its supervisor. Made by `start`."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[ExitRecord] = self._loop.create_future()
        self._splitter = LineSplitter()
        self._control = self._life = -1
        self._said = b""
        self._child: subprocess.Popen[bytes] | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self._burial: asyncio.Task[None] | None = None
        self._started = time.time()

    @property
    def oversize_lines(self) -> int:
        """How many lines were dropped because they were longer than 16 MiB."""
        return self._splitter.oversize

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines of the output as they come, without their LF, until the program has ended.

        Reads the file from its start. What follows the last LF, a torn line, is yielded last.
        """
        self._splitter = LineSplitter()
        async for line in follow(self.launch.attempt_dir / STDOUT, self._end, self._splitter):
            yield line

    async def stop(self) -> None:
        """Ask for the end: SIGINT, then SIGTERM, then SIGKILL to everything. Returns at once; `wait` tells the end."""
        self._ask(b"stop\n", patience_s=2 * self.launch.grace_s + OVERDUE_S)

    async def kill(self) -> None:
        """Ask for the end without any grace. Returns at once."""
        self._ask(b"kill\n", patience_s=OVERDUE_S)

    async def wait(self) -> ExitRecord:
        """Return how the program ended. Cancelling this ends nothing: see `ended` and `supervise`."""
        return await asyncio.shield(self._end)

    async def ended(self) -> ExitRecord:
        """End the program if it still runs, and wait until nothing of it is alive.

        A cancellation during that is raised only afterwards; it takes the grace away, so that it is not long.
        """
        if not self._end.done():
            await self.stop()
        cancelled: asyncio.CancelledError | None = None
        while not self._end.done():
            try:
                await asyncio.wait([self._end])
            except asyncio.CancelledError as error:
                cancelled = error
                await self.kill()
        if cancelled is not None:
            raise cancelled
        return self._end.result()

    def stderr_tail(self, limit: int = 4000) -> str:
        """Return the last *limit* characters of the error output."""
        return tail(self.launch.attempt_dir / STDERR, 4 * limit).decode(errors="replace")[-limit:]

    def _ask(self, message: bytes, *, patience_s: float) -> None:
        if self._control < 0:
            return
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self._control, message)
        self._expect_end(patience_s)

    def _attend(self, child: subprocess.Popen[bytes], control: int, life: int) -> None:
        self._child, self._control, self._life = child, control, life
        self._loop.add_reader(life, self._on_life)
        self._expect_end(self.launch.timeout_s + 2 * self.launch.grace_s + OVERDUE_S)

    def _expect_end(self, seconds: float) -> None:
        """A supervisor that does not answer in time, for instance a stopped one, is killed: we do the rest then."""
        if self._overdue is not None:
            self._overdue.cancel()
        if self._child is not None:
            self._overdue = self._loop.call_later(seconds, self._child.kill)

    def _on_life(self) -> None:
        """Take in the exit record; the end of file behind it is the end of the supervisor."""
        if said := os.read(self._life, 65536):
            self._said += said
            return
        self._loop.remove_reader(self._life)
        os.close(self._life)
        os.close(self._control)
        self._life = self._control = -1
        assert self._child is not None
        code = self._child.wait()
        if self._overdue is not None:
            self._overdue.cancel()
        if record := _parse(self._said) or _load(self.launch.attempt_dir):
            self._end.set_result(record)
        else:
            self._burial = self._loop.create_task(self._bury(code))

    async def _bury(self, code: int) -> None:
        """Do what the supervisor would have done, had it not been killed."""
        try:
            killed = await end_strays(self.launch.attempt_dir, self.launch.mark, OVERDUE_S)
        finally:
            detail = f"the supervisor ended with {code} before it wrote an exit record"
            self._end.set_result(_no_run("supervisor_killed", detail, self._started, killed))

    def _refuse(self, detail: str, reason: str) -> None:
        self._end.set_result(_no_run(reason, detail, self._started, 0))


async def start(launch: Launch) -> Supervised:
    """Start a program under its supervisor.

    What can be wrong with the surroundings (no such program or folder, an attempt folder that is in use or was used
    before) is told by `wait`, as `spawn_failed`, what the machine lacks as `shortage`; it is never raised. There is no
    point at which a cancellation could leave a program without its `Supervised`.
    """
    run = Supervised(launch)
    try:
        run._attend(*_start_supervisor(launch))
    except (OSError, ValueError) as error:
        run._refuse(f"cannot start {launch.argv[0]}: {error}", "shortage" if is_shortage(error) else "spawn_failed")
    return run


@asynccontextmanager
async def supervise(launch: Launch) -> AsyncIterator[Supervised]:
    """Start a program; nothing of it is alive when this ends, by whatever way, also if cancelled twice."""
    run = await start(launch)
    try:
        yield run
    finally:
        await run.ended()


async def settle(attempt_dir: Path, mark: str, *, patience_s: float = 10.0) -> ExitRecord | None:
    """Bring an attempt of an earlier daemon to its end and return its exit record.

    Where the supervisor was killed too, the one it could not write; None where none of it ever began, or where the
    machine went down since: then nobody knows what of its work is on the disk. Waits for its supervisor to finish what
    it is doing, at most *patience_s* seconds, then kills all that is left of the attempt, the supervisor too.
    """
    await lock_is_free(attempt_dir / LOCK, patience_s)
    failpoint.hit("collect.locked")
    await end_strays(attempt_dir, mark, OVERDUE_S)
    if record := _load(attempt_dir):
        return record
    began = began_since_boot(attempt_dir)
    detail = "the supervisor was killed before it wrote an exit record"
    return _no_run("supervisor_killed", detail, began, 0, last_output(attempt_dir)) if began else None


async def run_quick(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | None = None,
    timeout_s: float = 10.0,
    stdin: bytes = b"",
    max_output_bytes: int = 1 << 20,
) -> Completed:
    """Run a short program, such as `claude --version`, and return what it said: at most *max_output_bytes* of it."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        launch = Launch(
            argv=tuple(argv),
            cwd=cwd or folder,
            env=env,
            stdin=stdin,
            attempt_dir=Path(folder) / "run",
            mark=f"quick.{os.getpid()}.{Path(folder).name}",
            timeout_s=timeout_s,
            grace_s=0.5,
            max_output_bytes=max_output_bytes,
            durable=False,
        )
        async with supervise(launch) as run:
            record = await run.wait()
        outputs = [head(launch.attempt_dir / name, max_output_bytes) for name in (STDOUT, STDERR)]
    return Completed(record.exit_code, record.reason, record.detail, *outputs)


def marked_pids(mark: str) -> list[int]:
    """Return the living processes of the attempt *mark*, its supervisor included. Empty where there is no /proc."""
    return proctable.marked_pids(mark)


# --- starting -------------------------------------------------------------------------------------------------------


def _start_supervisor(launch: Launch) -> tuple[subprocess.Popen[bytes], int, int]:
    """Return the supervisor, the write end of its control pipe and the read end of its life pipe."""
    folder = launch.attempt_dir.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / EXIT).exists():
        raise FileExistsError(f"{folder} belongs to an attempt that has ended")
    with ExitStack() as ours:
        files = [_open_for(ours, folder / name, flags) for name, flags in _FILES]
        lock, stdin, stdout, stderr = files
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        failpoint.hit("prepare.files")
        write_all(stdin, launch.stdin)
        os.lseek(stdin, 0, os.SEEK_SET)
        spec = ours.enter_context(tempfile.TemporaryFile(buffering=0, dir=folder))
        write_all(spec.fileno(), _pack(launch, folder))
        spec.seek(0)
        control_r, control_w, life_r, life_w = *_pipe(ours), *_pipe(ours)
        theirs = (spec.fileno(), control_r, lock, life_w)
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PATH + failpoint.passed_on + _BOOT, *map(str, theirs), launch.mark],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd="/",
            env={MARK_NAME: launch.mark},
            pass_fds=theirs,
            start_new_session=True,
        )
        failpoint.hit("prepare.spawned")
        keep = os.dup(control_w), os.dup(life_r)
    os.set_blocking(keep[0], False)
    return child, *keep


# Imported rather than run as a script, as only an imported module is compiled once and not at every start (5 ms).
_PATH = f"import sys; sys.path.append({str(Path(supervisor.__file__).parents[2])!r}); "
_BOOT = "from orchestrator.bridges.supervisor import main; main()"
_NEW = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_FILES = (
    (LOCK, os.O_RDWR | _NEW),
    (PROMPT, os.O_RDWR | os.O_TRUNC | _NEW),
    (STDOUT, os.O_WRONLY | os.O_APPEND | _NEW),
    (STDERR, os.O_WRONLY | os.O_APPEND | _NEW),
)


def _open_for(ours: ExitStack, path: Path, flags: int) -> int:
    fd = os.open(path, flags, 0o600)
    ours.callback(os.close, fd)
    return fd


def _pipe(ours: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        ours.callback(os.close, end)
    return ends


def _pack(launch: Launch, folder: Path) -> bytes:
    """Return the order as `order.Order` reads it. Raises ValueError for a NUL, which no argument can carry."""
    argv = [os.fsencode(arg) for arg in launch.argv]
    container = [os.fsencode(word) for word in launch.container]
    env = [os.fsencode(f"{name}={value}") for name, value in launch.env.items()]
    fixed = [os.fsencode(folder), os.fsencode(Path(launch.cwd).absolute()), launch.mark.encode()]
    fixed += [hashlib.sha256(b"\0".join(argv)).hexdigest().encode(), launch.final]
    fixed += [repr(float(seconds)).encode() for seconds in (launch.timeout_s, launch.grace_s, launch.stall_s)]
    numbers = (launch.max_output_bytes, launch.max_processes, launch.memory_bytes, int(launch.durable))
    cgroups = [os.fsencode(f"{folder}/{launch.mark}") for folder in launch.cgroups]
    if any(b"\0" in part for part in (*fixed, *cgroups, *container, *argv, *env)):
        raise ValueError("an argument, a variable or a path contains a NUL character")
    fixed += [str(number).encode() for number in (*numbers, len(cgroups), len(container), len(argv))]
    return b"\0".join([*fixed, *cgroups, *container, *argv, *env])


# --- records --------------------------------------------------------------------------------------------------------


def _load(attempt_dir: Path) -> ExitRecord | None:
    try:
        return _parse((attempt_dir / EXIT).read_bytes())
    except OSError:
        return None


def _parse(text: bytes) -> ExitRecord | None:
    """Return the exit record in *text*, None if it is not one."""
    try:
        data = json.loads(text)
        return ExitRecord(**{field.name: data[field.name] for field in fields(ExitRecord)})
    except (ValueError, KeyError, TypeError):
        return None


def _no_run(reason: str, detail: str, started: float, killed: int, ended: float = 0.0) -> ExitRecord:
    ended = max(started, ended or time.time())
    return ExitRecord(None, reason, detail, started, ended, ended - started, killed, 0.0, 0, "")
