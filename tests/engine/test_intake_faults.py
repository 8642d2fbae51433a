"""The intake when the store, the disk, the parser or the watch does not play along; and how soon it is."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.engine.intake_rig import Rig, body, parse
from tests.fakes import MemoryStore
from tests.harness import until

from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.files import TargetFiles
from orchestrator.bridges.inbox import TaskFolder
from orchestrator.bridges.sqlite import open_store
from orchestrator.bridges.watch import FolderWatch
from orchestrator.core.errors import StoreError
from orchestrator.core.events import EventKind
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import InboxScan, NewTask
from orchestrator.core.redact import Redactor
from orchestrator.core.task import Task, TaskRules, TaskSpec
from orchestrator.engine.intake import SPARED_LOOKS, Intake, IntakeLimits


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.inbox.close()


class RefusingStore(MemoryStore):
    """A store whose disk refuses to take tasks until told otherwise."""

    refuses = True

    async def accept(self, new: Sequence[NewTask], jobs: Sequence[Job] = ()) -> Sequence[Task]:
        if self.refuses:
            raise StoreError("the disk refused")
        return await super().accept(new, jobs)


async def test_when_the_store_refuses_every_file_stays_somewhere_and_is_taken_later(tmp_path: Path) -> None:
    store = RefusingStore()
    rig = Rig(tmp_path, store=store)
    rig.drop("good.task.md", body("good"))
    rig.drop("bad.task.md", b"---\nid: bad\n")
    with pytest.raises(StoreError):
        await rig.scan()
    assert rig.files() == {"good.task.md": body("good"), "failed/bad.task.md": b"---\nid: bad\n"}
    assert rig.error("bad.task.md")["code"] == "front_matter_unterminated"
    store.refuses = False
    assert (await rig.scan(1)).accepted == 1
    rig.inbox.close()


async def test_no_secret_of_a_task_file_gets_into_an_event_or_an_error(rig: Rig) -> None:
    secret = "correct-horse-battery"
    rig.redactor = Redactor([secret])
    rig.restarted()
    rig.with_rules(strict=True)
    rig.drop("a.task.md", body("a"))
    await rig.scan()
    rig.drop("a.task.md", body("a").replace(b"# A task", b"# Use " + secret.encode()))
    rig.drop("b.task.md", body("b", extra=f"{secret}: 1\n"))
    rig.drop("c.task.md", body("c").replace(b"type: fix", b"type: " + secret.encode()))
    assert (await rig.scan(1)).updated == 1
    assert [rig.error(f"{name}.task.md")["code"] for name in "bc"] == ["unknown_field", "type_invalid"]
    seen = [str(event.data) for event in await rig.store.events_after(0, limit=100)]
    seen += [str(rig.error(f"{name}.task.md")) for name in "bc"]
    assert not [text for text in seen if secret in text]


async def test_with_too_little_free_disk_nothing_is_taken_until_there_is_more(rig: Rig) -> None:
    rig.drop("a.task.md", body("a"))
    rig.free = 1000
    assert (await rig.scan()).paused == "disk"
    assert (await rig.scan(10)).paused == "disk"
    rig.free = 1 << 40
    assert (await rig.scan(10)).accepted == 1
    assert [event.data["reason"] for event in await rig.events(EventKind.INTAKE_PAUSED)] == ["disk"]


async def test_a_fault_of_the_parser_costs_one_file_and_says_so(tmp_path: Path) -> None:
    def broken(data: bytes, name: str, rules: TaskRules) -> TaskSpec:
        if b"trap" in data:
            raise KeyError("secret content")
        return parse(data, name, rules)

    rig = Rig(tmp_path, parser=broken)
    rig.drop("bad.task.md", body("trap"))
    rig.drop("good.task.md", body("good"))
    outcome = await rig.scan()
    assert (outcome.accepted, outcome.rejected) == (1, 1)
    error = rig.error("bad.task.md")
    assert error["code"] == "parser_bug"
    assert "KeyError" in error["message"]
    assert "secret" not in str(error)
    rig.inbox.close()


async def test_that_the_watch_polls_is_reported_once(rig: Rig) -> None:
    rig.silent.why = "notifications_unavailable: limit reached"
    await rig.scan()
    await rig.scan()
    assert [event.data["detail"] for event in await rig.events(EventKind.WARNING)] == [rig.silent.why]


async def test_without_any_hint_the_scan_finds_everything(rig: Rig) -> None:
    """As with a daemon that was stopped while thousands of files came, or a queue of notifications that ran over."""
    stop = asyncio.Event()
    for number in range(300):
        rig.drop(f"{number}.task.md", body(f"t{number}"))
    running = asyncio.create_task(rig.intake.run(stop))
    while len(await rig.tasks()) < 300:
        await asyncio.sleep(0)
    for number in range(300, 400):
        rig.drop(f"{number}.task.md", body(f"t{number}"))
    while len(await rig.tasks()) < 400:
        await asyncio.sleep(0)
    stop.set()
    await running
    assert max(rig.silent.waits) <= 10.0
    assert len({task.spec.id for task in await rig.tasks()}) == 400


class CountingFolder(TaskFolder):
    """Counts the looks at every file, and those at the folder alone, which find it as *calm* says."""

    scans = looks = 0
    calm = True

    async def scan(self) -> InboxScan:
        self.scans += 1
        return await super().scan()

    async def same_names(self) -> bool:
        self.looks += 1
        return self.calm


@pytest.mark.parametrize(
    ("calm", "why", "looks_for_one_scan"), [(True, "", SPARED_LOOKS), (False, "", 1), (True, "polling", 0)]
)
async def test_a_calm_folder_costs_one_look_at_itself_and_is_still_read_now_and_then(
    tmp_path: Path, calm: bool, why: str, looks_for_one_scan: int
) -> None:
    (tmp_path / "tasks").mkdir()
    inbox = CountingFolder(tmp_path, state=tmp_path / ".orchestrator")
    inbox.calm = calm
    rig = Rig(tmp_path, inbox=inbox)
    rig.silent.why = why
    path = rig.drop("x.task.md", body("x"))
    stop = asyncio.Event()
    running = asyncio.create_task(rig.intake.run(stop))
    await until(lambda: inbox.scans >= 4, what="four scans")
    first = inbox.looks, inbox.scans
    await until(lambda: inbox.scans >= first[1] + 4, what="four scans more")
    assert inbox.looks - first[0] == pytest.approx(looks_for_one_scan * (inbox.scans - first[1]), abs=SPARED_LOOKS + 1)
    path.write_bytes(body("x", "Edited in place, and nobody was notified."))
    while (await rig.only()).revision == 1:
        await asyncio.sleep(0)
    stop.set()
    await running
    inbox.close()


async def test_with_hints_a_file_is_accepted_long_before_the_next_full_look(tmp_path: Path) -> None:
    """The next look without a hint is an hour away: only a hint can have brought these files in."""
    root = tmp_path
    (root / "tasks").mkdir()
    (root / "work").mkdir()
    rig = Rig(root)
    clock = SystemClock()
    limits = IntakeLimits(scan_interval_s=3600)
    inbox = TaskFolder(root, state=root / ".orchestrator")
    stop = asyncio.Event()
    async with FolderWatch(root / "tasks") as watch, open_store(root / "store.db") as store:
        intake = Intake(
            store,
            inbox,
            watch,
            clock,
            lambda: rig.rules,
            parse=parse,
            targets=TargetFiles(),
            redact=lambda value: value,
            free_bytes=lambda: 1 << 40,
            limits=lambda: limits,
        )
        began = clock.monotonic()
        running = asyncio.create_task(intake.run(stop))
        names = ["a.task.md", os.fsdecode(b"\xff.task.md"), "b\nc.task.md", "d.task.md"]
        for number, name in enumerate(names, start=1):
            rig.drop(name, body(f"t{number}"))
            while len(await store.tasks([State.QUEUED], limit=10)) < number:
                await asyncio.sleep(0.005)
        stop.set()
        await running
        assert clock.monotonic() - began < limits.scan_interval_s
        assert [task.file_name for task in await store.tasks([State.QUEUED], limit=10)] == names
    inbox.close()


async def test_a_burst_of_two_thousand_files_is_accepted_each_exactly_once(tmp_path: Path) -> None:
    stop = asyncio.Event()
    (tmp_path / "db").mkdir()
    async with open_store(tmp_path / "db" / "store.db") as store:
        (tmp_path / "tasks").mkdir()
        async with FolderWatch(tmp_path / "tasks") as watch:
            rig = Rig(tmp_path, store=store, watch=watch)
            running = asyncio.create_task(rig.intake.run(stop))
            script = (
                "import os, sys\n"
                "for n in range(2000):\n"
                "    data = f'---\\nid: t{n}\\ntype: fix\\n---\\n\\n**Prompt:**\\nDo {n}.\\n'\n"
                "    with open(f'{sys.argv[1]}/{n}.task.md' if n % 2 else f'{sys.argv[1]}/.{n}', 'w') as f:\n"
                "        f.write(data)\n"
                "    if n % 2 == 0:\n"
                "        os.rename(f'{sys.argv[1]}/.{n}', f'{sys.argv[1]}/{n}.task.md')\n"
            )
            command = [sys.executable, "-c", script, str(rig.tasks_path)]
            await asyncio.to_thread(subprocess.run, command, check=True)
            while (await store.counts())[State.QUEUED] < 2000:
                rig.clock.advance(0.1)
                await asyncio.sleep(0.01)
            for _ in range(3):
                rig.clock.advance(1)
                await asyncio.sleep(0.02)
            stop.set()
            await running
        assert {task.spec.id for task in await rig.tasks()} == {f"t{n}" for n in range(2000)}
        assert len(await rig.tasks()) == 2000
        rig.inbox.close()
