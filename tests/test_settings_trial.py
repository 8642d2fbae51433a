"""The settings that hold the agent are tried on the real Claude Code, and a trial that cannot fail is none."""

import json
import os
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.harness import daemon, drop, environment, events, orchestrator, result, task_text, wait_until

from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_find import locate
from orchestrator.bridges.claude_levels import Level
from orchestrator.core.attempt import Failed, FailureKind
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.scenarios import good_work
from orchestrator.settings_trial import RECORD, SettingsTrial

pytestmark = [pytest.mark.real_cli, pytest.mark.timeout(180)]

HELD = all(shutil.which(name) for name in ("bwrap", "socat", "unshare", "setpriv"))
LEVELS = [
    Level.RULES,
    *(
        pytest.param(level, marks=pytest.mark.skipif(not HELD, reason="bwrap, socat, unshare or setpriv is missing"))
        for level in (Level.SHELL, Level.PROCESS)
    ),
]
# A list is wanted there: the program drops all permissions of that source, and says nothing.
ONE_BAD_FIELD = ("--settings", '{"permissions": {"deny": "Write"}}')
WITHOUT_SETTINGS = "[w for n, w in enumerate(sys.argv) if n and '--settings' not in sys.argv[n - 1:n + 1]]"
COUNTS = """import os, sys
with open({count!r}, "a") as runs:
    runs.write("run\\n" if "-p" in sys.argv else "")
os.execv({program!r}, [{program!r}, *{filtered}])
"""


class Trials:
    """A root's trials: what they are made with, and what they leave."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.record = folder / "trial", folder / RECORD

    async def failure(self, level: Level, **more: Any) -> Failed | None:
        """Try as after a restart: nothing is remembered but what lies on the disk."""
        trial = SettingsTrial(self.folder, self.record, lambda: str(uuid.uuid4()))
        environ = {"PATH": os.defpath, "HOME": str(self.folder.parent), "ANTHROPIC_API_KEY": "the-person's-own"}
        return await trial.failure(ClaudeConfig(environ, confinement=level, sandbox_available=HELD, **more))


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    return Trials(tmp_path)


def _program(tmp_path: Path, filtered: str = "sys.argv[1:]") -> tuple[str, ...]:
    """Return a command that counts the runs and hands on, of the real program's words, what *filtered* leaves."""
    script = tmp_path / "claude.py"
    program = locate((), "").command[0]
    script.write_text(COUNTS.format(count=str(tmp_path / "runs"), program=program, filtered=filtered))
    return (sys.executable, "-I", "-S", str(script))


def _runs(tmp_path: Path) -> int:
    return (tmp_path / "runs").read_text().count("run") if (tmp_path / "runs").exists() else 0


def _happened(root: Path) -> set[str]:
    return {line["event"] for line in events(root)} if (root / "logs" / "events.ndjson").exists() else set()


@pytest.mark.parametrize("level", LEVELS)
async def test_the_settings_of_each_level_hold_and_nothing_is_left_of_their_trial(trials: Trials, level: Level) -> None:
    assert await trials.failure(level) is None
    assert sorted(path.name for path in trials.folder.parent.iterdir()) == [RECORD]


@pytest.mark.parametrize("level", LEVELS)
async def test_one_bad_field_that_drops_all_permissions_is_found(trials: Trials, level: Level) -> None:
    failure = await trials.failure(level, extra_args=ONE_BAD_FIELD)
    assert failure is not None
    assert failure.kind is FailureKind.AGENT_UNTRUSTED
    assert "a rule against writing had no effect" in failure.detail
    assert ("its shell reached the network" in failure.detail) is (level is not Level.RULES)
    assert (trials.folder / "work" / "allowed.txt").exists()  # kept for a look
    assert not trials.record.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--setting-sources", "user,project", "--settings", "{}"), "a hook of the project was run"),
        (("--tools", "Bash,Read,Edit,Write,Glob,Grep,WebFetch"), "tools that nobody listed: WebFetch"),
        (("--tools", "Bash,Read,Write"), "it was given a shell that nothing holds"),
        (("--permission-mode", "plan"), "it could not write in its work area"),
    ],
)
async def test_what_else_may_be_wrong_is_found(trials: Trials, words: tuple[str, ...], said: str) -> None:
    failure = await trials.failure(Level.RULES, extra_args=words)
    assert failure is not None
    assert said in failure.detail


@pytest.mark.parametrize("level", LEVELS)
async def test_hooks_and_servers_of_a_project_are_no_fault_where_a_person_allows_them_and_all_else_is_still_tried(
    trials: Trials, level: Level
) -> None:
    assert await trials.failure(level, project_settings=True) is None
    failure = await trials.failure(level, project_settings=True, extra_args=ONE_BAD_FIELD)
    assert failure is not None
    assert "a rule against writing had no effect" in failure.detail
    assert "of the project" not in failure.detail


async def test_a_trial_is_repeated_when_something_changed_and_only_then(trials: Trials, tmp_path: Path) -> None:
    command = _program(tmp_path)
    assert await trials.failure(Level.RULES, command=command) is None
    assert await trials.failure(Level.RULES, command=command) is None
    assert _runs(tmp_path) == 1
    assert await trials.failure(Level.RULES, command=command, write_paths=("/srv",)) is None
    assert _runs(tmp_path) == 2
    trials.record.write_bytes(b"\xff torn")
    assert await trials.failure(Level.RULES, command=command) is None
    assert _runs(tmp_path) == 3


async def test_a_command_that_is_not_there_is_left_to_the_run(trials: Trials) -> None:
    assert await trials.failure(Level.RULES, command=("/no/such/claude",)) is None
    assert not trials.folder.exists()


def _root_environment(tmp_path: Path, command: tuple[str, ...], **more: str) -> dict[str, str]:
    return environment(
        tmp_path,
        ORCHESTRATOR_CLAUDE_COMMAND=" ".join(command),
        ORCHESTRATOR_SELF_TEST="1",
        ORCHESTRATOR_CONFINEMENT="rules",
        ANTHROPIC_API_KEY="not-a-real-key",
        **more,
    )


@pytest.mark.parametrize(("filtered", "level"), [("sys.argv[1:]", "pass"), (WITHOUT_SETTINGS, "fail")])
def test_doctor_tries_them_and_leaves_nothing_behind(tmp_path: Path, filtered: str, level: str) -> None:
    (tmp_path / "tasks").mkdir()
    env = _root_environment(tmp_path, _program(tmp_path, filtered))
    ran = orchestrator(tmp_path, "doctor", "--json", env=env)
    said = json.loads(ran.stdout)
    assert "orchestrator-" not in ran.stderr  # no word of a folder that is gone when it is read
    (found,) = [one for one in said["findings"] if (one["group"], one["name"]) == ("claude", "settings")]
    assert found["level"].lower() == level
    assert ("a rule against writing had no effect" in found["message"]) is (level == "fail")
    assert not (tmp_path / ".orchestrator").exists()


def test_a_daemon_starts_nothing_on_settings_that_do_not_hold(tmp_path: Path) -> None:
    with ScriptedModel() as model:
        url = model.play("night", good_work())
        env = _root_environment(tmp_path, _program(tmp_path, WITHOUT_SETTINGS), ANTHROPIC_BASE_URL=url)
        with daemon(tmp_path, env) as running:
            drop(tmp_path, "night", task_text("night", "Write hello.txt", "fix"))
            wait_until(lambda: "agent_held" in _happened(tmp_path), what="the hold")
            held = next(line for line in events(tmp_path) if line["event"] == "agent_held")
            wait_until(lambda: "task_received" in _happened(tmp_path), what="the task taken")
            assert running.stop() == 0
        assert held["data"]["reason"] == "agent_untrusted"
        assert "a rule against writing had no effect" in held["data"]["detail"]
        assert model.requests("night") == ()
    assert not (tmp_path / "results" / "night_result.json").exists()
    assert "the self-test of its settings failed" in (tmp_path / "daemon.out").read_text()


def test_a_daemon_tries_first_and_then_works(tmp_path: Path) -> None:
    with ScriptedModel() as model:
        url = model.play("night", good_work())
        env = _root_environment(tmp_path, _program(tmp_path), ANTHROPIC_BASE_URL=url)
        with daemon(tmp_path, env) as running:
            drop(tmp_path, "night", task_text("night", "Write hello.txt", "fix"))
            wait_until((tmp_path / "results" / "night_result.json").exists, what="the result")
            assert running.stop() == 0
    assert result(tmp_path, "night")["status"] == "succeeded"
    assert _runs(tmp_path) == 2
    assert (tmp_path / ".orchestrator" / RECORD).exists()
