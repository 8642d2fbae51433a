"""Programs that are tied to this process without a supervisor: what they say, and that nothing of them is left."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness import until, wait_until

from orchestrator.bridges.process import Completed
from orchestrator.bridges.tied import _tie, run_tied

ENV = {"PATH": os.defpath}
SH = "/bin/sh"
pytestmark = pytest.mark.skipif(not _tie(), reason="setpriv --pdeathsig or pidfd_open is missing here")


async def run(
    script: str, *, cwd: str = "/", timeout_s: float = 20, stdin: bytes = b"", most: int = 1 << 20
) -> Completed:
    words = (SH, "-c", script)
    return await run_tied(words, env=ENV, cwd=cwd, timeout_s=timeout_s, stdin=stdin, max_output_bytes=most)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_noted(path: Path) -> bool:
    return path.exists() and path.read_text().endswith("\n")


def noted(path: Path) -> int:
    """Return the process id that a script writes to *path*, once it is there."""
    wait_until(lambda: is_noted(path), what="a process id")
    return int(path.read_text())


async def test_a_short_program_gets_its_input_and_tells_its_output_and_exit_code() -> None:
    done = await run("cat; pwd; echo bad >&2; exit 3", stdin=b"hi\n", cwd="/usr")
    assert (done.reason, done.exit_code, done.stdout, done.stderr) == ("exited", 3, b"hi\n/usr\n", b"bad\n")


async def test_what_cannot_be_started_is_told_and_not_raised() -> None:
    done = await run("true", cwd="/no/such/folder")
    assert (done.reason, done.exit_code) == ("spawn_failed", None)
    assert "/no/such/folder" in done.detail
    nul = await run("a\0b")
    assert nul.reason == "spawn_failed"


async def test_one_that_takes_too_long_or_prints_too_much_is_ended(tmp_path: Path) -> None:
    slow = await run(f"trap '' TERM; echo $$ > '{tmp_path}/pid'; while :; do sleep 1; done", timeout_s=0.3)
    assert slow.reason == "timeout"
    assert not alive(noted(tmp_path / "pid"))
    loud = await run("yes", most=1000)
    assert loud.reason == "output_too_large"
    assert len(loud.stdout) == 1000


async def test_what_it_leaves_in_the_background_is_ended(tmp_path: Path) -> None:
    done = await run(f"sleep 600 & echo $! > '{tmp_path}/pid'")
    assert done.exit_code == 0
    left = noted(tmp_path / "pid")
    wait_until(lambda: not alive(left), what="the end of what was left")


async def test_a_cancellation_ends_it_before_it_is_raised(tmp_path: Path) -> None:
    running = asyncio.ensure_future(run(f"echo $$ > '{tmp_path}/pid'; exec sleep 600"))
    await until(lambda: is_noted(tmp_path / "pid"), what="a process id")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not alive(noted(tmp_path / "pid"))


def test_it_ends_with_the_process_that_started_it_however_that_dies(tmp_path: Path) -> None:
    script = f"""
import asyncio
from orchestrator.bridges.tied import run_tied
words = ("{SH}", "-c", "echo $$ > '{tmp_path}/pid'; exec sleep 600")
asyncio.run(run_tied(words, env={{}}, cwd="/", timeout_s=600, stdin=b"", max_output_bytes=1000))
"""
    source = Path(__file__).resolve().parents[2] / "src"
    starter = subprocess.Popen([sys.executable, "-c", script], env={**ENV, "PYTHONPATH": str(source)})
    program = noted(tmp_path / "pid")
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    wait_until(lambda: not alive(program), what="the end of the program")
