"""Which container this machine offers to hold an attempt together: chosen once, by trying it."""

import asyncio
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges import cgroup_find
from orchestrator.bridges.bubblewrap import pid_namespace
from orchestrator.bridges.process import ExitRecord, Launch, supervise
from orchestrator.core.finding import Finding, passed, warned

_INSTALLERS = {
    "apt-get": "sudo apt-get install -y bubblewrap",
    "dnf": "sudo dnf install -y bubblewrap",
    "pacman": "sudo pacman -S bubblewrap",
    "zypper": "sudo zypper install bubblewrap",
    "apk": "sudo apk add bubblewrap",
}


@dataclass(frozen=True, slots=True)
class Container:
    """What goes into every `Launch`. *in_force* is in the words of the exit record; *without* says why not more."""

    words: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    in_force: str = ""
    without: str = ""


Which = Callable[[str], str | None]


async def choose(*, env: Mapping[str, str], which: Which, settle: bool, now: float) -> Container:
    """Return the strongest container that works here. *settle* as in `cgroup_find.find`; *now* as from time.time."""
    cgroups = await asyncio.to_thread(cgroup_find.find, settle=settle)
    await asyncio.to_thread(cgroup_find.sweep, cgroups, now=now)
    bwrap = which("bwrap")
    without = "bubblewrap (bwrap) is not on the PATH" if bwrap is None else ""
    if bwrap is not None and os.stat(bwrap).st_mode & stat.S_ISUID:  # noqa: PTH116 - one look, no Path needed
        bwrap, without = None, f"{bwrap} is set-uid: inside of it the agent's own sandbox could not start"
    words = pid_namespace(bwrap) if bwrap else ()
    inside = _another(bwrap) if bwrap else ()
    record = await _try(words, cgroups, env, inside=inside)
    # What is found holds for the daemon's whole life. Where it was not bubblewrap that said no, it is tried again.
    if words and record.reason != "exited":
        record = await _try(words, cgroups, env, inside=inside)
    if words and (record.reason, record.exit_code) != ("exited", 0):
        without = f"bubblewrap does not work here: {record.detail or f'exit code {record.exit_code}'}"
        words, record = (), await _try((), cgroups, env)
    held = cgroups if "cgroup" in record.container else ()
    return Container(words, held, record.container, without)


def _another(bwrap: str) -> tuple[str, ...]:
    """Return the words of a sandbox such as the agent puts around its shell: it has to start inside of ours."""
    return (bwrap, "--ro-bind", "/", "/", "--unshare-user", "--unshare-pid", "--unshare-net", "--proc", "/proc", "--")


async def _try(
    words: tuple[str, ...], cgroups: tuple[str, ...], env: Mapping[str, str], *, inside: tuple[str, ...] = ()
) -> ExitRecord:
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        launch = Launch(
            argv=(*inside, "true"),
            cwd="/",
            env=env,
            stdin=b"",
            attempt_dir=Path(folder) / "run",
            mark=f"probe.{os.getpid()}.{Path(folder).name}",
            timeout_s=10.0,
            grace_s=0.5,
            durable=False,
            container=words,
            cgroups=cgroups,
            max_processes=64,
            memory_bytes=1 << 30,
        )
        async with supervise(launch) as run:
            return await run.wait()


def container_finding(container: Container, which: Which) -> Finding:
    """Report on what holds the processes of an attempt together, and what is lost where that is not the strongest."""
    group, name = "container", "processes"
    if container.words:
        return passed(group, name, container.in_force)
    lost = "when the supervisor is killed, what an agent left behind lives until the next attempt or start"
    message = f"{container.in_force or 'none'}; {container.without}: {lost}"
    fix = next((command for program, command in _INSTALLERS.items() if which(program)), "")
    if which("bwrap") is None and fix:
        return warned(group, name, message, fix)
    return warned(
        group, name, message, "bwrap --dev-bind / / --unshare-pid --proc /proc true, which says what is missing"
    )
