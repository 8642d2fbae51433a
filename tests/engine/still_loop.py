"""An event loop on a clock that the test moves: nothing waits for real, and what happens next is always the same."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.fakes import FakeClock

T = TypeVar("T")


class _Idle(selectors.DefaultSelector):
    """Stops the loop where it would wait, for a time or for a file descriptor."""

    stop: Callable[[], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self.stop()
        return []


class StillLoop(asyncio.SelectorEventLoop):
    """Runs until nothing can go on before the clock moves. What is given to a thread is done at once."""

    def __init__(self, clock: FakeClock) -> None:
        idle = _Idle()
        super().__init__(idle)
        idle.stop = self.stop
        self._clock = clock

    def time(self) -> float:
        return self._clock.mono

    def run_in_executor(  # type: ignore[override]  # its stub needs a TypeVarTuple, for which we have no use
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits
            done.set_exception(error)
        return done

    def settle(self) -> None:
        """Let everybody go on until all wait."""
        self.run_forever()

    def advance(self, seconds: float, *, steps: int = 4) -> None:
        """Let time pass, and whoever waited for it go on."""
        for _ in range(steps):
            self._clock.advance(seconds / steps)
            self.settle()

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what *work* returns; it waits for nothing but ports."""
        task = self.create_task(work)
        self.settle()
        return task.result()
