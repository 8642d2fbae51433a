"""Installing and removing a service: programs stand in for systemd and launchd, and write down what they were asked."""

import plistlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.bridges.service_manager import Surroundings, install, look, uninstall
from orchestrator.core.errors import ConflictError, ServiceError
from orchestrator.core.service import ServiceOrder

SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >> {journal}
case "$2" in
  show) cat {home}/shown ;;
  start) printf 'ActiveState=active\\nMainPID=4812\\nUnitFileState=enabled\\nStatusText=running 0\\n' > {home}/shown ;;
  disable) printf 'ActiveState=inactive\\nMainPID=0\\n' > {home}/shown ;;
esac
test ! -e {home}/refuse-$2 || {{ echo "Failed to $2: it was refused" >&2; exit 1; }}
"""
LOGINCTL = """#!/bin/sh
echo "loginctl $*" >> {journal}
cat {home}/linger
"""
LAUNCHCTL = """#!/bin/sh
echo "launchctl $*" >> {journal}
case "$1" in
  bootout) test -e {home}/loaded && rm {home}/loaded ;;
  bootstrap) touch {home}/loaded ;;
  print) test -e {home}/loaded && printf '{{\\n\\tstate = running\\n\\tpid = 4812\\n}}\\n' ;;
esac
"""


class Machine:
    """A home with the programs of a service manager on its PATH."""

    def __init__(self, home: Path, platform: str, programs: Mapping[str, str]) -> None:
        self.home = home
        self.journal = home / "journal"
        self.bin = home / "bin"
        self.bin.mkdir()
        for name, text in programs.items():
            path = self.bin / name
            path.write_text(text.format(journal=self.journal, home=home))
            path.chmod(0o700)
        (home / "shown").write_text("ActiveState=inactive\nMainPID=0\nUnitFileState=\n")
        (home / "linger").write_text("no\n")
        environ = {"HOME": str(home), "PATH": f"{self.bin}:/usr/bin:/bin", "SECRET_KEY": "x"}
        self.where = Surroundings(platform, environ, 1000)
        self.order = ServiceOrder("orchestrator-r-1", "/r", ("/python", "/main.py", "--root", "/r"), "/bin", 0.0)

    def asked(self, *but: str) -> list[str]:
        """Return the commands so far, without those that only look."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [line for line in lines if not any(word in line for word in ("show", "print", *but))]


@pytest.fixture
def linux(tmp_path: Path) -> Machine:
    return Machine(tmp_path, "linux", {"systemctl": SYSTEMCTL, "loginctl": LOGINCTL})


@pytest.fixture
def mac(tmp_path: Path) -> Machine:
    return Machine(tmp_path, "darwin", {"launchctl": LAUNCHCTL})


async def test_systemd_is_told_enabled_and_started(linux: Machine) -> None:
    done = await install(linux.order, linux.where, owner_pid=0, dry_run=False)
    unit = linux.home / ".config" / "systemd" / "user" / "orchestrator-r-1.service"
    assert (done.installed, done.current, done.enabled, done.state, done.pid) == (True, True, True, "active", 4812)
    assert done.file == str(unit)
    assert 'ExecStart=:"/python" "/main.py" "--root" "/r"\n' in unit.read_text()
    assert sorted(path.name for path in unit.parent.iterdir()) == [unit.name]
    assert linux.asked() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable orchestrator-r-1.service",
        "systemctl --user start orchestrator-r-1.service",
    ]
    assert list(done.commands) == linux.asked()
    assert "running 0" in done.notes
    assert "It runs while you are logged in. To keep it running without: loginctl enable-linger" in done.notes


async def test_who_lingers_is_not_told_to(linux: Machine) -> None:
    (linux.home / "linger").write_text("yes\n")
    done = await install(linux.order, linux.where, owner_pid=0, dry_run=False)
    assert done.notes == ("running 0",)


async def test_the_folder_for_settings_that_the_user_chose_is_used(linux: Machine, tmp_path: Path) -> None:
    where = replace(linux.where, environ={**linux.where.environ, "XDG_CONFIG_HOME": str(tmp_path / "mine")})
    done = await install(linux.order, where, owner_pid=0, dry_run=False)
    assert done.file == str(tmp_path / "mine" / "systemd" / "user" / "orchestrator-r-1.service")
    assert Path(done.file).exists()


async def test_a_dry_run_shows_everything_and_does_nothing(linux: Machine) -> None:
    done = await install(linux.order, linux.where, owner_pid=99, dry_run=True)
    assert "Type=notify" in done.text
    assert [command.split()[2] for command in done.commands] == ["daemon-reload", "enable", "start"]
    assert not linux.journal.exists()
    assert not Path(done.file).exists()
    await install(linux.order, linux.where, owner_pid=0, dry_run=False)
    before = linux.asked()
    gone = await uninstall(linux.order, linux.where, dry_run=True)
    assert [command.split()[2] for command in gone.commands] == ["disable", "daemon-reload"]
    assert linux.asked() == before
    assert Path(gone.file).exists()


async def test_removing_stops_first_and_can_be_repeated(linux: Machine) -> None:
    await install(linux.order, linux.where, owner_pid=0, dry_run=False)
    linux.journal.unlink()
    done = await uninstall(linux.order, linux.where, dry_run=False)
    assert linux.asked() == [
        "systemctl --user disable --now orchestrator-r-1.service",
        "systemctl --user daemon-reload",
    ]
    assert not Path(done.file).exists()
    again = await uninstall(linux.order, linux.where, dry_run=False)
    assert again.commands == ()
    assert len(linux.asked()) == 2


async def test_a_daemon_that_is_no_service_is_not_doubled(linux: Machine) -> None:
    with pytest.raises(ConflictError, match="owns this root: pid 99") as caught:
        await install(linux.order, linux.where, owner_pid=99, dry_run=False)
    assert "kill -TERM 99" in caught.value.hint
    assert linux.asked() == []
    await install(linux.order, linux.where, owner_pid=0, dry_run=False)
    again = await install(linux.order, linux.where, owner_pid=4812, dry_run=False)
    assert again.state == "active"


async def test_an_older_file_is_noticed_and_what_runs_goes_on_until_it_is_restarted(linux: Machine) -> None:
    await install(linux.order, linux.where, owner_pid=0, dry_run=False)
    slower = replace(linux.order, drain_s=600.0)
    assert not (await look(slower, linux.where)).current
    done = await install(slower, linux.where, owner_pid=4812, dry_run=False)
    assert done.current
    assert done.notes[0].endswith("systemctl --user restart orchestrator-r-1.service")


async def test_a_service_that_failed_says_where_to_read_why(linux: Machine) -> None:
    await install(linux.order, linux.where, owner_pid=0, dry_run=False)
    (linux.home / "shown").write_text("ActiveState=failed\nMainPID=0\nResult=exit-code\nStatusText=running 0\n")
    found = await look(linux.order, linux.where)
    assert (found.state, found.pid) == ("failed", 0)
    assert found.notes[0] == "It failed (exit-code). What it said: journalctl --user -u orchestrator-r-1.service"


async def test_a_refusal_is_told_in_the_words_of_the_manager(linux: Machine) -> None:
    (linux.home / "refuse-enable").touch()
    with pytest.raises(ServiceError, match=r"enable orchestrator-r-1\.service: Failed to enable: it was refused"):
        await install(linux.order, linux.where, owner_pid=0, dry_run=False)


async def test_without_a_manager_nothing_is_written_and_another_way_is_named(linux: Machine) -> None:
    (linux.home / "refuse-show").touch()
    for act in (
        install(linux.order, linux.where, owner_pid=0, dry_run=False),
        look(linux.order, linux.where),
    ):
        with pytest.raises(ServiceError, match=r"no systemd of this user answers \(Failed to show") as caught:
            await act
        assert caught.value.hint.endswith("`@reboot` of cron: /python /main.py --root /r")
    (linux.bin / "systemctl").unlink()
    alone = replace(linux.where, environ={**linux.where.environ, "PATH": str(linux.bin)})
    with pytest.raises(ServiceError, match="systemctl is not on PATH"):
        await install(linux.order, alone, owner_pid=0, dry_run=False)
    with pytest.raises(ServiceError, match="no service manager is known for sunos5"):
        await install(linux.order, replace(linux.where, platform="sunos5"), owner_pid=0, dry_run=True)
    assert not (linux.home / ".config").exists()


async def test_the_manager_does_not_see_our_secrets(linux: Machine) -> None:
    (linux.bin / "systemctl").write_text(f"#!/bin/sh\nenv > {linux.home}/env\n")
    await look(linux.order, linux.where)
    assert "SECRET_KEY" not in (linux.home / "env").read_text()
    assert f"HOME={linux.home}" in (linux.home / "env").read_text()


async def test_launchd_is_given_a_property_list_and_started(mac: Machine) -> None:
    done = await install(mac.order, mac.where, owner_pid=0, dry_run=False)
    file = mac.home / "Library" / "LaunchAgents" / "orchestrator-r-1.plist"
    assert plistlib.loads(file.read_bytes())["Label"] == "orchestrator-r-1"
    assert (done.file, done.current, done.enabled, done.state, done.pid) == (str(file), True, True, "active", 4812)
    assert mac.asked() == [
        "launchctl bootout gui/1000/orchestrator-r-1",
        f"launchctl bootstrap gui/1000 {file}",
    ]
    await uninstall(mac.order, mac.where, dry_run=False)
    assert not file.exists()
    found = await look(mac.order, mac.where)
    assert (found.installed, found.state, found.pid) == (False, "inactive", 0)
