"""The real clock and real chance."""

import asyncio
import os
import random
import time
import uuid

from orchestrator.core.events import TaskUid


class SystemClock:
    """Implements the port `Clock`."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def chance(self) -> float:
        return random.random()  # noqa: S311 - spreads retries, guards nothing

    def new_uid(self) -> TaskUid:
        return TaskUid(f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}")

    def new_session_id(self) -> str:
        return str(uuid.uuid4())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
