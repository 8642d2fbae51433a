"""Checks for a given time: what ran, what did not, and that neither is taken for the other."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.bridges.check_runner import CheckConfig
from orchestrator.bridges.timed_checks import TimedChecks
from orchestrator.core.proof import CheckKind, CheckSpec

THERE = CheckSpec(CheckKind.FILE_EXISTS, path="a")
TRUE = CheckSpec(CheckKind.COMMAND, argv=("true",))
LONG = CheckSpec(CheckKind.COMMAND, argv=("sleep", "30"))


def checks(tmp: Path, *, ends: float, clock: Callable[[], float] = time.monotonic, **more: object) -> TimedChecks:
    (tmp / "private").mkdir(exist_ok=True)
    (tmp / "files").mkdir(exist_ok=True)
    (tmp / "files/a").touch()
    config = CheckConfig({"PATH": os.environ["PATH"]}, str(tmp / "private"), **more)  # type: ignore[arg-type]
    return TimedChecks(config, monotonic=clock, ends=ends)


async def test_when_the_time_is_up_files_are_still_looked_at_and_no_command_is_begun(tmp_path: Path) -> None:
    runner = checks(tmp_path, ends=100.0, clock=lambda: 100.0)
    file, command = await runner.run([THERE, TRUE], str(tmp_path / "files"), inside="", commit="c")
    assert file.passed is True
    assert (command.passed, command.detail) == (None, "not run: no time was left for it")


async def test_a_check_that_is_ended_because_the_time_was_up_has_no_answer(tmp_path: Path) -> None:
    runner = checks(tmp_path, ends=time.monotonic() + 0.8)
    first, second, third = await runner.run([TRUE, LONG, TRUE], str(tmp_path / "files"), inside="", commit="c")
    assert first.passed is True
    assert (second.passed, second.detail.startswith("not run: it did not end within")) == (None, True)
    assert (third.passed, third.detail) == (None, "not run: no time was left for it")


async def test_one_that_took_longer_than_its_own_time_has_failed(tmp_path: Path) -> None:
    runner = checks(tmp_path, ends=time.monotonic() + 60, timeout_s=0.3)
    (run,) = await runner.run([LONG], str(tmp_path / "files"), inside="", commit="c")
    assert (run.passed, run.detail) == (False, "it was ended: it took longer than 0.3 s")


async def test_the_set_up_of_a_checkout_runs_once(tmp_path: Path) -> None:
    count = ("sh", "-c", "echo x >> made")
    runner = checks(tmp_path, ends=time.monotonic() + 60, setup=(count,))
    await runner.run([THERE, TRUE, TRUE], str(tmp_path / "files"), inside="", commit="c")
    assert (tmp_path / "files/made").read_text() == "x\n"
