"""What the commands can do to one root: run its daemon, run one file in the foreground, look at it."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from orchestrator import __version__
from orchestrator.api.output import Output
from orchestrator.api.program import Component, Owner, Program, Show
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.log_setup import LogSetup
from orchestrator.bridges.root_lock import Holder, holder, take_root
from orchestrator.compose import Parts, make_folders, opened
from orchestrator.configuration import Configuration
from orchestrator.core.errors import ExitCode, StoreError
from orchestrator.core.events import Json
from orchestrator.core.finding import Finding
from orchestrator.core.task import Task
from orchestrator.engine.daemon import Signals
from orchestrator.engine.service import Orchestrator
from orchestrator.root_files import RootFiles

log = logging.getLogger(__name__)


def nobody_reads() -> None:
    """The reader of our output has gone; nothing is wrong, and nothing more can be said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def program_of(configuration: Configuration, out: Output) -> Program:
    """Return what the command line needs of a root."""
    files = RootFiles(configuration)
    return Program(
        root=str(configuration.root),
        command=configuration.command,
        slots=configuration.settings.pool.max_concurrent_tasks,
        now=SystemClock().now,
        open_service=partial(_service, configuration),
        owner=partial(_owner, configuration),
        components=partial(_components, configuration),
        findings=partial(_findings, configuration),
        check_file=files.check,
        put_task=files.put,
        run_daemon=partial(_run_daemon, configuration, out),
        run_file=partial(_run_file, configuration, out),
        clean_tasks=files.clean_tasks,
        remove_artifacts=files.remove_artifacts,
        remove_attempts=files.remove_attempts,
        result_files=files.results,
        demo=partial(_demo, configuration),
    )


@asynccontextmanager
async def _service(configuration: Configuration) -> AsyncIterator[Orchestrator]:
    async with opened(configuration, daemon=False) as parts:
        yield parts.service


def _owner(configuration: Configuration) -> Owner | None:
    state = Path(configuration.settings.paths.state)
    found = holder(state) if state.exists() else None
    return Owner(found.pid, found.host, found.started_at, found.version) if found else None


async def _components(configuration: Configuration) -> Sequence[Component]:
    from orchestrator.diagnosis import components

    return await components(configuration)


async def _findings(configuration: Configuration) -> Sequence[Finding]:
    from orchestrator.diagnosis import findings

    return await findings(configuration)


async def _demo(configuration: Configuration, say: Callable[[str], None]) -> int:
    from orchestrator.demo import run_demo

    return await run_demo(configuration, say)


def _signals(loop: asyncio.AbstractEventLoop) -> Signals:
    """SIGINT and SIGTERM: the first drains, the second ends."""
    signals = Signals()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.stop)
    return signals


def _log_setup(configuration: Configuration) -> LogSetup:
    logs = configuration.settings.logs
    return LogSetup(
        Path(configuration.settings.paths.logs),
        redact=lambda text: configuration.redactor.text(text),
        stderr=sys.stderr,
        level=logs.level,
        file_bytes=logs.file_bytes,
        file_count=logs.file_count,
    )


async def _run_daemon(configuration: Configuration, out: Output, show: Show) -> int:
    make_folders(configuration.root)
    state = Path(configuration.settings.paths.state)
    clock = SystemClock()
    me = Holder(os.getpid(), socket.gethostname(), clock.now(), __version__)
    with await take_root(state, me) as lock, _log_setup(configuration):
        signals = _signals(asyncio.get_running_loop())
        async with opened(configuration, daemon=True) as parts:
            reload = partial(_reload, parts)
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
            after = await parts.store.last_seq()
            taken_up = await parts.recover()
            facts: dict[str, Json] = {"pid": me.pid, "version": __version__, "taken_up": taken_up}
            watcher = asyncio.create_task(_show_events(parts, after, show))
            try:
                async with parts.watch() as watch:
                    intake = parts.intake(watch)
                    pool = parts.pool(kept=intake.kept)
                    daemon = parts.daemon(intake.run, pool=pool, still_owner=lock.still_held)
                    await daemon.run(signals, facts)
            finally:
                watcher.cancel()
    if signals.ending.is_set():
        out.note("stopped; interrupted tasks are queued again and cost no try")
    return int(ExitCode.OK)


def _reload(parts: Parts) -> None:
    """SIGHUP: read the configuration again, as a changed file does by itself."""
    task = asyncio.ensure_future(parts.service.reload_from_env())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _show_events(parts: Parts, after: int, show: Show) -> None:
    """Show what happens. That nobody can be shown anything any more is no reason to end the daemon."""
    try:
        async for event in parts.service.follow(after):
            show(event, await parts.store.task(event.uid) if event.uid else None)
    except BrokenPipeError:
        nobody_reads()
    except StoreError as error:
        log.error("events are shown no more: %s", error)  # noqa: TRY400 - expected, not a bug


async def _run_file(configuration: Configuration, out: Output, path: str, show: Show) -> Task:
    """Run one file in the foreground: by the daemon where one runs, else by ourselves, as the owner of the root."""
    files = RootFiles(configuration)
    if _owner(configuration) is not None:
        out.note("a daemon owns this root: it runs the file, progress follows")
        async with opened(configuration, daemon=False) as parts:
            take = files.taken_by_daemon if files.lies_in_tasks(path) else files.submit
            return await files.wait_for(parts, await take(parts, path), show)
    make_folders(configuration.root)
    me = Holder(os.getpid(), socket.gethostname(), SystemClock().now(), __version__)
    with await take_root(Path(configuration.settings.paths.state), me), _log_setup(configuration):
        signals = _signals(asyncio.get_running_loop())
        async with opened(configuration, daemon=True) as parts:
            await parts.recover()
            task = await files.submit(parts, path)
            return await files.run_alone(parts, task, signals, show)
