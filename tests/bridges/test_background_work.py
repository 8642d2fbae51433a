"""The real Claude Code, talked into leaving work in the background: nothing of it outlives the run."""

import asyncio
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.attempts import becomes
from tests.bridges.background import BY_HOME, BY_OVERDUE, BY_THE_SHELL, Background
from tests.bridges.claude_orders import order
from tests.bridges.containers import parts

from orchestrator.bridges import process
from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_find import locate
from orchestrator.bridges.claude_levels import Level
from orchestrator.bridges.process import marked_pids
from orchestrator.bridges.supervisor import main
from orchestrator.core.attempt import AgentMessage, Finished, Outcome, WorkOrder
from orchestrator.kit.model import ScriptedModel

pytestmark = pytest.mark.real_cli

CONFINED = [(Level.PROCESS, "none"), (Level.PROCESS, "cgroup"), (Level.SHELL, "none"), (Level.SHELL, "namespace")]
OPEN = [(Level.CONTAINER, kind) for kind in ("none", "namespace", "cgroup", "namespace and cgroup")]


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Background]:
    background = Background(tmp_path / "cwd", tmp_path / "home")
    yield background
    background.end()


class Run:
    """One order of the real CLI at a level, in a container of a kind."""

    def __init__(self, path: Path, model: ScriptedModel, left: Background, level: Level, kind: str) -> None:
        if level is not Level.CONTAINER and not all(map(shutil.which, ("bwrap", "socat", "unshare", "setpriv"))):
            pytest.skip("bwrap, socat, unshare or setpriv is missing: nothing can be confined here")
        self.path, self.model, self.left, self.level = path, model, left, level
        self.container, self.cgroups = parts(kind)
        self.order: WorkOrder = order(path, session_id=str(uuid.uuid4()))

    async def __call__(self, *, foreground: bool = False) -> Outcome:
        url = self.model.play(self.path.name, self.left.scenario(foreground=foreground))
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(self.path / "home"), "ANTHROPIC_BASE_URL": url}
        quiet = ("DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC")
        config = ClaudeConfig(
            environ=environ | {"ANTHROPIC_API_KEY": "test-key"} | dict.fromkeys(quiet, "1"),
            set_env={"BASH_ENV": str(self.left.bash_env)},
            command=locate((), os.defpath).command,
            confinement=self.level,
            skip_permissions=self.level is Level.CONTAINER,
            sandbox_available=self.level is not Level.CONTAINER,
            max_retries=0,
            tmp_dir=str(self.path / "tmp"),
            container=self.container,
            cgroups=self.cgroups,
        )
        return await ClaudeAgent(config, lambda: str(uuid.uuid4())).run(self.order, silent)

    def said(self) -> str:
        return Path(self.order.attempt_dir, "stdout.ndjson").read_text()

    def groups(self) -> list[str]:
        """Return the control groups of the attempt that are still there."""
        return [folder for folder in self.cgroups if Path(folder, self.order.mark).exists()]


async def silent(_: AgentMessage) -> None:
    """Take a message and do nothing."""


@pytest.mark.parametrize(("level", "kind"), [*CONFINED, *OPEN])
async def test_no_background_work_outlives_a_run_that_ended_well(
    tmp_path: Path, model: ScriptedModel, left: Background, level: Level, kind: str
) -> None:
    run = Run(tmp_path, model, left, level, kind)
    ended = await run()
    assert isinstance(ended, Finished), ended
    assert (marked_pids(run.order.mark), left.carrying(), run.groups()) == ([], [], [])
    assert left.is_silent()
    own = BY_HOME if level is not Level.PROCESS else set()
    assert set(left.sizes()) == BY_THE_SHELL | BY_OVERDUE | own  # so each did begin, but for `asked`
    assert "An unexpected parameter `run_in_background` was provided" in run.said()
    assert "Command timed out after 1s" in run.said()
    assert ended.report.survivors_killed


@pytest.mark.parametrize("kind", ["none", "namespace", "cgroup"])
async def test_of_background_work_only_what_hid_every_trace_outlives_a_killed_supervisor_and_only_without_container(
    tmp_path: Path, model: ScriptedModel, left: Background, kind: str
) -> None:
    """The one that hid has neither parent nor mark nor a descriptor: nothing tells it from a program of the person."""
    run = Run(tmp_path, model, left, Level.CONTAINER, kind)
    running = asyncio.create_task(run(foreground=True))
    assert await becomes(lambda: left.have_begun(["foreground", *BY_THE_SHELL]), 30)
    (supervisor,) = [pid for pid in marked_pids(run.order.mark) if main.__module__.encode() in _arguments(pid)]
    os.kill(supervisor, signal.SIGKILL)
    ended = await running
    assert not isinstance(ended, Finished), ended
    assert (marked_pids(run.order.mark), run.groups()) == ([], [])
    survivors = {word for pid in left.carrying() for word in _arguments(pid).split(b"\0") if b"/beats/" in word}
    assert len(survivors) == (kind == "none"), survivors
    assert left.is_silent() is (kind != "none")


async def test_without_a_subreaper_what_keeps_its_mark_is_ended_with_the_run(
    tmp_path: Path, model: ScriptedModel, left: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a system that has none. What is asserted of the rest is what docs/confinement.md says is lost there."""
    boot = "from orchestrator.bridges import supervisor; supervisor.load_prctl = lambda: None; supervisor.main()"
    monkeypatch.setattr(process, "_BOOT", boot)
    run = Run(tmp_path, model, left, Level.CONTAINER, "none")
    ended = await run()
    assert isinstance(ended, Finished), ended
    assert ended.report.container == "mark"
    assert marked_pids(run.order.mark) == []
    alive = b"".join(map(_arguments, left.carrying()))
    assert {name for name in left.sizes() if f"/beats/{name};".encode() in alive} == {"daemon"}


def _arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # gone meanwhile
        return b""
