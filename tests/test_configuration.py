"""The configuration of a root while it is in force: layers, reload, secrets."""

import os
from pathlib import Path

import pytest

from orchestrator.configuration import Configuration
from orchestrator.core.attempt import FailureKind
from orchestrator.core.errors import ConfigError
from orchestrator.core.retry import POLICIES
from orchestrator.settings import Door, task_rules

DOORS: tuple[Door, ...] = ("folder", "cli", "http", "mcp", "telegram")
CANARY = "canary-0123456789abcdef"


def write(path: Path, text: str) -> None:
    """Write a file so that it surely looks different from before."""
    path.parent.mkdir(exist_ok=True)
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_the_environment_wins_over_dotenv_and_dotenv_over_the_file(tmp_path: Path) -> None:
    write(tmp_path / "config" / "orchestrator.yaml", "pool: {max_concurrent_tasks: 5}\nshutdown: {drain_s: 1}\n")
    assert Configuration(tmp_path, {}).policy().slots == 5
    write(tmp_path / ".env", "MAX_CONCURRENT_TASKS=6\n")
    assert Configuration(tmp_path, {}).policy().slots == 6
    policy = Configuration(tmp_path, {"MAX_CONCURRENT_TASKS": "7"}).policy()
    assert (policy.slots, policy.drain_s) == (7, 1.0)


def test_all_state_lies_under_the_root(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path, {})
    paths, policy = configuration.settings.paths, configuration.policy()
    for path in (paths.tasks, paths.results, paths.summaries, paths.logs, paths.state, policy.attempts_dir):
        assert Path(path).is_relative_to(tmp_path)


def test_a_reload_takes_a_changed_file_over_and_names_what_changed(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path, {})
    assert configuration.reload() == ()
    assert not configuration.changed_on_disk()
    write(tmp_path / ".env", "MAX_CONCURRENT_TASKS=2\nCLAUDE_TIMEOUT_SEC=60\n")
    assert configuration.changed_on_disk()
    assert configuration.policy().slots == 3, "nothing changes before it is asked for"
    assert configuration.reload() == ("agents.claude.timeout_s", "pool.max_concurrent_tasks")
    policy = configuration.policy()
    assert (policy.slots, policy.agents["claude"].timeout_s) == (2, 60)
    assert not configuration.changed_on_disk()
    (tmp_path / ".env").unlink()
    assert configuration.changed_on_disk()
    configuration.reload()
    assert configuration.policy().slots == 3


@pytest.mark.parametrize("text", ["MAX_CONCURRENT_TASKS=many\n", "MAX_CONCURRENT_TASKS=0\n", "no such line\n"])
def test_an_invalid_change_is_refused_whole_and_complained_of_once(tmp_path: Path, text: str) -> None:
    write(tmp_path / ".env", "MAX_CONCURRENT_TASKS=2\n")
    configuration = Configuration(tmp_path, {})
    write(tmp_path / ".env", f"CLAUDE_TIMEOUT_SEC=60\n{text}")
    with pytest.raises(ConfigError, match=r"\.env line 2"):
        configuration.reload()
    policy = configuration.policy()
    assert (policy.slots, policy.agents["claude"].timeout_s) == (2, 300)
    assert not configuration.changed_on_disk(), "the same mistake is not told every two seconds"


def test_a_configuration_that_cannot_be_read_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError) as raised:
        Configuration(tmp_path, {})
    assert raised.value.where == str(tmp_path / ".env")
    assert raised.value.hint


def test_what_differs_from_the_retry_policy_replaces_only_that(tmp_path: Path) -> None:
    write(tmp_path / "config" / "orchestrator.yaml", "retries:\n  transient: {max_tries: 2}\n")
    retries = Configuration(tmp_path, {}).policy().retries
    transient = retries[FailureKind.TRANSIENT]
    assert (transient.max_tries, transient.cap_s) == (2, POLICIES[FailureKind.TRANSIENT].cap_s)
    assert retries[FailureKind.CRASH] == POLICIES[FailureKind.CRASH]
    assert retries.keys() == POLICIES.keys()


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"])
@pytest.mark.parametrize("from_file", [True, False])
def test_a_credential_is_taken_out_of_every_text_wherever_it_was_set(
    tmp_path: Path, name: str, from_file: bool
) -> None:
    if from_file:
        write(tmp_path / ".env", f"{name}={CANARY}\n")
    configuration = Configuration(tmp_path, {} if from_file else {name: CANARY})
    assert configuration.redactor.text(f"it is {CANARY}.") == "it is [redacted]."
    assert configuration.redactor.json({CANARY: [CANARY]}) == {"[redacted]": ["[redacted]"]}
    assert configuration.claude(sandbox_available=False).environ[name] == CANARY, "the agent needs it"
    assert CANARY not in repr(configuration.settings)


def test_a_credential_of_a_reload_is_a_secret_from_then_on(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path, {})
    write(tmp_path / ".env", f"ANTHROPIC_API_KEY={CANARY}\nTELEGRAM_BOT_TOKEN=123456789:{'a' * 35}\n")
    configuration.reload()
    assert CANARY not in configuration.redactor.text(CANARY)
    assert "a" * 35 not in configuration.redactor.text("token " + "a" * 35 + f" 123456789:{'a' * 35}").split()[-1]


def test_the_environment_names_the_credential_that_counts(tmp_path: Path) -> None:
    write(tmp_path / ".env", "ANTHROPIC_API_KEY=the-one-in-the-file\n")
    configuration = Configuration(tmp_path, {"ANTHROPIC_API_KEY": CANARY})
    assert configuration.environ["ANTHROPIC_API_KEY"] == CANARY


def test_rounds_of_proof_are_the_tries_of_a_failed_check_unless_its_own_policy_says_otherwise(tmp_path: Path) -> None:
    assert Configuration(tmp_path, {}).policy().retries[FailureKind.CHECK_FAILED].max_tries == 3
    write(tmp_path / "config" / "orchestrator.yaml", "proof: {rounds: 0}\n")
    assert Configuration(tmp_path, {}).policy().retries[FailureKind.CHECK_FAILED].max_tries == 1
    write(
        tmp_path / "config" / "orchestrator.yaml", "proof: {rounds: 4}\nretries: {check_failed: {first_delay_s: 7}}\n"
    )
    policy = Configuration(tmp_path, {}).policy().retries[FailureKind.CHECK_FAILED]
    assert (policy.max_tries, policy.first_delay_s, policy.resume) == (5, 7.0, True)


def test_only_the_doors_that_are_listed_may_bring_commands(tmp_path: Path) -> None:
    settings = Configuration(tmp_path, {}).settings
    assert [task_rules(settings, door).allow_commands for door in DOORS] == [True, True, False, False, False]
    write(tmp_path / "config" / "orchestrator.yaml", "proof: {allow_commands_from: [cli]}\n")
    settings = Configuration(tmp_path, {}).settings
    assert [task_rules(settings, door).allow_commands for door in DOORS] == [False, True, False, False, False]
    assert task_rules(settings).allow_commands is False, "a file in tasks/ comes by the folder"
    write(tmp_path / "config" / "orchestrator.yaml", "proof: {allow_commands_from: [window]}\n")
    with pytest.raises(ConfigError, match="allow_commands_from"):
        Configuration(tmp_path, {})


def test_checks_see_tools_but_nothing_that_may_hold_a_credential(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write(tmp_path / ".env", f"ANTHROPIC_API_KEY={CANARY}\n")
    write(tmp_path / "config" / "orchestrator.yaml", "proof: {timeout_s: 5}\n")
    configuration = Configuration(tmp_path, {"HOME": str(home), "PATH": "/usr/bin"})
    config = configuration.checks(bwrap="/usr/bin/bwrap", cgroups=())
    assert (config.timeout_s, config.bwrap) == (5.0, "/usr/bin/bwrap")
    assert f"{home}/.cargo/bin" in config.read_paths
    assert not [path for path in config.read_paths if "git" in path]
    assert str(tmp_path / ".env") in config.hidden
    assert config.redact(f"x {CANARY}") == "x [redacted]"
