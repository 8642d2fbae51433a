"""`show TASK --workflow`."""

import json

from tests.api.world import World

from orchestrator.core.events import EventKind


async def test_a_task_is_shown_as_a_workflow_with_its_history() -> None:
    world = World()
    await world.add("fix_db", EventKind.PARSED, EventKind.STARTED, agent="claude")
    code, text, _ = await world.call("show", "fix_db", "--workflow")
    lines = text.splitlines()
    assert code == 0
    assert lines[0].endswith("processing, 30% (state running)")
    assert lines[2].split() == ["WHEN", "FROM", "TO", "BY", "WHY"]
    assert [line.split()[1:4] for line in lines[-2:]] == [
        ["pending", "agent_assignment", "claude_started"],
        ["agent_assignment", "processing", "claude_started"],
    ]
    assert lines[-1].endswith("on claude")


async def test_a_program_gets_the_history_as_rows_with_dates() -> None:
    world = World()
    task = await world.add("fix_db", EventKind.CANCELLED)
    code, text, _ = await world.call("show", "fix_db", "--workflow", "--json")
    found = json.loads(text)["workflow"]
    assert code == 0
    assert (found["status"], found["progress"], found["workflow_id"]) == ("cancelled", 100, task.uid)
    assert [row["to_state"] for row in found["history"]] == ["pending", "cancelled"]
    assert found["history"][0]["timestamp"].endswith("Z")
    assert found["start_time"].endswith("Z")
    assert found["end_time"].endswith("Z")
