"""Programs and their trees, with real ones: nothing survives, however it ends."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.attempts import PATH, agent_pid, becomes, launch, nothing_of, supervisor_pid

from orchestrator.bridges.bubblewrap import pid_namespace
from orchestrator.bridges.process import ExitRecord, Launch, run_quick, settle, start, supervise

HANG = {"hang": 0}


async def run(order: Launch) -> tuple[list[bytes], ExitRecord]:
    async with supervise(order) as program:
        lines = [line async for line in program.lines()]
        record = await program.wait()
    assert nothing_of(order)
    return lines, record


async def test_a_program_gets_its_input_folder_and_environment_and_its_output_comes_as_lines(tmp_path: Path) -> None:
    order = launch(tmp_path, argv=("sh", "-c", 'cat; echo; pwd; echo "$ORCHESTRATOR_ATTEMPT $PATH"; echo bad >&2'))
    async with supervise(order) as program:
        lines = [line async for line in program.lines()]
        record = await program.wait()
        assert program.stderr_tail() == "bad\n"
    assert lines == [b"", str(tmp_path).encode(), f"{order.mark} {PATH['PATH']}".encode()]
    assert (record.exit_code, record.reason, record.survivors_killed) == (0, "exited", 0)


async def test_a_program_that_ignores_all_requests_is_killed_within_two_graces(tmp_path: Path) -> None:
    order = launch(tmp_path, {"ignore": ["INT", "TERM"]}, {"line": "ready"}, HANG)
    async with supervise(order) as program:
        async for _line in program.lines():
            await program.stop()
        record = await program.wait()
    assert (record.exit_code, record.reason) == (-signal.SIGKILL, "stopped")
    assert record.duration_s < 3
    assert nothing_of(order)


async def test_a_program_asked_to_stop_may_still_print_its_result(tmp_path: Path) -> None:
    order = launch(tmp_path, {"line": "ready"}, HANG, timeout_s=60)
    lines = []
    async with supervise(order) as program:
        async for line in program.lines():
            lines.append(line)
            await program.stop()
        record = await program.wait()
    assert (record.exit_code, record.reason) == (0, "stopped")
    assert b'"type":"result"' in lines[-1]


@pytest.mark.parametrize("empty_env", [False, True])
@pytest.mark.parametrize("last", [{"result": "fine"}, {"exit": 3}, {"signal": "KILL"}])
async def test_a_detached_grandchild_outlives_no_end_of_the_agent(
    tmp_path: Path, empty_env: bool, last: dict[str, object]
) -> None:
    orphan = {"orphan": {"empty_env": empty_env, "ignore": True, "pid_file": str(tmp_path / "orphan.pid")}}
    _, record = await run(launch(tmp_path, orphan, last))
    assert record.survivors_killed == 1


async def test_children_under_job_control_die_too(tmp_path: Path) -> None:
    """A shell with `set -o monitor`, as ~/.bashrc may ask for, gives every job a process group of its own."""
    script = "set -m; sleep 600 & (sleep 600 &) ; setsid sleep 600 & sleep 600 | sleep 600 & echo $! >job.pid; echo on"
    _, record = await run(launch(tmp_path, argv=("bash", "-c", script)))
    assert (record.exit_code, record.reason) == (0, "exited")
    assert record.survivors_killed >= 4


async def test_a_stopped_program_can_be_ended(tmp_path: Path) -> None:
    order = launch(tmp_path, {"line": "ready"}, {"signal": "STOP"}, HANG)
    async with supervise(order) as program:
        async for _line in program.lines():
            await program.stop()
        record = await program.wait()
    assert record.reason == "stopped"
    assert nothing_of(order)


async def test_a_line_of_five_megabytes_arrives_whole(tmp_path: Path) -> None:
    lines, _ = await run(launch(tmp_path, {"long_line": 5_000_000}, {"line": "after"}))
    assert len(lines[0]) > 5_000_000
    assert lines[1:] == [b"after"]


async def test_a_line_over_the_limit_is_dropped_and_counted(tmp_path: Path) -> None:
    order = launch(tmp_path, {"line": "before"}, {"long_line": 17 << 20}, {"line": "after"})
    async with supervise(order) as program:
        assert [line async for line in program.lines()] == [b"before", b"after"]
        assert program.oversize_lines == 1


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"\xff\xfe\n", [b"\xff\xfe"]),
        (b'whole\n{"type":"res', [b"whole", b'{"type":"res']),
        ("a\u2028b\x85c\rd\n".encode(), ["a\u2028b\x85c\rd".encode()]),
        (b"\n\n", [b"", b""]),
        (b"", []),
    ],
    ids=["invalid utf-8", "torn last line", "only lf separates", "empty lines", "nothing"],
)
async def test_bytes_arrive_as_they_are(tmp_path: Path, raw: bytes, lines: list[bytes]) -> None:
    assert (await run(launch(tmp_path, {"raw": raw.hex()})))[0] == lines


@pytest.mark.parametrize(
    ("argv", "cwd", "words"),
    [
        (("no-such-program",), "", "cannot start no-such-program: No such file"),
        (("/etc/passwd",), "", "cannot start /etc/passwd: Permission denied"),
        (("true",), "/no/such/folder", "cannot use the folder /no/such/folder: No such file"),
        (("true", "a\0b"), "", "NUL"),
    ],
)
async def test_what_cannot_be_started_is_told_and_not_raised(
    tmp_path: Path, argv: tuple[str, ...], cwd: str, words: str
) -> None:
    lines, record = await run(launch(tmp_path, argv=argv, cwd=cwd))
    assert lines == []
    assert (record.exit_code, record.reason) == (None, "spawn_failed")
    assert words in record.detail


async def test_a_folder_of_another_attempt_is_not_used_again(tmp_path: Path) -> None:
    order = launch(tmp_path, {"result": "one"})
    await run(order)
    before = (order.attempt_dir / "stdout.ndjson").read_bytes()
    assert (await run(order))[1].reason == "spawn_failed"
    assert (order.attempt_dir / "stdout.ndjson").read_bytes() == before


async def test_two_attempts_cannot_share_a_folder_at_the_same_time(tmp_path: Path) -> None:
    order = launch(tmp_path, {"line": "ready"}, HANG)
    async with supervise(order) as first:
        assert (await (await start(order)).wait()).reason == "spawn_failed"
        await first.stop()
        assert (await first.wait()).reason == "stopped"


@pytest.mark.parametrize("cancels", [1, 2, 3])
async def test_a_cancelled_task_leaves_nothing_however_often_it_is_cancelled(tmp_path: Path, cancels: int) -> None:
    orphan = {"orphan": {"empty_env": True, "pid_file": str(tmp_path / "orphan.pid")}}
    order = launch(tmp_path, {"ignore": ["INT", "TERM"]}, orphan, {"line": "ready"}, HANG, grace_s=0.5)
    ready = asyncio.Event()

    async def work() -> None:
        async with supervise(order) as program:
            async for _line in program.lines():
                ready.set()

    task = asyncio.create_task(work())
    await ready.wait()
    for _ in range(cancels):
        task.cancel()
        await asyncio.wait([task], timeout=0.02)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert nothing_of(order)


async def test_a_task_cancelled_at_once_leaves_nothing(tmp_path: Path) -> None:
    order = launch(tmp_path, HANG)
    task = asyncio.create_task(run(order))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert nothing_of(order)


async def test_the_time_limit_ends_a_program(tmp_path: Path) -> None:
    _, record = await run(launch(tmp_path, {"ignore": ["INT", "TERM"]}, HANG, timeout_s=0.3))
    assert (record.exit_code, record.reason) == (-signal.SIGKILL, "timeout")
    assert record.detail == "still running after 0.3 s"


async def test_too_much_output_ends_a_program(tmp_path: Path) -> None:
    order = launch(tmp_path, {"flood": 8 << 20}, HANG, max_output_bytes=1 << 20)
    assert (await run(order))[1].reason == "output_too_large"


async def test_an_agent_killed_by_somebody_is_told_by_its_signal(tmp_path: Path) -> None:
    _, record = await run(launch(tmp_path, {"signal": "SEGV"}))
    assert (record.exit_code, record.reason) == (-signal.SIGSEGV, "exited")


async def test_a_killed_supervisor_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    orphans: list[dict[str, object]] = [
        {"orphan": {"empty_env": empty, "ignore": True, "pid_file": str(tmp_path / f"{empty}.pid")}}
        for empty in (True, False)
    ]
    order = launch(tmp_path, {"ignore": ["INT", "TERM"]}, *orphans, {"line": "ready"}, HANG)
    async with supervise(order) as program:
        async for _line in program.lines():
            os.kill(supervisor_pid(order), signal.SIGKILL)
        record = await program.wait()
    assert (record.exit_code, record.reason) == (None, "supervisor_killed")
    assert nothing_of(order)


async def test_a_supervisor_asked_to_terminate_ends_its_tree_first(tmp_path: Path) -> None:
    order = launch(tmp_path, {"ignore": ["INT", "TERM"]}, {"orphan": {}}, {"line": "ready"}, HANG)
    async with supervise(order) as program:
        async for _line in program.lines():
            os.kill(supervisor_pid(order), signal.SIGTERM)
        record = await program.wait()
    assert record.reason == "stopped"
    assert nothing_of(order)


async def test_two_attempts_do_not_end_each_other(tmp_path: Path) -> None:
    go = tmp_path / "go"
    stays = launch(tmp_path, {"orphan": {}}, {"line": "ready"}, {"wait_for": str(go)}, {"result": "fine"})
    ends = launch(tmp_path, {"orphan": {}}, {"line": "ready"})
    async with supervise(stays) as program:
        lines = program.lines()
        assert await anext(lines) == b"ready"
        assert (await run(ends))[1].reason == "exited"
        assert os.path.exists(f"/proc/{agent_pid(stays)}")
        go.touch()
        assert [b'"type":"result"' in line async for line in lines] == [True]
        assert (await program.wait()).survivors_killed == 1
    assert nothing_of(stays)


async def test_lines_arrive_while_the_program_runs(tmp_path: Path) -> None:
    order = launch(tmp_path, argv=("sh", "-c", "read x <go; date +%s%N; sleep 600"))
    os.mkfifo(tmp_path / "go")
    async with supervise(order) as program:
        lines = program.lines()
        first = asyncio.ensure_future(anext(lines))
        await asyncio.to_thread((tmp_path / "go").write_text, "x\n")
        delay_s = time.time() - int(await first) / 1e9
    assert delay_s < 1.0


async def test_a_daemon_killed_in_mid_run_leaves_nothing(tmp_path: Path, daemon: "Daemon") -> None:
    orphan = {"orphan": {"empty_env": True, "ignore": True, "pid_file": str(tmp_path / "orphan.pid")}}
    order = launch(tmp_path, {"ignore": ["INT", "TERM"]}, orphan, {"line": "ready"}, HANG, grace_s=60)
    await daemon.runs(order)
    daemon.kill()
    assert await becomes(lambda: nothing_of(order))
    record = await settle(order.attempt_dir, order.mark)
    assert record is not None
    assert record.reason == "daemon_gone"


async def test_a_run_whose_result_is_there_may_end_by_itself_when_the_daemon_dies(
    tmp_path: Path, daemon: "Daemon"
) -> None:
    go = tmp_path / "go"
    order = launch(tmp_path, {"result": "fine"}, {"wait_for": str(go)}, {"exit": 0})
    await daemon.runs(order)
    daemon.kill()
    go.touch()
    record = await settle(order.attempt_dir, order.mark)
    assert record is not None
    assert (record.exit_code, record.reason) == (0, "exited")
    assert nothing_of(order)


async def test_a_run_that_hangs_after_its_result_when_the_daemon_died_is_ended_and_told_so(
    tmp_path: Path, daemon: "Daemon"
) -> None:
    order = launch(tmp_path, {"ignore": ["INT", "TERM"]}, {"result": "fine"}, HANG)
    await daemon.runs(order)
    daemon.kill()
    record = await settle(order.attempt_dir, order.mark, patience_s=20)
    assert record is not None
    assert record.reason == "lingered"
    assert nothing_of(order)


@pytest.mark.parametrize("frozen", [False, True], ids=["killed", "frozen"])
async def test_an_attempt_whose_daemon_and_supervisor_both_failed_is_ended_and_has_a_record_until_the_next_boot(
    tmp_path: Path, daemon: "Daemon", frozen: bool
) -> None:
    orphan = {"orphan": {"empty_env": True, "ignore": True, "pid_file": str(tmp_path / "orphan.pid")}}
    order = launch(tmp_path, {"ignore": ["INT", "TERM"]}, orphan, {"line": "ready"}, HANG)
    await daemon.runs(order)
    os.kill(supervisor_pid(order), signal.SIGSTOP)
    daemon.kill()
    if not frozen:
        os.kill(supervisor_pid(order), signal.SIGKILL)
    last_word_ts = (order.attempt_dir / "stdout.ndjson").stat().st_mtime
    record = await settle(order.attempt_dir, order.mark, patience_s=0.3)
    assert nothing_of(order)
    assert record is not None
    assert (record.exit_code, record.reason) == (None, "supervisor_killed")
    assert record.ended_ts == max(record.started_ts, last_word_ts)  # not now: nobody worked until this start
    assert 0 <= time.time() - record.started_ts < 120
    manifest = order.attempt_dir / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"boot_id": "another"}))
    assert await settle(order.attempt_dir, order.mark) is None


async def test_an_attempt_that_never_began_has_no_record(tmp_path: Path) -> None:
    assert await settle(tmp_path / "none", "nobody.1") is None


async def test_the_record_of_an_ended_attempt_can_be_read_again(tmp_path: Path) -> None:
    order = launch(tmp_path, {"result": "fine"})
    _, record = await run(order)
    assert await settle(order.attempt_dir, order.mark) == record


async def test_a_short_program_is_run_to_its_end() -> None:
    done = await run_quick(["sh", "-c", "cat; echo bad >&2; exit 3"], env=PATH, stdin=b"hi")
    assert (done.exit_code, done.reason, done.stdout, done.stderr) == (3, "exited", b"hi", b"bad\n")


async def test_a_short_program_that_is_missing_or_too_slow_or_too_loud_is_told_by_value() -> None:
    missing = await run_quick(["no-such-program"], env=PATH)
    assert (missing.exit_code, missing.reason) == (None, "spawn_failed")
    assert (await run_quick(["sleep", "600"], env=PATH, timeout_s=0.2)).reason == "timeout"
    loud = await run_quick(["yes"], env=PATH, max_output_bytes=1000)
    assert (loud.reason, len(loud.stdout)) == ("output_too_large", 1000)


# --- a daemon in a process of its own --------------------------------------------------------------------------------

DAEMON = """
import asyncio, pickle, sys
from orchestrator.bridges.process import supervise
async def main():
    order = pickle.loads(sys.stdin.buffer.read())
    async with supervise(order) as program:
        async for line in program.lines():
            print("line", flush=True)
        await program.wait()
asyncio.run(main())
"""


class Daemon:
    """Owns the death pipe of an attempt, in a process that can be killed."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None

    async def runs(self, order: Launch) -> None:
        """Start *order* there, and wait for its first line."""
        import pickle
        import sys

        source = str(Path(__file__).parents[2] / "src")
        self.child = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r})\n{DAEMON}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(pickle.dumps(order))
        self.child.stdin.close()
        assert await asyncio.to_thread(self.child.stdout.readline) == b"line\n"
        assert await becomes(lambda: (order.attempt_dir / "manifest.json").exists())

    def kill(self) -> None:
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                self.child.kill()
            self.child.wait()
            if self.child.stdout is not None:
                self.child.stdout.close()


@pytest.fixture
def daemon() -> Iterator["Daemon"]:
    owner = Daemon()
    yield owner
    owner.kill()


async def test_a_program_sees_itself_at_the_beginning_of_a_pid_namespace_where_it_is_given_one(tmp_path: Path) -> None:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    order = launch(tmp_path, argv=("sh", "-c", 'echo $$ "$ORCHESTRATOR_ATTEMPT"'))
    lines, record = await run(replace(order, container=pid_namespace(bwrap)))
    assert lines == [f"2 {order.mark}".encode()]
    assert (record.exit_code, record.reason) == (0, "exited")
