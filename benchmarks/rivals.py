"""Programs of others that the daemon is measured beside, and how to tell that one of them cannot be had here."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.places import HERE, agent_command, environment
from benchmarks.waiting import wait_until

PATH = os.pathsep.join([os.defpath, "/usr/sbin", "/sbin"])


@contextmanager
def running(argv: list[str], env: dict[str, str], *, says: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run a program while the block runs, wait first until it *says* something; then end it and what it started."""
    child = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if says else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        if says and child.stdout is not None and says not in child.stdout.readline():
            raise RuntimeError(f"{argv[0]} did not start")
        yield child
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def why_no_incron() -> str:
    """Return why incron cannot be measured here, "" if it can."""
    if shutil.which("incrond", path=PATH) is None:
        return "not installed (Debian package `incron`)"
    if os.geteuid() != 0:
        return "incrond runs only as root"
    return ""


def incron(folder: Path, watched: Path, program: list[str]) -> list[str]:
    """Write a configuration that runs *program* for every file renamed into *watched*; return how to start incrond."""
    tables = folder / "tables"
    users = folder / "users"
    for made in (tables, users):
        made.mkdir(parents=True)
    script = folder / "run"
    script.write_text("#!/bin/sh\nexec " + " ".join(program) + "\n")
    script.chmod(0o700)
    (tables / "benchmark").write_text(f"{watched} IN_MOVED_TO {script}\n")
    settings = {"system_table_dir": tables, "user_table_dir": users, "lockfile_dir": folder, "lockfile_name": "lock"}
    config = folder / "incron.conf"
    config.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    return [str(shutil.which("incrond", path=PATH)), "-n", "-f", str(config)]


class TaskSpooler:
    """A server of task-spooler of its own, with *slots* slots."""

    def __init__(self, folder: Path, slots: int) -> None:
        folder.mkdir(parents=True)
        self._tsp = str(shutil.which("tsp", path=PATH))
        self._short = tempfile.TemporaryDirectory(prefix="tsp-")  # the path of a socket has at most 107 bytes
        self._socket = Path(self._short.name) / "socket"
        places = {"TS_SOCKET": str(self._socket), "TMPDIR": str(folder)}
        self._env = environment(folder / "home", TS_SLOTS=str(slots), **places)

    def add(self, program: list[str]) -> str:
        """Queue a run of *program*; return its number."""
        return self._call(*program)

    def wait(self, number: str) -> None:
        self._call("-w", number)

    def unfinished(self) -> int:
        return sum(1 for line in self._call("-l").splitlines()[1:] if "finished" not in line)

    def end(self) -> None:
        """End the server. Its answer to that is a race by its own account; that its socket goes away is not."""
        self._call("-K", check=False)
        wait_until(lambda: not self._socket.exists(), what="the end of task-spooler", deadline_s=30)
        self._short.cleanup()

    def _call(self, *words: str, check: bool = True) -> str:
        return subprocess.run(
            [self._tsp, *words], env=self._env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=check
        ).stdout.strip()


def why_no_tsp() -> str:
    """Return why task-spooler cannot be measured here, "" if it can."""
    return "" if shutil.which("tsp", path=PATH) else "not installed (Debian package `task-spooler`)"


class Huey:
    """huey, installed for this run into a folder of its own."""

    def __init__(self, folder: Path, *, install: bool) -> None:
        self._package = folder / "package"
        self.why_not = self._install() if install else "not installed in this run"

    def _install(self) -> str:
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        wanted = ["--requirement", str(HERE / "requirements.txt"), "--target", str(self._package)]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, *wanted], capture_output=True, text=True, check=False
        )
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"pip could not install it: {last[:120]}" if done.returncode else ""

    def call(self, database: Path, act: str, count: int) -> float:
        """Run one act of huey_side in a process of its own; return the seconds that it prints."""
        done = subprocess.run(
            [*self._argv(database), act, str(count)],
            env=self._env(database),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        return float(done.stdout)

    @contextmanager
    def consumer(self, database: Path, slots: int, mode: str, stamps: Path) -> Iterator[int]:
        """Run a consumer while the block runs; yields its process id."""
        argv = [*self._argv(database), "consume", str(slots), mode, str(stamps)]
        with running(argv, self._env(database)) as child:
            yield child.pid

    def _argv(self, database: Path) -> list[str]:
        return [sys.executable, "-m", "benchmarks.huey_side", str(database)]

    def _env(self, database: Path) -> dict[str, str]:
        return environment(database.parent / "home", self._package)


def agent(mode: str, stamps: Path) -> list[str]:
    """Return the agent's command line as the references run it, with the flag that the daemon adds by itself."""
    return [*agent_command(mode, stamps), "-p"]
