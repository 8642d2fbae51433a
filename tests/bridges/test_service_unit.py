"""What a service manager is told: as text, and as the manager itself understands it."""

import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.bridges.service_unit import launchd_plist, service_name, systemd_unit
from orchestrator.core.errors import ExitCode, UsageError
from orchestrator.core.service import ServiceOrder

ORDER = ServiceOrder(
    name="orchestrator-r-12345678",
    root="/srv/r",
    command=("/srv/.venv/bin/python", "/srv/main.py", "--root", "/srv/r"),
    path="/usr/local/bin:/usr/bin:/bin",
    drain_s=60,
)
WEIRD = '50% of $HOME "quoted" \\n {x} ünï'


def lines(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_says_how_the_daemon_is_kept_running() -> None:
    told = lines(systemd_unit(ORDER))
    assert told["Type"] == ["notify"]
    assert told["ExecStart"] == [':"/srv/.venv/bin/python" "/srv/main.py" "--root" "/srv/r"']
    assert told["WatchdogSec"] == ["30"]
    assert told["KillMode"] == ["process"]
    assert told["Restart"] == ["on-failure"]
    assert told["Delegate"] == ["yes"]
    assert told["LimitNOFILE"] == ["65536"]
    assert told["WantedBy"] == ["default.target"]
    assert told["Environment"] == ['"PATH=/usr/local/bin:/usr/bin:/bin"', "ORCHESTRATOR_NO_SETUP=1"]
    assert "UMask" not in told, "what the agent makes has the modes its user wants"


def test_an_end_that_would_only_repeat_itself_is_not_restarted() -> None:
    (codes,) = lines(systemd_unit(ORDER))["RestartPreventExitStatus"]
    assert codes.split() == ["75", "78", "3"]
    assert {int(code) for code in codes.split()} >= {ExitCode.TEMPORARY, ExitCode.CONFIG}


@pytest.mark.parametrize("drain_s", [0.0, 60.0, 86_400.0])
def test_the_manager_waits_longer_than_the_daemon_drains(drain_s: float) -> None:
    order = ServiceOrder(ORDER.name, ORDER.root, ORDER.command, ORDER.path, drain_s)
    assert int(lines(systemd_unit(order))["TimeoutStopSec"][0]) >= drain_s + 50
    assert plistlib.loads(launchd_plist(order))["ExitTimeOut"] >= drain_s + 50


def test_the_property_list_says_the_same() -> None:
    told = plistlib.loads(launchd_plist(ORDER))
    assert told["Label"] == ORDER.name
    assert told["ProgramArguments"] == list(ORDER.command)
    assert told["KeepAlive"] == {"SuccessfulExit": False}
    assert told["WorkingDirectory"] == ORDER.root
    assert told["EnvironmentVariables"] == {"PATH": ORDER.path, "ORCHESTRATOR_NO_SETUP": "1"}
    assert told["RunAtLoad"] is True


def test_each_root_has_a_service_of_its_own() -> None:
    roots = ["/a/tasks", "/b/tasks", "/a/Tasks", "/ä", "/", f"/{'x' * 200}"]
    names = [service_name(root) for root in roots]
    assert len(set(names)) == len(roots)
    assert names == [service_name(root) for root in roots]
    assert all(len(name) < 80 and name.isascii() and "/" not in name and " " not in name for name in names)


@pytest.mark.parametrize("bad", ["/a\nExecStartPre=/bin/false", "/a\x00b", "/a ", "/a\\", "/a\udce9"])
def test_a_path_that_could_not_be_told_apart_from_a_setting_is_refused(bad: str) -> None:
    order = ServiceOrder("n", bad, ("/python", "--root", bad), "/bin", 1.0)
    for write in (systemd_unit, launchd_plist):
        with pytest.raises(UsageError, match="cannot carry this path"):
            write(order)


@pytest.mark.parametrize("name", ['"', "'", "\\"])
def test_a_program_that_systemd_would_refuse_is_refused_before(name: str) -> None:
    with pytest.raises(UsageError, match="cannot carry this path"):
        systemd_unit(ServiceOrder("n", "/r", (f"/bin/{name}/python", "--root", "/r"), "/bin", 1.0))


@given(st.text())
def test_no_path_adds_a_line_to_the_unit(root: str) -> None:
    try:
        text = systemd_unit(ServiceOrder("n", f"/{root}", ("/python", "--root", f"/{root}"), "/bin", 1.0))
    except UsageError:
        return
    assert text.count("\n") == systemd_unit(ORDER).count("\n")
    assert {key: len(values) for key, values in lines(text).items()} == {
        key: len(values) for key, values in lines(systemd_unit(ORDER)).items()
    }


def test_systemd_itself_finds_nothing_wrong_even_with_strange_names(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine")
    root = tmp_path / WEIRD
    root.mkdir()
    program = tmp_path / "50% of $HOME {x} ünï python"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    unit = tmp_path / "orchestrator-test.service"
    unit.write_text(systemd_unit(ServiceOrder("n", str(root), (str(program), "--root", str(root)), "/bin", 60.0)))
    command = [analyze, "--user", "--man=no", "verify", str(unit)]
    env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "LC_ALL": "C"}
    ran = subprocess.run(command, capture_output=True, text=True, env=env, check=False, stdin=subprocess.DEVNULL)
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if unit.name in line]) == (0, []), ran.stderr
