"""Hooks as real programs: what they are told, how they end, and that nothing of them is left."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness import until

from orchestrator.bridges.hook_runner import HookCommand, HookConfig, HookRunner
from orchestrator.core.events import Json
from orchestrator.core.hooks import HookRun, When
from orchestrator.core.redact import Redactor

TASK: Mapping[str, Json] = {"id": "fix_db", "uid": "0a", "name": "fix_db", "title": "Fix\0it", "attempt": 2}


class World:
    """A root, and hooks that run in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.tmp = root, root / "tmp"
        self.tmp.mkdir()
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        self.config = HookConfig({}, str(root), env, str(self.tmp), timeout_s=20)

    async def before(self, *argv: str, **changes: object) -> HookRun | None:
        commands = {When.BEFORE: (HookCommand("mine", argv),)}
        config = replace(self.config, commands=commands, **changes)  # type: ignore[arg-type]
        ran = await HookRunner(lambda: config).before(TASK)
        assert list(self.tmp.iterdir()) == [], "its private folder is gone"
        return ran

    async def refusal(self, script: str, **changes: object) -> str:
        ran = await self.before("sh", "-c", script, **changes)
        assert ran is not None
        assert not ran.later
        return ran.words


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_hook_gets_the_task_on_stdin_and_in_variables_in_the_root_and_nothing_else(world: World) -> None:
    code = "import json, os, sys; json.dump([sys.stdin.read(), dict(os.environ), os.getcwd()], open('seen', 'w'))"
    assert await world.before(sys.executable, "-c", code) is None
    said, environ, cwd = json.loads((world.root / "seen").read_text())
    assert json.loads(said) == {"schema_version": 1, "hook": "before_task", "task": dict(TASK)}
    assert cwd == str(world.root)
    assert environ["ORCHESTRATOR_TASK_ID"] == "fix_db"
    assert environ["ORCHESTRATOR_TASK_ATTEMPT"] == "2"
    assert environ["ORCHESTRATOR_TASK_TITLE"] == "Fix it"
    names = {name for name in environ if not name.startswith("ORCHESTRATOR_TASK_")}
    assert names <= {"PATH", "LANG", "LC_CTYPE", "ORCHESTRATOR_ATTEMPT", "PWD", "SHLVL", "_"}


async def test_after_a_task_it_gets_the_result_too(world: World) -> None:
    config = replace(world.config, commands={When.AFTER: (HookCommand("mine", ("sh", "-c", "cat > seen")),)})
    (ran,) = await HookRunner(lambda: config).after(TASK, {"status": "succeeded"})
    assert ran == HookRun("mine", ok=True)
    assert json.loads((world.root / "seen").read_text())["result"] == {"status": "succeeded"}


async def test_its_last_words_are_told_and_secrets_taken_out_of_them(world: World) -> None:
    redact = Redactor(["hunter2-hunter2"]).text
    words = await world.refusal("echo out; echo the freeze of hunter2-hunter2 is on >&2; exit 4", redact=redact)
    assert words.startswith("exit code 4: the freeze of ")
    assert "hunter2" not in words


async def test_where_it_says_nothing_on_stderr_its_output_is_told(world: World) -> None:
    assert await world.refusal("echo not today; exit 1") == "exit code 1: not today"


async def test_one_that_takes_too_long_is_ended_with_all_it_started(world: World) -> None:
    words = await world.refusal("sleep 60 & echo $! > pid; sleep 60", timeout_s=0.4)
    assert words == "it was ended: it took longer than 0.4 s"
    assert not Path("/proc", (world.root / "pid").read_text().strip()).exists()


async def test_one_that_prints_without_end_is_ended(world: World) -> None:
    assert (await world.refusal("yes", max_output_bytes=10_000)).startswith("it was ended: it printed too much")


async def test_a_program_that_is_not_there_refuses_and_says_so(world: World) -> None:
    ran = await world.before("no-such-program-here")
    assert ran is not None
    assert "no-such-program-here" in ran.words


async def test_what_it_leaves_in_the_background_is_ended_and_that_is_no_refusal(world: World) -> None:
    assert await world.before("sh", "-c", "sleep 60 & echo $! > pid") is None
    assert not Path("/proc", (world.root / "pid").read_text().strip()).exists()


async def test_cancelled_from_outside_nothing_of_it_stays_alive(world: World) -> None:
    running = asyncio.create_task(world.before("sh", "-c", "echo $$ > pid.new; mv pid.new pid; sleep 60"))
    await until(lambda: (world.root / "pid").exists(), what="the hook")
    running.cancel()
    await asyncio.wait([running])
    assert not Path("/proc", (world.root / "pid").read_text().strip()).exists()


async def test_where_the_disk_refuses_nothing_is_said_about_the_task(world: World) -> None:
    (world.root / "file").write_text("")
    commands = {When.BEFORE: (HookCommand("mine", ("true",)),)}
    config = replace(world.config, commands=commands, tmp_dir=str(world.root / "file"))
    ran = await HookRunner(lambda: config).before(TASK)
    assert ran is not None
    assert ran.later
