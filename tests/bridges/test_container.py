"""What holds attempts together here is found by trying it, and `doctor` says what is lost without."""

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.attempts import PATH, launch

from orchestrator.bridges import cgroup_find
from orchestrator.bridges.container import Container, choose, container_finding
from orchestrator.bridges.process import supervise
from orchestrator.core.finding import Level

SOURCE = str(Path(__file__).parents[2] / "src")


async def test_the_strongest_container_is_chosen_by_trying_it() -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    chosen = await choose(env=PATH, which=shutil.which, settle=False, now=time.time())
    assert chosen.in_force.startswith("pid namespace")
    assert container_finding(chosen, shutil.which).level is Level.PASS
    assert ("cgroup" in chosen.in_force) == bool(chosen.cgroups)


async def test_without_bubblewrap_it_is_said_what_is_lost_and_what_to_type() -> None:
    here = {"apt-get": "/usr/bin/apt-get"}
    chosen = await choose(env=PATH, which=here.get, settle=False, now=time.time())
    assert chosen.words == ()
    assert chosen.in_force.endswith("subreaper+mark")
    finding = container_finding(chosen, here.get)
    assert (finding.level, finding.fix) == (Level.WARN, "sudo apt-get install -y bubblewrap")
    assert "bubblewrap (bwrap) is not on the PATH" in finding.message


@pytest.mark.parametrize(("mode", "words"), [(0o755, "does not work here"), (0o4755, "is set-uid")])
async def test_a_bubblewrap_that_is_of_no_use_is_not_used(tmp_path: Path, mode: int, words: str) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2; exit 1\n")
    broken.chmod(mode)
    chosen = await choose(env=PATH, which={"bwrap": str(broken)}.get, settle=False, now=time.time())
    assert chosen.words == ()
    assert words in chosen.without


def test_a_machine_without_control_groups_has_none(tmp_path: Path) -> None:
    assert cgroup_find.find(settle=True, proc=tmp_path) == ()


def test_the_report_of_a_chosen_container_is_what_is_in_force() -> None:
    assert (
        container_finding(Container(("bwrap",), (), "pid namespace+mark"), shutil.which).message == "pid namespace+mark"
    )


@pytest.fixture
def unit() -> Iterator[Path]:
    """A group of control groups as systemd hands it over to a service."""
    mounted = next(
        (
            Path(line.split()[1])
            for line in Path("/proc/mounts").read_text().splitlines()
            if line.split()[2] == "cgroup2"
        ),
        None,
    )
    group = mounted / f"test{os.getpid()}x{time.time_ns()}" if mounted else Path("/nowhere")
    try:
        group.mkdir()
        os.setxattr(group, "user.delegate", b"1")
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no group of cgroup version 2 can be made and marked here: {error.strerror}")
    yield group
    for folder in (*group.glob("*"), group):
        if folder.is_dir():
            folder.rmdir()


def test_a_daemon_in_a_delegated_unit_makes_room_for_its_attempts_and_finds_the_place_again(unit: Path) -> None:
    script = (
        f"import os, sys; sys.path.insert(0, {SOURCE!r}); open('{unit}/cgroup.procs', 'w').write('0')\n"
        "from orchestrator.bridges.cgroup_find import find\n"
        "print(find(settle=False)[0], find(settle=True)[0], find(settle=True)[0])\n"
        "print(open('/proc/self/cgroup').read())"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.split()[:3] == [f"{unit}/orchestrator"] * 3
    assert f"/{unit.name}/daemon" in said


def test_groups_of_ended_attempts_are_removed_but_not_those_just_made(unit: Path) -> None:
    (unit / "old.1").mkdir()
    made = (unit / "old.1").stat().st_mtime
    assert cgroup_find.sweep((str(unit),), now=made + 1) == 0
    assert cgroup_find.sweep((str(unit),), now=made + 61) == 1


@pytest.mark.parametrize("day", ["+1d", "-1d"])
async def test_a_wall_clock_that_jumps_by_a_day_moves_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day: str
) -> None:
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    if library is None:
        pytest.skip("libfaketime is not installed")
    jump = tmp_path / "jump"
    jump.write_text("+0")
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\nLD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={jump} FAKETIME_NO_CACHE=1"
        f' FAKETIME_DONT_FAKE_MONOTONIC=1 exec {sys.executable} "$@"\n'
    )
    python.chmod(stat.S_IRWXU)
    monkeypatch.setattr(sys, "executable", str(python))
    order = launch(tmp_path, argv=("sh", "-c", "echo ready; sleep 600"), timeout_s=2.0)
    begun = time.monotonic()
    async with supervise(order) as program:
        assert await anext(program.lines()) == b"ready"
        jump.write_text(day)
        record = await program.wait()
    assert (record.reason, 2 <= time.monotonic() - begun < 10) == ("timeout", True)
    assert 2 <= record.duration_s < 10
    assert abs(record.ended_ts - record.started_ts) > 80_000  # it did see the jump
