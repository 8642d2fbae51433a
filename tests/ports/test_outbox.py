"""Every outbox keeps the promises of the port; the one on disk keeps them over opening again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes_of_notices import MemoryOutbox
from tests.ports.outbox_contract import FULL, OutboxContract, notice

from orchestrator.bridges.sqlite import open_store
from orchestrator.core.home import Arrival
from orchestrator.core.ports import Outbox


class TestMemoryOutbox(OutboxContract):
    @pytest.fixture
    def outbox(self) -> Outbox:
        return MemoryOutbox()


class TestSqliteOutbox(OutboxContract):
    @pytest.fixture
    async def outbox(self, tmp_path: Path) -> AsyncIterator[Outbox]:
        async with open_store(tmp_path / "store.db") as opened:
            yield opened.outbox

    async def test_everything_is_there_after_opening_again(self, tmp_path: Path) -> None:
        path = tmp_path / "again.db"
        async with open_store(path) as store:
            await store.outbox.owe([("web", FULL), ("web", notice(2)), ("chat", FULL)], through=9)
            (first, second) = await store.outbox.owed("web", limit=9)
            await store.outbox.sending([first.order], "m1")
            await store.outbox.sending([second.order], "m2")
            await store.outbox.sent([second.order], 5.0, "17")
            before = await store.outbox.owed("web", limit=9), await store.outbox.sinks()
        async with open_store(path) as again:
            assert await again.outbox.told_through() == 9
            assert (await again.outbox.owed("web", limit=9), await again.outbox.sinks()) == before
            assert before[0][0].sending
            assert await again.outbox.told_as("web", "17") == notice(2)

    async def test_a_copied_root_tells_nobody_what_the_original_is_about_to_tell(self, tmp_path: Path) -> None:
        original, copy = (tmp_path / name / ".orchestrator" / "orchestrator.db" for name in ("one", "two"))
        original.parent.mkdir(parents=True)
        copy.parent.mkdir(parents=True)
        async with open_store(original) as store:
            await store.arrive("here", 1.0)
            await store.outbox.owe([("web", FULL)], through=1)
        copy.write_bytes(original.read_bytes())
        async with open_store(copy) as other:
            assert await other.arrive("here", 2.0) is Arrival.COPIED
            assert await other.outbox.owed("web", limit=9) == []
