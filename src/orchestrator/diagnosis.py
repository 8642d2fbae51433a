"""Brings the outside world to `doctor` and to the component lines of `status`."""

import asyncio
import os
import platform
import resource
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchestrator import chatting, notifying, plugins, worker_splits
from orchestrator.api.program import Component
from orchestrator.bridges.claude_command import confinement, environment, refusal
from orchestrator.bridges.claude_find import Finder, Source, auth_status
from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.container import Container, container_finding
from orchestrator.bridges.probes import Configured, DatabaseFacts, Given, database_findings, examine
from orchestrator.bridges.probes_files import space_finding
from orchestrator.bridges.probes_ollama import OllamaUse, ollama_findings
from orchestrator.bridges.probes_programs import ClaudeProbe, claude_findings, git_findings
from orchestrator.bridges.probes_sleep import sleep_findings
from orchestrator.bridges.process import run_quick
from orchestrator.bridges.sqlite import open_store
from orchestrator.bridges.sqlite_file import migrations
from orchestrator.compose import DATABASE, require_root
from orchestrator.configuration import Configuration
from orchestrator.core.errors import StoreError
from orchestrator.core.finding import Finding, Level, failed, passed, warned
from orchestrator.core.notice_ports import SinkFacts
from orchestrator.core.plan import HELD_BY_US
from orchestrator.core.report import COMMAND
from orchestrator.live_claude import choose_container, claude_in
from orchestrator.settings import effective
from orchestrator.settings_trial import RECORD, SettingsTrial


async def findings(configuration: Configuration) -> Sequence[Finding]:
    """Look at everything the daemon needs."""
    if not configuration.root.is_dir():
        require_root(configuration.root)
    environ = configuration.environ
    container = await choose_container(configuration, settle=False, now=SystemClock().now())
    config = claude_in(container, configuration)
    found = await examine(
        Given(
            configured=_configured(configuration),
            now=SystemClock().now(),
            uid=os.getuid(),
            python=sys.version_info[:3],
            in_venv=sys.prefix != sys.base_prefix,
            is_sandbox=environ.get("IS_SANDBOX", ""),
            sandbox_available=config.sandbox_available,
            without=container.without,
            open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            run=partial(_run, environ),
            which=partial(shutil.which, path=environ.get("PATH", os.defpath)),
            claude=_claude(Finder(config.command, environment(config), oldest=config.min_version), environment(config)),
            database=partial(_database, Path(configuration.settings.paths.state) / DATABASE),
        )
    )
    held = container_finding(container, partial(shutil.which, path=environ.get("PATH", os.defpath)))
    told = [*await chatting.findings(configuration), *await _notify_findings(configuration)]
    told += [*worker_splits.findings(configuration), *await plugins.findings(configuration)]
    whole = [*_invalid(configuration), *found, held, await _trial_finding(configuration, container), *told]
    groups = list(dict.fromkeys(one.group for one in whole))
    whole.sort(key=lambda one: groups.index(one.group))
    return [replace(one, fix=one.fix.replace(COMMAND, configuration.command)) for one in whole]


async def before_bed(configuration: Configuration) -> Sequence[Finding]:
    """Look at what a night depends on: agent, login, git, disk, database, models, Telegram, sleep."""
    environ, settings = configuration.environ, configuration.settings
    which = partial(shutil.which, path=environ.get("PATH", os.defpath))
    run, config = partial(_run, environ), configuration.claude(sandbox_available=False)
    claude = _claude(Finder(config.command, environment(config), oldest=config.min_version), environment(config))
    wanted = settings.agents.claude.enabled or settings.agents.local.enabled
    found = [
        *_invalid(configuration),
        space_finding(configuration.root, settings.intake.min_free_bytes),
        *(await claude_findings(claude, floor=config.min_version) if wanted else ()),
        *await git_findings(run, which),
        *await _database_findings(configuration),
        *await ollama_findings(_ollama(configuration)),
        *await chatting.findings(configuration),
        *await sleep_findings(platform.system(), run, which),
    ]
    return [replace(one, fix=one.fix.replace(COMMAND, configuration.command)) for one in found]


async def _database_findings(configuration: Configuration) -> Sequence[Finding]:
    try:
        return database_findings(await _database(Path(configuration.settings.paths.state) / DATABASE))
    except StoreError as error:
        return [failed("database", "file", error.message, f"{COMMAND} doctor")]


async def _trial_finding(configuration: Configuration, container: Container) -> Finding:
    """Try what holds the agent as the daemon does, in a folder of our own: a doctor leaves nothing in the root."""
    group, name, claude = "claude", "settings", configuration.settings.agents.claude
    if not claude.self_test:
        return warned(group, name, "not tried", "Set agents.claude.self_test: true, unless its command needs false.")
    record = Path(configuration.settings.paths.state, RECORD)
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        trial = SettingsTrial(Path(folder, "trial"), record, SystemClock().new_session_id, remember=False)
        failure = await trial.failure(claude_in(container, configuration))
    if failure is not None:
        fix = "Update Claude Code (`claude update`), or set agents.claude.confinement to another level."
        return failed(group, name, failure.detail, fix)
    if trial.passed:
        return passed(group, name, "those that hold the agent were tried on the real program")
    return warned(group, name, "nothing to try them on", "See the other findings.")


def _invalid(configuration: Configuration) -> Sequence[Finding]:
    error = configuration.broken
    if error is None:
        return ()
    fix = error.hint or "Correct what is named; until then everything below was looked at with the defaults."
    return [Finding("configuration", "settings", Level.FAIL, error.message, fix)]


async def _notify_findings(configuration: Configuration) -> Sequence[Finding]:
    """Look at the places that are told, and at what they are owed. Nothing is sent: `notify test` does that."""
    path, facts = Path(configuration.settings.paths.state) / DATABASE, list[SinkFacts]()
    with suppress(StoreError):  # told by the findings on the database
        if path.exists():
            async with open_store(path, read_only=True) as store:
                facts += await store.outbox.sinks()
    clock = SystemClock()
    return notifying.findings(notifying.Sinks(configuration, clock), facts, now=clock.now())


async def components(configuration: Configuration) -> Sequence[Component]:
    """Return the parts the program found: agent, its confinement, reader."""
    use = _ollama(configuration)
    plain = configuration.claude(sandbox_available=False)  # which decides nothing about where the program is
    async with asyncio.TaskGroup() as group:
        trying = group.create_task(choose_container(configuration, settle=False, now=SystemClock().now()))
        probing = group.create_task(Finder(plain.command, environment(plain), oldest=plain.min_version).probe())
        asking = group.create_task(ollama_findings(use, timeout_s=0.5))
    probe, config = probing.result(), claude_in(trying.result(), configuration)
    if probe.kind is None and (reason := refusal(config)):
        claude = Component("claude", usable=False, words=f"not usable: {reason}")
    elif probe.kind is None:
        words = f"{probe.version} ({probe.located.command[0]}), {confinement(config)}"
        claude = Component("claude", usable=True, words=words)
    else:
        claude = Component("claude", usable=False, words=f"not usable: {probe.detail}")
    return claude, _told_in_short(use, asking.result())


def _told_in_short(use: OllamaUse, findings: Sequence[Finding]) -> Component:
    wrong = [finding.message for finding in findings if finding.level is not Level.PASS]
    words = "; ".join(wrong) or findings[0].message
    return Component("ollama", usable=bool(use.needs) and not wrong, words=words)


def _configured(configuration: Configuration) -> Configured:
    settings = configuration.settings
    paths, telegram = settings.paths, settings.telegram
    named = {
        "root": paths.root,
        "tasks": paths.tasks,
        "results": paths.results,
        "summaries": paths.summaries,
        "logs": paths.logs,
        "state": paths.state,
    }
    return Configured(
        folders={name: Path(path) for name, path in named.items()},
        base_cwd=Path(paths.base_cwd),
        allowed_root=Path(paths.allowed_root),
        min_free_bytes=settings.intake.min_free_bytes,
        confinement=settings.agents.claude.confinement,
        allow_unconfined=settings.agents.claude.allow_unconfined,
        skip_permissions=settings.agents.claude.skip_permissions,
        project_settings=settings.agents.claude.project_settings,
        project_notes=settings.agents.claude.project_notes,
        min_version=settings.agents.claude.min_version,
        ollama=_ollama(configuration),
        telegram_token=telegram.token.get_secret_value() if telegram.token else "",
        telegram_users=telegram.allowed_users,
        telegram_chat=telegram.chat_id,
        effective=[(shown.key, shown.value, shown.origin) for shown in effective(configuration.loaded)],
        warnings=configuration.loaded.warnings,
    )


def _ollama(configuration: Configuration) -> OllamaUse:
    settings = configuration.settings
    local = settings.agents.local
    uses = {
        "ollama.reader": settings.ollama.reader,
        "ollama.summaries": settings.ollama.summaries,
        "proof.opinion": settings.proof.opinion == "ollama",
        "agents.local": local.enabled,
    }
    chosen, needs = settings.ollama, tuple(name for name, used in uses.items() if used)
    return OllamaUse(chosen.host, chosen.model, chosen.context_tokens, needs, local.model if local.enabled else "")


def _claude(finder: Finder, env: Mapping[str, str]) -> ClaudeProbe:
    async def version() -> str:
        return (await finder.probe()).version

    async def login() -> str:
        command = finder.locate().command
        status = await auth_status(command, env)
        return status.method if status.logged_in else ""

    def misnamed() -> str:
        located = finder.locate()
        return located.problem if located.source is Source.CONFIGURED else ""

    return ClaudeProbe(find=lambda: finder.locate().command, version=version, login=login, misnamed=misnamed)


async def _run(environ: Mapping[str, str], argv: Sequence[str]) -> tuple[int, str]:
    done = await run_quick(argv, env=environ)
    if done.exit_code is None:
        raise OSError(done.detail)
    return done.exit_code, done.stdout.decode(errors="replace")


async def _database(path: Path) -> DatabaseFacts | None:
    if not path.exists():
        return None
    async with open_store(path, read_only=True) as store:
        problems = await store.integrity()
        schema = await store.schema_version()
        came = await store.how_it_came(socket.gethostname())
        holds = [pause for pause in await store.pauses() if pause.reason in HELD_BY_US]
    return DatabaseFacts(
        sqlite=sqlite3.sqlite_version_info[:3],
        quick_check="; ".join(problems) or "ok",
        schema=schema,
        schema_known=len(migrations()),
        writers_share_checkpoints=False,
        came=came,
        held="; ".join(f"{pause.reason}: {pause.detail}" for pause in holds),
    )
