"""What people add of their own: hooks as commands and as Python entry points. The engine sees ports only.

A Python hook runs in a process of its own, as a command does: only so it is bounded in time, keeps away from the memory
of the daemon with its secrets, and leaves nothing behind.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from orchestrator.bridges.hook_runner import HookCommand, HookConfig, HookRunner
from orchestrator.bridges.process import run_quick
from orchestrator.configuration import Configuration
from orchestrator.core.finding import Finding, failed, passed
from orchestrator.core.hooks import When

HOOKS = "orchestrator.hooks"
PROBE_S = 20.0

_CALL = """
import asyncio, inspect, json, sys
sys.path[:] = json.loads(sys.argv[1])
from importlib.metadata import entry_points
given = json.load(sys.stdin)
found = [one for one in entry_points(group=sys.argv[2]) if one.name == sys.argv[3]]
if not found:
    sys.exit("no entry point of the group " + sys.argv[2] + " is called " + sys.argv[3])
hook = found[0].load()
if isinstance(hook, type):
    hook = hook()
if (act := getattr(hook, given["hook"], None)) is not None:
    answer = act(given["task"], given["result"]) if "result" in given else act(given["task"])
    if inspect.isawaitable(answer):
        async def awaited():
            return await answer
        answer = asyncio.run(awaited())
    if answer is False:
        sys.exit(given["hook"] + " returned False")
"""
_LOAD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from importlib.metadata import entry_points
found = [one for one in entry_points(group=sys.argv[2]) if one.name == sys.argv[3]]
if not found:
    sys.exit("no such entry point is installed")
loaded = found[0].load()
wanted = sys.argv[4:]
if not (callable(loaded) if not wanted else any(callable(getattr(loaded, name, None)) for name in wanted)):
    sys.exit("it is no callable" if not wanted else "it has neither " + " nor ".join(wanted))
"""


def hooks(configuration: Configuration) -> HookRunner:
    """Return what runs the hooks of this root, as configured at the moment."""
    built: list[tuple[object, HookConfig]] = []

    def now() -> HookConfig:
        if not built or built[0][0] is not configuration.loaded:
            built[:] = [(configuration.loaded, _hook_config(configuration))]
        return built[0][1]

    return HookRunner(now)


def _hook_config(configuration: Configuration) -> HookConfig:
    chosen = configuration.settings.hooks
    plugins = tuple(HookCommand(name, _python(_CALL, HOOKS, name)) for name in chosen.plugins)
    commands = {
        When.BEFORE: (*(HookCommand(argv[0], argv) for argv in chosen.before_task), *plugins),
        When.AFTER: (*(HookCommand(argv[0], argv) for argv in chosen.after_task), *plugins),
    }
    return HookConfig(
        commands=commands,
        cwd=str(configuration.root),
        env=configuration.hook_environ(),
        tmp_dir=str(Path(configuration.settings.paths.state) / "tmp"),
        timeout_s=chosen.timeout_s,
        redact=lambda text: configuration.redactor.text(text),
    )


def _python(code: str, *words: str) -> tuple[str, ...]:
    """Return a command that runs *code* with our modules and those that are installed beside us."""
    path = [str(Path(one).absolute()) if one else str(Path.cwd()) for one in sys.path]
    return (sys.executable, "-I", "-c", code, json.dumps(path), *words)


async def findings(configuration: Configuration) -> Sequence[Finding]:
    """Say of everything that is configured here whether it can be run; nothing where nothing is configured."""
    chosen = configuration.settings.hooks
    found = [_command_finding(configuration, argv) for argv in dict.fromkeys((*chosen.before_task, *chosen.after_task))]
    looks = [("hooks", HOOKS, name, tuple(when.value for when in When)) for name in chosen.plugins]
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_plugin_finding(configuration, *look)) for look in looks]
    return [*found, *(one.result() for one in asked)]


def _command_finding(configuration: Configuration, argv: tuple[str, ...]) -> Finding:
    where = configuration.root / argv[0] if "/" in argv[0] else None
    path = configuration.environ.get("PATH", os.defpath)
    there = os.access(where, os.X_OK) and where.is_file() if where else shutil.which(argv[0], path=path) is not None
    if there:
        return passed("hooks", argv[0], "it is there")
    return failed("hooks", argv[0], "there is no such program", "Correct hooks.before_task or hooks.after_task.")


async def _plugin_finding(
    configuration: Configuration, group: str, kind: str, name: str, wanted: tuple[str, ...]
) -> Finding:
    done = await run_quick(_python(_LOAD, kind, name, *wanted), env=configuration.seen_by(()), timeout_s=PROBE_S)
    if done.exit_code == 0:
        return passed(group, name, f"the entry point of {kind} can be loaded")
    said = done.stderr.decode(errors="replace").strip().splitlines() or [done.detail or done.reason]
    known = ", ".join(sorted({one.name for one in entry_points(group=kind)})) or "none"
    fix = f"Install or correct the package that brings it, or take it out of the settings. Installed: {known}."
    return failed(group, name, configuration.redactor.text(f"cannot be loaded: {said[-1]}"), fix)
