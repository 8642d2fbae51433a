"""Hooks and strategies as configured: commands and entry points, what they see, and what doctor says of them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.plugin_kit import install

from orchestrator import plugins
from orchestrator.configuration import Configuration
from orchestrator.core.attempt import FailureKind
from orchestrator.core.errors import ConfigError
from orchestrator.core.finding import Level
from orchestrator.core.hooks import When
from orchestrator.core.remedies import Act, Choice, Facts, Strategy, StrategyError, Use

TASK = {"id": "fix_db", "uid": "u"}
SOURCE = """
import json, pathlib

def before_task(task):
    if task["id"] == "bad":
        raise ValueError("not on a Friday")
    return task["id"] != "false"

def after_task(task, result):
    pathlib.Path("seen").write_text(json.dumps([task["id"], result["status"]]))

class Orchestrator:
    async def before_task(self, task):
        if task["id"] == "bad":
            raise ValueError("the class says no")

class Nothing:
    pass

def broken():
    raise SystemError
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"mine": "shop_hooks", "cls": "shop_hooks:Orchestrator", "idle": "shop_hooks:Nothing", "gone": "no_module"}
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", "shop_hooks", SOURCE, {plugins.HOOKS: names})))


def configured(
    tmp_path: Path,
    hooks: Mapping[str, object],
    *,
    recovery: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    root = tmp_path / "root"
    (root / "config").mkdir(parents=True)
    (root / ".orchestrator" / "tmp").mkdir(parents=True)
    (root / "config" / "orchestrator.yaml").write_text(json.dumps({"hooks": hooks, "recovery": recovery or {}}))
    return Configuration(root, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **(environ or {})})


async def refusal(configuration: Configuration, task_id: str) -> str:
    ran = await plugins.hooks(configuration).before({**TASK, "id": task_id})
    return "" if ran is None else f"{ran.name}: {ran.words}"


@pytest.mark.usefixtures("installed")
async def test_a_python_hook_refuses_by_an_exception_or_by_false(tmp_path: Path) -> None:
    configuration = configured(tmp_path, {"plugins": ["mine"]})
    assert await refusal(configuration, "good") == ""
    assert (await refusal(configuration, "bad")).startswith("mine: exit code 1: ValueError: not on a Friday (")
    assert await refusal(configuration, "false") == "mine: exit code 1: before_task returned False"


@pytest.mark.usefixtures("installed")
async def test_a_class_with_asynchronous_methods_is_a_hook_too(tmp_path: Path) -> None:
    configuration = configured(tmp_path, {"plugins": ["cls"]})
    assert (await refusal(configuration, "bad")).startswith("cls: exit code 1: ValueError: the class says no (")
    (ran,) = await plugins.hooks(configuration).after(TASK, {"status": "failed"})
    assert ran.ok, "it has no after_task, and that is no failure"


@pytest.mark.usefixtures("installed")
async def test_a_python_hook_after_a_task_gets_the_result_and_runs_in_the_root(tmp_path: Path) -> None:
    configuration = configured(tmp_path, {"plugins": ["mine"]})
    (ran,) = await plugins.hooks(configuration).after(TASK, {"status": "failed"})
    assert ran.ok, ran.words
    assert json.loads((configuration.root / "seen").read_text()) == ["fix_db", "failed"]


@pytest.mark.usefixtures("installed")
async def test_a_hook_that_is_not_installed_refuses_instead_of_being_passed_over(tmp_path: Path) -> None:
    assert "is called other" in await refusal(configured(tmp_path, {"plugins": ["other"]}), "good")


async def test_a_hook_sees_what_is_listed_and_never_a_credential(tmp_path: Path) -> None:
    hooks = {
        "before_task": [["sh", "-c", "env > env"]],
        "env": ["SHOP", "ANTHROPIC_API_KEY", "TELEGRAM_BOT_TOKEN", "SHOP_TOKEN"],
    }
    secret = {
        "ANTHROPIC_API_KEY": "sk-1",
        "TELEGRAM_BOT_TOKEN": "1:abcdefgh",
        "OTHER": "x",
        "SHOP_TOKEN": "tok-tok-tok",
    }
    configuration = configured(tmp_path, hooks, environ={"SHOP": "blue", **secret})
    assert await refusal(configuration, "good") == ""
    seen = (configuration.root / "env").read_text()
    assert "SHOP=blue" in seen
    assert not any(word in seen for word in ("sk-1", "abcdefgh", "OTHER"))
    assert configuration.redactor.text("say tok-tok-tok") != "say tok-tok-tok", "what is handed on is kept secret"


async def test_commands_come_before_plugins_and_a_reload_counts_at_once(tmp_path: Path) -> None:
    configuration = configured(tmp_path, {"before_task": [["false"]], "plugins": ["other"]})
    hooks = plugins.hooks(configuration)
    assert (await refusal(configuration, "good")).startswith("false: ")
    (configuration.root / "config" / "orchestrator.yaml").write_text("hooks: {}\n")
    configuration.reload()
    assert not hooks.any(When.BEFORE)
    assert await hooks.before(TASK) is None


@pytest.mark.usefixtures("installed")
async def test_doctor_names_what_is_configured_and_cannot_be_run(tmp_path: Path) -> None:
    hooks = {"before_task": [["sh"], ["./nothing-here"]], "plugins": ["mine", "idle", "gone", "other"]}
    found = {one.name: one for one in await plugins.findings(configured(tmp_path, hooks))}
    wrong = {name for name, one in found.items() if one.level is Level.FAIL}
    assert wrong == {"./nothing-here", "idle", "gone", "other"}
    assert "No module named 'no_module'" in found["gone"].message
    assert "neither before_task nor after_task" in found["idle"].message
    assert "Installed: cls, gone, idle, mine." in found["other"].fix


async def test_where_nothing_is_configured_doctor_says_nothing(tmp_path: Path) -> None:
    assert await plugins.findings(configured(tmp_path, {})) == []


OWN = """
import threading
from orchestrator.core.remedies import Act, Choice

def careful(facts):
    return Choice(Act.GIVE_UP, why=facts.kind)

def breaks(facts):
    raise KeyError(facts.task_id)

def leaves(facts):
    raise SystemExit(3)

def hangs(facts):
    threading.Event().wait()

number = 3
"""
FACTS = Facts("t", "u", "fix", "claude", "crash", "agent", "", 1, 1, gives_up=False)


@pytest.fixture
def strategies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> plugins.RegisteredStrategies:
    names = {name: f"shop_own:{name}" for name in ("careful", "breaks", "leaves", "hangs", "number")}
    monkeypatch.syspath_prepend(str(install(tmp_path / "own", "shop_own", OWN, {plugins.RECOVERY: names})))
    return plugins.RegisteredStrategies(lambda: 0.2)


async def test_a_registered_strategy_is_asked_with_the_facts(strategies: plugins.RegisteredStrategies) -> None:
    assert await strategies.ask("careful", FACTS) == Choice(Act.GIVE_UP, why="crash")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("breaks", "KeyError('t')"),
        ("leaves", "SystemExit(3)"),
        ("number", "it is no callable"),
        ("other", "no entry point of the group orchestrator.recovery is called other"),
    ],
)
async def test_whatever_a_strategy_does_is_an_answer_that_says_so(
    strategies: plugins.RegisteredStrategies, name: str, said: str
) -> None:
    with pytest.raises(StrategyError, match=re.escape(said)):
        await strategies.ask(name, FACTS)


async def test_a_strategy_that_hangs_is_waited_for_once_and_the_others_go_on(
    strategies: plugins.RegisteredStrategies,
) -> None:
    with pytest.raises(StrategyError, match=r"did not answer within 0\.2 s"):
        await strategies.ask("hangs", FACTS)
    with pytest.raises(StrategyError, match="still works on an earlier answer"):
        await strategies.ask("hangs", FACTS)
    assert await strategies.ask("careful", FACTS) == Choice(Act.GIVE_UP, why="crash")


async def test_doctor_names_a_strategy_that_is_configured_and_cannot_be_loaded(
    tmp_path: Path, strategies: plugins.RegisteredStrategies
) -> None:
    rows = {"agent": ["backoff", "careful", "number", {"use": "other", "times": 2}]}
    found = await plugins.findings(configured(tmp_path, {}, recovery={"strategies": rows}))
    assert [(one.group, one.name, one.level) for one in found] == [
        ("recovery", "careful", Level.PASS),
        ("recovery", "number", Level.FAIL),
        ("recovery", "other", Level.FAIL),
    ]


def test_the_settings_say_what_is_asked_in_which_order_with_which_bounds(tmp_path: Path) -> None:
    rows = {"agent": ["backoff", {"use": "reassignment", "to": ["local"]}], "killed": [{"use": "x", "up_to": "2h"}]}
    policy = configured(tmp_path, {}, recovery={"strategies": rows, "timeout_s": 2}).policy().recovery
    assert policy.of(FailureKind.CRASH) == (Strategy(Use.BACKOFF), Strategy(Use.REASSIGNMENT, ("local",)))
    assert policy.of(FailureKind.KILLED) == (Strategy("x", up_to_s=7200.0),)
    assert policy.timeout_s == 2


def test_a_misspelt_kind_or_class_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"netwrok .*: unknown; did you mean recovery\.strategies\.network\?"):
        configured(tmp_path, {}, recovery={"strategies": {"netwrok": ["backoff"]}})
