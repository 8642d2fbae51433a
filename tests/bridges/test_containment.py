"""Whatever an attempt does, in whatever container: it is bounded, told truly, and gone as a whole."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.attempts import becomes, launch, supervisor_pid
from tests.bridges.containers import KINDS, carrying, groups_of, held

from orchestrator.bridges.process import ExitRecord, Launch, marked_pids, settle, supervise

LONG = "sleep 600"
# Each ends with the line `ready`; @ is a word that is found again in the arguments of whatever it leaves.
MISBEHAVIOUR = {
    "ignores every request": "trap '' INT TERM HUP; sh -c 'trap \"\" INT TERM; sleep 600; : @' & echo ready; wait",
    "leaves its session twice": "setsid sh -c 'setsid sh -c \"sleep 600; : @\" &'; echo ready; wait; sleep 600",
    "clears its environment": "env -i setsid sh -c 'sleep 600; : @' & echo ready; sleep 600",
    "is stopped": "setsid sh -c 'kill -STOP $$; : @' & echo ready; kill -STOP $$",
    "begins itself anew": "setsid sh -c 'while :; do sh -c \"sleep 0.01; : @\"; done; : @' & echo ready; sleep 600",
}


@pytest.fixture
def word(tmp_path: Path) -> Iterator[str]:
    """A word nobody else has; what still carries it after the test is ended, so that a failure leaves nothing."""
    unique = f"w{os.getpid()}x{time.time_ns()}"
    yield unique
    for pid in carrying(unique):
        os.kill(pid, signal.SIGKILL)


async def ended(order: Launch) -> ExitRecord:
    async with supervise(order) as program:
        return await program.wait()


def shell(folder: Path, script: str, **bounds: float) -> Launch:
    plain = launch(folder, argv=("sh", "-c", script), timeout_s=30.0, grace_s=0.5)
    return replace(plain, **bounds)  # type: ignore[arg-type]  # names and types are those of Launch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("script", MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
async def test_a_cancelled_attempt_is_gone_as_a_whole_whatever_it_does(
    tmp_path: Path, word: str, script: str, kind: str
) -> None:
    order = held(shell(tmp_path, script.replace("@", word)), kind)
    async with supervise(order) as program:
        assert await anext(program.lines()) == b"ready"
        assert await becomes(lambda: bool(carrying(word)))
        asked = time.monotonic()
        await program.stop()
        record = await program.wait()
    assert record.reason == "stopped"
    assert time.monotonic() - asked < 15
    assert (marked_pids(order.mark), carrying(word), groups_of(order)) == ([], [], [])


@pytest.mark.parametrize("kind", KINDS)
async def test_asking_to_kill_is_final_at_any_step(tmp_path: Path, word: str, kind: str) -> None:
    order = held(shell(tmp_path, MISBEHAVIOUR["ignores every request"].replace("@", word), grace_s=60.0), kind)
    async with supervise(order) as program:
        assert await anext(program.lines()) == b"ready"
        await program.stop()
        await asyncio.sleep(0.1)
        asked = time.monotonic()
        await program.kill()
        record = await program.wait()
    assert (record.exit_code, time.monotonic() - asked < 5, carrying(word)) == (-signal.SIGKILL, True, [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 137", 137), ("kill -KILL $$", -9), ("kill -SEGV $$", -11), ("exit 143", 143)],
)
async def test_how_an_agent_ended_is_told_truly(tmp_path: Path, script: str, code: int, kind: str) -> None:
    record = await ended(held(shell(tmp_path, f"sleep 0.1; {script}"), kind))
    if code == 137 and record.exit_code == -9 and kind.startswith("namespace"):
        pytest.skip("this kernel (before 6.15) does not tell how the child of another has ended")
    assert (record.exit_code, record.reason) == (code, "exited")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_program_that_is_missing_is_told_by_name_and_errno(tmp_path: Path, kind: str) -> None:
    record = await ended(held(launch(tmp_path, argv=("no-such-program",)), kind))
    assert (record.exit_code, record.reason) == (None, "spawn_failed")
    assert "cannot start no-such-program: No such file or directory" in record.detail


@pytest.mark.parametrize("kind", KINDS)
async def test_the_record_names_what_held_the_attempt(tmp_path: Path, kind: str) -> None:
    order = held(shell(tmp_path, "exit 0"), kind)
    said = (await ended(order)).container
    assert ("pid namespace" in said, "cgroup" in said) == ("namespace" in kind, "cgroup" in kind)
    assert said.endswith("subreaper+mark")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_an_agent_leaves_behind_is_counted_and_ended(tmp_path: Path, word: str, kind: str) -> None:
    script = f"setsid sh -c 'sleep 600; : {word}' & sleep 0.3"
    record = await ended(held(shell(tmp_path, script), kind))
    assert record.exit_code == 0
    assert record.survivors_killed == 2  # the shell and its sleep
    assert carrying(word) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_more_processes_than_allowed_end_an_attempt(tmp_path: Path, kind: str) -> None:
    script = f"i=0; while [ $i -lt 60 ]; do {LONG} & i=$((i+1)); done; wait"
    record = await ended(held(shell(tmp_path, script, max_processes=30), kind))
    assert record.reason == "too_many_processes"
    assert "30 processes allowed" in record.detail


BOMB = """
import os, sys, time
deadline = time.monotonic() + 20
def burst():
    for _ in range(3):
        try:
            if os.fork() == 0:
                os.setsid()
                return True
        except OSError:
            pass
    return False
made = 0
while time.monotonic() < deadline:
    if burst():
        made += 1
        if made > 5:  # bounded: 3 ** 6 processes and no more, should nobody end them
            time.sleep(20)
            sys.exit()
    else:
        time.sleep(20)
        sys.exit()
"""


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fork_bomb_is_ended_and_nothing_of_it_stays(tmp_path: Path, word: str, kind: str) -> None:
    order = launch(tmp_path, argv=(sys.executable, "-I", "-S", "-c", BOMB, word), timeout_s=60.0)
    record = await ended(held(replace(order, max_processes=60), kind))
    assert record.reason == "too_many_processes"
    assert record.duration_s < 15
    assert carrying(word) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_more_memory_than_allowed_ends_an_attempt(tmp_path: Path, kind: str) -> None:
    hog = "import time; held = bytearray(400 << 20); time.sleep(20)"
    order = launch(tmp_path, argv=(sys.executable, "-I", "-S", "-c", hog))
    record = await ended(held(replace(order, memory_bytes=200 << 20), kind))
    assert (record.reason, record.exit_code) == ("too_much_memory", -signal.SIGKILL)
    assert record.detail.startswith("memory limit")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_flood_of_output_is_ended_soon_and_not_kept(tmp_path: Path, kind: str) -> None:
    order = launch(tmp_path, argv=("yes", "x" * 1000), max_output_bytes=32 << 20)
    record = await ended(held(order, kind))
    assert record.reason == "output_too_large"
    assert int(record.detail.split()[0]) < 1 << 30  # what was on the disk when it was noticed
    assert (order.attempt_dir / "stdout.ndjson").stat().st_size == 32 << 20


@pytest.mark.parametrize("kind", KINDS)
async def test_an_agent_that_somebody_stopped_is_ended_as_stalled(tmp_path: Path, kind: str) -> None:
    record = await ended(held(shell(tmp_path, "echo ready; kill -STOP $$; exit 0", stall_s=1.5), kind))
    assert record.reason == "stalled"
    assert 1 < record.duration_s < 10


@pytest.mark.parametrize("work", ["while :; do :; done", "sh -c 'while :; do :; done'"], ids=["itself", "a child"])
async def test_an_agent_that_works_in_silence_is_not_stalled(tmp_path: Path, work: str) -> None:
    record = await ended(shell(tmp_path, work, stall_s=1.0, timeout_s=3.0))
    assert record.reason == "timeout"


async def test_an_agent_that_only_talks_is_not_stalled(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.4; done"
    assert (await ended(shell(tmp_path, script, stall_s=1.0))).reason == "exited"


@pytest.mark.parametrize("kind", KINDS)
async def test_of_an_attempt_whose_supervisor_is_killed_nothing_survives(tmp_path: Path, word: str, kind: str) -> None:
    order = held(shell(tmp_path, MISBEHAVIOUR["clears its environment"].replace("@", word)), kind)
    async with supervise(order) as program:
        assert await anext(program.lines()) == b"ready"
        assert await becomes(lambda: bool(carrying(word)))
        os.kill(supervisor_pid(order), signal.SIGKILL)
        record = await program.wait()
    assert record.reason == "supervisor_killed"
    assert (marked_pids(order.mark), carrying(word), groups_of(order)) == ([], [], [])


async def test_a_pid_namespace_ends_with_a_killed_supervisor_though_nobody_looks_after_it(
    tmp_path: Path, word: str
) -> None:
    order = held(shell(tmp_path, MISBEHAVIOUR["clears its environment"].replace("@", word)), "namespace")
    async with supervise(order) as program:
        assert await anext(program.lines()) == b"ready"
        assert await becomes(lambda: bool(carrying(word)))
        os.kill(supervisor_pid(order), signal.SIGKILL)
        assert _gone(word, 2.0)  # the loop stands still meanwhile, and our own ending with it
        await program.wait()


def _gone(word: str, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while carrying(word):
        if time.monotonic() > deadline:
            return False
    return True


async def test_what_left_every_trace_but_its_control_group_is_found_by_the_next_daemon(
    tmp_path: Path, word: str
) -> None:
    """Supervisor and daemon are gone; the process has neither mark nor output."""
    script = f"env -i setsid sh -c 'sleep 600; : {word}' >/dev/null 2>&1 </dev/null & echo ready; sleep 600"
    order = held(shell(tmp_path, script), "cgroup")
    async with supervise(order) as program:
        assert await anext(program.lines()) == b"ready"
        assert await becomes(lambda: bool(carrying(word)))
        manifest = json.loads((order.attempt_dir / "manifest.json").read_bytes())
        assert all(Path(group).exists() for group in manifest["cgroups"])
        os.kill(manifest["pid"], signal.SIGSTOP)
        for pid in marked_pids(order.mark):  # all that would lead to it
            os.kill(pid, signal.SIGKILL)
        record = await settle(order.attempt_dir, order.mark)
        assert record is not None
        assert record.reason == "supervisor_killed"
        assert (carrying(word), groups_of(order)) == ([], [])
