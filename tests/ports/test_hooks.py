"""The conformance suite of the port Hooks, and who passes it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes_of_hooks import ScriptedHooks

from orchestrator.bridges.hook_runner import HookCommand, HookConfig, HookRunner
from orchestrator.core.hooks import Hooks, When

TASK = {"id": "fix_db", "uid": "u"}
Make = Callable[[list[bool], list[bool]], Hooks]


@pytest.fixture(params=["fake", "commands"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Return what makes hooks that agree or do not, in this order."""

    def scripted(before: list[bool], after: list[bool]) -> Hooks:
        first, last = (
            {f"h{n}": (lambda _, ok=ok: "" if ok else "it says no") for n, ok in enumerate(side)}
            for side in (before, after)
        )
        return ScriptedHooks(first, last)

    def commands(before: list[bool], after: list[bool]) -> Hooks:
        tmp_path.joinpath("tmp").mkdir()
        sides = {
            when: tuple(
                HookCommand(f"h{n}", ("true",) if ok else ("sh", "-c", "echo it says no; exit 3"))
                for n, ok in enumerate(side)
            )
            for when, side in ((When.BEFORE, before), (When.AFTER, after))
        }
        config = HookConfig(sides, str(tmp_path), {"PATH": "/usr/bin:/bin"}, str(tmp_path / "tmp"))
        return HookRunner(lambda: config)

    return scripted if request.param == "fake" else commands


async def test_without_a_hook_there_is_none_to_run(make: Make) -> None:
    hooks = make([], [])
    assert not hooks.any(When.BEFORE)
    assert not hooks.any(When.AFTER)
    assert await hooks.before(TASK) is None
    assert await hooks.after(TASK, {}) == []


async def test_the_first_that_refuses_is_told_and_ends_the_asking(make: Make) -> None:
    hooks = make([True, False, True], [])
    refusal = await hooks.before(TASK)
    assert hooks.any(When.BEFORE)
    assert refusal is not None
    assert (refusal.name, refusal.ok, refusal.later) == ("h1", False, False)
    assert refusal.words.endswith("it says no")


async def test_all_that_agree_let_it_start(make: Make) -> None:
    assert await make([True, True], []).before(TASK) is None


async def test_after_a_task_all_run_and_each_is_told(make: Make) -> None:
    ran = await make([], [False, True]).after(TASK, {"status": "failed"})
    assert [(one.name, one.ok) for one in ran] == [("h0", False), ("h1", True)]
