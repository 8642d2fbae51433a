"""Running a root in the foreground of a terminal or a service manager: the daemon, or one file."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

from orchestrator import __version__
from orchestrator.api.program import Show
from orchestrator.api.render import call_name, event_words, hold_lines
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.log_setup import EVENTS_LOGGER, LogSetup
from orchestrator.bridges.root_lock import Holder, holder, take_root
from orchestrator.bridges.sd_notify import ServiceSocket, service_socket
from orchestrator.bridges.start_journal import Start, StartJournal
from orchestrator.chatting import Telegram
from orchestrator.compose import Parts, make_folders, opened
from orchestrator.configuration import Configuration
from orchestrator.core.errors import ExitCode, OrchestratorError, StoppedError, StoreError
from orchestrator.core.events import Event, Json
from orchestrator.core.plan import CRASH_LOOP, EVERYTHING
from orchestrator.core.task import Task
from orchestrator.engine.daemon import Signals
from orchestrator.engine.pool import Pool
from orchestrator.root_files import RootFiles

log = logging.getLogger(__name__)
events_log = logging.getLogger(EVENTS_LOGGER)

Note = Callable[[str], None]
LAST_WORDS = 500
TELEGRAM_ENDS_S = 5.0  # for the last edits of messages


async def run_daemon(
    configuration: Configuration, note: Note, show: Show, started: Callable[[], Awaitable[None]]
) -> int:
    """Run until stopped. *started* is called once the root is ours; *note* gets what a person waits to hear."""
    make_folders(configuration.root)
    me, loop, signals = _me(), asyncio.get_running_loop(), Signals()
    pools: list[Pool] = []
    with closing(service_socket(configuration.process_environ, me.pid)) as manager:
        # First of all: from when we own the root on, a signal is a wish and no death.
        _on_signals(loop, partial(_stop, signals, pools, configuration, note, manager))
        with await take_root(_state(configuration), me) as lock, _log_setup(configuration):
            journal = StartJournal(_state(configuration))
            start = journal.begin(me.started_at, window_s=configuration.settings.crash_loop.window_s)
            await started()
            async with opened(configuration, daemon=True) as parts, _beating(manager, pools):
                loop.add_signal_handler(signal.SIGHUP, partial(_reload, parts))
                after = await parts.store.last_seq()
                await _held_in_a_crash_loop(parts, start, note)
                taken_up = await parts.recover(journal, start, prove=False)
                facts: dict[str, Json] = {"pid": me.pid, "version": __version__, "taken_up": taken_up}
                beside = (_events_shown(parts, after, show), _trying(parts, note), telegram_of(parts))
                async with beside[0], beside[1], beside[2], parts.watch() as watch:
                    intake = parts.intake(watch)
                    pools.append(parts.pool(kept=intake.kept))
                    daemon = parts.daemon(intake.run, pool=pools[0], still_owner=lock.still_held)
                    manager.ready(_busy(pools))
                    await daemon.run(signals, facts)
                await parts.ended_well(journal)
    note("stopped; interrupted tasks are queued again and cost no try" if signals.ending.is_set() else "stopped")
    return int(ExitCode.OK)


async def _held_in_a_crash_loop(parts: Parts, start: Start, note: Note) -> None:
    """Start nothing where we die again and again: what is started may be what ends us. Only a person lifts this."""
    limits = parts.configuration.settings.crash_loop
    if not 0 < limits.max_starts < start.recent:
        return
    detail = f"{start.recent} starts within {limits.window_s:g} s and no clean stop: nothing is started until `resume`"
    await parts.service.hold_everything(CRASH_LOOP, detail)
    note(f"held: {detail}")
    log.error("%s", detail)


@asynccontextmanager
async def _trying(parts: Parts, note: Note) -> AsyncIterator[None]:
    """Try the agent's settings beside everything else: files are taken meanwhile, attempts wait for its end."""

    async def settings() -> None:
        try:
            if why := await parts.try_settings():
                note(f"claude: {why}")
        except (OrchestratorError, OSError) as error:
            log.error("the self-test of the agent's settings: %s", error)  # noqa: TRY400 - expected, not a bug

    trying = asyncio.create_task(settings())
    try:
        yield
    finally:
        trying.cancel()
        await asyncio.wait([trying])


@asynccontextmanager
async def telegram_of(parts: Parts) -> AsyncIterator[Telegram]:
    """Serve the Telegram door beside everything else; whatever becomes of it, the tasks go on."""
    telegram = Telegram(parts.configuration, parts.store, parts.clock, parts.bell, parts.service_on)
    parts.notices.sinks.telegram = telegram.notifier
    stopping = asyncio.Event()

    async def serve() -> None:
        try:
            await telegram.run(stopping)
        except Exception:
            log.exception("Telegram: it ended for a reason of our own; everything else goes on")

    serving = asyncio.create_task(serve())
    try:
        yield telegram
    finally:
        stopping.set()
        await asyncio.wait([serving], timeout=TELEGRAM_ENDS_S)
        serving.cancel()
        await asyncio.wait([serving])


@asynccontextmanager
async def _beating(manager: ServiceSocket, pools: Sequence[Pool]) -> AsyncIterator[None]:
    """Let the service manager see that the event loop turns."""
    beating = asyncio.create_task(manager.beat(lambda: _busy(pools)))
    try:
        yield
    finally:
        beating.cancel()


def _busy(pools: Sequence[Pool]) -> str:
    return f"running {sum(pool.running for pool in pools)}" if pools else "taking up what an earlier daemon left"


async def run_file(configuration: Configuration, note: Note, path: str, show: Show) -> Task:
    """Run one file in the foreground: by the daemon where one runs, else by ourselves, as the owner of the root.

    Raises StoppedError when a signal ended it before the task had.
    """
    files = RootFiles(configuration)
    if holder(_state(configuration)) is not None:
        async with opened(configuration, daemon=False) as parts:
            take = files.taken_by_daemon if files.lies_in_tasks(path) else files.submit
            task = await take(parts, path)
            note("a daemon owns this root: it runs the file, progress follows")
            await _say_what_holds(parts, task, note)
            try:
                return await files.wait_for(parts, task, show)
            except asyncio.CancelledError:
                name = call_name(task)
                note(f"{name} goes on in the daemon; to end it: {configuration.command} cancel {name}")
                raise
    make_folders(configuration.root)
    with await take_root(_state(configuration), _me()), _log_setup(configuration):
        journal = StartJournal(_state(configuration))
        start = journal.begin(SystemClock().now(), window_s=configuration.settings.crash_loop.window_s, counts=False)
        async with opened(configuration, daemon=True) as parts:
            await parts.recover(journal, start)
            task = await files.submit(parts, path)
            await _say_what_holds(parts, task, note)
            signals = Signals()
            _on_signals(asyncio.get_running_loop(), partial(_interrupt, signals, note))
            ended = await files.run_alone(parts, task, signals, show)
            await parts.ended_well(journal)
    if ended is None:
        name = call_name(task)
        raise StoppedError(
            f"{name} was interrupted; it is queued and has lost no try",
            hint=f"`python main.py` goes on with it, `python main.py cancel {name}` ends it.",
        )
    return ended


async def _say_what_holds(parts: Parts, task: Task, note: Note) -> None:
    """Who waits for a task in the foreground is told why nothing happens."""
    for pause in await parts.service.holding(EVERYTHING, parts.service.agent_of(task)):
        for line in hold_lines(pause, parts.clock.now(), parts.configuration.command):
            note(line)


def _me() -> Holder:
    return Holder(os.getpid(), socket.gethostname(), SystemClock().now(), __version__)


def _state(configuration: Configuration) -> Path:
    return Path(configuration.settings.paths.state)


def _on_signals(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, act)


def _stop(
    signals: Signals, pools: Sequence[Pool], configuration: Configuration, note: Note, manager: ServiceSocket
) -> None:
    """The first signal lets running tasks go on for a while, the second interrupts them."""
    second = signals.stopping.is_set()
    signals.stop()
    count = sum(pool.running for pool in pools)
    manager.stopping(f"stopping, {_busy(pools)}")
    if not count:
        return
    tasks = "1 running task" if count == 1 else f"{count} running tasks"
    if second:
        note(f"interrupting {tasks}")
        return
    drain_s = configuration.settings.shutdown.drain_s
    note(f"stopping: {tasks} may go on for {drain_s:g} s; Ctrl-C again interrupts, the next start goes on with them")


def _interrupt(signals: Signals, note: Note) -> None:
    """In the foreground nobody wants to wait: the first signal interrupts."""
    note("interrupting")
    signals.stop()
    signals.stop()


def _log_setup(configuration: Configuration) -> LogSetup:
    logs = configuration.settings.logs
    setup = LogSetup(
        Path(configuration.settings.paths.logs),
        redact=lambda text: configuration.redactor.text(text),
        stderr=sys.stderr,
        level=logs.level,
        file_bytes=logs.file_bytes,
        file_count=logs.file_count,
    )
    configuration.on_reload.append(lambda: setup.set_level(configuration.settings.logs.level))
    return setup


def _reload(parts: Parts) -> None:
    """SIGHUP: read the configuration again, as a changed file does by itself."""
    asyncio.ensure_future(parts.service.reload_from_env()).add_done_callback(_reloaded)


def _reloaded(done: "asyncio.Future[Sequence[str]]") -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("%s\nThe old configuration stays in force.", error)


@asynccontextmanager
async def _events_shown(parts: Parts, after: int, show: Show) -> AsyncIterator[None]:
    """Show and log what happens meanwhile, to the last event of a good end."""

    async def follow() -> None:
        nonlocal after
        try:
            async for event in parts.service.follow(after):
                await _tell(parts, event, show)
                after = event.seq
        except StoreError as error:
            log.error("events are shown no more: %s", error)  # noqa: TRY400 - expected, not a bug

    watcher = asyncio.create_task(follow())
    try:
        yield
    finally:
        watcher.cancel()
    for event in await parts.store.events_after(after, limit=LAST_WORDS):
        await _tell(parts, event, show)


async def _tell(parts: Parts, event: Event, show: Show) -> None:
    task = await parts.service.task_of(event)
    events_log.info("%s", _logged(event, task))
    show(event, task)


def _logged(event: Event, task: Task | None) -> str:
    return f"{call_name(task)} {event_words(event)}" if task else event_words(event)
