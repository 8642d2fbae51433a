"""What a killed process had acknowledged is there, all of it, and the file is sound."""

import asyncio
import random
import sys
from pathlib import Path

from orchestrator.bridges.sqlite import open_store
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State

WRITER = Path(__file__).with_name("store_writer.py")
ROUNDS = 20


async def test_no_acknowledged_commit_is_lost_by_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    chance = random.Random(7)
    acknowledged = 0
    for round_number in range(10 * ROUNDS):
        if round_number >= ROUNDS and acknowledged > ROUNDS:
            break  # a busy machine acknowledges little in a round, and nothing is proved by nothing
        lines = await _killed(path, round_number * 1_000_000, after_s=chance.uniform(0.0, 0.15))
        acknowledged += len(lines)
        async with open_store(path, checkpoint=round_number % 2 == 0) as store:
            for uid, state, seq in (line.split() for line in lines):
                task = await store.task(TaskUid(uid))
                assert task is not None
                assert State(state) is State.QUEUED or task.state is State.RUNNING
                assert await store.last_seq() >= int(seq)
            assert await store.integrity() == []
            counts = await store.counts()
            assert counts[State.RUNNING] == counts[State.CANCELLED], "a transaction was cut in half"
            assert counts[State.QUEUED] % 2 == 0, "a transaction was cut in half"
    assert acknowledged > ROUNDS


async def _killed(path: Path, first: int, *, after_s: float) -> list[str]:
    """Run the writer, kill it *after_s* seconds after it is up, and return the whole lines it had printed."""
    start = asyncio.create_subprocess_exec
    child = await start(sys.executable, str(WRITER), str(path), str(first), stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    assert await child.stdout.readline() == b"up\n"
    reading = asyncio.create_task(child.stdout.read())
    await asyncio.wait([reading], timeout=after_s)  # the random moment
    child.kill()
    printed = (await reading).decode()
    assert await child.wait() == -9
    return printed[: printed.rfind("\n") + 1].splitlines()
