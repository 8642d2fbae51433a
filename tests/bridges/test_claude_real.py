"""The real Claude Code against the scripted model: no account, no network, every way of ending.

The program comes from the `claude` extra, which the test set-up installs; without it these tests fail.
"""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bridges.claude_orders import SESSION, Said, order

from orchestrator.bridges.bubblewrap import pid_namespace
from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig, environment
from orchestrator.bridges.claude_find import auth_status, locate
from orchestrator.bridges.claude_levels import Level
from orchestrator.bridges.process import marked_pids
from orchestrator.core.attempt import (
    AgentMessage,
    Failed,
    FailureKind,
    Finished,
    Interrupted,
    MessageKind,
    Outcome,
    WorkOrder,
)
from orchestrator.kit import scenarios
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Scenario

pytestmark = pytest.mark.real_cli

KEY = {"ANTHROPIC_API_KEY": "test-key"}
FRESH = "11111111-2222-4333-8444-555555555555"
Make = Callable[..., ClaudeAgent]


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


@pytest.fixture
def make(model: ScriptedModel, tmp_path: Path) -> Make:
    """Return a function: scenario -> agent that meets it, with a home of its own."""
    command = locate((), os.defpath).command
    assert command, "Claude Code is missing: pip install -e '.[claude]'"

    def build(scenario: Scenario, *, credential: dict[str, str] = KEY, **changes: Any) -> ClaudeAgent:
        return ClaudeAgent(
            config(model.play(tmp_path.name, scenario), tmp_path, command, credential, changes), lambda: FRESH
        )

    return build


def config(
    url: str, tmp_path: Path, command: tuple[str, ...], credential: dict[str, str], changes: dict[str, Any]
) -> ClaudeConfig:
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "ANTHROPIC_BASE_URL": url,
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "UNLISTED_SECRET": "must not be seen",
        **credential,
    }
    plain: dict[str, Any] = {"command": command, "max_retries": 0, "tmp_dir": str(tmp_path / "tmp"), "grace_s": 2.0}
    return ClaudeConfig(environ=environ, **(plain | changes))


async def silent(_: AgentMessage) -> None:
    """Take a message and do nothing."""


def kind_of(ended: Outcome) -> FailureKind | None:
    return ended.kind if isinstance(ended, Failed) else None


def first_prompt(model: ScriptedModel, name: str) -> str:
    """Return the first user message as the model got it."""
    messages: Any = model.last_body(name)["messages"]
    content = messages[0]["content"]
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


async def test_good_work_changes_a_file_and_is_reported_in_full(make: Make, tmp_path: Path) -> None:
    said, asked = Said(), order(tmp_path)
    ended = await make(scenarios.good_work()).run(asked, said)
    assert isinstance(ended, Finished), ended
    written = Path(asked.cwd, "hello.txt")
    assert written.read_text() == "hello\n"
    report = ended.report
    assert report.answer == "I wrote hello.txt."
    assert (report.exit_code, report.session_id) == (0, SESSION)
    assert report.files_changed == (str(written),)
    assert report.tool_calls == {"Write": 1}
    assert (report.usage.turns, report.usage.input_tokens, report.usage.output_tokens) == (2, 200, 40)
    assert report.usage.cost_usd
    assert report.confinement == "file edits only, no shell"
    assert said.of(MessageKind.TOOL) == ["Write hello.txt"]
    assert len(said.of(MessageKind.SESSION)) == 1


@pytest.mark.parametrize(
    "prompt",
    [
        "/compact the code",
        "-p --dangerously-skip-permissions @/etc/hostname",
        "line\r\n\ttab é 漢 😀 \u2028 end  \n" + "long " * 40_000,
    ],
    ids=["slash command", "flag and attachment", "200 KB of any characters"],
)
async def test_a_prompt_reaches_the_model_as_it_is(
    make: Make, model: ScriptedModel, tmp_path: Path, prompt: str
) -> None:
    ended = await make(scenarios.lie()).run(order(tmp_path, prompt=prompt), silent)
    assert isinstance(ended, Finished), ended
    assert first_prompt(model, tmp_path.name) == prompt
    assert len(model.requests(tmp_path.name)) == 1


@pytest.mark.parametrize("name", ["lie", "question", "empty"])
async def test_words_without_work_show_as_words_without_work(make: Make, tmp_path: Path, name: str) -> None:
    scenario = scenarios.NAMED[name]()
    ended = await make(scenario).run(order(tmp_path), silent)
    assert isinstance(ended, Finished), ended
    assert ended.report.answer == scenario.after.text
    assert (dict(ended.report.tool_calls), ended.report.files_changed) == ({}, ())


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (scenarios.overloaded(times=0), FailureKind.TRANSIENT),
        (scenarios.cut_stream(times=0), FailureKind.TRANSIENT),
        (scenarios.no_credit(), FailureKind.BILLING),
    ],
    ids=["overloaded", "cut", "no credit"],
)
async def test_what_the_provider_refuses_has_its_kind(
    make: Make, tmp_path: Path, scenario: Scenario, kind: FailureKind
) -> None:
    ended = await make(scenario).run(order(tmp_path), silent)
    assert kind_of(ended) is kind, ended


async def test_a_used_up_subscription_tells_until_when(make: Make, tmp_path: Path) -> None:
    said, token = Said(), {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-test"}
    resets_at = int(time.time()) + 3600
    ended = await make(scenarios.usage_limit(resets_at), credential=token).run(order(tmp_path), said)
    assert isinstance(ended, Failed)
    assert (ended.kind, ended.resets_at) == (FailureKind.USAGE_LIMIT, resets_at)
    assert said.of(MessageKind.LIMIT) == ["the five hour allowance is used up"]


async def test_a_wrong_key_ends_the_run_after_three_refusals(make: Make, model: ScriptedModel, tmp_path: Path) -> None:
    asked = order(tmp_path)
    ended = await make(scenarios.missing_login(), max_retries=10).run(asked, silent)
    assert kind_of(ended) is FailureKind.AUTH, ended
    assert len(model.requests(tmp_path.name)) <= 4
    assert marked_pids(asked.mark) == []


async def test_without_a_credential_the_model_is_not_even_asked(
    make: Make, model: ScriptedModel, tmp_path: Path
) -> None:
    agent = make(scenarios.lie(), credential={})
    assert kind_of(await agent.run(order(tmp_path), silent)) is FailureKind.AUTH
    assert model.requests(tmp_path.name) == ()


@pytest.mark.parametrize(("credential", "logged_in"), [(KEY, True), ({}, False)], ids=["key", "none"])
async def test_the_login_can_be_asked_for(
    make: Make, tmp_path: Path, credential: dict[str, str], logged_in: bool
) -> None:
    agent = make(scenarios.lie(), credential=credential)
    probe = await agent.finder.probe()
    env = environment(config("http://127.0.0.1:9", tmp_path, (), credential, {}))
    assert (await auth_status(probe.located.command, env)).logged_in is logged_in


@pytest.mark.parametrize(
    ("scenario", "limits", "kind"),
    [
        (scenarios.endless_tools(), {"max_turns": 2}, FailureKind.MAX_TURNS),
        (scenarios.costly(), {"budget_usd": 0.3}, FailureKind.BUDGET),
    ],
    ids=["turns", "money"],
)
async def test_a_limit_of_the_task_ends_it(
    make: Make, tmp_path: Path, scenario: Scenario, limits: dict[str, Any], kind: FailureKind
) -> None:
    ended = await make(scenario).run(order(tmp_path, **limits), silent)
    assert kind_of(ended) is kind, ended
    assert ended.report.usage.cost_usd


async def test_a_model_that_never_answers_ends_with_the_time_and_leaves_nothing(make: Make, tmp_path: Path) -> None:
    asked = order(tmp_path, timeout_s=3)
    ended = await make(scenarios.hanging()).run(asked, silent)
    assert kind_of(ended) is FailureKind.TIMEOUT, ended
    assert marked_pids(asked.mark) == []


async def test_a_resumed_session_remembers_and_costs_only_what_was_added(
    make: Make, model: ScriptedModel, tmp_path: Path
) -> None:
    first = await make(scenarios.good_work()).run(order(tmp_path, prompt="First."), silent)
    spent = first.report.usage.session_cost_usd
    asked = order(
        tmp_path, prompt="Second.", attempt_dir=str(tmp_path / "attempt2"), resume=True, session_cost_usd=spent
    )
    second = await make(scenarios.lie()).run(asked, silent)
    assert isinstance(second, Finished), second
    assert second.report.session_id == first.report.session_id
    assert first_prompt(model, tmp_path.name) == "First."
    assert first.report.usage.cost_usd == pytest.approx(0.0016)
    assert second.report.usage.cost_usd == pytest.approx(0.0008)
    assert second.report.usage.session_cost_usd == pytest.approx(0.0024)


async def test_a_write_outside_of_the_working_directory_is_denied(make: Make, tmp_path: Path) -> None:
    said, outside = Said(), tmp_path / "outside.txt"
    ended = await make(scenarios.permission_denied(str(outside))).run(order(tmp_path), said)
    assert isinstance(ended, Finished), ended
    assert ended.report.denials == ("Write",)
    assert ended.report.files_changed == ()
    assert len(said.of(MessageKind.DENIED)) == 1
    assert not outside.exists()


async def test_without_a_sandbox_there_is_no_shell(make: Make, tmp_path: Path) -> None:
    asked = order(tmp_path)
    ended = await make(scenarios.shell("touch made-by-shell")).run(asked, silent)
    assert isinstance(ended, Finished), ended
    assert not Path(asked.cwd, "made-by-shell").exists()


async def test_a_required_sandbox_runs_the_shell_inside_or_nothing_at_all(make: Make, tmp_path: Path) -> None:
    asked = order(tmp_path)
    installed = bool(shutil.which("bwrap") and shutil.which("socat"))
    command = "touch inside; touch ../outside; true"
    agent = make(scenarios.shell(command), confinement=Level.SHELL, sandbox_available=installed)
    ended = await agent.run(asked, silent)
    assert kind_of(ended) is (None if installed else FailureKind.START_REFUSED), ended
    assert Path(asked.cwd, "inside").exists() is installed
    assert not (tmp_path / "outside").exists()


async def test_the_sandbox_of_the_shell_works_inside_the_container_of_the_attempt(make: Make, tmp_path: Path) -> None:
    bwrap = shutil.which("bwrap")
    if bwrap is None or shutil.which("socat") is None:
        pytest.skip("bubblewrap (bwrap) and socat are not both installed")
    asked = order(tmp_path)
    agent = make(
        scenarios.shell("touch inside; touch ../outside; true"),
        confinement=Level.SHELL,
        sandbox_available=True,
        container=pid_namespace(bwrap),
    )
    ended = await agent.run(asked, silent)
    assert kind_of(ended) is None, ended
    assert ended.report.container.startswith("pid namespace")
    assert Path(asked.cwd, "inside").exists()
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("allowed", [True, False])
async def test_permissions_are_skipped_without_confinement_only_where_a_person_says_so(
    make: Make, tmp_path: Path, allowed: bool
) -> None:
    asked = order(tmp_path)
    credential = KEY | {"IS_SANDBOX": "1"}
    agent = make(
        scenarios.shell("touch made"),
        credential=credential,
        skip_permissions=True,
        allow_unconfined=allowed,
        pass_env=("IS_SANDBOX",),
    )
    ended = await agent.run(asked, silent)
    assert kind_of(ended) is (None if allowed else FailureKind.START_REFUSED), ended
    assert Path(asked.cwd, "made").exists() is allowed
    if allowed:
        assert ended.report.confinement.startswith("UNCONFINED")
    else:
        assert isinstance(ended, Failed)
        assert "nothing would hold the agent" in ended.detail


async def test_the_project_cannot_make_the_agent_run_its_hooks(make: Make, tmp_path: Path) -> None:
    asked = order(tmp_path)
    hook = {"hooks": [{"type": "command", "command": f"touch {tmp_path}/hooked"}]}
    settings = Path(asked.cwd, ".claude", "settings.json")
    settings.parent.mkdir()
    settings.write_text(json.dumps({"hooks": {"SessionStart": [hook], "UserPromptSubmit": [hook]}}))
    assert isinstance(await make(scenarios.lie()).run(asked, silent), Finished)
    assert not (tmp_path / "hooked").exists()


async def test_an_unknown_argument_is_a_refusal_to_start_with_the_programs_own_words(
    make: Make, tmp_path: Path
) -> None:
    ended = await make(scenarios.lie(), extra_args=("--frobnicate",)).run(order(tmp_path), silent)
    assert isinstance(ended, Failed)
    assert ended.kind is FailureKind.START_REFUSED
    assert "--frobnicate" in ended.detail


async def test_a_running_agent_sees_only_what_is_listed_and_dies_with_its_run(
    make: Make, model: ScriptedModel, tmp_path: Path
) -> None:
    asked = order(tmp_path)
    run = asyncio.create_task(make(scenarios.hanging()).run(asked, silent))
    await until_asked(model, tmp_path.name)
    seen = [names for pid in marked_pids(asked.mark) if (names := variables(pid)) - {"ORCHESTRATOR_ATTEMPT"}]
    listed = {"PATH", "HOME", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "DISABLE_TELEMETRY"}
    listed |= {"DISABLE_ERROR_REPORTING", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER"}
    listed |= {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "CLAUDE_CODE_STARTUP_FAILURE_RESULTS", "API_TIMEOUT_MS"}
    listed |= {"CLAUDE_CODE_MAX_RETRIES", "CLAUDE_CODE_TMPDIR", "TMPDIR", "ORCHESTRATOR_ATTEMPT"}
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert seen
    assert set().union(*seen) == listed
    assert marked_pids(asked.mark) == []


async def test_a_run_that_is_killed_from_outside_can_be_taken_up_again(
    make: Make, model: ScriptedModel, tmp_path: Path
) -> None:
    asked = order(tmp_path)
    agent = make(scenarios.hanging())
    run = asyncio.create_task(agent.run(asked, silent))
    await until_asked(model, tmp_path.name)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    collected = await agent.collect(asked)
    assert isinstance(collected, Interrupted), collected
    again: WorkOrder = order(tmp_path, attempt_dir=str(tmp_path / "again"), resume=True, session_cost_usd=None)
    ended = await make(scenarios.lie()).run(again, silent)
    assert isinstance(ended, Finished), ended
    assert (ended.report.session_id, ended.report.usage.cost_usd) == (SESSION, None)


async def until_asked(model: ScriptedModel, name: str) -> None:
    """Return when the first request of scenario *name* is in."""
    async with asyncio.timeout(30):
        while not model.requests(name):
            await asyncio.sleep(0.02)


def variables(pid: int) -> set[str]:
    """Return the names in the environment of *pid*."""
    raw = Path(f"/proc/{pid}/environ").read_bytes()
    return {pair.partition(b"=")[0].decode() for pair in raw.split(b"\0") if pair}
