"""The real daemon and the real CLI: however a task ends, what its shell left in the background ends with it."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.bridges.background import BY_THE_SHELL, Background
from tests.harness import daemon, drop, environment, left_running, orchestrator, result, task_text, wait_until

from orchestrator.bridges.claude_find import locate
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import as_block

pytestmark = [pytest.mark.real_cli, pytest.mark.timeout(180)]

BEGUN = BY_THE_SHELL - {"bash-env"}  # that one takes a setting of the person, and is tried with the bridge alone
FORBIDDEN = "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n"


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Mapping[str, Background]]:
    """One work area for each way in which a task ends."""
    home = tmp_path / "home"
    areas = {name: Background(tmp_path / "workspace" / name, home) for name in ("well", "cancelled", "overdue")}
    yield areas
    for area in areas.values():
        area.end()


@pytest.mark.parametrize("namespaces", [True, False], ids=["as it is", "namespaces forbidden"])
def test_no_background_work_outlives_a_task_that_ended_well_was_cancelled_or_took_too_long(
    tmp_path: Path, left: Mapping[str, Background], namespaces: bool
) -> None:
    env = environment(tmp_path, ORCHESTRATOR_CONFINEMENT="container", CLAUDE_SKIP_PERMISSIONS="true")
    env |= {"ORCHESTRATOR_CLAUDE_COMMAND": locate((), "").command[0], "ANTHROPIC_API_KEY": "not-a-real-key"}
    if not namespaces:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/bwrap").write_text(FORBIDDEN)
        (tmp_path / "bin/bwrap").chmod(0o755)
        env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"
    with ScriptedModel() as model, daemon(tmp_path, env | {"ANTHROPIC_BASE_URL": model.base_url("none")}) as running:
        for name, area in left.items():
            words = as_block(area.scenario(foreground=name != "well"))
            more = f"retries: 0\ncwd: {area.cwd}\ntimeout_sec: {10 if name == 'overdue' else 100}\n"
            drop(tmp_path, name, task_text(name, words, "fix", more))
        wait_until(lambda: left["cancelled"].have_begun([*BEGUN, "foreground"]), what="the work in the background")
        asked = time.monotonic()
        assert orchestrator(tmp_path, "cancel", "cancelled", env=env).returncode == 0
        wait_until(lambda: not left["cancelled"].carrying(), what="the end of the cancelled tree", deadline_s=15)
        assert time.monotonic() - asked < 15
        for name in ("cancelled", "well", "overdue"):
            wait_until((tmp_path / "results" / f"{name}_result.json").exists, what=f"the result of {name}")
            assert left[name].carrying() == []
        assert left_running(tmp_path) == []
        assert all(area.is_silent() for area in left.values())
        assert running.stop() == 0
    assert {name: area.have_begun(BEGUN) for name, area in left.items()} == dict.fromkeys(left, True)
    ended = {name: result(tmp_path, name) for name in left}
    assert {name: found["status"] for name, found in ended.items()} == {
        "well": "succeeded",
        "cancelled": "cancelled",
        "overdue": "failed",
    }
    assert ended["overdue"]["reason"] == "timeout"
    held = {found["attempts"][0]["container"] for found in ended.values()}
    assert namespaces or not any("namespace" in words for words in held)
