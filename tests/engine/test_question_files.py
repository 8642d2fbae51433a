"""Files in `tasks/waiting/`: half written, saved twice, deleted, strange, answered elsewhere meanwhile."""

import asyncio
import os
from collections.abc import Sequence

import pytest
from tests.engine.question_rig import asked, asking, file_of, kinds, warnings, write
from tests.harness import until
from tests.rig import Open

from orchestrator.core.errors import ConflictError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("use asyncpg", "use asyncpg"),
        ("2", "asyncpg"),
        ("1.\n", "psycopg"),
        ("<!-- a note to myself -->\nboth,\nplease", "both,\nplease"),
        ("café ☕", "café ☕"),
    ],
)
async def test_what_is_saved_below_the_heading_is_the_answer(open_engine: Open, written: str, answer: str) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        write(engine, written)
        await engine.questions.look()
        (event,) = await kinds(engine, task, EventKind.ANSWERED)
        assert event.data == {"answer": answer, "by": "person", "door": "folder"}
        assert (await engine.task(task.uid)).state is State.QUEUED
        assert not file_of(engine).exists()


async def test_a_running_daemon_sees_a_saved_answer_by_itself(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine):

        def answered() -> bool:
            if file_of(engine).exists() and file_of(engine).read_text().endswith("## Answer\n\n"):
                write(engine, "2")
            return engine.archived("t")

        await engine.run_until(answered, "the end")
        assert engine.agent.starts[-1].continue_prompt == "asyncpg"


@pytest.mark.parametrize("written", ["", "\n \n", "<!-- not yet", "<!-- a\nb -->"])
async def test_a_file_without_an_answer_is_waited_for(open_engine: Open, written: str) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        write(engine, written)
        await engine.questions.look()
        assert (await engine.task(task.uid)).state is State.NEEDS_INPUT
        assert await warnings(engine) == []


async def test_a_file_that_is_being_written_is_not_read_before_it_is_closed(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        with file_of(engine).open("a") as stream:
            stream.write("use as")
            stream.flush()
            for _ in range(3):
                await engine.questions.look()
            assert (await engine.task(task.uid)).state is State.NEEDS_INPUT
            stream.write("yncpg")
        await engine.questions.look()
        (event,) = await kinds(engine, task, EventKind.ANSWERED)
        assert event.data["answer"] == "use asyncpg"


async def test_of_two_saves_before_a_look_the_last_one_counts(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        before = file_of(engine).read_text()
        write(engine, "use psycopg")
        file_of(engine).write_text(f"{before}use asyncpg")
        await engine.questions.look()
        (event,) = await kinds(engine, task, EventKind.ANSWERED)
        assert event.data["answer"] == "use asyncpg"


async def test_another_answer_that_is_saved_later_is_kept_beside_and_said(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine):
        write(engine, "use psycopg")
        text = file_of(engine).read_text()
        await engine.questions.look()
        file_of(engine).write_text(text)  # an editor saves the same once more
        await engine.questions.look()
        assert not any((engine.root / "tasks" / "waiting").iterdir())
        assert await warnings(engine) == []
        file_of(engine).write_text(f"{text} no, asyncpg")
        await engine.questions.look()
        (late,) = (engine.root / "tasks" / "waiting").iterdir()
        assert late.name == "t.late.md"
        assert late.read_text().endswith("no, asyncpg")
        assert await warnings(engine) == ["answer_too_late"]


async def test_who_answers_by_command_meanwhile_is_first_and_the_file_is_kept(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        write(engine, "use psycopg")
        await engine.service.answer("t", "2", door="cli")
        await engine.questions.look()
        (event,) = await kinds(engine, task, EventKind.ANSWERED)
        assert (event.data["answer"], event.data["door"]) == ("asyncpg", "cli")
        assert [path.name for path in (engine.root / "tasks" / "waiting").iterdir()] == ["t.late.md"]
        with pytest.raises(ConflictError, match="waits for no answer: it is queued; it was answered before: asyncpg"):
            await engine.service.answer("t", "1", door="cli")


async def test_a_file_that_is_deleted_is_written_again_after_a_while_and_at_once_by_a_new_daemon(
    open_engine: Open,
) -> None:
    async with open_engine(asking()) as engine, asked(engine):
        await engine.questions.look()
        file_of(engine).unlink()
        await engine.questions.look()
        assert not file_of(engine).exists(), "a program may be about to save it"
    async with open_engine(asking()) as engine:
        await engine.questions.look()
        assert file_of(engine).read_text().endswith("## Answer\n\n")


@pytest.mark.parametrize("written", [b"\xff\xfe\x00", b"just words\n", b"\xc3\x28"])
async def test_a_file_that_cannot_be_understood_is_said_once_and_left_alone(open_engine: Open, written: bytes) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        file_of(engine).write_bytes(written)
        for _ in range(2):
            await engine.questions.look()
        assert await warnings(engine) == ["answer_not_understood"]
        assert file_of(engine).read_bytes() == written
        assert (await engine.task(task.uid)).state is State.NEEDS_INPUT


async def test_a_file_as_notepad_saves_it_is_read(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        file_of(engine).write_bytes((file_of(engine).read_text() + "2\n").replace("\n", "\r\n").encode("utf-16"))
        await engine.questions.look()
        (event,) = await kinds(engine, task, EventKind.ANSWERED)
        assert event.data["answer"] == "asyncpg"


async def test_a_link_in_the_place_of_a_file_is_not_followed(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        elsewhere = engine.root / "secret"
        elsewhere.write_text("## Answer\nthe secret\n")
        file_of(engine).unlink()
        file_of(engine).symlink_to(elsewhere)
        await engine.questions.look()
        assert (await engine.task(task.uid)).state is State.NEEDS_INPUT


async def test_a_second_question_does_not_take_the_answer_to_the_first(open_engine: Open) -> None:
    async with open_engine(asking(times=2)) as engine, asked(engine) as task:
        old = f"{file_of(engine).read_text()}1\n"
        await engine.service.answer("t", "2", door="cli")
        await engine.run_until(lambda: len(engine.agent.starts) == 2 and file_of(engine).exists(), "a second question")
        file_of(engine).write_text(old)  # an editor that had the first one open all the time
        await engine.questions.look()
        assert (await engine.task(task.uid)).state is State.NEEDS_INPUT
        names = sorted(path.name for path in (engine.root / "tasks" / "waiting").iterdir())
        assert names == ["t.late.md", "t.question.md"]
        assert f"question {task.uid[-8:]}.2" in file_of(engine).read_text()


async def test_a_disk_that_is_full_delays_an_answer_and_loses_none(
    open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.core.errors import StoreError

    async with open_engine(asking()) as engine, asked(engine) as task:
        write(engine, "2")
        whole = engine.store.commit

        async def full(events: Sequence[Event]) -> Sequence[Task]:
            raise StoreError("the disk is full")

        monkeypatch.setattr(engine.store, "commit", full)
        with pytest.raises(StoreError):
            await engine.questions.look()
        monkeypatch.setattr(engine.store, "commit", whole)
        assert file_of(engine).exists()
        await engine.questions.look()
        assert (await engine.task(task.uid)).state is State.QUEUED


async def test_nothing_in_the_folder_costs_a_daemon_its_life(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine):
        waiting = engine.root / "tasks" / "waiting"
        (waiting / "x.question.md").mkdir()
        os.mkfifo(waiting / "y.question.md")
        (waiting / "z.question.md").write_text("nobody's words")
        await asyncio.wait_for(engine.questions.look(), 5)
        assert (waiting / "z.late.md").read_text() == "nobody's words"
        await until(file_of(engine).exists, what="its own file stays")


async def test_a_second_version_by_a_sync_tool_is_said_once_and_answers_nothing(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        text = f"{file_of(engine).read_text()}2\n"
        for name in ("t.question.sync-conflict-20261127-120000-ABCDEFG.md", "t.question (1).md", ".t.question.md.swp"):
            file_of(engine).with_name(name).write_text(text)
        for _ in range(2):
            await engine.questions.look()
        assert await warnings(engine) == ["answer_not_understood"] * 2
        assert (await engine.task(task.uid)).state is State.NEEDS_INPUT
