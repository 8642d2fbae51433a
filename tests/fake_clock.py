"""A clock that stands still until the test moves it."""

import asyncio
import heapq
from itertools import count

from orchestrator.core.events import TaskUid


class FakeClock:
    """A clock that stands still until the test moves it. Implements the port `Clock`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.wall = now
        self.mono = 0.0
        self.chances: list[float] = []  # drawn from the front; 0.5 when it is empty
        self._numbers = count(1)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono

    def chance(self) -> float:
        return self.chances.pop(0) if self.chances else 0.5

    def new_uid(self) -> TaskUid:
        n = next(self._numbers)
        return TaskUid(f"{int(self.wall * 1000):012x}{n:012x}{n:08x}")

    def new_session_id(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._numbers):012x}"

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.mono + seconds, next(self._numbers), wake))
        await wake

    @property
    def sleepers(self) -> int:
        """How many wait for this clock."""
        return sum(not wake.done() for _, _, wake in self._sleepers)

    def advance(self, seconds: float) -> None:
        """Let time pass; who sleeps until then wakes, in order."""
        self.wall += seconds
        self.mono += seconds
        while self._sleepers and self._sleepers[0][0] <= self.mono:
            _, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
