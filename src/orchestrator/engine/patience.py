"""Waiting for a store that refuses for now, and for work that must come to its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orchestrator.core.errors import StoreError
from orchestrator.core.ports import Clock

log = logging.getLogger(__name__)
T = TypeVar("T")

STORE_PATIENCE_S = 5.0


async def patiently(clock: Clock, act: Callable[[], Awaitable[T]]) -> T:
    """Keep trying while the disk is full or somebody holds the lock: what was paid for is not thrown away.

    Raises StoreError only when this process will never write again; the outcome then lies in the attempt's folder.
    """
    while True:
        try:
            return await act()
        except StoreError as error:
            if error.lasting:
                raise
            log.error("%s; trying again in %g s", error, STORE_PATIENCE_S)  # noqa: TRY400 - expected, not a bug
            await clock.sleep(STORE_PATIENCE_S)


async def uninterrupted(work: Awaitable[None], hurry: Callable[[], object] = lambda: None) -> None:
    """Await *work* to its end even when cancelled meanwhile, however often; the cancellation then goes on.

    *hurry* is called at each cancellation, for what of the work need not be done now.
    """
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                break
            cancelled = True
            hurry()
    task.result()
    if cancelled:
        raise asyncio.CancelledError
