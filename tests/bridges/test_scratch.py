"""Private folders of a moment: what a crash leaves is told from what is in use, and removed with what runs there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.harness import wait_until

from orchestrator.bridges.proctable import MARK_NAME
from orchestrator.bridges.scratch import CHECK, CHECKOUT, RUN, clear_scratch, mark_of, new_scratch, scratch

SOURCE = Path(__file__).resolve().parents[2] / "src"


def somebody(parent: Path) -> "subprocess.Popen[bytes]":
    """Start a process that works in a folder of its own until it is ended."""
    words = f"import signal; from pathlib import Path; from orchestrator.bridges.scratch import new_scratch; made = new_scratch(Path({str(parent)!r}), 'checkout-'); (made.path / 'ready').touch(); signal.pause()"  # noqa: E501
    process = subprocess.Popen([sys.executable, "-c", words], env={"PYTHONPATH": str(SOURCE)})
    wait_until(lambda: list(parent.glob("checkout-*/ready")), what="a folder in use")
    return process


async def test_what_a_dead_process_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    process = somebody(tmp_path)
    try:
        (tmp_path / "somebody-elses").mkdir()
        assert await clear_scratch(tmp_path) == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        (left,) = tmp_path.glob("checkout-*")
        left.chmod(0o500)  # as a check may have made it
        assert await clear_scratch(tmp_path) == [left]
        assert [path.name for path in tmp_path.iterdir()] == ["somebody-elses"]
    finally:
        process.kill()
        process.wait()


async def test_what_still_runs_in_a_leftover_is_ended_first(tmp_path: Path) -> None:
    folder = tmp_path / f"{CHECK}abc"
    (folder / RUN).mkdir(parents=True)
    left = subprocess.Popen(["sleep", "600"], env={MARK_NAME: mark_of(folder), "PATH": os.defpath})
    try:
        assert await clear_scratch(tmp_path) == [folder]
        assert left.wait(10) == -signal.SIGKILL
    finally:
        left.kill()
        left.wait()


async def test_one_that_is_closed_is_gone(tmp_path: Path) -> None:
    with scratch(tmp_path / "new", CHECKOUT) as path:
        (path / "deep").mkdir()
        (path / "deep" / "file").touch()
        (path / "deep").chmod(0)
        assert path.stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "new").iterdir()) == []
    made = new_scratch(tmp_path, CHECK)
    made.close()
    assert await clear_scratch(tmp_path / "nowhere") == []


async def test_a_link_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (tmp_path / f"{CHECK}link").symlink_to(tmp_path / "mine")
    assert await clear_scratch(tmp_path) == []
    assert (tmp_path / "mine" / "file").exists()
