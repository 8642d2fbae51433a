"""Files that are nothing but words, where a model reads them: they come last, and nothing is lost for it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine.intake_rig import Rig, body
from tests.fakes_of_models import ScriptedReader
from tests.harness import until

from orchestrator.core.lifecycle import State
from orchestrator.core.reading import Suggestion


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    reader = ScriptedReader(Suggestion("m", "fix", "high", "Known", "", ("lib/a.py",)))
    made = Rig(tmp_path, words=reader)
    yield made
    made.inbox.close()


def reader_of(rig: Rig) -> ScriptedReader:
    assert isinstance(rig.words, ScriptedReader)
    return rig.words


async def test_words_are_read_by_the_model_after_everything_else_is_stored(rig: Rig) -> None:
    rig.drop("b.task.md", b"chokes on known lines in lib/a.py")
    rig.drop("c.task.md", b"chokes on others")
    rig.drop("formatted.task.md", body("formatted"))
    outcome = await rig.scan()
    assert (outcome.accepted, outcome.rejected) == (3, 0)
    by_name = {task.name: task for task in await rig.tasks()}
    assert by_name["formatted"].order < min(by_name["b"].order, by_name["c"].order)
    assert (by_name["b"].spec.type, by_name["b"].spec.title) == ("fix", "Known")
    assert by_name["b"].spec.target_files == ("lib/a.py",)
    assert (by_name["c"].spec.type, by_name["c"].state) == ("analyze", State.QUEUED)
    assert await rig.store.body(by_name["b"].uid) == b"chokes on known lines in lib/a.py"


async def test_what_has_the_format_never_reaches_a_model(rig: Rig) -> None:
    rig.drop("formatted.task.md", body("formatted", prompt="chokes on known lines"))
    await rig.scan()
    assert reader_of(rig).asked == []


async def test_words_are_read_once_however_often_the_file_is_seen(rig: Rig) -> None:
    rig.drop("b.task.md", b"chokes on known lines")
    for _ in range(3):
        await rig.scan(1)
    assert len(reader_of(rig).asked) == 1
    assert len(await rig.tasks()) == 1


async def test_a_target_that_only_the_model_names_is_looked_at_like_any_other(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "work" / "lib").symlink_to("/")
    reader = reader_of(rig)
    reader.said = replace(reader.said, files=("lib/x",))
    rig.drop("b.task.md", b"chokes on known lines in lib/x")
    outcome = await rig.scan()
    assert (outcome.accepted, outcome.rejected) == (0, 1), "it would lead out of the allowed root"


async def test_where_no_model_is_wanted_words_are_files_like_any_other(rig: Rig) -> None:
    reader_of(rig).wanted = False
    rig.drop("b.task.md", b"chokes on known lines")
    rig.drop("formatted.task.md", body("formatted"))
    await rig.scan()
    orders = {task.name: task.order for task in await rig.tasks()}
    assert orders["b"] < orders["formatted"]
    assert reader_of(rig).asked == []


async def test_who_stops_waits_for_no_model_and_the_words_stay_where_they_lie(rig: Rig) -> None:
    reader_of(rig).gate = asyncio.Event()
    rig.drop("b.task.md", b"chokes on known lines")
    rig.drop("formatted.task.md", body("formatted"))
    stop = asyncio.Event()
    running = asyncio.create_task(rig.intake.run(stop))
    await until(lambda: reader_of(rig).asked, what="the question")
    stop.set()
    await running
    assert [task.name for task in await rig.tasks()] == ["formatted"]
    reader_of(rig).gate = None
    await rig.restarted().scan_once()
    assert {task.name for task in await rig.tasks()} == {"formatted", "b"}
