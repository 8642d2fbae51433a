"""One daemon per root, with real processes that are really killed."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.bridges.root_lock import HOLDER_NAME, LOCK_NAME, UNKNOWN, Holder, holder, take_root
from orchestrator.core.errors import AlreadyRunningError, ExitCode, RootError

ME = Holder(os.getpid(), "testhost", 1_790_000_000.0, "0.1.0")
DAEMON = """
import asyncio, os, pathlib, sys
from orchestrator.bridges.root_lock import Holder, take_root
from orchestrator.core.errors import AlreadyRunningError
async def main():
    try:
        lock = await take_root(pathlib.Path(sys.argv[1]), Holder(os.getpid(), "otherhost", 1790000000.0, "9.9.9"))
    except AlreadyRunningError as error:
        print(error, flush=True)
        return int(error.exit_code)
    print("taken", flush=True)
    sys.stdin.read()
    lock.release()
    return 0
sys.exit(asyncio.run(main()))
"""


class Daemons:
    """Starts processes that take the root of *state* and hold it until their standard input ends."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.started: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, str(self.state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / ".orchestrator"
    folder.mkdir()
    return folder


@pytest.fixture
def daemons(state: Path) -> Iterator[Daemons]:
    running = Daemons(state)
    yield running
    running.end()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def test_a_root_nobody_runs_has_no_holder(state: Path) -> None:
    assert holder(state) is None
    with await take_root(state, ME):
        assert holder(state) == ME
    assert holder(state) is None


async def test_a_second_daemon_is_refused_at_once_naming_the_first(state: Path, daemons: Daemons) -> None:
    first = daemons.start()
    assert said(first) == "taken"
    with pytest.raises(AlreadyRunningError) as caught:
        await take_root(state, ME)
    assert caught.value.exit_code is ExitCode.TEMPORARY
    assert f"pid {first.pid} on otherhost, started 2026-09-21T" in caught.value.message
    assert holder(state) == Holder(first.pid, "otherhost", 1_790_000_000.0, "9.9.9")
    second = daemons.start()
    assert f"pid {first.pid}" in said(second)
    assert second.wait(20) == 75


async def test_the_same_process_cannot_take_a_root_twice(state: Path) -> None:
    with await take_root(state, ME), pytest.raises(AlreadyRunningError):
        await take_root(state, ME)


async def test_a_killed_holder_leaves_the_root_free_at_once(state: Path, daemons: Daemons) -> None:
    first = daemons.start()
    assert said(first) == "taken"
    first.send_signal(signal.SIGKILL)
    first.wait(20)
    assert (state / HOLDER_NAME).exists()  # it could not clean up; nobody believes the file
    assert holder(state) is None
    with await take_root(state, ME) as lock:
        assert holder(state) == ME
        assert lock.still_held()


async def test_a_child_of_a_killed_holder_does_not_keep_the_root(state: Path) -> None:
    with await take_root(state, ME) as lock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
        lock.release()
        assert holder(state) is None
        child.communicate(b"\n")


async def test_of_many_daemons_started_together_exactly_one_gets_the_root(daemons: Daemons) -> None:
    started = [daemons.start() for _ in range(6)]
    answers = [said(process) for process in started]
    assert answers.count("taken") == 1
    assert all("another daemon owns this root" in answer for answer in answers if answer != "taken")


async def test_a_lock_whose_file_was_replaced_is_held_no_longer(state: Path) -> None:
    with await take_root(state, ME) as lock:
        assert lock.still_held()
        (state / LOCK_NAME).rename(state / "moved")
        assert not lock.still_held()
        (state / LOCK_NAME).touch()
        assert not lock.still_held()


async def test_a_lock_whose_folder_was_removed_is_held_no_longer(state: Path) -> None:
    with await take_root(state, ME) as lock:
        shutil.rmtree(state)
        assert not lock.still_held()


async def test_who_lost_the_root_does_not_remove_the_name_of_the_next_one(state: Path, daemons: Daemons) -> None:
    lost = await take_root(state, ME)
    (state / LOCK_NAME).rename(state / "moved")
    assert said(next_one := daemons.start()) == "taken"
    lost.release()
    found = holder(state)
    assert found is not None
    assert found.pid == next_one.pid


async def test_releasing_twice_is_harmless_and_keeps_the_lock_file(state: Path) -> None:
    lock = await take_root(state, ME)
    lock.release()
    lock.release()
    assert not lock.still_held()
    assert sorted(path.name for path in state.iterdir()) == [LOCK_NAME]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\udce9"])
async def test_a_held_lock_with_an_unreadable_name_is_a_daemon_all_the_same(state: Path, text: str) -> None:
    with await take_root(state, ME):
        (state / HOLDER_NAME).write_text(text, "utf-8", "surrogateescape")
        assert holder(state) == UNKNOWN
        with pytest.raises(AlreadyRunningError, match="just starting"):
            await take_root(state, ME)


async def test_looking_who_runs_never_keeps_a_daemon_from_starting(state: Path) -> None:
    (state / LOCK_NAME).touch()
    done = threading.Event()
    errors: list[str] = []

    def look() -> None:
        while not done.is_set():
            try:
                holder(state)
            except RootError as error:  # pragma: no cover - the failure this test is for
                errors.append(str(error))

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(30):
            (await take_root(state, ME)).release()
            await asyncio.sleep(0)
    finally:
        done.set()
        for looker in lookers:
            looker.join()
    assert errors == []


async def test_lock_and_name_are_for_the_owner_alone(state: Path) -> None:
    with await take_root(state, ME):
        assert {path.name: path.stat().st_mode & 0o777 for path in state.iterdir()} == {
            LOCK_NAME: 0o600,
            HOLDER_NAME: 0o600,
        }
        assert json.loads((state / HOLDER_NAME).read_text())["version"] == "0.1.0"


def _no_folder(state: Path) -> None:
    state.rmdir()


def _link(state: Path) -> None:
    (state / LOCK_NAME).symlink_to("/etc/hostname")


def _folder(state: Path) -> None:
    (state / LOCK_NAME).mkdir()


@pytest.mark.parametrize("spoil", [_no_folder, _link, _folder])
async def test_a_lock_that_cannot_be_used_is_told_in_words(state: Path, spoil: Callable[[Path], None]) -> None:
    spoil(state)
    with pytest.raises(RootError, match="cannot be used") as caught:
        await take_root(state, ME)
    assert caught.value.exit_code is ExitCode.CONFIG
