"""What people add of their own: hooks, and recovery strategies as Python entry points. The engine sees ports only.

A Python hook runs in a process of its own, as a command does: only so it is bounded in time, keeps away from the memory
of the daemon with its secrets, and leaves nothing behind.
"""

import asyncio
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

from orchestrator.bridges.hook_runner import HookCommand, HookConfig, HookRunner
from orchestrator.bridges.process import run_quick
from orchestrator.configuration import Configuration
from orchestrator.core.finding import Finding, failed, passed
from orchestrator.core.hooks import When
from orchestrator.core.remedies import Facts, StrategyError, Use

HOOKS, RECOVERY = "orchestrator.hooks", "orchestrator.recovery"
PROBE_S = 20.0
WORDS = 300

_CALL = """
import asyncio, inspect, json, sys, traceback
sys.path[:] = json.loads(sys.argv[1])
from importlib.metadata import entry_points
def called(given, hook):
    hook = hook() if isinstance(hook, type) else hook
    act = getattr(hook, given["hook"], None)
    if act is None:
        return None
    answer = act(given["task"], given["result"]) if "result" in given else act(given["task"])
    async def awaited():
        return await answer
    return asyncio.run(awaited()) if inspect.isawaitable(answer) else answer
given = json.load(sys.stdin)
found = [one for one in entry_points(group=sys.argv[2]) if one.name == sys.argv[3]]
if not found:
    sys.exit("no entry point of the group " + sys.argv[2] + " is called " + sys.argv[3])
try:
    answer = called(given, found[0].load())
except Exception as error:
    at = traceback.extract_tb(error.__traceback__)[-1]
    sys.exit(f"{type(error).__name__}: {error} ({at.filename}:{at.lineno})")
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


class RegisteredStrategies:
    """Implements the port `Strategies`: entry points of the group orchestrator.recovery, each in a thread of its own.

    A thread cannot be ended. One that takes too long is left behind; its strategy is asked no more while it goes on.
    """

    def __init__(self, timeout_s: Callable[[], float]) -> None:
        self._timeout_s = timeout_s
        self._busy: dict[str, threading.Thread] = {}

    async def ask(self, name: str, facts: Facts) -> object:
        if (thread := self._busy.get(name)) is not None and thread.is_alive():
            raise StrategyError("it still works on an earlier answer")
        loop, answered = asyncio.get_running_loop(), asyncio.Event()
        said: list[object] = []

        def ask() -> None:
            try:
                said.append(_loaded(name)(facts))
            except BaseException as error:  # noqa: BLE001 - a stranger's code: nothing of it may reach the daemon
                said.append(error if isinstance(error, StrategyError) else StrategyError(repr(error)[:WORDS]))
            with suppress(RuntimeError):  # the daemon has ended meanwhile
                loop.call_soon_threadsafe(answered.set)

        thread = self._busy[name] = threading.Thread(target=ask, name=f"strategy {name}", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self._timeout_s()):
                await answered.wait()
        except TimeoutError:
            raise StrategyError(f"it did not answer within {self._timeout_s():g} s") from None
        if isinstance(said[0], StrategyError):
            raise said[0]
        return said[0]


def _loaded(name: str) -> Callable[[Facts], object]:
    found = [one for one in entry_points(group=RECOVERY) if one.name == name]
    if not found:
        raise StrategyError(f"no entry point of the group {RECOVERY} is called {name}")
    strategy = found[0].load()
    if not callable(strategy):
        raise StrategyError("it is no callable")
    return strategy  # type: ignore[no-any-return]  # whatever it returns is looked at


def strategies(configuration: Configuration) -> RegisteredStrategies:
    """Return the strategies of the user's own, bounded as configured at the moment."""
    return RegisteredStrategies(lambda: configuration.settings.recovery.timeout_s)


async def findings(configuration: Configuration) -> Sequence[Finding]:
    """Say of everything that is configured here whether it can be run; nothing where nothing is configured."""
    chosen = configuration.settings.hooks
    found = [_command_finding(configuration, argv) for argv in dict.fromkeys((*chosen.before_task, *chosen.after_task))]
    looks = [("hooks", HOOKS, name, tuple(when.value for when in When)) for name in chosen.plugins]
    rows = configuration.settings.recovery.strategies.values()
    own = dict.fromkeys(one.use for row in rows for one in row if one.use not in list(Use))
    looks += [("recovery", RECOVERY, name, ()) for name in own]
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
