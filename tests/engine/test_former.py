"""A root whose database was deleted: what its former life wrote stays, and nothing of the new one is missing."""

import json
from pathlib import Path

import pytest
from tests.rig import Open


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def forget(root: Path) -> None:
    for path in (root / ".orchestrator").glob("test.db*"):
        path.unlink()


@pytest.mark.parametrize("rotated", [False, True], ids=["one file", "rotated files"])
async def test_after_the_database_was_deleted_every_event_is_logged_and_the_old_log_is_kept(
    open_engine: Open, rotated: bool
) -> None:
    async with open_engine() as engine:
        await engine.add("one")
        await engine.add("two")
        await engine.run_until(lambda: engine.archived("one") and engine.archived("two"), "both")
        root, log = engine.root, engine.root / "logs" / "events.ndjson"
    if rotated:
        log.rename(log.with_name("events-000000000001.ndjson"))
    before = next(log.parent.glob("events*")).read_bytes()
    forget(root)
    async with open_engine() as engine:
        await engine.add("three")
        await engine.run_until(lambda: engine.archived("three"), "three")
        assert [line["seq"] for line in lines(log)] == list(range(1, await engine.store.last_seq() + 1))
    (former,) = log.parent.glob("former-*")
    assert b"".join(path.read_bytes() for path in former.iterdir()) == before
    (warning,) = [line for line in lines(log) if line["event"] == "warning"]
    assert warning["data"]["path"] == f"logs/{former.name}"  # type: ignore[index]
    async with open_engine() as engine:
        assert await engine.projector.catch_up()
    assert len(list(log.parent.glob("former-*"))) == 1, "a log of one's own is not set aside"


async def test_a_result_of_a_former_life_is_not_overwritten(open_engine: Open) -> None:
    results: list[dict[str, object]] = []
    for _ in range(3):
        async with open_engine() as engine:
            await engine.add("fix")
            await engine.run_until(lambda: engine.archived("fix"), "the end")
            results.append(json.loads((engine.root / "results" / "fix_result.json").read_text()))
            root = engine.root
        for path in (root / "tasks").glob("processed/*"):
            path.unlink()
        forget(root)
    uids = [str(result["task"]["uid"])[-8:] for result in results]  # type: ignore[index]
    kept = [json.loads((root / "results" / f"fix.{uid}_result.json").read_text()) for uid in uids[:2]]
    assert kept == results[:2]
    assert sorted(path.name for path in (root / "summaries").iterdir()) == sorted(
        ["fix_summary.txt", *(f"fix.{uid}_summary.txt" for uid in uids[:2])]
    )


async def test_a_file_somebody_put_where_a_result_belongs_is_kept(open_engine: Open) -> None:
    async with open_engine() as engine:
        (engine.root / "results" / "one_result.json").write_text("my notes")
        await engine.add("one")
        await engine.run_until(lambda: engine.archived("one"), "the end")
        others = [path.read_text() for path in (engine.root / "results").glob("one.*_result.json")]
        assert others == ["my notes"]
