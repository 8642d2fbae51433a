"""`tasks/running/<name>.status.md`: there while a task runs, true, and gone afterwards."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.agents import FakeAgent
from tests.harness import until
from tests.rig import Engine, Open

from orchestrator.bridges.files import ArtifactFiles
from orchestrator.core.attempt import AgentMessage, AttemptRecord, MessageKind
from orchestrator.core.events import EventKind, Json, TaskUid
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.engine.daemon import Signals
from orchestrator.engine.status_files import MARK, StatusFiles, status_text


def status_files(engine: Engine, every_s: float = 0.05) -> StatusFiles:
    return StatusFiles(
        store=engine.store,
        artifacts=ArtifactFiles(engine.root),
        clock=engine.clock,
        bell=engine.bell,
        every_s=lambda: every_s,
        command="python main.py",
    )


def file_of(engine: Engine, name: str = "t") -> Path:
    return engine.root / "tasks" / "running" / f"{name}.status.md"


def rows(path: Path) -> Mapping[str, str]:
    lines = (line.strip() for line in path.read_text().splitlines() if line.startswith("    "))
    return {key: value.strip() for key, _, value in (line.partition("  ") for line in lines)}


def gated(*messages: AgentMessage) -> FakeAgent:
    agent = FakeAgent()
    agent.says["t"] = messages
    agent.gates["t"] = asyncio.Event()
    return agent


@asynccontextmanager
async def running(engine: Engine, title: str = "t") -> AsyncIterator[None]:
    """Let a daemon run meanwhile, with a task whose agent has said all it says and waits."""
    signals = Signals()
    said = 1 + len(engine.agent.says["t"])
    async with asyncio.TaskGroup() as group:
        task = await engine.add("t", title=title)
        group.create_task(engine.daemon().run(signals, {}))
        while len([e for e in await engine.store.events_of(task.uid, limit=99) if e.kind is EventKind.PROGRESS]) < said:
            await engine.bell.wait(engine.bell.count, 0.05)
        try:
            yield
        finally:
            engine.agent.gates["t"].set()
            await until(lambda: engine.archived("t"), what="the end")
            signals.stop()


async def test_it_says_how_the_task_stands_and_is_gone_when_it_has_ended(open_engine: Open) -> None:
    said = AgentMessage(MessageKind.TOOL, "Edit src/app.py")
    async with open_engine(gated(said)) as engine:
        files = status_files(engine)
        async with running(engine):
            await files.look()
            found = rows(file_of(engine))
            assert found["task"] == "t: t"
            assert (found["state"], found["attempt"], found["last"]) == ("running", "1", "tool: Edit src/app.py")
            assert found["elapsed"].endswith(" s in this attempt")
            assert found["cost"] == "told at its end"
            assert "python main.py cancel t" in file_of(engine).read_text()
        await files.look()
        assert not file_of(engine).exists()


async def test_it_is_written_at_most_so_often_and_never_half(open_engine: Open) -> None:
    async with open_engine(gated()) as engine, running(engine):
        files = status_files(engine, every_s=3600.0)
        await files.look()
        first = file_of(engine).stat()
        for _ in range(5):
            await files.look()
        assert file_of(engine).stat().st_ino == first.st_ino, "not written again"
        await status_files(engine, every_s=0.01).look()
        assert file_of(engine).stat().st_ino != first.st_ino, "put in its place as a whole"


async def test_switched_off_there_are_none_and_those_that_lie_there_go(open_engine: Open) -> None:
    async with open_engine(gated()) as engine, running(engine):
        await status_files(engine).look()
        assert file_of(engine).exists()
        await status_files(engine, every_s=0.0).look()
        assert not file_of(engine).exists()


async def test_the_file_of_a_person_is_neither_overwritten_nor_removed(open_engine: Open) -> None:
    async with open_engine(gated()) as engine, running(engine):
        mine, other = file_of(engine), file_of(engine, "other")
        for path in (mine, other):
            path.write_text("my notes")
        files = status_files(engine)
        await files.look()
        await files.look(last=True)
        assert (mine.read_text(), other.read_text()) == ("my notes", "my notes")


async def test_what_a_killed_daemon_left_is_removed_by_the_next_and_a_stop_leaves_none(open_engine: Open) -> None:
    async with open_engine(gated()) as engine:
        left = file_of(engine, "gone")
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_text(f"{MARK}\n\n# gone\n")
        stopping = asyncio.Event()
        async with running(engine):
            part = asyncio.create_task(status_files(engine).run(stopping))
            await until(lambda: file_of(engine).exists() and not left.exists(), what="the true files")
            stopping.set()
            await part
            assert not file_of(engine).exists()


async def test_what_strangers_wrote_is_no_markup_and_one_line(open_engine: Open) -> None:
    said = AgentMessage(MessageKind.TEXT, "# heading\n![x](http://evil) \x1b[31m `code`")
    async with open_engine(gated(said)) as engine, running(engine, "T\n# owned\n<script>"):
        await status_files(engine).look()
        lines = file_of(engine).read_text().splitlines()
        assert [line for line in lines if line.startswith("#")] == ["# t"]
        assert "\x1b" not in file_of(engine).read_text()
        assert sum("evil" in line for line in lines) == 1
        assert all(line.startswith("    ") for line in lines if "evil" in line or "script" in line)


def test_the_cost_is_that_of_the_attempts_before_and_time_that_of_this_one() -> None:
    spec = TaskSpec("t", "fix", Priority.MEDIUM, "T", "Do it.")
    uid = TaskUid("0" * 32)
    task = Task(uid, "t", spec, "", 0.0, attempt=3)
    paid: dict[str, Json] = {"kind": "failed", "report": {"usage": {"cost_usd": 0.25}}}
    attempts = [
        AttemptRecord(uid, 1, 1, "claude", "s", 10.0, 20.0, paid),
        AttemptRecord(uid, 2, 2, "claude", "s", 30.0, 40.0, {"kind": "failed"}),
        AttemptRecord(uid, 3, 3, "claude", "s", 100.0),
    ]
    text = status_text(task, attempts, [], now=100.0 + 3723, command="python main.py")
    assert "    cost      $0.2500 by earlier attempts; this one is told at its end" in text
    assert "    elapsed   1 h 2 min in this attempt" in text
    assert "    last      nothing said yet" in text
