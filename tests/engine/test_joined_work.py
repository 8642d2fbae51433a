"""A task that split, in a real repository: the work of its sub-tasks comes into its own branch, or is a question."""

from pathlib import Path
from typing import Any

from tests.bridges.git_rig import git, needs_git
from tests.engine.plan_rig import children, of_type, planned, sub_task, until_state
from tests.engine.writing_rig import WROTE, Writing, place
from tests.rig import Engine, Open

from orchestrator.core.events import EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task

pytestmark = needs_git
PARTS = planned(*(sub_task(key, type="fix", title=f"Title {key}") for key in ("a", "b")))


async def begun(engine: Engine, top: Path) -> Task:
    given: dict[str, Any] = {"type": "orchestrate", "prompt": "Build it.", "cwd": str(top)}
    return await engine.add("t", **given)


async def test_what_sub_tasks_did_is_one_result_of_their_parent_and_no_agent_is_needed(
    open_engine: Open, tmp_path: Path
) -> None:
    there = place(tmp_path)
    agent = Writing({"t.a": [{"a": "1\n"}], "t.b": [{"b": "1\n"}]}, {"t": [PARTS]})
    async with open_engine(agent, **there.given, **of_type(default_type="fix")) as engine:
        task = await begun(engine, there.top)
        await until_state(engine, task, State.SUCCEEDED)
        assert [order.task_id for order in agent.starts].count("t") == 1
        work: Any = (await engine.store.attempts(task.uid))[-1].verdict["work"]
    assert (work["merged"], [one["path"] for one in work["files"]]) == (["t.a", "t.b"], ["a", "b"])
    assert work["base"] == git(there.top, "rev-parse", "main")
    merged = git(there.top, "branch", "--format=%(refname:short)", "--merged", work["branch"]).split()
    assert merged == ["main", "orchestrator/t", "orchestrator/t.a", "orchestrator/t.b"]


async def test_sub_tasks_that_contradict_each_other_go_to_their_parents_agent_once_and_then_to_a_person(
    open_engine: Open, tmp_path: Path
) -> None:
    there = place(tmp_path)
    both = {"t": "a\nboth\nc\n"}
    writes = {"t": [{}, {}, both], "t.a": [{"t": "a\nA\nc\n"}], "t.b": [{"t": "a\nB\nc\n"}]}
    agent = Writing(writes, {"t": [PARTS, WROTE, WROTE]})
    async with open_engine(agent, **there.given, **of_type(default_type="fix")) as engine:
        task = await begun(engine, there.top)
        await until_state(engine, task, State.NEEDS_INPUT)
        (joining,) = [order for order in agent.starts if order.uid == task.uid][1:]
        for words in (joining.prompt, joining.continue_prompt):
            assert "\n- t\n" in words
            assert "Title a" in words
        asked = await engine.service.question(await engine.task(task.uid))
        assert asked is not None
        assert "the result of t.b (branch orchestrator/t.b)" in asked.text
        await engine.service.answer(task.uid, "take both", door="test")
        await until_state(engine, task, State.SUCCEEDED)
        assert agent.starts[-1].continue_prompt == "take both"
        kinds = [event.kind for event in await engine.store.events_of(task.uid, limit=99)]
        assert kinds.count(EventKind.SPLIT) == kinds.count(EventKind.JOINED) == 1
        assert len(await children(engine, task)) == 2
    assert git(there.top, "show", "orchestrator/t:t") == "a\nboth\nc"
    assert git(there.top, "log", "-G", "^<<<<<<< task/", "--format=%h", "orchestrator/t") == ""
