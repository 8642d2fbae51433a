"""The demo: the real daemon and the real CLI against a scripted model. No key, no account, no network."""

import asyncio
import json
import shlex
import signal
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent

from orchestrator.api.render import event_text
from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_find import Finder
from orchestrator.bridges.git import Git
from orchestrator.compose import Parts, choose_container, claude_in, make_folders, opened
from orchestrator.configuration import Configuration
from orchestrator.core.attempt import Outcome, WorkOrder
from orchestrator.core.errors import ConfigError, ExitCode, StoppedError
from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import TERMINAL, State
from orchestrator.core.ports import Say
from orchestrator.core.task import Task
from orchestrator.engine.daemon import Signals
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.scenarios import good_edit, lie, question
from orchestrator.kit.script import Scenario

_QUIET = frozenset({EventKind.PARSED, EventKind.SUMMARIZED, EventKind.DAEMON_STARTED, EventKind.DAEMON_STOPPED})

GET_IT = "`python3 main.py demo` brings it into .venv by itself (about 380 MB, no account), unless told not to."
BUG = 'def greet(name):\n    return "Hello, " + nme\n'


@dataclass(frozen=True, slots=True)
class Act:
    """One task of the demo: its file, what the scripted model does with it, and how it has to end."""

    name: str
    text: str
    script: Scenario
    ends: State


def _task(name: str, task_type: str, title: str, prompt: str, criterion: str) -> str:
    return dedent("""\
        ---
        id: {name}
        type: {task_type}
        priority: high
        created: 2026-01-01T09:00:00Z
        if_unanswered: skip
        ---

        # {title}

        **Target Files:**
        - greeting.py

        **Prompt:**
        {prompt}

        **Success Criteria:**
        - [ ] {criterion}
        """).format(name=name, task_type=task_type, title=title, prompt=prompt, criterion=criterion)


ACTS = (
    Act(
        "fix_greeting",
        _task("fix_greeting", "fix", "Fix the greeting", "greet() raises NameError. Find out why and fix it.",
              "contains: `greeting.py` `+ name`"),
        good_edit("$CWD/greeting.py", "nme", "name"),
        State.SUCCEEDED,
    ),
    Act(
        "add_tests",
        _task("add_tests", "code-generation", "Add tests", "Write tests for greet().", "There is a test for greet()"),
        lie(),
        State.FAILED,
    ),
    Act(
        "choose_driver",
        _task("choose_driver", "fix", "Make greet() use the database", "Read the name from our database.",
              "greet() reads the name from the database"),
        question(),
        State.FAILED,
    ),
)  # fmt: skip


class ScriptedClaude:
    """The real CLI, each task of it talking to its own script of the scripted model."""

    def __init__(self, config: ClaudeConfig, model: ScriptedModel, parts: Callable[[], str]) -> None:
        self._config = config
        # Asked for once: who is ended last, when nothing is played any more, still has its address.
        self._addresses = {act.name: model.base_url(act.name) for act in ACTS}
        self._new_session_id = parts

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        return await self._agent(order).run(order, say)

    async def collect(self, order: WorkOrder) -> Outcome | None:
        return await self._agent(order).collect(order)

    def _agent(self, order: WorkOrder) -> ClaudeAgent:
        address = {"ANTHROPIC_BASE_URL": self._addresses[order.task_id]}
        return ClaudeAgent(replace(self._config, set_env=address), self._new_session_id)


def clean_environment(root: Path, path: str, command: str) -> Mapping[str, str]:
    """Return an environment without any credential or address of the user's: the demo talks to loopback only."""
    return {
        "PATH": path,
        "HOME": str(root / "home"),
        "LANG": "C.UTF-8",
        "ANTHROPIC_API_KEY": "scripted-model-needs-no-key",
        "ORCHESTRATOR_CLAUDE_COMMAND": command,
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "NO_PROXY": "127.0.0.1",
    }


async def run_demo(configuration: Configuration, say: Callable[[str], None]) -> int:
    """Run three tasks, say what happens, and leave the folder for a look. Returns 0 when all ended as they should.

    Raises ConfigError when no Claude Code CLI is installed: it says how to get one; StoppedError when a signal
    ended it.
    """
    signals = _heeded()
    environ = configuration.environ
    found = await Finder(configuration.settings.agents.claude.command, environ).probe()
    if found.kind is not None:
        raise ConfigError(f"the demo needs the Claude Code CLI: {found.detail}", hint=GET_IT)
    root = Path(tempfile.mkdtemp(prefix="orchestrator-demo-"))
    (root / "home").mkdir()
    make_folders(root)
    workspace = root / "workspace"
    workspace.mkdir()
    (workspace / "greeting.py").write_text(BUG, "utf-8")
    await _as_repository(configuration.git(), workspace)
    say("The model is SCRIPTED: it runs on 127.0.0.1 and plays three prepared parts. Everything else is real:")
    say(f"the daemon, its checks, and Claude Code {found.version} ({found.located.command[0]}).")
    say(f"Folder: {root}\n")
    demo = Configuration(root, clean_environment(root, environ.get("PATH", ""), shlex.join(found.located.command)))
    with ScriptedModel({act.name: act.script for act in ACTS}) as model:
        ended = await _play(demo, model, say, signals)
    if signals.ending.is_set():
        raise StoppedError(f"the demo was interrupted, nothing of it runs any more; its folder: {root}")
    return _tell(root, ended, say)


async def _as_repository(git: Git, workspace: Path) -> None:
    """Make the workspace a repository, so that tasks work in clones of it; without git they work in place."""
    if await git.unfit():
        return
    who = ("user.name=You", "user.email=you@localhost")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "A greeting with a bug")):
        await git.run(*words, cwd=str(workspace), config=who)


def _heeded() -> Signals:
    """Ctrl-C and SIGTERM interrupt at once: nobody waits for a demo."""
    signals, loop = Signals(), asyncio.get_running_loop()

    def interrupt() -> None:
        signals.stop()
        signals.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    return signals


async def _play(
    demo: Configuration, model: ScriptedModel, say: Callable[[str], None], signals: Signals
) -> Mapping[str, Task]:
    from orchestrator.bridges.clock import SystemClock

    clock = SystemClock()
    container = await choose_container(demo, settle=False, now=clock.now())
    agent = ScriptedClaude(claude_in(container, demo), model, clock.new_session_id)
    async with opened(demo, daemon=True, agent=agent) as parts:
        for act in ACTS:
            await parts.inbox.put(f"{act.name}.task.md", act.text.encode())
        async with asyncio.TaskGroup() as group, parts.watch() as watch:
            telling = group.create_task(_until_done(parts, signals, say))
            daemon = parts.daemon(parts.intake(watch).run, pool=parts.pool(), still_owner=lambda: True)
            await daemon.run(signals, {"demo": True})
            if signals.ending.is_set():
                telling.cancel()
        return {task.spec.id: task for task in await parts.store.tasks(sorted(TERMINAL), limit=10)}


async def _until_done(parts: Parts, signals: Signals, say: Callable[[str], None]) -> None:
    archived = 0
    async for event in parts.service.follow(0):
        if event.kind not in _QUIET and not signals.ending.is_set():
            say(event_text(event, await parts.store.task(event.uid) if event.uid else None))
        archived += event.kind is EventKind.ARCHIVED
        if archived == len(ACTS):
            signals.stop()
            return


def _criterion_met(root: Path) -> tuple[bool, str]:
    """Return whether the daemon's own check of the first task passed, and where its work is now."""
    found = json.loads((root / "results" / "fix_greeting_result.json").read_bytes())
    (row,), work = found["criteria"], found["work"]
    where = f"a commit on the branch {work['branch']}" if work.get("delivered") else f"done in {work['folder']}"
    return row["verdict"] in ("proven", "holds"), f"its criterion is {row['verdict']}, and it is {where}"


def _tell(root: Path, ended: Mapping[str, Task], say: Callable[[str], None]) -> int:
    say("\nWhat the morning finds:\n")
    right = 0
    for act in ACTS:
        task = ended.get(act.name)
        state = task.state if task else None
        right += state is act.ends
        word = state.value.upper() if state else "NEVER ENDED"
        why = f" - {task.reason}: {task.detail}" if task and task.reason else ""
        say(f"  {act.name:<14} {word}{why}")
    fixed, where = _criterion_met(root) if "fix_greeting" in ended else (False, "")
    say(f"\nOne did its work: {where}." if fixed else "\ngreeting.py is NOT repaired.")
    say(
        "One said it was done and had changed nothing: caught. One asked a question instead: reported, not called done."
    )
    say("\nLook at it:")
    for report in sorted((root / "results").glob("report-*.md")):
        say(f"  cat {report}")
    say(f"  cat {root}/summaries/add_tests_summary.txt")
    say(f"  cat {root}/results/fix_greeting_result.json")
    say(f"  python main.py --root {root} status")
    return int(ExitCode.OK if right == len(ACTS) and fixed else ExitCode.FAILED)
