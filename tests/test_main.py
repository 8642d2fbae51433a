"""The set-up, as a user meets it: copies of main.py in folders of their own, run as real processes.

No test here reaches for a network. Where packages would be installed, an installer of ours stands on PATH as `uv`:
it makes a real environment without packages, writes down what it was asked, and can be told to fail.
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import main as entry
import pytest

PROJECT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
MODULES = entry.MODULES

UV = """#!{python}
import os, pathlib, sys, venv
root = pathlib.Path({root!r})
with (root / "uv.log").open("a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "venv":
    venv.create(sys.argv[-1], symlinks=True, clear=True)
elif (root / "uv.fails").exists():
    sys.exit((root / "uv.fails").read_text())
elif (root / "uv.fifo").exists():
    (root / "uv.fifo").open().read()
"""
APP = '"""A stand-in."""\nimport sys\n\ndef main(argv):\n    print(sys.prefix, *argv)\n    return 7\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone: main.py, the locks, and a package that says where it runs and ends with status 7."""
    root = tmp_path / "clone"
    package = root / "src" / "orchestrator"
    package.mkdir(parents=True)
    shutil.copy(PROJECT / "main.py", root)
    shutil.copytree(PROJECT / "locks", root / "locks")
    (package / "__init__.py").write_text('"""A stand-in."""\n')
    (package / "app.py").write_text(APP)
    return root


@pytest.fixture
def uv(clone: Path) -> Path:
    """An installer that needs no network; returns the folder that goes on PATH."""
    program = clone.parent / "bin" / "uv"
    program.parent.mkdir()
    program.write_text(UV.format(python=PYTHON, root=str(clone.parent)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program.parent


def environment(path: str = "", **more: str) -> Mapping[str, str]:
    kept = {key: value for key, value in os.environ.items() if key in ("HOME", "LANG", "TMPDIR")}
    return {
        **kept,
        "PATH": path or "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUSERBASE": "/nonexistent",
        **more,
    }


def bare_python() -> str:
    """An interpreter that has none of our packages: the one beneath this environment."""
    return str(getattr(sys, "_base_executable", PYTHON))


def run(clone: Path, *argv: str, env: Mapping[str, str], python: str = "") -> "subprocess.CompletedProcess[str]":
    command = [python or bare_python(), "-S", str(clone / "main.py"), *argv]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=dict(env), stdin=subprocess.DEVNULL, timeout=60
    )


def fake_packages(clone: Path) -> str:
    """A folder in which every dependency can be found."""
    folder = clone.parent / "packages"
    for module in MODULES:
        (folder / module).mkdir(parents=True)
        (folder / module / "__init__.py").write_text("")
    return str(folder)


def asked(clone: Path) -> list[str]:
    log = clone.parent / "uv.log"
    return log.read_text().splitlines() if log.exists() else []


def test_where_everything_can_be_imported_it_hands_over_and_makes_nothing(clone: Path) -> None:
    there = os.pathsep.join([str(clone / "src"), fake_packages(clone)])
    ran = run(clone, "status", "--json", env=environment(PYTHONPATH=there))
    assert (ran.returncode, ran.stderr) == (7, "")
    assert ran.stdout.split()[1:] == ["status", "--json"]
    assert not (clone / ".venv").exists()


def test_the_package_of_another_clone_is_not_taken_for_this_one(clone: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "orchestrator"
    shutil.copytree(clone / "src" / "orchestrator", other)
    there = os.pathsep.join([str(other.parent), fake_packages(clone)])
    ran = run(clone, "status", env=environment(PYTHONPATH=there, ORCHESTRATOR_NO_SETUP="1"))
    assert ran.returncode == 3


def test_a_first_start_makes_an_environment_and_runs_in_it(clone: Path, uv: Path) -> None:
    ran = run(clone, "status", env=environment(str(uv)))
    assert ran.returncode == 7, ran.stderr
    assert ran.stdout.split() == [str(clone / ".venv"), "status"]
    assert [line.split(" ... ")[0] for line in ran.stderr.splitlines()] == [
        "set-up: makes .venv with uv",
        "set-up: compiles the package",
        f"set-up: installs base: {entry.SETS['base'].about}",
    ]
    assert "--require-hashes" in asked(clone)[1]


def test_a_second_start_installs_nothing_and_says_nothing(clone: Path, uv: Path) -> None:
    run(clone, "status", env=environment(str(uv)))
    before = asked(clone)
    ran = run(clone, "status", env=environment(str(uv)))
    assert (ran.returncode, ran.stderr, asked(clone)) == (7, "", before)


def test_a_changed_lock_is_installed_at_the_next_start(clone: Path, uv: Path) -> None:
    run(clone, "status", env=environment(str(uv)))
    with (clone / "locks" / "base.txt").open("a") as lock:
        lock.write("# another line\n")
    ran = run(clone, "status", env=environment(str(uv)))
    assert ran.returncode == 7
    assert [line.split()[0] for line in asked(clone)] == ["venv", "pip", "pip"]


def test_only_a_command_that_starts_the_agent_brings_the_agent(clone: Path, uv: Path) -> None:
    run(clone, "help", env=environment(str(uv)))
    assert not [line for line in asked(clone) if "claude.txt" in line]
    ran = run(clone, "demo", env=environment(str(uv)))
    assert ran.returncode == 7
    assert "166 MB" in ran.stderr
    assert [line for line in asked(clone) if "claude.txt" in line and "--no-deps" in line]


def test_an_agent_that_is_there_is_not_brought_again(clone: Path, uv: Path) -> None:
    (uv / "claude").write_text("#!/bin/sh\n")
    (uv / "claude").chmod(0o755)
    run(clone, "demo", env=environment(str(uv)))
    assert not [line for line in asked(clone) if "claude.txt" in line]


def test_no_setup_means_no_setup_and_names_the_way_out(clone: Path, uv: Path) -> None:
    ran = run(clone, "status", env=environment(str(uv), ORCHESTRATOR_NO_SETUP="1"))
    assert ran.returncode == 3
    assert "Type: ORCHESTRATOR_NO_SETUP=0 python3 main.py setup" in ran.stderr
    assert asked(clone) == []
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("error: dns error: failed to lookup address", "the package registry could not be reached"),
        ("Failed to establish a new connection: [Errno -3]", "the package registry could not be reached"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES", "a downloaded package is not the one that was locked"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("something new", "an installer failed"),
    ],
)
def test_a_failed_installation_is_explained_and_leaves_no_environment(
    clone: Path, uv: Path, said: str, meaning: str
) -> None:
    (clone.parent / "uv.fails").write_text(said)
    ran = run(clone, "status", env=environment(str(uv)))
    assert ran.returncode == 3
    assert f"error[not_set_up]: {meaning}" in ran.stderr
    assert f"| {said}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (clone / ".venv").exists()


def test_a_failed_update_is_not_taken_for_a_finished_one(clone: Path, uv: Path) -> None:
    run(clone, "status", env=environment(str(uv)))
    (clone / "locks" / "base.txt").write_text("# another lock\n")
    (clone.parent / "uv.fails").write_text("dns error")
    assert run(clone, "status", env=environment(str(uv))).returncode == 3
    (clone.parent / "uv.fails").unlink()
    ran = run(clone, "status", env=environment(str(uv)))
    assert ran.returncode == 7
    assert [line.split()[0] for line in asked(clone)] == ["venv", "pip", "pip", "venv", "pip"]


def test_a_setup_that_was_killed_is_begun_anew(clone: Path, uv: Path) -> None:
    fifo = clone.parent / "uv.fifo"
    os.mkfifo(fifo)
    command = [bare_python(), "-S", str(clone / "main.py"), "status"]
    first = subprocess.Popen(command, env=dict(environment(str(uv))), stderr=subprocess.DEVNULL, start_new_session=True)
    with fifo.open("w"):  # opens when the installer has come to its second step
        first.kill()
        first.wait()
        assert (clone / ".venv" / "unfinished").exists()
        fifo.unlink()
        second = subprocess.Popen(command, env=dict(environment(str(uv))), stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert "waiting for it" in second.stderr.readline()  # for the installer, which is still at work
    second.communicate(timeout=30)
    assert second.returncode == 7
    assert [line.split()[0] for line in asked(clone)] == ["venv", "pip", "venv", "pip"]
    assert not (clone / ".venv" / "unfinished").exists()


def test_of_two_setups_at_once_one_waits_and_finds_the_work_done(clone: Path, uv: Path) -> None:
    fifo = clone.parent / "uv.fifo"
    os.mkfifo(fifo)
    env = dict(environment(str(uv)))
    command = [bare_python(), "-S", str(clone / "main.py"), "status"]
    first = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with fifo.open("w"):
        second = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert second.stderr is not None
        assert "waiting for it" in second.stderr.readline()
    assert (first.wait(30), second.wait(30)) == (7, 7)
    assert second.stderr.read() == ""
    second.stderr.close()
    assert [line.split()[0] for line in asked(clone)] == ["venv", "pip"]


def test_a_python_without_venv_gets_the_line_to_type_and_no_half_environment(clone: Path) -> None:
    (clone.parent / "bin").mkdir()
    (clone.parent / "bin" / "apt").write_text("#!/bin/sh\n")
    (clone.parent / "bin" / "apt").chmod(0o755)
    hides = "import sys; sys.modules['ensurepip'] = None; import runpy; sys.argv = sys.argv[1:]"
    command = [bare_python(), "-S", "-c", f"{hides}; runpy.run_path(sys.argv[0], run_name='__main__')"]
    ran = subprocess.run(
        [*command, str(clone / "main.py"), "status"],
        capture_output=True, text=True, check=False, env=dict(environment(str(clone.parent / "bin"))),
    )  # fmt: skip
    assert ran.returncode == 3, ran.stderr
    assert "Type: sudo apt install -y python{}.{}-venv".format(*sys.version_info[:2]) in ran.stderr
    assert not (clone / ".venv").exists()


def test_an_old_python_is_told_what_to_type() -> None:
    assert "Python 3.9 is too old, 3.11 or newer is needed\n  Type: " in entry.why_not((3, 9), None)
    assert entry.why_not((3, 9), "/somewhere/uv") == ""


def test_an_old_python_can_read_this_file() -> None:
    import ast

    ast.parse((PROJECT / "main.py").read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        ([], ""),
        (["--version"], ""),
        (["--root", "demo", "status"], "status"),
        (["--root=demo", "--json", "status"], "status"),
        (["test", "--", "-k", "x"], "test"),
    ],
)
def test_the_command_is_found_among_options(argv: list[str], command: str) -> None:
    assert entry.command_of(argv) == command


def test_a_setup_of_something_unknown_lists_what_there_is(clone: Path, uv: Path) -> None:
    ran = run(clone, "setup", "telegramm", env=environment(str(uv)))
    assert ran.returncode == 3
    assert "unknown set 'telegramm'; the sets are base, dev, telegram, llama, notify, mcp, claude" in ran.stderr
