"""After an unclean stop every file the store speaks of is there and whole; what a person edited stays."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.rig import Engine, Open

from orchestrator.core.events import Event, EventKind
from orchestrator.core.ports import NewTask
from orchestrator.core.task import FileStamp, Priority, Task, TaskSpec
from orchestrator.engine.verification import verify

PLACES = ("results/t_result.json", "summaries/t_summary.txt", "tasks/processed/t.task.md")


async def mended(engine: Engine, *, after_seq: int = 0, rebooted: bool = False) -> list[str]:
    where = (engine.store, engine.projector, engine.inbox, engine.clock)
    return list(await verify(*where, after_seq=after_seq, rebooted=rebooted))


async def done(engine: Engine, name: str = "t") -> Mapping[str, bytes]:
    """Run a task to its end. Returns its files by their paths."""
    await engine.add(name)
    await engine.run_until(lambda: engine.archived(name), f"the end of {name}")
    return {place: (engine.root / place).read_bytes() for place in PLACES}


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        pieces = {"empty": b"", "cut": whole[:-3], "zeros": bytes(len(whole)), "hole": whole[:4] + bytes(4) + whole[8:]}
        path.write_bytes(pieces[how])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["gone", "empty", "cut", "zeros", "hole"])
async def test_a_torn_or_missing_file_is_written_again_byte_for_byte(open_engine: Open, place: str, how: str) -> None:
    async with open_engine() as engine:
        before = await done(engine)
        damage(engine.root / place, how)
        assert await mended(engine) == [place]
        assert {place: (engine.root / place).read_bytes() for place in PLACES} == before
        assert await mended(engine) == [], "the second time there is nothing to do"
        told = [event for event in await engine.store.events_after(0, limit=999) if event.kind is EventKind.WARNING]
        assert [event.data["files"] for event in told] == [[place]]


async def test_what_was_verified_before_is_not_looked_at_again(open_engine: Open) -> None:
    async with open_engine() as engine:
        await done(engine)
        damage(engine.root / PLACES[0], "empty")
        seq = await engine.store.last_seq()
        assert await mended(engine, after_seq=seq) == []
        assert await mended(engine, after_seq=seq + 1000) == [PLACES[0]], "a store put back from a backup: all of it"


async def test_what_a_person_edited_or_cleaned_is_left_alone(open_engine: Open) -> None:
    async with open_engine() as engine:
        await done(engine)
        found = json.loads((engine.root / PLACES[0]).read_text())
        edits = [json.dumps(found | {"note": "mine"}), "my own words", "# Another text\n"]
        for place, text in zip(PLACES, edits, strict=True):
            (engine.root / place).write_text(text)
        assert await mended(engine) == []
        assert [(engine.root / place).read_text() for place in PLACES] == edits
        (task,) = await engine.store.find("t")
        await engine.service.cleaned([task])
        (engine.root / PLACES[0]).unlink()
        assert await mended(engine) == []


async def test_a_result_that_is_neither_whole_nor_ours_is_kept_beside(open_engine: Open) -> None:
    async with open_engine() as engine:
        before = await done(engine)
        (engine.root / PLACES[0]).write_bytes(b'{"of another version": ')
        assert await mended(engine) == [PLACES[0]]
        assert (engine.root / PLACES[0]).read_bytes() == before[PLACES[0]]
        others = [path.read_bytes() for path in (engine.root / "results").glob("t.*_result.json")]
        assert others == [b'{"of another version": ']


async def waiting(engine: Engine, body: bytes) -> Path:
    """A task that waits with its file in the inbox."""
    path = engine.root / "tasks" / "w.task.md"
    path.write_bytes(body)
    facts = path.stat()
    uid, now = engine.clock.new_uid(), engine.clock.now()
    spec = TaskSpec(id="w", type="analyze", priority=Priority.MEDIUM, title="w", prompt="Do it.")
    stamp = FileStamp(facts.st_ino, facts.st_mtime_ns, facts.st_size)
    task = Task(uid, "w", spec, "0" * 64, now, file_name=path.name, stamp=stamp)
    await engine.store.accept([NewTask(task, body, [Event(EventKind.RECEIVED, now, uid)])])
    return path


@pytest.mark.parametrize("left", [b"", b"# The t", bytes(10)])
async def test_an_accepted_file_that_a_power_cut_tore_is_whole_again_before_it_is_read(
    open_engine: Open, left: bytes
) -> None:
    async with open_engine() as engine:
        path = await waiting(engine, b"# The text\n")
        assert await mended(engine) == []
        path.write_bytes(left)
        os.utime(path, ns=(1, 1))
        assert await mended(engine) == ["tasks/w.task.md"]
        assert path.read_bytes() == b"# The text\n"


async def test_an_accepted_file_that_is_gone_was_lost_only_if_the_machine_went_down(open_engine: Open) -> None:
    async with open_engine() as engine:
        path = await waiting(engine, b"# The text\n")
        path.unlink()
        assert await mended(engine) == [], "a person has removed it"
        assert await mended(engine, rebooted=True) == ["tasks/w.task.md"]
        assert path.read_bytes() == b"# The text\n"
        path.write_bytes(b"# Edited\n")
        assert await mended(engine, rebooted=True) == []
