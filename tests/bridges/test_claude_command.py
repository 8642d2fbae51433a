"""How Claude Code is started: what is on its command line, in its environment, on its input."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bridges.claude_orders import SESSION, order

from orchestrator.bridges import claude_command
from orchestrator.bridges.claude_command import ClaudeConfig, Session
from orchestrator.bridges.claude_levels import Level

NEW = Session(SESSION)


def argv(tmp_path: Path, config: ClaudeConfig, session: Session = NEW, **changes: Any) -> list[str]:
    return list(claude_command.argv(config, ("claude",), order(tmp_path, **changes), session))


def after(args: list[str], flag: str) -> str:
    return args[args.index(flag) + 1]


@pytest.mark.parametrize(
    ("wanted", "available", "skip", "words"),
    [
        (Level.AUTO, True, False, "whole process confined, shell without network"),
        (Level.AUTO, False, False, "file edits only, no shell"),
        (Level.PROCESS, True, False, "whole process confined, shell without network"),
        (Level.SHELL, True, False, "only the shell confined"),
        (Level.RULES, True, False, "file edits only, no shell"),
        (Level.CONTAINER, False, False, "container or virtual machine, as configured"),
        (Level.AUTO, True, True, "whole process confined, shell without network, permissions skipped"),
        (Level.CONTAINER, False, True, "container or virtual machine, as configured, permissions skipped"),
        (Level.SHELL, True, True, "UNCONFINED (CLAUDE_SKIP_PERMISSIONS, ORCHESTRATOR_ALLOW_UNCONFINED)"),
        (Level.AUTO, False, True, "UNCONFINED (CLAUDE_SKIP_PERMISSIONS, ORCHESTRATOR_ALLOW_UNCONFINED)"),
    ],
)
def test_what_holds_the_agent_follows_from_the_configuration(
    tmp_path: Path, wanted: Level, available: bool, skip: bool, words: str
) -> None:
    config = ClaudeConfig(confinement=wanted, sandbox_available=available, skip_permissions=skip)
    args = argv(tmp_path, config)
    assert claude_command.confinement(config) == words
    assert after(args, "--permission-mode") == ("bypassPermissions" if skip else "acceptEdits")
    assert ("Bash" in after(args, "--tools").split(",")) is (words != "file edits only, no shell")


@pytest.mark.parametrize("wanted", Level)
@pytest.mark.parametrize("available", [True, False])
@pytest.mark.parametrize("skip", [True, False])
def test_the_shell_is_allowed_only_where_something_holds_it_or_a_person_said_so(
    tmp_path: Path, wanted: Level, available: bool, skip: bool
) -> None:
    config = ClaudeConfig(confinement=wanted, sandbox_available=available, skip_permissions=skip)
    args = argv(tmp_path, config)
    if "--allowedTools" in args and not claude_command.refusal(config) and wanted is not Level.CONTAINER:
        sandbox = json.loads(after(args, "--settings"))["sandbox"]
        assert sandbox["enabled"] is True
        assert sandbox["failIfUnavailable"] is True
        assert sandbox["allowUnsandboxedCommands"] is False


@pytest.mark.parametrize(
    ("wanted", "available", "skip", "allowed", "reason"),
    [
        (Level.AUTO, True, True, False, ""),
        (Level.CONTAINER, False, True, False, ""),
        (Level.AUTO, False, False, False, ""),
        (Level.AUTO, False, True, False, "CLAUDE_SKIP_PERMISSIONS is set and nothing would hold the agent"),
        (Level.SHELL, True, True, False, "CLAUDE_SKIP_PERMISSIONS is set and nothing would hold the agent"),
        (Level.SHELL, True, True, True, ""),
        (Level.PROCESS, False, False, True, "bubblewrap or socat is missing here or does not work"),
        (Level.SHELL, False, False, False, "bubblewrap or socat is missing here or does not work"),
    ],
)
def test_permissions_are_skipped_only_where_the_whole_agent_is_held(
    wanted: Level, available: bool, skip: bool, allowed: bool, reason: str
) -> None:
    config = ClaudeConfig(
        confinement=wanted, sandbox_available=available, skip_permissions=skip, allow_unconfined=allowed
    )
    said = claude_command.refusal(config)
    assert reason in said
    assert bool(said) is bool(reason)


def test_what_a_work_area_could_make_others_run_is_denied_at_every_level(tmp_path: Path) -> None:
    for level in Level:
        denied = json.loads(after(argv(tmp_path, ClaudeConfig(confinement=level)), "--settings"))["permissions"]["deny"]
        assert denied == [
            f"Edit(/{tmp_path}/cwd/{name})" for name in (".claude/**", ".mcp.json", ".git/hooks/**", ".git/config")
        ]


def test_the_shell_gets_no_credential_of_the_cli_itself(tmp_path: Path) -> None:
    environ = {"ANTHROPIC_API_KEY": "k", "CLAUDE_CODE_OAUTH_TOKEN": "t", "MY_TOKEN": "m", "HOME": "/h"}
    config = ClaudeConfig(environ=environ, pass_env=("MY_TOKEN",), sandbox_available=True)
    sandbox = json.loads(after(argv(tmp_path, config), "--settings"))["sandbox"]
    assert [one["name"] for one in sandbox["credentials"]["envVars"]] == [
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN",
    ]
    assert "//h/.claude/.credentials.json" in sandbox["filesystem"]["denyRead"]


def test_a_task_without_a_shell_is_allowed_none(tmp_path: Path) -> None:
    args = argv(tmp_path, ClaudeConfig(sandbox_available=True), tools=("Read",))
    assert "--allowedTools" not in args
    assert after(args, "--tools") == "Read"


@pytest.mark.parametrize(
    ("changes", "flag"),
    [({"max_turns": 0}, "--max-turns"), ({"budget_usd": 0.0}, "--max-budget-usd")],
)
def test_a_limit_of_0_is_not_given(tmp_path: Path, changes: dict[str, Any], flag: str) -> None:
    assert flag not in argv(tmp_path, ClaudeConfig(), **changes)


def test_limits_are_given(tmp_path: Path) -> None:
    args = argv(tmp_path, ClaudeConfig(), max_turns=7, budget_usd=0.25)
    assert after(args, "--max-turns") == "7"
    assert float(after(args, "--max-budget-usd")) == 0.25


def test_the_smallest_budget_is_still_more_than_nothing(tmp_path: Path) -> None:
    assert float(after(argv(tmp_path, ClaudeConfig(), budget_usd=1e-12), "--max-budget-usd")) > 0


@pytest.mark.parametrize(
    ("asked", "configured", "flags"),
    [("", "", []), ("", "m1", ["--model=m1"]), ("m2", "m1", ["--model=m2"]), ("-p", "", ["--model=-p"])],
)
def test_the_model_of_the_order_wins(tmp_path: Path, asked: str, configured: str, flags: list[str]) -> None:
    args = argv(tmp_path, ClaudeConfig(model=configured), model=asked)
    assert [arg for arg in args if arg.startswith("--model")] == flags


def test_a_session_is_begun_or_resumed_never_both(tmp_path: Path) -> None:
    begun = argv(tmp_path, ClaudeConfig())
    resumed = argv(tmp_path, ClaudeConfig(), Session(SESSION, resumed=True))
    assert [arg for arg in begun if SESSION in arg] == [f"--session-id={SESSION}"]
    assert [arg for arg in resumed if SESSION in arg] == [f"--resume={SESSION}"]


def test_extra_arguments_come_last(tmp_path: Path) -> None:
    assert argv(tmp_path, ClaudeConfig(extra_args=("--effort", "low")))[-2:] == ["--effort", "low"]


def test_the_projects_own_settings_and_servers_are_left_out(tmp_path: Path) -> None:
    args = argv(tmp_path, ClaudeConfig())
    assert after(args, "--setting-sources") == "user"
    assert "--strict-mcp-config" in args


def test_where_a_person_allows_it_the_projects_shared_settings_count_and_what_is_denied_stays_denied(
    tmp_path: Path,
) -> None:
    """Never `local`: what a person once answered at a keyboard is in no repository, and nobody reviews it."""
    closed, opened = (argv(tmp_path, ClaudeConfig(project_settings=allowed)) for allowed in (False, True))
    assert after(opened, "--setting-sources") == "user,project"
    assert "--strict-mcp-config" not in opened
    before, now = (json.loads(after(args, "--settings")) for args in (closed, opened))
    assert before.pop("disableAllHooks") is True
    assert now == before
    assert now["permissions"]["deny"]


@pytest.mark.parametrize(
    ("level", "skip", "words"),
    [
        (Level.PROCESS, False, "whole process confined, project settings loaded"),
        (Level.PROCESS, True, "whole process confined, permissions skipped, project settings loaded"),
        (Level.SHELL, False, "only the shell confined, project settings loaded: hooks and servers UNCONFINED"),
        (Level.RULES, False, "file edits only, no shell, project settings loaded: hooks and servers UNCONFINED"),
        (Level.CONTAINER, False, "container or virtual machine, as configured, project settings loaded"),
    ],
)
def test_a_result_says_that_project_settings_were_loaded_and_what_they_may_undo(
    level: Level, skip: bool, words: str
) -> None:
    """A hook has the network that the shell has not, so that is promised no more."""
    config = ClaudeConfig(confinement=level, sandbox_available=True, skip_permissions=skip, project_settings=True)
    assert claude_command.confinement(config) == words


def test_no_prompt_and_no_credential_is_on_the_command_line(tmp_path: Path) -> None:
    config = ClaudeConfig(environ={"ANTHROPIC_API_KEY": "key-1", "CLAUDE_CODE_OAUTH_TOKEN": "token-1"})
    line = " ".join(argv(tmp_path, config, prompt="the prompt"))
    assert not [secret for secret in ("key-1", "token-1", "the prompt") if secret in line]


@given(st.text())
def test_any_prompt_is_one_line_of_plain_text(prompt: str) -> None:
    line = claude_command.stdin(order(Path("/tmp"), prompt=prompt))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    sent = json.loads(line)
    assert sent["message"]["content"] == prompt
    assert sent["client_composed"] is True


def test_only_listed_variables_are_passed_on() -> None:
    environ = {
        "PATH": "/bin",
        "HOME": "/home/u",
        "LC_ALL": "C",
        "ANTHROPIC_API_KEY": "k",
        "CLAUDE_CODE_OAUTH_TOKEN": "t",
        "https_proxy": "http://p",
        "TELEGRAM_BOT_TOKEN": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "GITHUB_TOKEN": "secret",
        "LD_PRELOAD": "/x.so",
        "IS_SANDBOX": "1",
        "CLAUDECODE": "1",
    }
    env = claude_command.environment(ClaudeConfig(environ=environ))
    ours = {name for name in env if name not in environ}
    assert set(env) - ours == {
        *("PATH", "HOME", "LC_ALL", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "https_proxy")
    }
    assert ours == {
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
        "CLAUDE_CODE_STARTUP_FAILURE_RESULTS",
        "CLAUDE_CODE_MAX_RETRIES",
        "API_TIMEOUT_MS",
        "DISABLE_AUTOUPDATER",
    }


def test_a_variable_may_be_added_by_name_or_by_value() -> None:
    config = ClaudeConfig(environ={"IS_SANDBOX": "1"}, pass_env=("IS_SANDBOX",), set_env={"A": "b"}, tmp_dir="/t")
    env = claude_command.environment(config)
    assert (env["IS_SANDBOX"], env["A"], env["CLAUDE_CODE_TMPDIR"], env["TMPDIR"]) == ("1", "b", "/t", "/t")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/h"}, "/h/.claude"),
        ({"HOME": "/h", "CLAUDE_CONFIG_DIR": "/c"}, "/c"),
        ({}, ""),
    ],
)
def test_sessions_are_looked_for_where_the_agent_keeps_them(environ: dict[str, str], folder: str) -> None:
    assert claude_command.config_dir(ClaudeConfig(environ=environ)) == folder


def test_a_schema_is_asked_for_only_where_the_order_has_one(tmp_path: Path) -> None:
    schema = '{"type": "object"}'
    assert after(argv(tmp_path, ClaudeConfig(), schema=schema), "--json-schema") == schema
    assert "--json-schema" not in argv(tmp_path, ClaudeConfig())
