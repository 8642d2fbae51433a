"""Whether the machine would fall asleep, as its files and programs tell; the files are made for the test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.bridges.findings import PASS, WARN, by_name, levels

from orchestrator.bridges.probes_sleep import logind_settings, mac_findings, sleep_findings
from orchestrator.core.finding import Finding

LAPTOP = {
    "sys/power/state": "freeze mem disk\n",
    "run/systemd/system/x": "",
    "proc/acpi/button/lid/LID0/state": "state:      open\n",
    "sys/class/power_supply/BAT0/type": "Battery\n",
    "sys/class/power_supply/BAT0/capacity": "41\n",
    "sys/class/power_supply/AC/type": "Mains\n",
    "sys/class/power_supply/AC/online": "1\n",
}
PMSET = """Battery Power:
 sleep                1
 displaysleep         2
AC Power:
 sleep                {ac}
 displaysleep         10
"""


class Programs:
    """What is on the PATH, and what each says by its last word."""

    def __init__(self, **says: str) -> None:
        self.says = says

    def which(self, name: str) -> str | None:
        return f"/bin/{name}" if self.says else None

    async def run(self, argv: Sequence[str]) -> tuple[int, str]:
        return 0, self.says[argv[-1].replace("-", "_")]


async def found(top: Path, files: Mapping[str, str], programs: Programs | None = None) -> Sequence[Finding]:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    programs = programs or Programs()
    return await sleep_findings("Linux", programs.run, programs.which, top)


async def test_a_laptop_on_its_charger_is_warned_about_its_lid_only(tmp_path: Path) -> None:
    assert levels(await found(tmp_path, LAPTOP)) == {"idle": PASS, "lid": WARN}


async def test_a_laptop_on_its_battery_is_told_how_much_is_left(tmp_path: Path) -> None:
    findings = await found(tmp_path, LAPTOP | {"sys/class/power_supply/AC/online": "0\n"})
    assert by_name(findings, "power").message == "it runs on its battery, which is at 41 %"


async def test_a_later_file_of_logind_counts_and_idle_sleep_is_warned_about(tmp_path: Path) -> None:
    files = {
        "etc/systemd/logind.conf": "[Login]\n#IdleAction=suspend\nHandleLidSwitch=ignore\n",
        "usr/lib/systemd/logind.conf.d/50-a.conf": "[Login]\nIdleAction=ignore\n",
        "etc/systemd/logind.conf.d/60-b.conf": "[Login]\nIdleAction=suspend\nIdleActionSec=20min\n",
    }
    findings = await found(tmp_path, LAPTOP | files)
    assert levels(findings) == {"idle": WARN, "lid": PASS}
    assert "`suspend` when nobody has typed for 20min" in by_name(findings, "idle").message
    assert "systemd-inhibit" in by_name(findings, "idle").fix


async def test_on_the_charger_its_own_rule_for_the_lid_counts(tmp_path: Path) -> None:
    rule = {"etc/systemd/logind.conf": "[Login]\nHandleLidSwitchExternalPower=ignore\n"}
    assert levels(await found(tmp_path, LAPTOP | rule))["lid"] is PASS


@pytest.mark.parametrize("files", [{}, {"sys/power/state": "mem\n"}])
async def test_without_systemd_it_says_that_it_does_not_know(tmp_path: Path, files: Mapping[str, str]) -> None:
    (finding,) = await found(tmp_path, files)
    assert finding.message.startswith("not known: no systemd")


async def test_a_machine_that_cannot_sleep_or_must_not_is_fine(tmp_path: Path) -> None:
    (never,) = await found(tmp_path / "a", {"sys/power/state": "\n"})
    assert never.message == "this machine cannot sleep"
    (tmp_path / "b/etc/systemd/system").mkdir(parents=True)
    (tmp_path / "b/etc/systemd/system/suspend.target").symlink_to("/dev/null")
    (masked,) = await found(tmp_path / "b", {"sys/power/state": "mem\n", "run/systemd/system/x": ""})
    assert masked.message == "sleep is masked in systemd"


async def test_the_clock_of_the_desktop_counts_beside_that_of_logind(tmp_path: Path) -> None:
    soon = Programs(sleep_inactive_ac_type="'suspend'\n", sleep_inactive_ac_timeout="uint32 900\n")
    findings = await found(tmp_path, LAPTOP, soon)
    assert by_name(findings, "desktop").message == "the desktop does `suspend` after 15 minutes without input"
    never = Programs(sleep_inactive_ac_type="'nothing'\n", sleep_inactive_ac_timeout="900\n")
    assert "desktop" not in levels(await found(tmp_path, LAPTOP, never))


async def test_another_system_is_not_known() -> None:
    (finding,) = await sleep_findings("Plan9", Programs().run, Programs().which)
    assert (finding.level, finding.message) == (PASS, "not known on Plan9")


@pytest.mark.parametrize(("minutes", "level"), [("0", PASS), ("15", WARN)])
def test_a_mac_on_its_charger_goes_by_the_setting_for_it(minutes: str, level: object) -> None:
    (finding,) = mac_findings(PMSET.format(ac=minutes), "Now drawing from 'AC Power'\n")
    assert finding.level is level


def test_a_mac_on_its_battery_is_warned_about_both() -> None:
    power = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t57%; discharging\n"
    findings = list(mac_findings(PMSET.format(ac="0"), power))
    assert levels(findings) == {"power": WARN, "idle": WARN}
    assert "57 %" in by_name(findings, "power").message


def test_only_the_section_of_logins_is_read() -> None:
    assert logind_settings(["[Other]\nIdleAction=suspend\n[Login]\n IdleAction = ignore \n"]) == {
        "IdleAction": "ignore"
    }
