"""Puts together what the command line gets to work with."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from orchestrator import __version__
from orchestrator.api.output import Output
from orchestrator.api.program import Component, Owner, Program
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.root_lock import Holder, holder
from orchestrator.compose import opened
from orchestrator.configuration import Configuration
from orchestrator.core.finding import Finding
from orchestrator.core.lint import LintReport
from orchestrator.core.notice_ports import Told
from orchestrator.core.repair_report import RepairReport
from orchestrator.core.requirements import Requirements
from orchestrator.core.service import ServiceState
from orchestrator.engine.service import Orchestrator
from orchestrator.root_files import RootFiles
from orchestrator.running import run_daemon, run_file


def assembled(configuration: Configuration, out: Output) -> Program:
    """Return everything that commands on this root need."""
    files = RootFiles(configuration)
    return Program(
        root=str(configuration.root),
        command=configuration.command,
        slots=configuration.settings.pool.max_concurrent_tasks,
        now=SystemClock().now,
        open_service=partial(_service, configuration),
        open_to_keep=partial(_service, configuration, keep=True),
        owner=partial(_owner, configuration),
        components=partial(_components, configuration),
        findings=partial(_findings, configuration),
        repair=partial(_repair, configuration),
        task_files=_task_files,
        check_file=files.check,
        check_job=files.check_job,
        lint=partial(_lint, configuration),
        context=files.context,
        parse=partial(_parse, configuration),
        put_files=files.put_new,
        put_task=files.put,
        run_daemon=partial(run_daemon, configuration, out.note),
        run_file=partial(run_file, configuration, out.note),
        clean_tasks=files.clean_tasks,
        remove_artifacts=files.remove_artifacts,
        remove_attempts=files.remove_attempts,
        result_files=files.results,
        demo=partial(_demo, configuration),
        telegram_setup=partial(_telegram_setup, configuration),
        notify_test=partial(_notify_test, configuration),
        service=partial(_installing, configuration),
    )


@asynccontextmanager
async def _service(configuration: Configuration, *, keep: bool = False) -> AsyncIterator[Orchestrator]:
    async with opened(configuration, daemon=False, keep=keep) as parts:
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


async def _lint(configuration: Configuration, paths: Sequence[str], run: bool, seconds: float) -> LintReport:
    from orchestrator.linting import lint

    return await lint(configuration, paths, run=run, seconds=seconds)


def _task_files(paths: Sequence[str]) -> Sequence[str]:
    from orchestrator.linting import task_files

    return task_files(paths)


async def _parse(configuration: Configuration, text: str, context: str, ask: bool) -> Requirements:
    from orchestrator.language import requirements_of

    return await requirements_of(configuration, text, context, ask=ask)


async def _repair(configuration: Configuration) -> RepairReport:
    from orchestrator.repair import repair

    me = Holder(os.getpid(), socket.gethostname(), SystemClock().now(), __version__)
    return await repair(configuration.root, me)


async def _installing(configuration: Configuration, action: str, dry_run: bool) -> ServiceState:
    from orchestrator.installing import service_command

    return await service_command(configuration, action, dry_run)


async def _telegram_setup(
    configuration: Configuration, ask: Callable[[str], Awaitable[str]], say: Callable[[str], None]
) -> int:
    from orchestrator.telegram_setup import introduce

    return await introduce(configuration, ask, say)


async def _notify_test(configuration: Configuration, name: str) -> Sequence[Told]:
    from orchestrator.chatting import OneShot
    from orchestrator.notifying import tried

    return await tried(configuration, name, OneShot(configuration))


async def _demo(configuration: Configuration, say: Callable[[str], None]) -> int:
    from orchestrator.demo import run_demo

    return await run_demo(configuration, say)
