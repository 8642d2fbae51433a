"""The commands `orchestrate` and `plan`."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.api.world import World

from orchestrator.core.errors import ConflictError, NotFoundError, UsageError
from orchestrator.core.events import EventKind as K
from orchestrator.core.lifecycle import State
from orchestrator.core.subtask import Plan, SubTask, plan_facts
from orchestrator.core.task import Task, TaskType

PLANS = TaskType("orchestrate", ("Read",), expects_changes=False, plans=True)
FIX = TaskType("fix", ("Read", "Edit"), expects_changes=True)
PLAN = plan_facts(Plan((SubTask("a", "Part a", "Do a.", "fix"), SubTask("b", "Part b", "Do b.", "fix")), "In parts."))


@pytest.fixture
def world() -> World:
    world = World()
    world.policy = replace(world.policy, types={"fix": FIX, "orchestrate": PLANS}, base_cwd="/w", allowed_root="/")
    return world


async def only_task(world: World) -> Task:
    (task,) = await world.store.tasks(list(State), limit=9)
    return task


async def test_a_request_is_accepted_as_a_job_whose_root_is_planned(world: World) -> None:
    code, text, note = await world.call(
        "orchestrate", "Build", "the app", "--max-workers", "2", "--max-depth", "1", "--budget", "$2.50"
    )
    task = await only_task(world)
    (job,) = await world.store.jobs(limit=9)
    assert code == 0
    assert text.startswith(f"job {job.short}: build_app is queued to be planned, at most 1 splits deep.\n")
    assert "tail-events --follow" in text
    assert "No daemon runs" in note
    assert (job.request, job.door, job.max_workers, job.root) == ("Build the app", "cli", 2, task.uid)
    assert (task.job, task.state, task.spec.type) == (job.uid, State.QUEUED, "orchestrate")
    assert (task.spec.prompt, task.spec.max_depth, task.spec.tree_budget_usd) == ("Build the app", 1, 2.5)
    (received, *_) = await world.store.events_of(task.uid, limit=9)
    assert (received.kind, received.data["door"]) == (K.RECEIVED, "cli")


async def test_a_request_in_the_same_words_does_not_wait_for_the_one_that_goes_on(world: World) -> None:
    await world.call("orchestrate", "Build it")
    await world.call("orchestrate", "Build it")
    first, second = await world.store.tasks(list(State), limit=9)
    assert (first.spec.id, second.spec.id) == ("build_it", f"build_it-{second.uid[-4:]}")


async def test_as_json_it_says_the_id_of_the_job(world: World) -> None:
    told = await world.json("orchestrate", "Build it")
    (job,) = await world.store.jobs(limit=9)
    assert (told["schema_version"], told["job_id"], told["status"]) == (1, job.short, "queued")
    assert told["task"]["id"] == "build_it"


async def test_a_request_as_json_comes_from_a_file_or_from_standard_input(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.dumps({"request": "Build it", "config": {"max_workers": 4, "execution_mode": "windows"}})
    (tmp_path / "request.json").write_text(document)
    code, text, _ = await world.call("orchestrate", "--input", str(tmp_path / "request.json"), "--yes")
    assert code == 0
    assert "note: execution_mode 'windows' changes nothing" in text
    monkeypatch.setattr("sys.stdin", io.StringIO(document))
    await world.call("orchestrate", "--input", "-")
    jobs = await world.store.jobs(limit=9)
    assert [job.max_workers for job in jobs] == [4, 4]
    tasks = await world.store.tasks(list(State), limit=9)
    assert [task.spec.approve for task in tasks] == ["given", ""]


@pytest.mark.parametrize(
    "words",
    [
        ("orchestrate",),
        ("orchestrate", "x", "--input", "y"),
        ("orchestrate", "--input", "{bad}"),
        ("orchestrate", "x", "--approve", "--yes"),
        ("orchestrate", "x", "--budget", "0"),
    ],
)
async def test_what_is_no_request_is_refused_and_nothing_is_stored(
    world: World, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UsageError):
        await world.call(*(word.replace("{bad}", str(tmp_path / "bad.json")) for word in words))
    assert await world.store.jobs(limit=9) == []


async def test_a_dry_run_shows_what_the_planner_would_be_asked_and_stores_nothing(world: World) -> None:
    code, text, _ = await world.call("orchestrate", "Build the app", "--dry-run")
    assert code == 0
    assert text.startswith("build_app would be planned by an agent that only reads, and is asked:\n\nBuild the app\n")
    assert "split it into 3 to 7 sub-tasks" in text
    assert "fix (changes files); orchestrate (too large for one agent" in text
    assert await world.store.jobs(limit=9) == []


async def asking(world: World) -> Task:
    plan: dict[str, Any] = {"stage": "asked", "plan": PLAN, "findings": ["a and b were put in order"]}
    asked: dict[str, Any] = {"question": "May it run?", "options": ["approve", "reject"], "source": "plan"}
    more = {**asked, "plan": plan, "reason": "asked_a_question", "detail": "may its plan run?", "deadline": 0.0}
    return await world.add("t", K.STARTED, K.FINISHED, K.VALIDATED, K.QUESTION_ASKED, **more)


async def test_a_plan_is_shown_and_approved_by_its_own_command(world: World) -> None:
    task = await asking(world)
    code, text, _ = await world.call("plan", "show", "t")
    assert code == 0
    assert text.splitlines() == [
        "t: needs_input (asked_a_question)",
        "In parts.",
        "1. a: Part a (fix, medium, 15 min)",
        "2. b: Part b (fix, medium, 15 min)",
        "Note: a and b were put in order",
    ]
    assert (await world.json("plan", "show", "t"))["plan"]["plan"]["summary"] == "In parts."
    code, text, _ = await world.call("plan", "approve", "t")
    assert (code, text) == (0, "The plan of t is approved.\n")
    (record,) = await world.store.attempts(task.uid)
    assert record.verdict["answered"]["answer"] == "approve"  # type: ignore[index, call-overload]
    with pytest.raises(ConflictError, match="no plan that waits for you"):
        await world.call("plan", "reject", "t")


async def test_a_task_without_a_plan_says_so(world: World) -> None:
    await world.add("plain")
    with pytest.raises(NotFoundError, match="plain has no plan"):
        await world.call("plan", "show", "plain")
    with pytest.raises(ConflictError, match="no plan that waits"):
        await world.call("plan", "approve", "plain")
