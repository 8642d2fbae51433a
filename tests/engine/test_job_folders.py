"""The folder of a job: its tree as it is drawn, its reports, its logs; comes back when deleted; holds no secret."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.engine.test_jobs import JOB, grown, joined
from tests.engine.test_unblocking import Waiting

from orchestrator.bridges.files import ArtifactFiles
from orchestrator.bridges.workspace import InPlaceWorkspace
from orchestrator.core.events import EventKind, Json
from orchestrator.core.redact import Redactor
from orchestrator.core.task import Task
from orchestrator.engine import job_files
from orchestrator.engine.job_files import JobFiles

E = EventKind


class Folders(Waiting):
    """A job in a store, and the part that writes its folder."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root, self.wanted, self.redactor = root, True, Redactor(["S3cretValue"])
        self.asked_pages = 0
        self.files = self.other_daemon()

    def other_daemon(self) -> JobFiles:
        self.files = JobFiles(
            store=self.store,
            artifacts=ArtifactFiles(self.root),
            clock=self.clock,
            bell=self.bell,
            look=self.service.jobs.look,
            redact=self.redactor.json,
            wanted=lambda: self.wanted,
            relative=lambda path: Path(path).relative_to(self.root).as_posix(),
            pages=self._pages,
        )
        return self.files

    async def _pages(self, _: str) -> Mapping[str, bytes]:
        self.asked_pages += 1
        return {"analytics.md": b"figures"}

    @property
    def folder(self) -> Path:
        return self.root / "workspace" / "job_00000007"

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    async def look(self) -> None:
        self.clock.advance(60.0)
        await self.files.look()

    async def works(self, task: Task, answer: str, **work: Json) -> Task:
        """Bring a task to its good end, with an answer and with what came of it."""
        found = await self.store.task(task.uid)
        assert found is not None
        task = await self.commit(found, E.STARTED, agent="claude")
        report: Json = {"answer": answer, "model": "sonnet", "usage": {"cost_usd": 0.5}}
        task = await self.commit(task, E.FINISHED, outcome={"kind": "finished", "report": report})
        task = await self.commit(task, E.VALIDATED, passed=True, work=work)
        return await self.commit(task, E.SUCCEEDED)


async def tree(root: Path) -> tuple[Folders, Task, Task, Task, Task, Task]:
    """Frontend and backend; the backend spawns auth and data."""
    world = Folders(root)
    job = replace(JOB, request="Build a shop.\nWith S3cretValue.")
    front, back = await world.store.accept([world.new(one, job=job.uid) for one in ("frontend", "backend")], [job])
    back, auth, data = await grown(world, back, "auth", "data")
    return world, front, back, auth, data, back


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_job_is_drawn_as_a_tree_of_workers_with_reports_and_logs(tmp_path: Path) -> None:
    world, front, back, auth, data, _ = await tree(tmp_path)
    patch = tmp_path / "a.patch"
    patch.write_text("+ S3cretValue\n")
    await world.works(front, "Pages done.", files=[{"path": "src/app.tsx", "status": "A"}], branch="b", delivered=True)
    await world.works(
        auth, "Login | done with S3cretValue.", files=[{"path": "auth.py", "status": "A"}], patch=str(patch)
    )
    await world.failed(data)
    await joined(world, back)
    files: Json = [{"path": "auth.py", "status": "A"}, {"path": "glue.py", "status": "A"}]
    await world.works(back, "All joined.", files=files)
    await world.look()
    ended = ["result.json", "summary.txt", "task.md"]
    workers = {
        "depth_0/worker_1": ended,
        "depth_0/worker_2_recursive": ended,
        "depth_1/worker_2_1": ["changes.patch", *ended],
        "depth_1/worker_2_2": ended,
    }
    expected = [f"{folder}/{name}" for folder, found in workers.items() for name in found]
    expected += ["depth_0/LEVEL_0_REPORT.md", "depth_1/LEVEL_1_REPORT.md", "FINAL_RESULT.md", "result.json"]
    expected += ["logs/orchestrator.log", "logs/depth_0_worker_1.log", "logs/depth_0_worker_2_recursive.log"]
    expected += ["logs/depth_1_worker_2_1.log", "logs/depth_1_worker_2_2.log", "reports/analytics.md"]
    assert names(world.folder) == sorted(expected)

    final = world.read("FINAL_RESULT.md")
    assert "# night: partial" in final
    assert "3 of 4 tasks succeeded, 1 failed" in final
    assert "| src/app.tsx | created | worker_1 | frontend | claude sonnet | b |" in final
    assert "| auth.py | created | worker_2_1 | auth | claude sonnet |" in final
    made = [line.split(" | ")[:3] for line in final.splitlines() if line.startswith("| ") and "file" not in line]
    assert ["| glue.py", "created", "worker_2_recursive"] in made, "what it did itself"
    assert ["| auth.py", "created", "worker_2_recursive"] not in made, "it came from who is below it"
    assert "  - worker_2_2: data, failed" in final
    assert "Login | done" in world.read("depth_1/LEVEL_1_REPORT.md")
    assert "claude_started agent=claude" in world.read("logs/depth_1_worker_2_1.log")
    assert "worker_2_recursive backend children_joined" in world.read("logs/orchestrator.log")
    assert [path for path in names(world.folder) if "S3cretValue" in world.read(path)] == []


async def test_a_worker_that_splits_leaves_no_empty_folder_behind(tmp_path: Path) -> None:
    world = Folders(tmp_path)
    (back,) = await world.store.accept([world.new("backend", job=JOB.uid)], [JOB])
    await world.look()
    assert (world.folder / "depth_0/worker_1").is_dir()
    await grown(world, back, "auth", "data")
    await world.look()
    assert sorted(path.name for path in (world.folder / "depth_0").iterdir() if path.is_dir()) == ["worker_1_recursive"]


async def test_the_result_of_a_job_has_the_shape_that_other_programs_wait_for(tmp_path: Path) -> None:
    world, front, back, auth, data, _ = await tree(tmp_path)
    await world.works(front, "Pages done.", files=[{"path": "src/app.tsx", "status": "A"}])
    await world.look()
    told: dict[str, Any] = json.loads(world.read("result.json"))
    one, two = told["results"]["tasks"]
    assert (told["job_id"], told["status"]) == ("00000007", "running")
    assert told["results"]["workspace"] == "workspace/job_00000007"
    assert told["results"]["final_report"] == "workspace/job_00000007/FINAL_RESULT.md"
    assert (one["worker_id"], one["status"], one["output"], one["files_created"]) == (
        "worker_1",
        "success",
        "Pages done.",
        ["src/app.tsx"],
    )
    assert (two["worker_id"], two["status"], two["child_job_id"]) == ("worker_2", "waiting", back.uid[-8:])
    assert [(child["worker_id"], child["status"]) for child in two["child_results"]] == [
        ("worker_2_1", "waiting"),
        ("worker_2_2", "waiting"),
    ]
    assert not (world.folder / "FINAL_RESULT.md").exists()
    for task in (auth, data):
        await world.works(task, "Done.")
    await joined(world, back)
    await world.works(back, "Joined.")
    await world.look()
    told = json.loads(world.read("result.json"))
    assert (told["status"], told["results"]["tasks"][1]["status"]) == ("completed", "recursive_success")


async def test_a_folder_that_was_deleted_comes_back_and_what_is_right_is_not_written_again(tmp_path: Path) -> None:
    world, front, *_ = await tree(tmp_path)
    await world.works(front, "Done.")
    await world.look()
    before = {name: (world.folder / name).stat().st_mtime_ns for name in names(world.folder)}
    world.other_daemon()
    await world.look()
    assert {name: (world.folder / name).stat().st_mtime_ns for name in names(world.folder)} == before
    shutil.rmtree(world.folder)
    await world.look()
    assert names(world.folder) == sorted(before)


async def test_a_worker_keeps_its_number_when_it_is_run_again_and_gives_its_name_when_it_splits(tmp_path: Path) -> None:
    world = Folders(tmp_path)
    a, b = await world.store.accept([world.new(one, job=JOB.uid) for one in ("a", "b")], [JOB])
    await world.failed(a)
    await world.done(b)
    await world.look()
    assert (world.folder / "FINAL_RESULT.md").exists()
    (again,) = await world.service.jobs.retry("night")
    await world.look()
    assert not (world.folder / "FINAL_RESULT.md").exists()
    assert "/worker_1/task.md" in str(names(world.folder))
    await grown(world, again, "c", "d")
    await world.look()
    assert "depth_0/worker_1_recursive/task.md" in names(world.folder)
    assert "depth_0/worker_1/task.md" not in names(world.folder)
    assert "depth_1/worker_1_2/task.md" in names(world.folder)


async def test_nothing_is_written_where_it_is_switched_off(tmp_path: Path) -> None:
    world, *_ = await tree(tmp_path)
    world.wanted = False
    await world.look()
    assert not (tmp_path / "workspace").exists()
    world.wanted = True
    await world.look()
    assert (world.folder / "result.json").exists()


async def test_a_large_job_has_reports_of_all_and_folders_of_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_files, "MOST_WORKERS", 3)
    world = Folders(tmp_path)
    await world.store.accept([world.new(f"t{n}", job=JOB.uid) for n in range(6)], [JOB])
    await world.look()
    assert len(list((world.folder / "depth_0").glob("worker_*"))) == 3
    assert world.read("depth_0/LEVEL_0_REPORT.md").count("| waiting |") == 6


async def test_the_part_writes_by_itself_and_ends_when_it_is_told(tmp_path: Path) -> None:
    world, *_ = await tree(tmp_path)
    stopping = asyncio.Event()
    running = asyncio.create_task(world.files.run(stopping))
    stopping.set()
    world.bell.ring()
    await running
    assert (world.folder / "result.json").exists()


async def test_the_folder_of_a_job_counts_as_no_change_of_a_work_area_around_it(tmp_path: Path) -> None:
    area = InPlaceWorkspace(base_cwd=lambda: tmp_path / "workspace", own=frozenset())
    (tmp_path / "workspace" / "job_00000007" / "depth_0").mkdir(parents=True)
    (tmp_path / "workspace" / "job_00000007" / "depth_0" / "x").write_text("x")
    (tmp_path / "workspace" / "job_of_mine").mkdir()
    (tmp_path / "workspace" / "job_of_mine" / "y").write_text("y")
    assert list(area._listing(tmp_path / "workspace")[0]) == ["job_of_mine/y"]


async def test_a_job_whose_folder_cannot_be_written_keeps_no_other_from_its_own(tmp_path: Path) -> None:
    world = Folders(tmp_path)
    other = replace(JOB, uid=f"{2:024x}{9:08x}", name="day")
    new = [world.new("a", job=JOB.uid), world.new("b", job=other.uid)]
    await world.store.accept(new, [other, JOB])
    world.folder.parent.mkdir()
    world.folder.write_text("a file in its place")
    for _ in range(2):
        with contextlib.suppress(OSError):
            await world.look()
    assert (tmp_path / "workspace" / "job_00000009" / "result.json").exists()
