"""The door by which running workers reach the daemon. It is opened by the first attempt that needs it, not before."""

import asyncio
import importlib.util
from collections.abc import Callable
from types import ModuleType

from orchestrator.api.worker_guard import Tokens
from orchestrator.core.worker_tool import Caller, ToolAccess, ToolMissingError, WorkerDesk

MISSING = "the library mcp is not installed; type `python3 main.py setup mcp`"


def installed() -> bool:
    """Return whether the extra `mcp` is there."""
    return importlib.util.find_spec("mcp") is not None


def _load() -> ModuleType:
    """It takes most of a second, so it is done in a thread."""
    from orchestrator.api import worker_server

    return worker_server


class Door:
    """Implements the port `WorkerDoor` over a server on loopback. To be ended with `stop`."""

    def __init__(
        self,
        desk: WorkerDesk,
        *,
        chance: Callable[[], str],
        now: Callable[[], float],
        load: Callable[[], ModuleType] = _load,
    ) -> None:
        """*chance* and *now*: see Tokens and Guard. *load* brings in the server, or raises ImportError."""
        self._load = load
        self._desk = desk
        self._now = now
        self._tokens = Tokens(chance, now)
        self._serving: asyncio.Task[None] | None = None
        self._started: asyncio.Future[str] | None = None
        self._alone = asyncio.Lock()

    async def open(self, caller: Caller) -> ToolAccess:
        url = await self._url()
        return ToolAccess(url, self._tokens.issue(caller))

    def close(self, caller: Caller) -> None:
        self._tokens.revoke(caller)

    async def stop(self) -> None:
        """End the server, if there is one. Nobody is let in any more."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
            self._serving = None

    async def _url(self) -> str:
        async with self._alone:
            if self._serving is None or self._serving.done() or self._started is None:
                self._started = asyncio.get_running_loop().create_future()
                self._serving = asyncio.create_task(self._serve(self._started), name="worker door")
            try:
                return await asyncio.shield(self._started)
            except OSError as error:
                raise ToolMissingError(f"its server cannot be started: {error.strerror or error}") from None

    async def _serve(self, started: "asyncio.Future[str]") -> None:
        try:
            server = await asyncio.to_thread(self._loaded)
            async with server.serving(self._desk, self._tokens, now=self._now) as url:
                started.set_result(url)
                await asyncio.Event().wait()
        except (ToolMissingError, OSError) as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            if not started.done():
                started.cancel()

    def _loaded(self) -> ModuleType:
        try:
            return self._load()
        except ImportError as error:
            why = f"the library mcp cannot be loaded: {error}" if installed() else MISSING
            raise ToolMissingError(why) from None
