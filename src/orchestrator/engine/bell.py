"""A bell that wakes everybody who waits: after each commit of our own, and when another process has committed."""

import asyncio

from orchestrator.core.ports import Store

POLL_S = 0.2  # how soon a command in another process is noticed


class Bell:
    """Broadcast without memory: a waiter that was not waiting looks at the store anyway before it waits."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._count = 0

    @property
    def count(self) -> int:
        """How often it has rung; pass it to `wait` to miss nothing between looking and waiting."""
        return self._count

    def ring(self) -> None:
        """Wake all who wait."""
        self._count += 1
        self._rung.set()
        self._rung = asyncio.Event()

    async def wait(self, seen: int, timeout_s: float) -> None:
        """Return when it has rung since *seen*, at the latest after *timeout_s* seconds."""
        if self._count != seen:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return


async def listen(store: Store, bell: Bell, stopped: asyncio.Event) -> None:
    """Ring *bell* whenever anybody has committed to *store*, until *stopped*."""
    while not stopped.is_set():
        if await store.changed():
            bell.ring()
        try:
            async with asyncio.timeout(POLL_S):
                await stopped.wait()
        except TimeoutError:
            continue
