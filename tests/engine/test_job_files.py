"""A job file in tasks/: stored at once, then archived; refused whole; nothing lost or doubled by a crash between."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.test_jobfile import SEED
from tests.engine.intake_rig import Rig, body

from orchestrator.core import failpoint
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.inbox.close()


def of(*tasks: dict[str, Any], **head: Any) -> bytes:
    return json.dumps({**head, "tasks": [{"name": one["id"], **one} for one in tasks]}).encode()


async def test_a_job_file_becomes_a_job_with_all_its_tasks_and_is_archived(rig: Rig) -> None:
    data = json.dumps(SEED).encode()
    rig.drop("tasks.json", data)
    assert (await rig.scan()).accepted == 3
    (job,) = await rig.store.jobs(limit=9)
    one, two, three = await rig.store.job_tasks(job.uid)
    assert (job.name, job.door, [one.state, two.state, three.state]) == (
        "tasks",
        "job_file",
        [State.QUEUED, State.BLOCKED, State.QUEUED],
    )
    assert [(need.on_key, need.on_uid) for need in (await rig.store.needs([two.uid]))[two.uid]] == [("task-1", one.uid)]
    assert rig.files_of_all() == {"processed/tasks.json": data}
    assert [task.spec.id for task in await rig.store.ready(1e12, limit=9)] == ["task-1", "task-3"]
    assert (await rig.scan(20.0)).seen == 0


async def test_nothing_of_a_job_file_runs_when_one_task_of_it_is_wrong(rig: Rig) -> None:
    rig.drop("tasks.json", of({"id": "a"}, {"id": "b", "priority": "urgent"}))
    assert (await rig.scan()).rejected == 1
    error = rig.error("tasks.json")
    assert (error["code"], error["field"], error["message"]) == (
        "priority_invalid",
        "tasks[2].priority",
        "task 2 (b): 'urgent' is not a priority",
    )
    assert await rig.store.jobs(limit=9) == []
    assert [task.state for task in await rig.tasks()] == [State.REJECTED]


async def test_an_id_that_nobody_has_submitted_is_refused_and_one_that_somebody_has_is_waited_for(rig: Rig) -> None:
    data = of({"id": "b", "dependencies": ["a"]})
    rig.drop("tasks.json", data)
    await rig.scan()
    assert rig.error("tasks.json")["code"] == "job_unknown_id"
    rig.drop("a.task.md", body("a"))
    await rig.scan()
    rig.drop("tasks.json", data)
    await rig.scan()
    (b,) = [task for task in await rig.tasks() if task.spec.id == "b"]
    assert b.state is State.BLOCKED


async def test_a_cycle_over_a_task_that_waits_outside_is_refused(rig: Rig) -> None:
    rig.drop("a.task.md", body("a", extra="depends_on: b\n"))
    await rig.scan()
    rig.drop("x.tasks.json", of({"id": "b", "dependencies": ["a"]}))
    await rig.scan()
    assert rig.error("x.tasks.json")["message"] == "it would wait for itself: b → a → b"


async def test_the_same_file_twice_is_a_slip_while_its_job_goes_on_and_a_new_job_afterwards(rig: Rig) -> None:
    data = of({"id": "a"})
    rig.drop("tasks.json", data)
    await rig.scan()
    rig.drop("tasks.json", data)
    await rig.scan(1.0)
    assert rig.error("tasks.json")["code"] == "job_duplicate"
    (task,) = [one for one in await rig.tasks() if one.state is State.QUEUED]
    await rig.store.commit([Event(EventKind.CANCELLED, 1.0, task.uid)])
    rig.drop("tasks.json", data)
    await rig.scan(1.0)
    assert len(await rig.store.jobs(limit=9)) == 2
    assert len(list((rig.tasks_path / "processed").iterdir())) == 2


class Death(BaseException):
    """A program that is killed at a point."""


@pytest.mark.parametrize(
    "point", ["accept.read", "job.accepted", "claim.folder", "claim.renamed", "archive.moved", "job.archived"]
)
async def test_a_crash_at_any_point_neither_loses_a_job_nor_doubles_it(rig: Rig, point: str) -> None:
    def act(name: str) -> None:
        if name == point:
            failpoint.install(None)
            raise Death

    data = of({"id": "a"}, {"id": "b", "dependencies": ["a"]})
    rig.drop("tasks.json", data)
    failpoint.install(act)
    try:
        with pytest.raises(Death):
            await rig.scan()
    finally:
        failpoint.install(None)
    rig.restarted()

    async def known(uid: str) -> bool:
        return any(task.uid == uid for task in await rig.tasks())

    await rig.inbox.adopt_strays(known)
    await rig.scan()
    (job,) = await rig.store.jobs(limit=9)
    assert [task.spec.id for task in await rig.store.job_tasks(job.uid)] == ["a", "b"]
    assert rig.files_of_all() == {"processed/tasks.json": data}


async def test_what_the_file_says_of_the_job_is_kept_and_the_longest_chain_goes_first(rig: Rig) -> None:
    tasks: list[dict[str, Any]] = [
        {"id": "lone"},
        {"id": "a"},
        {"id": "b", "dependencies": ["a"]},
        {"id": "c", "timeout": 1000},
    ]
    head = {"name": "the night", "max_workers": 2, "on_dependency": "skip", "request": "All of it."}
    rig.drop("x.tasks.json", of(*tasks, **head))
    await rig.scan()
    (job,) = await rig.store.job("the night")
    assert (job.max_workers, job.on_dependency, job.request) == (2, "skip", "All of it.")
    assert [task.spec.id for task in await rig.store.ready(1e12, limit=9)] == ["c", "a", "lone"]
    (blocked,) = await rig.events(EventKind.BLOCKED)
    assert blocked.data == {"on": ["a"], "policy": "skip"}


async def test_a_job_in_documents_is_taken_in_the_same_way(rig: Rig) -> None:
    rig.drop("night.job.md", b"=== task ===\n# One\n\nFix it.\n\n=== task ===\n---\nid: two\n---\n# Two\n\nFix that.\n")
    assert (await rig.scan()).accepted == 2
    assert [task.spec.id for task in await rig.tasks()] == ["night-1", "two"]
    assert [task.spec.job for task in await rig.tasks()] == ["night", "night"]


async def test_a_task_of_a_job_waits_for_its_time_and_has_its_deadline(rig: Rig) -> None:
    rig.drop("tasks.json", of({"id": "a", "after": "in 2h", "deadline": "in 5h"}, {"id": "b"}))
    assert (await rig.scan()).accepted == 2
    now = rig.clock.now()
    a, b = await rig.tasks()
    assert a.not_before == pytest.approx(now + 7200, abs=60)
    assert a.deadline_ts > a.not_before
    assert [task.uid for task in await rig.store.ready(now, limit=9)] == [b.uid]
