"""The control of the soak: the daemon as it is, but it loses something of each task whose files it has written.

`python -m tests.under_fire.leaky_daemon descriptor|memory|thread --root DIR`
"""

import os
import sys
import threading

from orchestrator.app import main
from orchestrator.core.task import Task
from orchestrator.engine.projector import Projector

LEAKED_BYTES = 256 * 1024
kept: list[object] = []


def leak(what: str) -> None:
    if what == "descriptor":
        kept.append(os.open(os.devnull, os.O_RDONLY))
    elif what == "memory":
        kept.append(os.urandom(LEAKED_BYTES))
    else:
        thread = threading.Thread(target=threading.Event().wait, daemon=True)
        thread.start()
        kept.append(thread)


class LeakyProjector(Projector):
    """Loses one thing for each task."""

    what = ""

    async def _project(self, task: Task) -> None:
        leak(self.what)
        await super()._project(task)


if __name__ == "__main__":
    LeakyProjector.what = sys.argv.pop(1)
    import orchestrator.compose

    orchestrator.compose.Projector = LeakyProjector  # type: ignore[attr-defined]
    sys.exit(main())
