"""The notes of a project on their way to an agent: read anew for each attempt, told without their text."""

import json
from dataclasses import replace
from pathlib import Path

from tests.agents import FakeAgent
from tests.rig import Engine, Open

from orchestrator.core.agents import AgentProfile
from orchestrator.core.attempt import Interrupted
from orchestrator.core.lifecycle import State
from orchestrator.core.notes import NoteGiven, NotesWanted
from orchestrator.core.task import Task

WITH_NOTES = {"claude": AgentProfile("claude", notes=NotesWanted(100))}


async def ended(engine: Engine, task: Task) -> Task:
    await engine.run_until(lambda: engine.archived(task.spec.id), "the end")
    return await engine.task(task.uid)


async def test_an_agent_hears_the_notes_of_the_project_after_the_words_of_its_task(open_engine: Open) -> None:
    async with open_engine(agents=WITH_NOTES) as engine:
        (engine.root / "work/CLAUDE.md").write_text("Use tabs.\n")
        task = await ended(engine, await engine.add("t", context="old code"))
        (order,) = engine.agent.starts
        assert order.prompt == "Do it.\n\nContext:\nold code\n\nProject notes (CLAUDE.md):\nUse tabs."
        assert order.notes == (NoteGiven("CLAUDE.md", 10, 10),)
        events = await engine.store.events_of(task.uid, limit=100)
        assert "tabs" not in json.dumps([dict(event.data) for event in events])


async def test_a_session_that_goes_on_does_not_hear_them_again_and_one_begun_anew_does(open_engine: Open) -> None:
    agent = FakeAgent({"t": [Interrupted("the daemon ended")]})
    async with open_engine(agent, agents=WITH_NOTES) as engine:
        (engine.root / "work/AGENTS.md").write_text("first\n")
        await ended(engine, await engine.add("t"))
        again = agent.starts[1]
        assert again.resume
        assert "first" in again.prompt  # said where the old session turns out to be gone
        assert "first" not in again.continue_prompt
        assert again.continue_prompt.endswith("Do it.")


async def test_notes_that_cannot_be_read_are_told_and_the_task_runs(open_engine: Open, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("SECRET\n")
    async with open_engine(agents=WITH_NOTES) as engine:
        (engine.root / "work/CLAUDE.md").symlink_to(tmp_path / "key")
        task = await ended(engine, await engine.add("t"))
        (order,) = engine.agent.starts
        assert task.state is State.SUCCEEDED
        assert "SECRET" not in order.prompt
        assert order.notes[0].problem.startswith("not given: it is a link to something other")


async def test_switched_off_the_prompt_is_the_words_of_the_task_alone(open_engine: Open) -> None:
    silent = {"claude": replace(WITH_NOTES["claude"], notes=NotesWanted())}
    async with open_engine(agents=silent) as engine:
        (engine.root / "work/CLAUDE.md").write_text("Use tabs.\n")
        await ended(engine, await engine.add("t"))
        assert [(order.prompt, order.notes) for order in engine.agent.starts] == [("Do it.", ())]
