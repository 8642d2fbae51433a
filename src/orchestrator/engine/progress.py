"""What an agent reports while it runs becomes events, and word of its account reaches the holds."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from orchestrator.core.attempt import AgentMessage, MessageKind, WorkOrder
from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import Json
from orchestrator.core.failpoint import hit
from orchestrator.core.ports import Clock
from orchestrator.engine.holds import Holds

log = logging.getLogger(__name__)

MAX_PROGRESS_EVENTS = 400
TEXT_SPACING_S = 1.0
SIGN_OF_LIFE_S = 5.0


class Speaker:
    """The `say` of one attempt: bounded in number, and text not more than once a second."""

    def __init__(
        self, order: WorkOrder, *, clock: Clock, holds: Holds, commit: Callable[[Mapping[str, Json]], Awaitable[object]]
    ) -> None:
        """*commit* stores the data of one progress event; it raises IllegalEventError when that came too late."""
        self._order = order
        self._clock = clock
        self._holds = holds
        self._commit = commit
        self._said = 0
        self._last_text = float("-inf")
        self._last_life = float("-inf")

    async def __call__(self, message: AgentMessage) -> None:
        now = self._clock.monotonic()
        if message.kind in (MessageKind.TEXT, MessageKind.TOOL) and now - self._last_life >= SIGN_OF_LIFE_S:
            self._last_life = now
            await self._holds.over(self._order.agent)  # its provider answers: the others need not wait for its end
        if message.kind is MessageKind.LIMIT:
            await self._holds.heed(self._order.agent, message)
            if message.data.get("status") == "allowed":
                return
        is_text = message.kind is MessageKind.TEXT
        if self._said >= MAX_PROGRESS_EVENTS or (is_text and now - self._last_text < TEXT_SPACING_S):
            return
        hit("run.progress")
        self._said += 1
        self._last_text = now if is_text else self._last_text
        try:
            await self._commit({"what": message.kind.value, "text": message.text, **message.data})
        except IllegalEventError:
            log.debug("progress of %s came too late", self._order.mark)
