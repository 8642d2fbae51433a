"""A notice survives SIGKILL in every phase: it is told, and a receiver that knows its id takes it once."""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.far_side import Asked, FarSide, far_side
from tests.ports.sample_tasks import K, event, go, new

from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.sqlite import open_store
from orchestrator.kit.failpoints import VARIABLE

TELLER = Path(__file__).with_name("notice_teller.py")
TASKS = 3
# Where the far side may have taken a message of which the store does not know that it has.
BETWEEN = frozenset({"notice.taken", "store.begun", "store.written"})


async def tell(path: Path, far: FarSide, failpoint: str = "") -> int:
    """Run the teller until it has told all, or has died. Returns its exit code."""
    env = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **({VARIABLE: failpoint} if failpoint else {})}
    start = asyncio.create_subprocess_exec
    words = (sys.executable, str(TELLER), str(path), far.address, str(TASKS))
    child = await start(*words, env=env, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(60):
            printed, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode is not None
    assert (printed == b"told\n") == (child.returncode == 0)
    return child.returncode


async def failed_tasks(path: Path) -> set[str]:
    """A store in which tasks have failed since somebody is to be told. Returns the keys of their notices."""
    now, keys = SystemClock().now(), set()
    async with open_store(path) as store:
        await store.outbox.owe([], through=0)
        for n in range(TASKS):
            (task,) = await store.accept([new(n)])
            running = await go(store, task, K.STARTED, K.FINISHED, ts=now)
            await store.commit([event(K.FAILED, running, ts=now, reason="timeout")])
            keys.add(f"task_failed:{await store.last_seq()}")
    return keys


def keys_of(asked: list[Asked]) -> list[str]:
    return [one.json["key"] for one in asked]


CASES = [("notice.owed", 1), ("notice.sending", 2), ("notice.taken", 1), ("notice.taken", 3), ("notice.noted", 1)]
WRITES = [("store.begun", 1), ("store.begun", 3), ("store.written", 1), ("store.written", 5), ("store.committed", 2)]


@pytest.mark.parametrize(("point", "hit"), [*CASES, *WRITES])
async def test_whatever_kills_it_each_notice_is_told_and_taken_once(tmp_path: Path, point: str, hit: int) -> None:
    path = tmp_path / "store.db"
    keys = await failed_tasks(path)
    with far_side() as far:
        assert await tell(path, far, f"{point}:{hit}:kill") == -9
        assert await tell(path, far) == 0
        assert set(keys_of(far.asked)) == keys, "none is lost"
        ids = {(one.json["key"], one.headers["Webhook-Id"]) for one in far.asked}
        assert len(ids) == len({message for _, message in ids}) == TASKS, "a repeat has the id of the first"
        repeated = [key for key, count in Counter(keys_of(far.asked)).items() if count > 1]
        assert len(repeated) <= (point in BETWEEN)
        for key in repeated:
            first, again = [one for one in far.asked if one.json["key"] == key]
            assert (first.json["again"], again.json["again"]) == (False, True)
        if point == "notice.taken":
            assert len(repeated) == 1, "the one window in which only the far side can know"


async def test_a_message_that_was_never_sent_says_that_it_may_have_been(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await failed_tasks(path)
    with far_side() as far:
        await tell(path, far, "notice.sending:1:kill")
        assert far.asked == []
        await tell(path, far)
        assert [one.json["again"] for one in far.asked] == [True, False, False]
