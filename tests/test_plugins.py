"""Hooks as configured: commands and Python entry points, what they see, and what doctor says of them."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.plugin_kit import install

from orchestrator import plugins
from orchestrator.configuration import Configuration
from orchestrator.core.finding import Level
from orchestrator.core.hooks import When

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


def configured(tmp_path: Path, hooks: Mapping[str, object], **environ: str) -> Configuration:
    root = tmp_path / "root"
    (root / "config").mkdir(parents=True)
    (root / ".orchestrator" / "tmp").mkdir(parents=True)
    (root / "config" / "orchestrator.yaml").write_text(json.dumps({"hooks": hooks}))
    return Configuration(root, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **environ})


async def refusal(configuration: Configuration, task_id: str) -> str:
    ran = await plugins.hooks(configuration).before({**TASK, "id": task_id})
    return "" if ran is None else f"{ran.name}: {ran.words.splitlines()[-1]}"


@pytest.mark.usefixtures("installed")
async def test_a_python_hook_refuses_by_an_exception_or_by_false(tmp_path: Path) -> None:
    configuration = configured(tmp_path, {"plugins": ["mine"]})
    assert await refusal(configuration, "good") == ""
    assert await refusal(configuration, "bad") == "mine: ValueError: not on a Friday"
    assert await refusal(configuration, "false") == "mine: exit code 1: before_task returned False"


@pytest.mark.usefixtures("installed")
async def test_a_class_with_asynchronous_methods_is_a_hook_too(tmp_path: Path) -> None:
    configuration = configured(tmp_path, {"plugins": ["cls"]})
    assert await refusal(configuration, "bad") == "cls: ValueError: the class says no"
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
    configuration = configured(tmp_path, hooks, SHOP="blue", **secret)
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
