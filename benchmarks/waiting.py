"""Waiting for facts: what every benchmark does between what it does."""

import threading
import time
from collections.abc import Callable

DEADLINE_S = 300.0


class TookTooLongError(Exception):
    """A fact that a benchmark waits for did not come true in time."""


def wait_until(fact: Callable[[], object], *, what: str, every_s: float = 0.02, deadline_s: float = DEADLINE_S) -> None:
    """Return when *fact* is true. Raises TookTooLongError, naming *what*, after *deadline_s* seconds."""
    end = time.monotonic() + deadline_s
    while not fact():
        if time.monotonic() > end:
            raise TookTooLongError(f"waited {deadline_s:g} s in vain for {what}")
        rest(every_s)


def rest(seconds: float) -> None:
    """Do nothing for a while."""
    threading.Event().wait(seconds)
