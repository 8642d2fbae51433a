"""Looks whether this machine would fall asleep during the night: what its settings say, as far as they can be read.

Nothing is changed. Where nobody can tell, that is what is said: a message that begins with UNKNOWN.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.bridges.probes_programs import Run, Which
from orchestrator.core.finding import Finding, passed, warned
from orchestrator.core.lint_batch import UNKNOWN

GROUP = "sleep"
_LOGIND = ("usr/lib/systemd/logind.conf", "etc/systemd/logind.conf")
_DROP_INS = ("usr/lib/systemd/logind.conf.d", "run/systemd/logind.conf.d", "etc/systemd/logind.conf.d")
_SLEEPS = frozenset({"suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate", "sleep", "poweroff", "halt"})
_MASKED = ("sleep.target", "suspend.target")
_GNOME = ("get", "org.gnome.settings-daemon.plugins.power")
KEEP_AWAKE = "systemd-inhibit --what=idle:sleep:handle-lid-switch python3 main.py"


async def sleep_findings(system: str, run: Run, which: Which, top: Path = Path("/")) -> tuple[Finding, ...]:
    """Return what is known. *system* as `platform.system()` has it; *top* is where the files of the system begin."""
    if system == "Darwin":
        return await _mac(run, which)
    if system != "Linux":
        return (passed(GROUP, "settings", f"{UNKNOWN} on {system or 'this system'}"),)
    return (*_power(top), *await _linux(run, which, top))


# --- Linux ------------------------------------------------------------------------------------------------------------


async def _linux(run: Run, which: Which, top: Path) -> Sequence[Finding]:
    states = _read(top / "sys/power/state")
    if states is not None and not states.strip():
        return (passed(GROUP, "settings", "this machine cannot sleep"),)
    if any(_is_masked(top / "etc/systemd/system" / name) for name in _MASKED):
        return (passed(GROUP, "settings", "sleep is masked in systemd"),)
    if not (top / "run/systemd/system").is_dir():
        return (passed(GROUP, "settings", f"{UNKNOWN}: no systemd runs here, as in a container"),)
    login = logind_settings(_logind_texts(top))
    return (*_logind(login, top), *await _gnome(run, which))


def logind_settings(texts: Sequence[str]) -> Mapping[str, str]:
    """Return the settings of the section Login in the files *texts*, of which later ones count."""
    found: dict[str, str] = {}
    for text in texts:
        section = ""
        for line in text.splitlines():
            if heading := re.match(r"\s*\[([^\]]+)\]", line):
                section = heading[1]
            elif section == "Login" and (pair := re.match(r"\s*([A-Za-z]+)\s*=\s*(.*?)\s*\Z", line)):
                found[pair[1]] = pair[2]
    return found


def _logind(login: Mapping[str, str], top: Path) -> Iterator[Finding]:
    idle = login.get("IdleAction", "ignore").lower()
    if idle in _SLEEPS:
        after = login.get("IdleActionSec", "30min")
        words = f"systemd-logind does `{idle}` when nobody has typed for {after}"
        yield warned(GROUP, "idle", words, f"Set IdleAction=ignore in /etc/systemd/logind.conf, or: {KEEP_AWAKE}")
    else:
        yield passed(GROUP, "idle", "systemd-logind does nothing when nobody types")
    if not _has_lid(top):
        return
    lid = login.get("HandleLidSwitch", "suspend").lower()
    action = login.get("HandleLidSwitchExternalPower", lid).lower() if _mains(top) else lid
    if action in _SLEEPS:
        words = f"closing the lid means `{action}`"
        yield warned(GROUP, "lid", words, f"Leave it open, or: {KEEP_AWAKE}")
    else:
        yield passed(GROUP, "lid", "closing the lid does nothing")


def _logind_texts(top: Path) -> list[str]:
    drop_ins = {path.name: path for folder in _DROP_INS for path in sorted((top / folder).glob("*.conf"))}
    files = [*(top / name for name in _LOGIND), *(drop_ins[name] for name in sorted(drop_ins))]
    return [text for path in files if (text := _read(path)) is not None]


async def _gnome(run: Run, which: Which) -> Sequence[Finding]:
    """Report on the desktop's own clock, which logind does not know of."""
    program = which("gsettings")
    if program is None:
        return ()
    try:
        code, kind = await run([program, *_GNOME, "sleep-inactive-ac-type"])
        _, seconds = await run([program, *_GNOME, "sleep-inactive-ac-timeout"])
    except (OSError, TimeoutError):
        return (passed(GROUP, "desktop", f"{UNKNOWN}: gsettings does not answer"),)
    action, after = kind.strip().strip("'"), re.sub(r"\D", "", seconds.rpartition(" ")[2])
    if code or action not in _SLEEPS or after == "0":
        return ()
    words = f"the desktop does `{action}` after {int(after or 0) // 60} minutes without input"
    fix = "gsettings set org.gnome.settings-daemon.plugins.power sleep-inactive-ac-type nothing"
    return (warned(GROUP, "desktop", words, fix),)


def _power(top: Path) -> Iterator[Finding]:
    """Report on a machine that runs on its battery."""
    supplies = sorted((top / "sys/class/power_supply").glob("*"))
    batteries = [one for one in supplies if _is(one, "type", "Battery") and not _is(one, "scope", "Device")]
    if batteries and not _mains(top):
        charge = (_read(batteries[0] / "capacity") or "").strip()
        words = f"it runs on its battery{f', which is at {charge} %' if charge else ''}"
        yield warned(GROUP, "power", words, "Plug it in: an empty battery ends the night.")


def _mains(top: Path) -> bool:
    """Return whether a charger gives power, or nobody can tell that none does."""
    chargers = [one for one in (top / "sys/class/power_supply").glob("*") if _is(one, "type", "Mains", "USB")]
    return not chargers or any(_is(one, "online", "1") for one in chargers)


def _has_lid(top: Path) -> bool:
    return any((top / "proc/acpi/button/lid").glob("*/state"))


def _is(folder: Path, name: str, *values: str) -> bool:
    return (_read(folder / name) or "").strip() in values


def _is_masked(unit: Path) -> bool:
    return unit.is_symlink() and str(unit.readlink()) == "/dev/null"


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


# --- macOS ------------------------------------------------------------------------------------------------------------


async def _mac(run: Run, which: Which) -> tuple[Finding, ...]:
    program = which("pmset")
    if program is None:
        return (passed(GROUP, "settings", f"{UNKNOWN}: pmset is not on the PATH"),)
    try:
        _, custom = await run([program, "-g", "custom"])
        _, power = await run([program, "-g", "batt"])
    except (OSError, TimeoutError) as error:
        return (passed(GROUP, "settings", f"{UNKNOWN}: pmset does not run: {error}"),)
    return tuple(mac_findings(custom, power))


def mac_findings(custom: str, power: str) -> Iterator[Finding]:
    """Read what `pmset -g custom` and `pmset -g batt` print."""
    battery = "Battery Power" in power.partition("\n")[0]
    if battery:
        charge = re.search(r"(\d+)%", power)
        words = f"it runs on its battery{f', which is at {charge[1]} %' if charge else ''}"
        yield warned(GROUP, "power", words, "Plug it in: an empty battery ends the night.")
    section = "Battery Power" if battery else "AC Power"
    found = re.search(rf"^{section}:\s*$(.*?)(?=^\S|\Z)", custom, re.MULTILINE | re.DOTALL)
    minutes = re.search(r"^\s*sleep\s+(\d+)", found[1] if found else custom, re.MULTILINE)
    if minutes is None:
        yield passed(GROUP, "idle", f"{UNKNOWN}: pmset does not say after how long it sleeps")
    elif int(minutes[1]):
        words = f"it sleeps after {minutes[1]} minutes without input"
        yield warned(GROUP, "idle", words, "caffeinate -i python3 main.py, or: sudo pmset -c sleep 0")
    else:
        yield passed(GROUP, "idle", "it does not sleep by itself")
