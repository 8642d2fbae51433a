"""Trying again what the machine refused: after an agent was paid for its work a full disk is no reason to lose it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orchestrator.core.shortage import is_shortage

log = logging.getLogger(__name__)
T = TypeVar("T")

AGAIN_S = 1.0
TRIES, SHORTAGE_TRIES = 3, 600


async def again(what: str, act: Callable[[], Awaitable[T]], *, pause_s: float = AGAIN_S) -> T:
    """Return what *act* returns; where the system refuses, call it again: for minutes where something is short.

    *what* is for the log. Raises the last OSError.
    """
    tried = 1
    while True:
        try:
            return await act()
        except OSError as error:
            if tried >= (SHORTAGE_TRIES if is_shortage(error) else TRIES):
                raise
            log.warning("%s, tried again: %s", what, error)
        tried += 1
        await asyncio.sleep(pause_s)
