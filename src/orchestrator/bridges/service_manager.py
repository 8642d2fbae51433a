"""Installing a root's daemon as a service of the user: by systemd on Linux, by launchd on macOS."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.bridges.process import Completed, run_quick
from orchestrator.bridges.service_unit import BEYOND_DRAIN_S, launchd_plist, systemd_unit
from orchestrator.core.errors import ConflictError, ServiceError
from orchestrator.core.service import ServiceOrder, ServiceState

_QUICK_S = 20.0
_START_S = 60.0  # a start that takes longer goes on by itself
_NEEDED = ("PATH", "HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS")
_SHOWN = ("ActiveState", "SubState", "MainPID", "UnitFileState", "Result", "StatusText")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The machine as a service manager sees it: *platform* as sys.platform, the caller's *environ* and *uid*."""

    platform: str
    environ: Mapping[str, str]
    uid: int


async def install(order: ServiceOrder, where: Surroundings, *, owner_pid: int, dry_run: bool) -> ServiceState:
    """Write what the manager reads, start the service now and with every login. May be repeated.

    *owner_pid* is the daemon that owns the root now, 0 for none. Raises ServiceError, ConflictError when that daemon
    is not the service's own.
    """
    planned = _planned(order, where)
    commands = _commands(order, where, installs=True)
    if dry_run:
        return replace(planned, commands=_shown(commands))
    before = await look(order, where)
    if owner_pid and owner_pid != before.pid:
        hint = f"End it first (Ctrl-C, or kill -TERM {owner_pid}); what it runs is taken up by the service."
        raise ConflictError(f"a daemon that is no service owns this root: pid {owner_pid}", hint=hint)
    path = Path(planned.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.new")
    hidden.write_text(planned.text, "utf-8")
    hidden.replace(path)
    notes = [note for command in commands if (note := await _done(command, where))]
    after = await look(order, where)
    if before.pid and before.pid == after.pid and before.text != after.text:
        notes.append(f"It goes on as it was started; with the new file from: {_restart(order, where)}")
    return replace(after, commands=_shown(commands), notes=(*notes, *after.notes))


async def uninstall(order: ServiceOrder, where: Surroundings, *, dry_run: bool) -> ServiceState:
    """Stop the service, as gently as a signal does, and forget it; the root and its tasks stay. May be repeated."""
    path = Path(_planned(order, where).file)
    commands = _commands(order, where, installs=False) if path.exists() else []
    state = ServiceState(order.name, _planned(order, where).manager, str(path), commands=_shown(commands))
    if dry_run or not commands:
        return state
    await look(order, where)  # raises when there is no manager: then nothing is half done
    for command in commands[:1]:
        await _done(command, where, patience_s=order.drain_s + BEYOND_DRAIN_S + _QUICK_S)
    path.unlink(missing_ok=True)
    for command in commands[1:]:
        await _done(command, where)
    return state


async def look(order: ServiceOrder, where: Surroundings) -> ServiceState:
    """Return how the service stands. Raises ServiceError where there is no manager."""
    planned = _planned(order, where)
    path = Path(planned.file)
    text = path.read_text("utf-8", "replace") if path.exists() else ""
    state = replace(planned, text=text, current=text == planned.text)
    if planned.manager == "launchd":
        return await _seen_by_launchd(state, where)
    return await _seen_by_systemd(state, order, where)


def _planned(order: ServiceOrder, where: Surroundings) -> ServiceState:
    """Return the service as an installation would make it. Raises ServiceError on a system without a manager."""
    home = Path(where.environ.get("HOME") or Path.home())
    if where.platform == "darwin":
        file = home / "Library" / "LaunchAgents" / f"{order.name}.plist"
        return ServiceState(order.name, "launchd", str(file), launchd_plist(order).decode("utf-8"))
    if where.platform.startswith("linux"):
        config = Path(where.environ.get("XDG_CONFIG_HOME") or home / ".config")
        file = config / "systemd" / "user" / f"{order.name}.service"
        return ServiceState(order.name, "systemd", str(file), systemd_unit(order))
    raise _no_manager(f"no service manager is known for {where.platform}", order.command)


def _commands(order: ServiceOrder, where: Surroundings, *, installs: bool) -> list[list[str]]:
    """Return what to run; of an uninstallation the first stops the service, the file is removed behind it."""
    if where.platform == "darwin":
        ours = f"gui/{where.uid}"
        out = ["launchctl", "bootout", f"{ours}/{order.name}"]
        return [out, ["launchctl", "bootstrap", ours, _planned(order, where).file]] if installs else [out]
    user, unit = ["systemctl", "--user"], f"{order.name}.service"
    if installs:
        return [[*user, "daemon-reload"], [*user, "enable", unit], [*user, "start", unit]]
    return [[*user, "disable", "--now", unit], [*user, "daemon-reload"]]


def _restart(order: ServiceOrder, where: Surroundings) -> str:
    if where.platform == "darwin":
        return f"launchctl kickstart -k gui/{where.uid}/{order.name}"
    return f"systemctl --user restart {order.name}.service"


async def _seen_by_systemd(state: ServiceState, order: ServiceOrder, where: Surroundings) -> ServiceState:
    wanted = [f"--property={name}" for name in _SHOWN]
    ran = await _run(["systemctl", "--user", "show", f"{state.name}.service", *wanted], where)
    if ran.exit_code != 0:
        raise _no_manager(f"no systemd of this user answers ({_said(ran)})", order.command)
    told = dict(line.partition("=")[::2] for line in ran.stdout.decode("utf-8", "replace").splitlines())
    active, result = told.get("ActiveState", ""), told.get("Result", "")
    notes = [told["StatusText"]] if told.get("StatusText") and active == "active" else []
    if active == "failed":
        notes.append(f"It failed ({result}). What it said: journalctl --user -u {state.name}.service")
    if state.installed and (hint := await _without_login(where)):
        notes.append(hint)
    pid = told.get("MainPID", "")
    return replace(
        state,
        enabled=told.get("UnitFileState") == "enabled",
        state=active,
        pid=int(pid) if pid.isdigit() else 0,
        notes=tuple(notes),
    )


async def _without_login(where: Surroundings) -> str:
    """Return what to do so that the service outlives the login; "" when it does."""
    ran = await _run(["loginctl", "show-user", str(where.uid), "--property=Linger", "--value"], where)
    if ran.exit_code == 0 and ran.stdout.strip() == b"yes":
        return ""
    return "It runs while you are logged in. To keep it running without: loginctl enable-linger"


async def _seen_by_launchd(state: ServiceState, where: Surroundings) -> ServiceState:
    ran = await _run(["launchctl", "print", f"gui/{where.uid}/{state.name}"], where)
    if ran.reason == "spawn_failed":
        raise _no_manager(f"launchd cannot be asked ({_said(ran)})", ())
    text = ran.stdout.decode("utf-8", "replace") if ran.exit_code == 0 else ""
    word, pid = (re.search(rf"^\s*{key} = (\S+)", text, re.MULTILINE) for key in ("state", "pid"))
    running = pid is not None and pid[1].isdigit()
    state_word = "active" if running else (word[1] if word else "inactive")
    return replace(state, enabled=bool(text), state=state_word, pid=int(pid[1]) if pid and running else 0)


async def _done(command: Sequence[str], where: Surroundings, *, patience_s: float = _START_S) -> str:
    """Run *command*. Returns "" or a word on what is not over yet. Raises ServiceError when the manager refused."""
    ran = await _run(command, where, timeout_s=patience_s)
    if ran.reason == "timeout":
        return f"not over after {patience_s:g} s, it goes on by itself: {shlex.join(command)}"
    if ran.exit_code != 0 and "bootout" not in command:  # which fails when there was nothing to take out
        raise ServiceError(f"{shlex.join(command)}: {_said(ran)}", hint="`service status` shows how it stands now.")
    return ""


async def _run(command: Sequence[str], where: Surroundings, *, timeout_s: float = _QUICK_S) -> Completed:
    env = {name: where.environ[name] for name in _NEEDED if name in where.environ} | {"LC_ALL": "C"}
    runtime = f"/run/user/{where.uid}"
    if "XDG_RUNTIME_DIR" not in env and Path(runtime).is_dir():
        env["XDG_RUNTIME_DIR"] = runtime  # a shell of `su` or `sudo` lacks it
    program = shutil.which(command[0], path=env.get("PATH", os.defpath))
    if program is None:
        return Completed(None, "spawn_failed", f"{command[0]} is not on PATH", b"", b"")
    return await run_quick([program, *command[1:]], env=env, timeout_s=timeout_s)


def _said(ran: Completed) -> str:
    lines = (ran.stderr or ran.stdout).decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in lines if line.strip()), ran.detail or f"exit code {ran.exit_code}")


def _shown(commands: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(shlex.join(command) for command in commands)


def _no_manager(why: str, command: Sequence[str]) -> ServiceError:
    started = f": {shlex.join(command)}" if command else ""
    return ServiceError(
        why,
        hint=f"Keep the daemon running by your own means, such as a terminal multiplexer or `@reboot` of cron{started}",
    )
